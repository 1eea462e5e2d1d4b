//! The operator is killed just before and just after each of its writes over whole lives of a job: the end is the same.

use crate::world::{World, condition};
use futures::{StreamExt, stream};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::ListParams;
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use temper_cluster_tests::kubelet::End;
use temper_cluster_tests::proxy::{Fault, Hook, Request, Which};
use temper_cluster_tests::{FaultProxy, Namespace, wait};
use temper_crds::finetunejob::attempts::AttemptStatus;
use temper_crds::{ModelVersion, label};

/// What happens to a job, each in its turn, as soon as it can.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// The attempt's second pod falls over.
    Crash { attempt: u64 },
    /// The job is held while the attempt trains.
    Hold { attempt: u64 },
    /// It is let go on once it is held.
    Release,
    /// The attempt's pods have trained.
    Finish { attempt: u64 },
}

/// A job's life.
struct Life {
    purpose: &'static str,
    /// Merged into its spec.
    spec: fn() -> Value,
    acts: &'static [Act],
    /// It is over when it is complete and, if so, when nothing is left of what was made for it.
    is_freed: bool,
    /// It takes the operator as many writes.
    at_least: u64,
}

const SMOOTH: Life = Life { purpose: "smooth", spec: || json!({}), acts: &[Act::Finish { attempt: 0 }], is_freed: false, at_least: 10 };

const TROUBLED: Life = Life {
    purpose: "troubled",
    spec: || json!({ "ttlSecondsAfterFinished": 0 }),
    acts: &[Act::Crash { attempt: 0 }, Act::Hold { attempt: 1 }, Act::Release, Act::Finish { attempt: 2 }],
    is_freed: true,
    at_least: 20,
};

/// What a life comes to, without times and UIDs.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    conditions: BTreeSet<(String, String, String)>,
    restarts: u64,
    attempts: Vec<String>,
    versions: Vec<String>,
    left: BTreeSet<String>,
}

/// A write that moves a job on. Events are no part of its state, and live metrics come as they come.
fn moves(request: &Request) -> bool {
    request.is_write() && request.resource != "events"
}

impl Life {
    /// Lives it. Whoever is killed is started again, as a Deployment does.
    async fn live(&self, world: &mut World, killed: &AtomicBool) -> Outcome {
        world.create("tiny", (self.spec)()).await;
        let mut acts = self.acts.iter().peekable();
        wait::eventually(wait::PATIENCE, "the job's life is over", async || {
            if killed.load(Ordering::Relaxed) && !world.operator.runs() {
                world.operator.start_again();
            }
            let job = world.jobs().get("tiny").await.map_err(|error| error.to_string())?;
            let ready = condition(&job, "Ready").map(|ready| ready.reason.as_str()).unwrap_or_default();
            if let Some(act) = acts.peek() {
                if act.can_be(world, ready).await? {
                    act.carry_out(world).await;
                    acts.next();
                }
                return Err(format!("{ready}; to come: {:?}", acts.clone().collect::<Vec<_>>()));
            }
            let left = if self.is_freed { what_is_left(&world.namespace).await } else { BTreeSet::new() };
            if ready == "Complete" && left.is_empty() { Ok(()) } else { Err(format!("{ready}; left: {left:?}")) }
        })
        .await;
        outcome(world).await
    }

    /// What it comes to when the operator is killed at the write of this number; none if there are not so many.
    async fn killed_at(&self, write: u64, fault: impl Fn(Hook) -> Fault) -> Option<Outcome> {
        let proxy = FaultProxy::start();
        let mut world = World::behind(&format!("{}-{write}", self.purpose), &proxy).await;
        let killed = Arc::new(AtomicBool::new(false));
        let (flag, pid) = (Arc::clone(&killed), world.operator.id());
        let kill: Hook = Arc::new(move |_| {
            let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a process number");
            // It may be that it died of the first of two writes that were under way.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            flag.store(true, Ordering::Relaxed);
        });
        proxy.set(Which::Nth(write), moves, fault(kill));
        let outcome = self.live(&mut world, &killed).await;
        killed.load(Ordering::Relaxed).then_some(outcome)
    }

    /// Kills the operator at each write of a life of its own, and expects what an undisturbed one comes to.
    async fn is_the_same_killed_at_any_write(&self, when: &str, fault: impl Fn(Hook) -> Fault + Copy) {
        let mut undisturbed = World::new(self.purpose).await;
        let wanted = self.live(&mut undisturbed, &AtomicBool::new(false)).await;
        // They mostly wait.
        let mut lives = stream::iter(1_u64..).map(async |write| (write, self.killed_at(write, fault).await)).buffered(2);
        while let Some((write, outcome)) = lives.next().await {
            let Some(outcome) = outcome else {
                assert!(write > self.at_least, "a life has more than {} writes", write - 1);
                return;
            };
            assert_eq!(outcome, wanted, "killed {when} write {write}");
        }
    }
}

impl Act {
    /// Whether it is its time. `ready` is what the job is doing.
    async fn can_be(self, world: &World, ready: &str) -> Result<bool, String> {
        let attempt = match self {
            Self::Crash { attempt } | Self::Hold { attempt } | Self::Finish { attempt } => attempt,
            Self::Release => return Ok(ready == "Suspended"),
        };
        Ok(world.running_now("tiny", attempt).await?.len() == 2)
    }

    async fn carry_out(self, world: &World) {
        match self {
            Self::Crash { attempt } => {
                let pods = world.running("tiny", attempt, 2).await;
                world.kubelet.end(&pods[1], End::exit(1, "")).await;
            }
            Self::Hold { .. } => world.patch("tiny", json!({ "suspend": true })).await,
            Self::Release => world.patch("tiny", json!({ "suspend": false })).await,
            Self::Finish { attempt } => world.finish("tiny", attempt).await,
        }
    }
}

async fn outcome(world: &World) -> Outcome {
    let job = world.jobs().get("tiny").await.expect("there");
    let status = job.status.expect("it has one");
    let versions = world.namespace.api::<ModelVersion>().list(&ListParams::default()).await.expect("listable").items;
    Outcome {
        conditions: status
            .conditions
            .iter()
            .map(|condition| (condition.type_.clone(), format!("{:?}", condition.status), condition.reason.clone()))
            .collect(),
        restarts: status.restarts,
        attempts: status.attempts.iter().map(told).collect(),
        versions: versions.iter().map(ResourceExt::name_any).collect(),
        left: what_is_left(&world.namespace).await,
    }
}

/// An attempt in the ledger. How one ended that was told to stop is seen by who is there to see it.
fn told(entry: &AttemptStatus) -> String {
    let how = entry.stop.map_or_else(|| format!("{:?}", entry.end), |stop| format!("{stop:?}"));
    format!("{:?} {} {how}", entry.stage, entry.number)
}

/// What was made for the job and is there, pods apart: they go with their Jobs.
async fn what_is_left(namespace: &Namespace) -> BTreeSet<String> {
    let mut left = names::<Job>(namespace).await;
    left.extend(names::<Service>(namespace).await);
    left.extend(names::<ConfigMap>(namespace).await);
    left.extend(names::<NetworkPolicy>(namespace).await);
    left.extend(names::<PersistentVolumeClaim>(namespace).await);
    left
}

async fn names<K>(namespace: &Namespace) -> BTreeSet<String>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let of_the_job = ListParams::default().labels(&format!("{}=tiny", label::JOB_NAME));
    let found = namespace.api::<K>().list(&of_the_job).await.expect("listable").items;
    found.iter().map(|object| format!("{} {}", K::kind(&()), object.name_any())).collect()
}

#[tokio::test]
async fn killed_before_any_of_its_writes_it_comes_to_the_same_end() {
    SMOOTH.is_the_same_killed_at_any_write("before", Fault::Instead).await;
}

#[tokio::test]
async fn killed_after_any_of_its_writes_it_comes_to_the_same_end() {
    SMOOTH.is_the_same_killed_at_any_write("after", Fault::After).await;
}

#[tokio::test]
async fn killed_before_any_write_of_a_life_with_a_crash_a_suspension_and_a_cleanup_it_comes_to_the_same_end() {
    TROUBLED.is_the_same_killed_at_any_write("before", Fault::Instead).await;
}

#[tokio::test]
async fn killed_after_any_write_of_a_life_with_a_crash_a_suspension_and_a_cleanup_it_comes_to_the_same_end() {
    TROUBLED.is_the_same_killed_at_any_write("after", Fault::After).await;
}
