//! A rank's parts, and when each of them acts.

use super::Ending;
use super::data::Data;
use super::evaluation::{self, LossSum};
use super::observers::Observers;
use super::signs::Signs;
use crate::checkpoint::{CheckpointStore, Copier, Evaluation, Tensors, TrainingState};
use crate::events::{emit, warn};
use crate::exchange::Exchange;
use crate::failure::{Failure, Result};
use crate::metrics::Metrics;
use crate::optimizer::Moments;
use crate::schedule::Schedule;
use crate::stop_signal::StopSignal;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tch::Device;
use temper_contract::{Event, TrainerConfig};
use temper_data::sampler::Plan;
use temper_model::Model;

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Yes.
    Continue,
    /// All ranks agree that one of them was told to stop.
    Stop,
}

/// What `setup` composes and the loop drives.
pub(super) struct Training {
    pub(super) config: TrainerConfig,
    pub(super) device: Device,
    pub(super) data: Data,
    pub(super) plan: Plan,
    pub(super) schedule: Schedule,
    pub(super) model: Model,
    pub(super) moments: Moments,
    pub(super) exchange: Exchange,
    pub(super) state: TrainingState,
    pub(super) checkpoints: CheckpointStore,
    /// On rank 0, if the job names a place for copies.
    pub(super) copier: Option<Copier>,
    /// Folder and step of the newest checkpoint.
    pub(super) saved: Option<(u64, String)>,
    pub(super) observers: Observers,
    pub(super) stop: StopSignal,
}

impl Training {
    /// The last step that is planned.
    pub(super) fn total_steps(&self) -> u64 {
        self.state.identity.total_steps
    }

    /// Before the first step, every `evalSteps`, and at the end; not twice at the same step.
    pub(super) fn evaluation_is_due(&self) -> bool {
        let step = self.state.step;
        let regular = self.config.evaluation.eval_steps.is_some_and(|every| every > 0 && step.is_multiple_of(every));
        let last = self.state.last_evaluation.map(|evaluation| evaluation.step);
        self.data.validation.is_some() && last != Some(step) && (step == 0 || regular || step >= self.total_steps())
    }

    /// Every `saveSteps`; not twice at the same step.
    pub(super) fn checkpoint_is_due(&self) -> bool {
        let step = self.state.step;
        step > 0 && self.config.checkpoint.save_steps.is_some_and(|every| every > 0 && step.is_multiple_of(every))
    }

    /// Why there is nothing more to train, if so.
    pub(super) fn ending(&self) -> Option<Ending> {
        if self.state.step >= self.total_steps() {
            Some(Ending::Complete)
        } else if self.state.step > 0 && self.state.early_stopping.is_over(self.config.evaluation.early_stopping_patience) {
            Some(Ending::EarlyStopping)
        } else {
            None
        }
    }

    /// Computes the held-out loss.
    pub(super) fn evaluate(&mut self) -> Result<Progress> {
        let Some(cache) = &self.data.validation else { return Ok(Progress::Continue) };
        let started = Instant::now();
        let batch_size = self.config.evaluation.per_device_eval_batch_size;
        let sum = evaluation::evaluate(&mut self.model, cache, batch_size, &self.exchange, &self.stop, &self.observers.metrics)?;
        let Some(LossSum { nats, targets }) = sum else { return Ok(Progress::Stop) };
        let evaluation = Evaluation { step: self.state.step, loss: nats / targets.max(1.0) };
        self.state.evaluation_seconds += started.elapsed().as_secs_f64();
        self.state.early_stopping.observe(evaluation.loss);
        self.state.last_evaluation = Some(evaluation);
        if evaluation.step == 0 {
            self.state.baseline = Some(evaluation);
        }
        tracing::info!(step = evaluation.step, loss = evaluation.loss, "evaluated");
        self.observers.evaluated(evaluation.step, evaluation.loss, targets as u64);
        Ok(Progress::Continue)
    }

    /// Saves, unless this step's checkpoint is there. Only rank 0 writes. The others wait for it outside of any collective, each of which
    /// has its time: a large checkpoint takes longer.
    pub(super) fn checkpoint(&mut self) -> Result<()> {
        let step = self.state.step;
        if step == 0 || self.saved.as_ref().is_some_and(|(saved, _)| *saved == step) {
            return Ok(());
        }
        if let Some(log) = &self.observers.log {
            log.sync()?;
            let parameters = self.model.trainable();
            let tensors = Tensors { parameters: parameters.parameters(), master: &parameters.master, moments: &self.moments };
            let copier = self.copier.as_ref();
            let may_remove = |folder: &Path| copier.is_none_or(|copier| copier.gives_up(folder));
            let (exchange, mut signs) = (&self.exchange, Signs::of("saving", &self.observers.metrics));
            let folder = self.checkpoints.save(&self.state, &tensors, may_remove, &mut || {
                if signs.got_on() {
                    exchange.tell_others();
                }
            })?;
            self.exchange.first_has_done(step)?;
            if let Some(copier) = copier {
                copier.offer(&folder);
            }
            let folder = folder.display().to_string();
            emit(&Event::CheckpointSaved { step, path: folder.clone() });
            self.saved = Some((step, folder));
        } else {
            let mut signs = Signs::of("saving", &self.observers.metrics);
            self.exchange.wait_for_first(step, || {
                signs.got_on();
            })?;
            self.saved = Some((step, String::new()));
        }
        self.observers.metrics.checkpoint_saved(step, self.checkpoints.attempt());
        Ok(())
    }

    /// Whether any rank has been told to stop: all of them learn the same.
    pub(super) fn is_told_to_stop(&self) -> Result<bool> {
        let [stops] = self.exchange.sum([f64::from(u8::from(self.stop.is_set()))], self.device)?;
        Ok(stops > 0.0)
    }

    /// Reports, and leaves the group when every rank is done.
    pub(super) fn finish(mut self, ending: Ending) -> Result<()> {
        let copier = self.copier.take();
        if self.exchange.rank() == 0 {
            if ending != Ending::Terminated {
                super::report::write(&self, ending)?;
            }
            emit(&Event::Finished { step: self.state.step, reason: ending.word().to_owned() });
        }
        self.exchange.finish()?;
        // The other ranks need not wait for the last copy.
        copier.map_or(Ok(()), |copier| finish_copies(copier, &self.observers.metrics, &self.stop))
    }
}

/// What the last copy may take once this process was told to stop: whoever asked kills it after its grace period, of two minutes in a
/// cluster, and a process that is killed says nothing of how it ended.
const LAST_COPY: Duration = Duration::from_secs(30);

/// Waits for the last copy. No step is finished meanwhile, so whoever looks for a stall is told that this rank gets on; the copy itself is
/// given up when the store does not answer, or when it takes too long after a signal to stop: the checkpoint on this machine is whole.
fn finish_copies(copier: Copier, metrics: &Metrics, stop: &StopSignal) -> Result<()> {
    let (ended, end) = channel::<()>();
    let wait = move || {
        copier.finish();
        drop(ended);
    };
    let thread = std::thread::Builder::new().name("last-copy".to_owned()).spawn(wait);
    thread.map_err(|error| Failure::unexpected(format!("failed to start a thread: {error}")))?;
    let mut signs = Signs::of("uploading", metrics);
    let mut told_at = None;
    while end.recv_timeout(Signs::PERIOD) == Err(RecvTimeoutError::Timeout) {
        signs.got_on();
        if stop.is_set() && told_at.get_or_insert_with(Instant::now).elapsed() >= LAST_COPY {
            warn(format!(
                "the newest checkpoint is not copied within {} s of the signal to stop; it is on this machine",
                LAST_COPY.as_secs()
            ));
            break;
        }
    }
    Ok(())
}
