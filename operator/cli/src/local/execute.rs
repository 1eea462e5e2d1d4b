//! The executor: observe, plan, carry out, wait, again.

use crate::exit::{Exit, Stop};
use crate::local::durable;
use crate::local::fault;
use crate::local::home::Home;
use crate::local::job::LocalJob;
use crate::local::last_words;
use crate::local::lock::Lock;
use crate::local::observe::{Live, observe};
use crate::local::process::Message;
use crate::local::registration;
use crate::local::signals::Watch;
use crate::local::stage_run::StageRun;
use crate::local::state::{Record, RecordedEnd, RecordedStop, RunState};
use crate::output::progress::Progress;
use crate::output::summary_text;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use temper_contract::Event;
use temper_crds::Timestamp;
use temper_crds::condition::reason;
use temper_planner::plan::Situation;
use temper_planner::{Intent, Plan, Stage, plan};

/// How long processes of an earlier run may take to be gone once their parent is.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(30);
/// How long processes that are told to stop may take: writing a checkpoint of a big model takes a while.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
/// How long the other nodes of an attempt may take once one has failed.
const PEER_PATIENCE: Duration = Duration::from_secs(15);
/// The longest wait without a look around.
const LOOK_AROUND: Duration = Duration::from_secs(60);

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything is done.
    Complete,
    /// It failed for good.
    Failed {
        /// In one word.
        reason: String,
        /// In a sentence, with what to do next.
        message: String,
    },
    /// The user stopped it.
    Interrupted,
}

/// Whether nothing is left to do for a job.
pub fn is_complete(job: &LocalJob) -> Result<bool> {
    let state: RunState = durable::read_json(&job.run.state())?.unwrap_or_default();
    let observed = observe(&job.run, &job.folders.checkpoints, &state, &Live::default())?;
    Ok(matches!(plan(&job.validated, &observed, Timestamp::now()).situation, Situation::Complete))
}

/// Carries a job through to its end.
pub struct Executor<'a> {
    job: &'a LocalJob,
    trainer: PathBuf,
    home: &'a Home,
    progress: &'a mut dyn Progress,
    state: RunState,
    live: Live,
    stage: Option<StageRun>,
    messages: Sender<Message>,
    inbox: Receiver<Message>,
    interrupts: u32,
    last_situation: Option<Situation>,
}

impl<'a> Executor<'a> {
    /// An executor for a run whose lock the caller holds.
    pub fn new(job: &'a LocalJob, trainer: PathBuf, home: &'a Home, progress: &'a mut dyn Progress) -> Result<Self> {
        job.run.create()?;
        let state: RunState = durable::read_json(&job.run.state())?.unwrap_or_default();
        let (messages, inbox) = channel();
        Ok(Self {
            job,
            trainer,
            home,
            progress,
            state,
            live: Live { active_since: Some(Timestamp::now()), ..Live::default() },
            stage: None,
            messages,
            inbox,
            interrupts: 0,
            last_situation: None,
        })
    }

    /// Runs the job until it ends or the user stops it.
    pub fn run(mut self) -> Result<Ending> {
        let _watch = Watch::start(self.messages.clone()).context("cannot watch for signals")?;
        let situation = self.decide(Timestamp::now())?.situation;
        if matches!(situation, Situation::Failed { .. } | Situation::Awaiting { .. } | Situation::BackingOff { .. }) {
            // Typing the command again asks for another try, now.
            self.state.retried_at = Some(Timestamp::now());
        }
        loop {
            let plan = self.decide(Timestamp::now())?;
            if plan.status != self.state.status {
                self.state.status = plan.status.clone();
                self.save()?;
            }
            self.tell(&plan.situation);
            if let Some(ending) = ending(&plan.situation) {
                return Ok(ending);
            }
            if self.interrupts > 0 && self.stage.is_none() {
                return Ok(Ending::Interrupted);
            }
            for intent in &plan.intents {
                self.carry_out(intent)?;
            }
            self.wait(&plan)?;
        }
    }

    fn decide(&self, now: Timestamp) -> Result<Plan> {
        let observed = observe(&self.job.run, &self.job.folders.checkpoints, &self.state, &self.live)?;
        Ok(plan(&self.job.validated, &observed, now))
    }

    fn save(&self) -> Result<()> {
        durable::write_json(&self.job.run.state(), &self.state)
    }

    /// Says what changed, where a bar does not show it.
    fn tell(&mut self, situation: &Situation) {
        if self.last_situation.as_ref() == Some(situation) {
            return;
        }
        if let Situation::BackingOff { stage, until } = situation
            && self.interrupts == 0
        {
            let seconds = until.duration_since(Timestamp::now()).as_secs_f64().max(0.0).ceil();
            let failure = self.state.records(*stage).last().and_then(|record| record.ended.as_ref());
            if let Some(failure) = failure.filter(|_| seconds > 0.0) {
                self.progress.say(&format!("{stage} failed: {}", failure.end().sentence()));
                self.progress.say(&format!("trying again in {seconds} s"));
            }
        }
        self.last_situation = Some(situation.clone());
    }

    /// One arm an intent; an intent that is carried out already needs nothing.
    fn carry_out(&mut self, intent: &Intent) -> Result<()> {
        match intent {
            Intent::EnsurePrepare { attempt } => self.ensure(Stage::Prepare, *attempt, 1, self.job.validated.max_restarts),
            Intent::EnsureTrainers { attempt, num_nodes, restarts_left, .. } => {
                self.ensure(Stage::Train, *attempt, *num_nodes, *restarts_left)
            }
            Intent::EnsurePublish { attempt } => self.ensure(Stage::Publish, *attempt, 1, self.job.validated.max_restarts),
            Intent::Stop { stage, attempt, reason } => self.stop(*stage, *attempt, (*reason).into()),
            Intent::Register { .. } => {
                self.progress.stage("register");
                self.state.registered = Some(registration::register(self.job, self.home, Timestamp::now())?);
                self.save()?;
                self.progress.finish();
                Ok(())
            }
            Intent::FreeFinished => Ok(()),
        }
    }

    fn ensure(&mut self, stage: Stage, attempt: u64, nodes: usize, restarts_left: u64) -> Result<()> {
        if self.live.running == Some((stage, attempt)) || self.interrupts > 0 {
            return Ok(());
        }
        let lock = self.stage_lock()?;
        let restarts_before = self.job.run.in_place_restarts()?;
        let mut config = self.job.config_since(self.state.started_over_at);
        // The trainer counts restarts in place over all attempts.
        config.failure.max_restarts = restarts_left.saturating_add(restarts_before);
        durable::write_json(&self.job.run.config(), &config)?;
        self.state.records_mut(stage).push(Record { started_at: Timestamp::now(), restarts_before, stop: None, ended: None });
        self.save()?;
        fault::point(fault::STAGE_STARTING);
        self.progress.stage(stage.name());
        self.live.last_progress = None;
        self.stage = Some(StageRun::start(self.job, &self.trainer, stage, attempt, nodes, lock, &self.messages)?);
        self.live.running = Some((stage, attempt));
        Ok(())
    }

    /// The lock that a stage's processes hold as long as they live, so that none of an earlier run still writes.
    fn stage_lock(&mut self) -> Result<Lock> {
        let path = self.home.lock(&format!("{}.stage", self.job.identity.run_name()));
        if let Some(lock) = Lock::take_before(&path, Instant::now() + Duration::from_millis(200))? {
            return Ok(lock);
        }
        self.progress.say("waiting for a process of an earlier run to end");
        Lock::take_before(&path, Instant::now() + ORPHAN_PATIENCE)?.ok_or_else(|| {
            let next_step = format!("find it with `fuser {}` and end it", path.display());
            Stop::new(Exit::Busy, "a process of an earlier run of this job still runs", next_step).into()
        })
    }

    fn stop(&mut self, stage: Stage, attempt: u64, reason: RecordedStop) -> Result<()> {
        let Some(record) = self.state.records_mut(stage).get_mut(usize::try_from(attempt)?) else { return Ok(()) };
        if record.stop.is_none() {
            record.stop = Some(reason);
            self.save()?;
        }
        if let Some(run) = self.stage.as_mut().filter(|_| self.live.running == Some((stage, attempt))) {
            run.terminate(Instant::now() + STOP_PATIENCE);
        }
        Ok(())
    }

    /// Waits until something happens that the planner should see.
    fn wait(&mut self, plan: &Plan) -> Result<()> {
        if matches!(plan.situation, Situation::Registering) {
            return Ok(());
        }
        let until_wake = plan.wake_at.map(|at| Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default());
        let deadline = Instant::now() + until_wake.unwrap_or(LOOK_AROUND).min(LOOK_AROUND);
        loop {
            let kill_at = self.stage.as_ref().and_then(StageRun::kill_at);
            let next = kill_at.map_or(deadline, |kill_at| kill_at.min(deadline));
            match self.inbox.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(message) => {
                    if self.handle(message)? {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    if let Some(stage) = self.stage.as_mut().filter(|_| kill_at.is_some_and(|at| at <= Instant::now())) {
                        stage.kill();
                    }
                    if Instant::now() >= deadline {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Disconnected) => anyhow::bail!("nobody is left to tell what happens"),
            }
        }
    }

    /// Takes in one message; whether the planner should look.
    fn handle(&mut self, message: Message) -> Result<bool> {
        match message {
            Message::Event { event, .. } => {
                self.note(&event);
                self.progress.event(&event);
                if let Event::Prepared { counts, .. } = &event
                    && !counts.rejected.is_empty()
                {
                    self.progress.say(summary_text::rejected(counts).trim_end());
                }
                Ok(false)
            }
            Message::Line { .. } => Ok(false),
            Message::Interrupt => {
                self.interrupts += 1;
                self.interrupted();
                Ok(true)
            }
            Message::Exited { node, status } => {
                let Some(run) = self.stage.as_mut() else { return Ok(false) };
                if !run.exited(node, status, Instant::now() + PEER_PATIENCE) {
                    return Ok(false);
                }
                fault::point(fault::STAGE_ENDED);
                self.stage_ended()?;
                Ok(true)
            }
        }
    }

    fn interrupted(&mut self) {
        match (&mut self.stage, self.interrupts) {
            (Some(stage), 1) => {
                stage.terminate_patiently();
                let what =
                    if self.live.running.is_some_and(|(stage, _)| stage == Stage::Train) { "saving a checkpoint" } else { "stopping" };
                self.progress.say(&format!("{what}; press Ctrl-C again to stop at once"));
            }
            (Some(stage), _) => stage.kill(),
            (None, _) => {}
        }
    }

    /// All processes of the stage are gone: writes down how.
    fn stage_ended(&mut self) -> Result<()> {
        let (Some(run), Some((stage, attempt))) = (self.stage.take(), self.live.running.take()) else { return Ok(()) };
        self.progress.finish();
        let (node, status) = run.first_failure();
        let code = last_words::code(status);
        let words = (!status.success())
            .then(|| last_words::read(&self.job.run.last_words(stage, attempt, node), status, &self.job.run.log(stage, attempt, node)));
        let ended = RecordedEnd { at: Timestamp::now(), code, signalled: status.code().is_none(), message: words };
        if let Some(record) = self.state.records_mut(stage).get_mut(usize::try_from(attempt)?) {
            record.ended = Some(ended);
        }
        self.save()
    }

    /// Keeps what the planner wants to know of a running attempt.
    fn note(&mut self, event: &Event) {
        let now = Timestamp::now();
        if gets_on(event, self.live.last_progress.is_some()) {
            self.live.last_progress = Some(now);
        }
        match event {
            Event::Started { resumed_from_step, total_steps, .. } => {
                let started = temper_planner::Progress::started(now, *total_steps);
                self.live.progress =
                    Some(temper_planner::Progress { step: *resumed_from_step, resumed_from_step: *resumed_from_step, ..started });
            }
            Event::Step(step) => {
                if let Some(progress) = &mut self.live.progress {
                    progress.step = step.step;
                    progress.updated_at = now;
                    progress.epoch = step.epoch;
                    progress.training_loss = Some(step.training_loss);
                    progress.learning_rate = Some(step.learning_rate);
                    progress.gradient_norm = Some(step.gradient_norm);
                    progress.tokens_per_second = Some(step.tokens as f64 / step.seconds).filter(|rate| rate.is_finite());
                }
            }
            Event::Evaluated { validation_loss, .. } => {
                if let Some(progress) = &mut self.live.progress {
                    progress.validation_loss = Some(*validation_loss);
                }
            }
            _ => {}
        }
    }
}

/// Whether an event shows that training gets on. What is said of evaluations, large checkpoints and the last copy does, once training has
/// started: before, it is about other work.
fn gets_on(event: &Event, has_started: bool) -> bool {
    match event {
        Event::Started { .. } | Event::Step(_) | Event::Evaluated { .. } | Event::CheckpointSaved { .. } | Event::Restarting { .. } => true,
        Event::Preparing { .. } => has_started,
        _ => false,
    }
}

fn ending(situation: &Situation) -> Option<Ending> {
    match situation {
        Situation::Complete => Some(Ending::Complete),
        // `validate` refuses a suspended job on this machine.
        Situation::Suspended => Some(Ending::Failed { reason: reason::SUSPENDED.to_owned(), message: "spec.suspend is true".to_owned() }),
        Situation::Failed { reason, message } => Some(Ending::Failed { reason: reason.clone(), message: message.clone() }),
        // Somebody sits before the machine: better to say at once what is missing than to look for it again and again.
        Situation::Awaiting { message, .. } => Some(Ending::Failed { reason: reason::UNAVAILABLE.to_owned(), message: message.clone() }),
        Situation::Oversized { message } => {
            Some(Ending::Failed { reason: reason::INSUFFICIENT_MEMORY.to_owned(), message: message.clone() })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::gets_on;
    use temper_contract::Event;

    #[test]
    fn an_evaluation_is_no_stall_and_a_heartbeat_is_no_progress() {
        let evaluating = Event::Preparing { stage: "evaluating".to_owned(), done: 1, total: 9 };
        assert_eq!((gets_on(&evaluating, false), gets_on(&evaluating, true)), (false, true));
        assert!(gets_on(&Event::CheckpointSaved { step: 1, path: String::new() }, true));
        assert!(!gets_on(&Event::Heartbeat { rank: 0, step: 1 }, true));
    }
}
