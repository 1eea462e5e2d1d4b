//! The story of a FineTuneJob: what it is, how it stands, how it came there, and what to do next.

use crate::output::cluster::columns::{Cell, table};
use crate::output::cluster::facts::{Facts, section};
use crate::output::cluster::gauge::bar;
use crate::output::cluster::happening::{self, Happening};
use crate::output::cluster::next_steps::next_steps;
use crate::output::cluster::when::When;
use crate::output::cluster::{timeline, tries};
use crate::output::quantity::{bytes, change, duration, grouped, measure};
use crate::output::terminal::Terminal;
use crate::program::Program;
use temper_crds::condition::READY;
use temper_crds::finetunejob::status::{DatasetCounts, TrainerStatus, TrainingResult};
use temper_crds::{Decimal, FineTuneJob, FineTuneJobStatus, label};

/// Characters of the progress bar.
const BAR: usize = 30;

/// The whole story.
pub fn text(job: &FineTuneJob, happenings: &[Happening], when: &When, terminal: Terminal, program: Program) -> String {
    let status = job.status.clone().unwrap_or_default();
    let created = job.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let steps: String = next_steps(job, program).into_iter().map(|step| format!("{step}\n")).collect();
    [
        headline(job, &status, terminal),
        identity(job, &status, when).text(),
        section("Progress", &progress(&status, when), terminal),
        section("Timeline", &timeline::text(&status.conditions, created, when, terminal), terminal),
        section("Tries", &tries::text(&status.attempts, status.earlier_attempts, when, terminal), terminal),
        section("Data", &status.dataset.as_ref().map(|counts| data(counts, terminal)).unwrap_or_default(), terminal),
        section("Model", &model(&status).text(), terminal),
        section("Events", &happening::text(happenings, when, terminal), terminal),
        section("What to do next", &steps, terminal),
    ]
    .concat()
}

fn headline(job: &FineTuneJob, status: &FineTuneJobStatus, terminal: Terminal) -> String {
    let metadata = &job.metadata;
    let name =
        format!("FineTuneJob {}/{}", metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default());
    let ready = status.conditions.iter().find(|condition| condition.type_ == READY);
    let state = match ready {
        _ if metadata.deletion_timestamp.is_some() => "is being deleted".to_owned(),
        None => "nothing is known of it yet".to_owned(),
        Some(ready) => ready.reason.clone(),
    };
    let sentence: String = ready.iter().flat_map(|ready| ready.message.lines()).map(|line| format!("{line}\n")).collect();
    format!("{}\n{sentence}\n", terminal.bold(&format!("{name}: {state}")))
}

fn identity(job: &FineTuneJob, status: &FineTuneJobStatus, when: &When) -> Facts {
    let spec = &job.spec;
    let mut facts = Facts::default();
    facts.add_some("Created", job.metadata.creation_timestamp.as_ref().map(|at| format!("{} ({})", when.shown(at.0), when.ago(at.0))));
    if let (Some(generation), Some(observed)) = (job.metadata.generation, status.observed_generation)
        && observed < generation
    {
        facts.add("Generation", format!("{generation}, of which the operator has looked at {observed} so far"));
    }
    facts.add_some("Queue", job.metadata.labels.as_ref().and_then(|labels| labels.get(label::KUEUE_QUEUE_NAME).cloned()));
    let revision = spec.base_model.revision.as_ref().map(|revision| format!(" (revision {revision})")).unwrap_or_default();
    facts.add("Base model", format!("{}{revision}", spec.base_model.storage_uri));
    facts.add("Dataset", format!("{} ({})", spec.dataset.storage_uri, word(&spec.dataset.format)));
    facts.add(
        "Method",
        match &spec.method.lora {
            Some(lora) => format!("LoRA, r {}, on {}", lora.r, lora.target_modules.join(", ")),
            None => "full fine-tuning".to_owned(),
        },
    );
    facts.add("Size", size(job));
    if job.spec.suspend {
        facts.add("Suspend", "true");
    }
    facts
}

fn size(job: &FineTuneJob) -> String {
    let trainer = &job.spec.trainer;
    let plural = |count: u32, one: &str, more: &str| format!("{count} {}", if count == 1 { one } else { more });
    let limits: Vec<String> = trainer.resources_per_node.limits.iter().map(|(name, amount)| format!("{name} {amount}")).collect();
    let limits = if limits.is_empty() { String::new() } else { format!(", each node with at most {}", limits.join(", ")) };
    let (nodes, processes) = (trainer.num_nodes, trainer.num_proc_per_node);
    format!("{} of {}{limits}", plural(nodes, "node", "nodes"), plural(processes, "process", "processes"))
}

/// How far training is, with what was measured last.
fn progress(status: &FineTuneJobStatus, when: &When) -> String {
    let Some(trainer) = &status.trainer_status else { return String::new() };
    let TrainerStatus { step, total_steps, progress_percentage, .. } = *trainer;
    let percent = u64::from(progress_percentage);
    let mut first = format!("{} {percent}%  step {} of {}", bar(percent, BAR), grouped(step), grouped(total_steps));
    if let Some(epoch) = &trainer.epoch {
        first.push_str(&format!(", epoch {epoch}"));
    }
    if let Some(eta) = &trainer.estimated_remaining {
        first.push_str(&format!(", ETA {eta}"));
    }
    if let Some(at) = &trainer.last_updated_time {
        first.push_str(&format!(" (reported {})", when.ago(at.0)));
    }
    let metrics = &trainer.metrics;
    let part = |name: &str, value: &Option<Decimal>| value.as_ref().map(|value| format!("{name} {value}"));
    let second: Vec<String> = [
        part("loss", &metrics.training_loss),
        part("held-out loss", &metrics.validation_loss),
        part("learning rate", &metrics.learning_rate),
        part("gradient norm", &metrics.gradient_norm),
        metrics
            .tokens_per_second
            .as_ref()
            .and_then(Decimal::value)
            .map(|rate| format!("{} tokens/s", grouped(rate.max(0.0).round() as u64))),
        metrics.gpu_memory_bytes.map(|memory| format!("GPU memory {}", bytes(memory))),
    ]
    .into_iter()
    .flatten()
    .collect();
    format!("{first}\n{}\n", second.join(", "))
}

fn data(counts: &DatasetCounts, terminal: Terminal) -> String {
    let rejected: u64 = counts.rejected.values().fold(0, |sum, count| sum.saturating_add(*count));
    let mut text = format!(
        "{} rows read, {} trained on, {} held out, {} left out; {} tokens a pass\n",
        grouped(counts.rows),
        grouped(counts.accepted),
        grouped(counts.validation),
        grouped(rejected),
        grouped(counts.tokens)
    );
    let mut reasons: Vec<(&String, &u64)> = counts.rejected.iter().filter(|(_, count)| **count > 0).collect();
    reasons.sort_by(|left, right| right.1.cmp(left.1).then(left.0.cmp(right.0)));
    if !reasons.is_empty() {
        let rows: Vec<Vec<Cell>> = reasons.into_iter().map(|(reason, count)| vec![reason.clone().into(), grouped(*count).into()]).collect();
        text.push_str(&table(&["LEFT OUT BECAUSE", "ROWS"], &rows, terminal));
    }
    text
}

fn model(status: &FineTuneJobStatus) -> Facts {
    let mut facts = Facts::default();
    if let Some(parameters) = &status.parameters {
        facts.add(
            "Parameters",
            format!(
                "{}, of which {} ({}%) are trained",
                grouped(parameters.total),
                grouped(parameters.trainable),
                parameters.trainable_percent
            ),
        );
    }
    facts.add_some("Memory", status.base_model.as_ref().map(|base| format!("{} a process, estimated", bytes(base.memory_estimate_bytes))));
    facts.add_some(
        "Checkpoint",
        status.checkpoint.as_ref().map(|checkpoint| format!("step {}, {}", grouped(checkpoint.step), checkpoint.uri)),
    );
    facts.add_some("Restarts", (status.restarts > 0).then(|| status.restarts.to_string()));
    if let Some(failure) = &status.last_failure {
        let place = failure.pod.as_ref().map(|pod| format!(" in pod {pod}")).unwrap_or_default();
        let rank = failure.rank.map(|rank| format!(", rank {rank}")).unwrap_or_default();
        let code = failure.exit_code.map(|code| format!(", exit code {code}")).unwrap_or_default();
        let message = failure.message.as_ref().map(|message| format!("\n{message}")).unwrap_or_default();
        facts.add("Last failure", format!("{}{place}{rank}{code}{message}", failure.reason));
    }
    if let Some(trained) = &status.result {
        result(trained, &mut facts);
    }
    facts.add_some("Cost", status.cost.as_ref().map(|cost| format!("{} {} for {} GPU hours", cost.total, cost.currency, cost.gpu_hours)));
    if let Some(model) = &status.model_version {
        let name = model.name.as_ref().map(|name| format!("{name}, ")).unwrap_or_default();
        facts.add("Published", format!("{name}{}\n{}", model.uri, model.digest));
    }
    facts
}

fn result(trained: &TrainingResult, facts: &mut Facts) {
    let why = if trained.reason == "earlyStopping" { " (stopped early: the held-out loss no longer fell)" } else { "" };
    let speed = trained
        .tokens_per_second
        .as_ref()
        .and_then(Decimal::value)
        .map(|rate| format!(", {} tokens/s", grouped(rate.max(0.0).round() as u64)));
    facts.add(
        "Trained",
        format!("{} steps in {}{}{why}", grouped(trained.step), duration(trained.seconds as f64), speed.unwrap_or_default()),
    );
    facts.add_some("Training loss", trained.training_loss.as_ref().map(ToString::to_string));
    let losses = trained
        .validation_loss_before
        .as_ref()
        .and_then(Decimal::value)
        .zip(trained.validation_loss_after.as_ref().and_then(Decimal::value));
    if let Some((before, after)) = losses {
        facts.add("Held-out loss", format!("{} -> {} ({})", measure(before), measure(after), change(before, after)));
        let (before, after) = (before.exp(), after.exp());
        facts.add("Perplexity", format!("{} -> {} ({})", measure(before), measure(after), change(before, after)));
    }
    facts.add_some("Peak memory", (trained.peak_memory_bytes > 0).then(|| format!("{} a process", bytes(trained.peak_memory_bytes))));
}

/// An enum's value as manifests write it.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
