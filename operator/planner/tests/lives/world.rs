//! A simulated executor with a clock of its own.

use serde_json::{Value, json};
use temper_contract::report::{ArtifactFormat, BeforeAfter, DatasetCounts, Parameters, PrepareReport, PublishReport, TrainReport};
use temper_crds::condition::{Condition, ConditionStatus, READY};
use temper_crds::{FineTuneJob, Timestamp};
use temper_planner::observed::State;
use temper_planner::{
    Attempt, Capabilities, Cause, CheckpointReference, End, Intent, Observed, Plan, Progress, Registration, Stage, TrainingAttempt,
    ValidatedFineTuneJob, plan, validate,
};

/// What happens to a job from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    /// Time passes, in seconds.
    After(i64),
    /// Time passes until the planner asked to be woken.
    Wake,
    /// What runs succeeds, ten seconds later.
    Done,
    /// What runs ends in this way, ten seconds later.
    Ends(Cause),
    /// Training reaches this step, ten seconds later.
    Step(u64),
    /// Training reaches this step and writes a checkpoint, ten seconds later.
    Saved(u64),
    /// The ranks are started again in place.
    RestartedInPlace,
    /// `spec.suspend` is changed.
    Suspend(bool),
    /// The registry takes the model version (or refuses it).
    Registers(bool),
    /// A person asks for another try.
    Retried,
}

/// The job, what is observed of it, the clock and the transcript.
pub(crate) struct World {
    pub(crate) job: ValidatedFineTuneJob,
    pub(crate) observed: Observed,
    pub(crate) now: i64,
    pub(crate) transcript: Vec<String>,
    pub(crate) last: Plan,
    /// What `prepare` estimates that a process takes, in bytes.
    pub(crate) memory_estimate: u64,
}

/// The patch is merged into the spec of a small job.
pub(crate) fn job(patch: &Value) -> ValidatedFineTuneJob {
    let mut job = json!({
        "apiVersion": "temper.dev/v1alpha1", "kind": "FineTuneJob", "metadata": { "name": "tiny", "generation": 1 },
        "spec": {
            "baseModel": { "storageUri": "pvc://models/tiny" },
            "dataset": { "storageUri": "pvc://data/rows.jsonl", "format": "text" },
            "method": { "type": "full" },
            "hyperparameters": { "maxSteps": 60 },
            "output": { "register": { "modelName": "tiny", "stage": "Staging" } },
        },
    });
    for (name, value) in patch.as_object().into_iter().flatten() {
        job["spec"][name] = value.clone();
    }
    let job: FineTuneJob = serde_json::from_value(job).expect("a job");
    validate(&job, Capabilities::CLUSTER).expect("a valid job")
}

/// The transcript of a job's life.
pub(crate) fn life(patch: Value, fates: &[Fate]) -> Vec<String> {
    let mut world = World::new(job(&patch));
    world.suffer_all(fates);
    world.transcript
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

impl World {
    pub(crate) fn new(job: ValidatedFineTuneJob) -> Self {
        let observed = Observed { active_since: Some(at(0)), ..Observed::default() };
        let last = plan(&job, &observed, at(0));
        let mut world = Self { job, observed, now: 0, transcript: Vec::new(), last, memory_estimate: 1 };
        world.settle();
        world
    }

    pub(crate) fn now(&self) -> Timestamp {
        at(self.now)
    }

    /// Lets something happen, then plans and carries out until nothing more is to be done.
    pub(crate) fn suffer(&mut self, fate: Fate) {
        self.happen(fate);
        self.settle();
    }

    /// The same for several things, one after the other.
    pub(crate) fn suffer_all(&mut self, fates: &[Fate]) {
        for fate in fates {
            self.suffer(*fate);
        }
    }

    fn happen(&mut self, fate: Fate) {
        match fate {
            Fate::After(seconds) => self.now += seconds,
            Fate::Wake => self.now = self.last.wake_at.map_or(self.now, |wake_at| wake_at.as_second().max(self.now)),
            Fate::Suspend(suspend) => {
                self.job.suspend = suspend;
                if !suspend {
                    self.observed.active_since = Some(self.now());
                }
            }
            Fate::Retried => self.observed.retried_at = Some(self.now()),
            Fate::Registers(true) => {
                let name = "tiny-v1".to_owned();
                self.observed.registration = Registration::Registered { name, version: 1, uri: "pvc://models/tiny/1".to_owned() };
            }
            Fate::Registers(false) => self.observed.registration = Registration::Refused { message: "the registry is full".to_owned() },
            Fate::Done => {
                self.now += 10;
                self.succeed();
            }
            Fate::Ends(cause) => {
                self.now += 10;
                self.end(cause);
            }
            Fate::Step(step) => self.step(step),
            Fate::Saved(step) => {
                self.step(step);
                if let Some(attempt) = self.training_attempt() {
                    self.observed.checkpoint = Some(CheckpointReference { attempt, step, uri: format!("step-{step}") });
                }
            }
            Fate::RestartedInPlace => {
                if let Some(training) = self.observed.training.last_mut().filter(|training| training.attempt.is_running()) {
                    training.in_place_restarts += 1;
                }
            }
        }
    }

    /// A condition of the last plan's status.
    pub(crate) fn condition(&self, type_: &str) -> &Condition {
        self.last.status.conditions.iter().find(|condition| condition.type_ == type_).expect("every plan has all conditions")
    }

    fn training_attempt(&self) -> Option<u64> {
        self.observed.training.iter().position(|training| training.attempt.is_running()).map(|index| index as u64)
    }

    fn step(&mut self, step: u64) {
        self.now += 10;
        let now = self.now();
        let Some(training) = self.observed.training.last_mut().filter(|training| training.attempt.is_running()) else { return };
        training.last_progress = Some(now);
        let resumed_from_step = self.observed.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.step.min(step));
        let started_at = training.attempt.started_at;
        self.observed.progress =
            Some(Progress { step, resumed_from_step, updated_at: now, training_loss: Some(1.5), ..Progress::started(started_at, 60) });
    }

    fn succeed(&mut self) {
        let now = self.now();
        if let Some(attempt) = self.observed.prepare.last_mut().filter(|attempt| attempt.is_running()) {
            let report = PrepareReport { memory_estimate_bytes: self.memory_estimate, ..prepared() };
            attempt.state = State::Succeeded { report, at: now };
        }
        if let Some(training) = self.observed.training.last_mut().filter(|training| training.attempt.is_running()) {
            training.attempt.state = State::Succeeded { report: trained(), at: now };
        }
        if let Some(attempt) = self.observed.publish.last_mut().filter(|attempt| attempt.is_running()) {
            attempt.state = State::Succeeded { report: published(), at: now };
        }
    }

    fn end(&mut self, cause: Cause) {
        let now = self.now();
        fn failed<Report>(attempt: &mut Attempt<Report>, cause: Cause, at: Timestamp) {
            if attempt.is_running() {
                attempt.state = State::Failed { end: End::of(cause), at };
            }
        }
        self.observed.prepare.iter_mut().for_each(|attempt| failed(attempt, cause, now));
        self.observed.training.iter_mut().for_each(|training| failed(&mut training.attempt, cause, now));
        self.observed.publish.iter_mut().for_each(|attempt| failed(attempt, cause, now));
    }

    /// Plans and carries out until a plan asks for nothing that is not done.
    fn settle(&mut self) {
        for _ in 0..10 {
            self.last = plan(&self.job, &self.observed, self.now());
            self.note_reason();
            self.observed.status = self.last.status.clone();
            let intents = self.last.intents.clone();
            let news = intents.iter().filter(|intent| self.carry_out(intent)).count();
            if news == 0 {
                return;
            }
        }
        panic!("no fixpoint after ten plans: {:?}", self.last);
    }

    fn note_reason(&mut self) {
        let ready = self.last.status.conditions.iter().find(|condition| condition.type_ == READY).expect("Ready is always there");
        let before = self.observed.status.conditions.iter().find(|condition| condition.type_ == READY);
        if before.is_none_or(|before| before.reason != ready.reason) {
            let mark = if ready.status == ConditionStatus::True { "Ready " } else { "" };
            self.transcript.push(format!("{}s = {mark}{}", self.now, ready.reason));
        }
    }

    /// Whether the intent was news.
    fn carry_out(&mut self, intent: &Intent) -> bool {
        let now = self.now();
        let started = |attempts: usize, attempt: u64| {
            assert!(attempt <= attempts as u64, "attempts are numbered without gaps");
            attempt == attempts as u64
        };
        let told = match intent {
            Intent::EnsurePrepare { attempt } if started(self.observed.prepare.len(), *attempt) => {
                self.observed.prepare.push(Attempt::started(now));
                format!("prepare {attempt}")
            }
            Intent::EnsureTrainers { attempt, num_nodes, num_proc_per_node, resume, restarts_left }
                if started(self.observed.training.len(), *attempt) =>
            {
                self.observed.training.push(TrainingAttempt { attempt: Attempt::started(now), last_progress: None, in_place_restarts: 0 });
                let from = resume.as_ref().map_or("the start".to_owned(), |checkpoint| format!("step {}", checkpoint.step));
                format!("train {attempt} on {num_nodes}x{num_proc_per_node} from {from}, {restarts_left} restarts left")
            }
            Intent::EnsurePublish { attempt } if started(self.observed.publish.len(), *attempt) => {
                self.observed.publish.push(Attempt::started(now));
                format!("publish {attempt}")
            }
            Intent::Stop { stage, attempt, reason } => {
                let index = usize::try_from(*attempt).expect("a small number");
                let stop = match stage {
                    Stage::Prepare => &mut self.observed.prepare[index].stop,
                    Stage::Train => &mut self.observed.training[index].attempt.stop,
                    Stage::Publish => &mut self.observed.publish[index].stop,
                };
                if stop.is_some() {
                    return false;
                }
                *stop = Some(*reason);
                format!("stop {stage} {attempt}: {reason:?}")
            }
            Intent::Register { model_name, stage, path, .. } => {
                let told = format!("register {path} as {model_name} in {stage}");
                if self.transcript.iter().any(|line| line.ends_with(&told)) {
                    return false;
                }
                told
            }
            Intent::FreeFinished => {
                self.observed.freed = true;
                "free".to_owned()
            }
            _ => return false,
        };
        self.transcript.push(format!("{}s {told}", self.now));
        true
    }
}

fn prepared() -> PrepareReport {
    PrepareReport {
        counts: DatasetCounts { rows: 100, accepted: 90, tokens: 5000, ..DatasetCounts::default() },
        digest: "sha256:data".to_owned(),
        chat_template_digest: None,
        base_model_digest: "sha256:base".to_owned(),
        parameters: Parameters { total: 1000, trainable: 10 },
        memory_estimate_bytes: 1,
        seconds: 1.0,
    }
}

fn trained() -> TrainReport {
    TrainReport {
        step: 60,
        total_steps: 60,
        reason: "complete".to_owned(),
        checkpoint: "step-60".to_owned(),
        parameters: Parameters { total: 1000, trainable: 10 },
        training_loss: 1.0,
        validation: Some(BeforeAfter { before: 2.0, after: 1.0 }),
        tokens: 5000,
        tokens_per_second: 100.0,
        seconds: 50.0,
        evaluation_seconds: 1.0,
        restarts: 0,
        peak_memory_bytes: 1,
    }
}

fn published() -> PublishReport {
    PublishReport {
        path: "out".to_owned(),
        format: ArtifactFormat::HuggingFace,
        digest: format!("sha256:{}", "0".repeat(64)),
        files: std::collections::BTreeMap::new(),
    }
}
