//! The contract's metrics, in Prometheus' text format.

mod exporter;

pub(crate) use exporter::Exporter;

use crate::checkpoint::TrainingState;
use crate::failure::{Failure, Result};
use prometheus::core::Collector;
use prometheus::{Counter, Encoder, Gauge, Histogram, HistogramOpts, Opts, Registry, TextEncoder};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tch::Device;
use temper_contract::event::StepRecord;
use temper_contract::layout;
use temper_contract::metric::{self, Metric};

/// Steps take from milliseconds (tests) to minutes (large models).
const STEP_BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// What one rank exports.
pub(crate) struct Metrics {
    registry: Registry,
    training_loss: Gauge,
    validation_loss: Gauge,
    learning_rate: Gauge,
    gradient_norm: Gauge,
    step: Gauge,
    total_steps: Gauge,
    epoch: Gauge,
    tokens: Counter,
    target_tokens: Counter,
    tokens_per_second: Gauge,
    step_duration: Histogram,
    skipped_steps: Counter,
    gpu_memory: Gauge,
    resident_memory: Gauge,
    checkpoint_step: Gauge,
    checkpoint_age: Gauge,
    checkpoint_attempt: Gauge,
    started: Gauge,
    resumed_from_step: Gauge,
    last_progress: Gauge,
    /// When this process learnt of the newest checkpoint, and how old it was then.
    last_checkpoint: Mutex<Option<(Instant, Duration)>>,
    device: Device,
}

impl Metrics {
    /// Registers everything, labelled with the job and the rank. What only a step or an evaluation can tell is NaN until there has been one.
    pub(crate) fn new(job_name: &str, rank: usize, attempt: u64, restarts: u64, device: Device) -> Result<Self> {
        let registry = Registry::new();
        // The labels are each metric's own: a registry appends its own in the order of a hash map, another at each start.
        let opts = |of: Metric| Opts::new(of.name, of.help).const_label("job_name", job_name).const_label("rank", rank.to_string());
        let gauge = |of: Metric, value: f64| register(&registry, Gauge::with_opts(opts(of))).inspect(|gauge| gauge.set(value));
        let counter = |of: Metric| register(&registry, Counter::with_opts(opts(of)));
        let step_duration = HistogramOpts::from(opts(metric::STEP_DURATION)).buckets(STEP_BUCKETS.into());
        gauge(metric::ATTEMPT, attempt as f64)?;
        gauge(metric::RESTARTS, restarts as f64)?;
        Ok(Self {
            training_loss: gauge(metric::TRAINING_LOSS, f64::NAN)?,
            validation_loss: gauge(metric::VALIDATION_LOSS, f64::NAN)?,
            learning_rate: gauge(metric::LEARNING_RATE, f64::NAN)?,
            gradient_norm: gauge(metric::GRADIENT_NORM, f64::NAN)?,
            step: gauge(metric::STEP, 0.0)?,
            total_steps: gauge(metric::TOTAL_STEPS, 0.0)?,
            epoch: gauge(metric::EPOCH, 0.0)?,
            tokens: counter(metric::TOKENS)?,
            target_tokens: counter(metric::TARGET_TOKENS)?,
            tokens_per_second: gauge(metric::TOKENS_PER_SECOND, f64::NAN)?,
            step_duration: register(&registry, Histogram::with_opts(step_duration))?,
            skipped_steps: counter(metric::SKIPPED_STEPS)?,
            gpu_memory: gauge(metric::GPU_MEMORY, 0.0)?,
            resident_memory: gauge(metric::RESIDENT_MEMORY, 0.0)?,
            checkpoint_step: gauge(metric::CHECKPOINT_STEP, 0.0)?,
            checkpoint_age: gauge(metric::CHECKPOINT_AGE, 0.0)?,
            checkpoint_attempt: gauge(metric::CHECKPOINT_ATTEMPT, 0.0)?,
            started: gauge(metric::STARTED, 0.0)?,
            resumed_from_step: gauge(metric::RESUMED_FROM_STEP, 0.0)?,
            last_progress: gauge(metric::LAST_PROGRESS, 0.0)?,
            last_checkpoint: Mutex::new(None),
            device,
            registry,
        })
    }

    /// What the rank computes on.
    pub(crate) fn device(&self) -> Device {
        self.device
    }

    /// The ranks have met and go on from this state. If it is that of a checkpoint, `saved` is the attempt that wrote it and its folder.
    pub(crate) fn started(&self, state: &TrainingState, epoch: f64, saved: Option<(u64, &Path)>) {
        let step = state.step as f64;
        self.step.set(step);
        self.resumed_from_step.set(step);
        self.epoch.set(epoch);
        self.training_loss.set(state.training_loss);
        self.validation_loss.set(state.last_evaluation.map_or(f64::NAN, |evaluation| evaluation.loss));
        if let Some((attempt, folder)) = saved {
            self.newest_checkpoint(state.step, attempt, age(folder));
        }
        self.total_steps.set(state.identity.total_steps as f64);
        let now = unix_time();
        self.last_progress.set(now);
        // Last: whoever finds it set finds the others set, too.
        self.started.set(now);
    }

    /// Something was finished that shows that training gets on.
    pub(crate) fn got_on(&self) {
        self.last_progress.set(unix_time());
    }

    /// A step is done.
    pub(crate) fn step_done(&self, record: &StepRecord) {
        self.training_loss.set(record.training_loss);
        self.learning_rate.set(record.learning_rate);
        self.gradient_norm.set(record.gradient_norm);
        self.step.set(record.step as f64);
        self.epoch.set(record.epoch);
        self.tokens.inc_by(record.tokens as f64);
        self.target_tokens.inc_by(record.target_tokens as f64);
        self.tokens_per_second.set(record.tokens as f64 / record.seconds.max(1e-9));
        self.step_duration.observe(record.seconds);
        if record.skipped {
            self.skipped_steps.inc();
        }
        self.got_on();
    }

    /// An evaluation is done.
    pub(crate) fn evaluated(&self, validation_loss: f64) {
        self.validation_loss.set(validation_loss);
    }

    /// A checkpoint is durable.
    pub(crate) fn checkpoint_saved(&self, step: u64, attempt: u64) {
        self.newest_checkpoint(step, attempt, Duration::ZERO);
    }

    fn newest_checkpoint(&self, step: u64, attempt: u64, age: Duration) {
        self.checkpoint_step.set(step as f64);
        self.checkpoint_attempt.set(attempt as f64);
        *self.last_checkpoint.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), age));
    }

    /// The text that a scrape gets.
    pub(crate) fn text(&self) -> String {
        let newest = *self.last_checkpoint.lock().unwrap_or_else(PoisonError::into_inner);
        self.checkpoint_age.set(newest.map_or(0.0, |(learnt, age)| (age + learnt.elapsed()).as_secs_f64()));
        self.gpu_memory.set(temper_c10d::reserved_bytes(self.device) as f64);
        self.resident_memory.set(crate::process_memory::resident_bytes() as f64);
        let mut text = Vec::new();
        // Encoding into memory fails only for a metric without a name.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }
}

fn unix_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Time since a checkpoint was committed, which is when its manifest was written. One that does not say, or seems to lie in the future,
/// counts as new.
fn age(checkpoint: &Path) -> Duration {
    let written = std::fs::metadata(checkpoint.join(layout::CHECKPOINT_MANIFEST)).and_then(|manifest| manifest.modified());
    written.ok().and_then(|written| written.elapsed().ok()).unwrap_or_default()
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> Result<C> {
    let collector = made.map_err(unexpected)?;
    registry.register(Box::new(collector.clone())).map_err(unexpected)?;
    Ok(collector)
}

fn unexpected(error: prometheus::Error) -> Failure {
    Failure::unexpected(format!("metrics: {error}"))
}

#[cfg(test)]
mod tests {
    use super::Metrics;
    use crate::checkpoint::{Identity, TrainingState};
    use std::fs::File;
    use std::time::{Duration, SystemTime};
    use temper_contract::event::StepRecord;
    use temper_contract::{layout, metric};

    #[test]
    fn every_metric_of_the_contract_is_exported_with_its_help() {
        let metrics = Metrics::new("listings", 1, 2, 3, tch::Device::Cpu).expect("names are valid");
        let text = metrics.text();
        for metric in metric::ALL {
            assert!(text.contains(&format!("# HELP {} {}", metric.name, metric.help)), "{} in\n{text}", metric.name);
        }
        // Before the ranks meet, nothing of steps is claimed.
        for line in [
            "temper_training_loss{job_name=\"listings\",rank=\"1\"} NaN",
            "temper_training_started_timestamp_seconds{job_name=\"listings\",rank=\"1\"} 0",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }

    #[test]
    fn a_step_shows_in_gauges_counters_and_the_histogram() {
        let metrics = Metrics::new("listings", 0, 2, 3, tch::Device::Cpu).expect("names are valid");
        let record = StepRecord {
            step: 7,
            epoch: 0.5,
            training_loss: 1.5,
            learning_rate: 1e-4,
            gradient_norm: 2.0,
            tokens: 100,
            target_tokens: 40,
            seconds: 0.2,
            skipped: true,
        };
        metrics.step_done(&record);
        metrics.checkpoint_saved(7, 2);
        let text = metrics.text();
        for line in [
            r#"temper_training_loss{job_name="listings",rank="0"} 1.5"#,
            r#"temper_training_tokens_total{job_name="listings",rank="0"} 100"#,
            r#"temper_training_tokens_per_second{job_name="listings",rank="0"} 500"#,
            r#"temper_training_skipped_steps_total{job_name="listings",rank="0"} 1"#,
            r#"temper_training_step_duration_seconds_count{job_name="listings",rank="0"} 1"#,
            r#"temper_checkpoint_step{job_name="listings",rank="0"} 7"#,
            r#"temper_checkpoint_attempt{job_name="listings",rank="0"} 2"#,
            r#"temper_training_attempt{job_name="listings",rank="0"} 2"#,
            r#"temper_training_restarts{job_name="listings",rank="0"} 3"#,
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }

    fn checkpoint_age(metrics: &Metrics) -> f64 {
        let text = metrics.text();
        let age = text.lines().find_map(|line| line.strip_prefix(r#"temper_checkpoint_age_seconds{job_name="listings",rank="0"} "#));
        age.expect("it is exported").parse().expect("a number")
    }

    #[test]
    fn a_checkpoint_that_training_goes_on_from_is_as_old_as_it_is() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let manifest = File::create(folder.path().join(layout::CHECKPOINT_MANIFEST)).expect("writable");
        manifest.set_modified(SystemTime::now() - Duration::from_secs(3600)).expect("its owner may");
        let identity = Identity {
            data_digest: String::new(),
            base_model_digest: String::new(),
            seed: 0,
            per_device_train_batch_size: 1,
            micro_batches_per_step: 1,
            total_steps: 9,
        };
        let metrics = Metrics::new("listings", 0, 2, 3, tch::Device::Cpu).expect("names are valid");
        let state = TrainingState { step: 6, ..TrainingState::new(identity) };
        metrics.started(&state, 0.5, None);
        assert_eq!(checkpoint_age(&metrics), 0.0, "there is none");
        metrics.started(&state, 0.5, Some((1, folder.path())));
        let age = checkpoint_age(&metrics);
        assert!((3600.0..3660.0).contains(&age), "{age}");
        metrics.checkpoint_saved(9, 2);
        let age = checkpoint_age(&metrics);
        assert!(age > 0.0 && age < 60.0, "{age}");
    }
}
