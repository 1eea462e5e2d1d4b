//! The operator is killed just before and just after each of its writes over a whole job's life: the end is the same.

use crate::world::{World, condition};
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use temper_cluster_tests::FaultProxy;
use temper_cluster_tests::proxy::{Fault, Hook, Request, Which};
use temper_crds::ModelVersion;

/// What a life comes to, without times and UIDs.
#[derive(Debug, PartialEq, Eq)]
struct End {
    conditions: BTreeSet<(String, String, String)>,
    restarts: u64,
    attempts: Vec<String>,
    versions: Vec<String>,
    jobs: BTreeSet<String>,
}

/// A write that moves a job on. Events are no part of its state, and live metrics come as they come.
fn moves(request: &Request) -> bool {
    request.is_write() && request.resource != "events"
}

async fn live(world: &mut World, killed: Option<&AtomicBool>) -> End {
    world.create("tiny", json!({})).await;
    // Whoever is killed is started again, as a Deployment does.
    let watchman = async |world: &mut World| {
        if killed.is_some_and(|killed| killed.load(Ordering::Relaxed)) && !world.operator.runs() {
            world.operator.start_again();
        }
    };
    let mut finished = false;
    temper_cluster_tests::wait::eventually(temper_cluster_tests::wait::PATIENCE, "the job is complete", async || {
        watchman(world).await;
        let pods = world.pods().list(&ListParams::default().labels("temper.dev/stage=train")).await.map_err(|error| error.to_string())?;
        let running = pods.items.iter().filter(|pod| pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running")));
        if !finished && running.count() == 2 {
            world.finish("tiny", 0).await;
            finished = true;
        }
        let job = world.jobs().get("tiny").await.map_err(|error| error.to_string())?;
        match condition(&job, "Ready") {
            Some(ready) if ready.reason == "Complete" => Ok(()),
            ready => Err(format!("{ready:?}")),
        }
    })
    .await;
    let job = world.jobs().get("tiny").await.expect("there");
    let status = job.status.expect("it has one");
    let versions: Api<ModelVersion> = world.namespace.api();
    let all = ListParams::default();
    End {
        conditions: status
            .conditions
            .iter()
            .map(|condition| (condition.type_.clone(), format!("{:?}", condition.status), condition.reason.clone()))
            .collect(),
        restarts: status.restarts,
        attempts: status.attempts.iter().map(|entry| format!("{:?} {} {:?}", entry.stage, entry.number, entry.end)).collect(),
        versions: versions.list(&all).await.expect("listable").items.iter().map(ResourceExt::name_any).collect(),
        jobs: world.batch_jobs().list(&all).await.expect("listable").items.iter().map(ResourceExt::name_any).collect(),
    }
}

/// The writes of an undisturbed life, and its end.
async fn undisturbed() -> (usize, End) {
    let proxy = FaultProxy::start();
    let mut world = World::behind("undisturbed", &proxy).await;
    let end = live(&mut world, None).await;
    (proxy.requests(moves).len(), end)
}

async fn killed_at(write: u64, fault: impl Fn(Hook) -> Fault) -> End {
    let proxy = FaultProxy::start();
    let mut world = World::behind(&format!("killed-{write}"), &proxy).await;
    let killed = Arc::new(AtomicBool::new(false));
    let (flag, pid) = (Arc::clone(&killed), world.operator.id());
    let kill: Hook = Arc::new(move |_| {
        let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a process number");
        // It may be that it died of the first of two writes that were under way.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        flag.store(true, Ordering::Relaxed);
    });
    proxy.set(Which::Nth(write), moves, fault(kill));
    let end = live(&mut world, Some(&killed)).await;
    assert!(killed.load(Ordering::Relaxed), "write {write} never came");
    end
}

#[tokio::test]
async fn killed_before_any_of_its_writes_it_comes_to_the_same_end() {
    let (writes, wanted) = undisturbed().await;
    assert!(writes >= 10, "a life has more than {writes} writes");
    for write in 1..=writes as u64 {
        assert_eq!(killed_at(write, Fault::Instead).await, wanted, "killed before write {write} of {writes}");
    }
}

#[tokio::test]
async fn killed_after_any_of_its_writes_it_comes_to_the_same_end() {
    let (writes, wanted) = undisturbed().await;
    for write in 1..=writes as u64 {
        assert_eq!(killed_at(write, Fault::After).await, wanted, "killed after write {write} of {writes}");
    }
}
