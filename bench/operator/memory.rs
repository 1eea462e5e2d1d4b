//! Resident memory with many jobs: a tenth of them train, the rest are complete and left their entries in the registry.

use crate::check::Finished;
use crate::controller::{Controller, Program, Side};
use crate::idle::{self, Idle};
use crate::jobs;
use crate::story::{News, Story};
use crate::usage::Usage;
use crate::world::World;
use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Duration;
use temper_crds::{FineTuneJob, ModelVersion};
use tokio::time::{interval, timeout};

/// So many requests at a time make the jobs.
const AT_ONCE: usize = 32;
/// The longest that nothing may happen while jobs begin to train.
const PATIENCE: Duration = Duration::from_secs(120);
/// While trainings report: two scrapes of each.
const REPORTING: Duration = Duration::from_secs(32);
/// How often the trainings take a step.
const STEP: Duration = Duration::from_secs(2);
/// A controller that was just started has scraped every training once, and written what it found, after this time.
const FIRST_SCRAPES: Duration = Duration::from_secs(15);

/// What one controller holds at one size.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Held {
    /// All jobs.
    pub(crate) jobs: usize,
    /// Of them, those that train.
    pub(crate) training: usize,
    /// Which controller.
    pub(crate) side: Side,
    /// Resident, in bytes, while the trainings report.
    pub(crate) resident: u64,
    /// Of it, what no file backs.
    pub(crate) anonymous: u64,
    /// The most that was resident: while everything was listed.
    pub(crate) peak: u64,
    /// CPU time a second while the trainings report, in milliseconds.
    pub(crate) cpu_milliseconds_per_second: f64,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sizes {
    /// At each size, ours and the peer's.
    pub(crate) held: Vec<Held>,
    /// Ours, at the first size, without news.
    pub(crate) idle: Idle,
}

/// Measures at each of the sizes, which rise.
pub(crate) async fn measure(programs: &Program, sizes: &[usize], idle_time: Duration, finished: &Finished) -> Result<Sizes> {
    let world = World::new("memory", Side::Ours).await;
    let (mut training, mut complete) = (0, 0);
    let (mut held, mut idled) = (Vec::new(), None);
    for &jobs in sizes {
        let wanted = jobs / 10;
        crate::say(&format!("{jobs} jobs, {wanted} of them training"));
        let operator = programs.start(Side::Ours, &world.namespace, &world.credentials).await?;
        train(&world, training..wanted).await.with_context(|| operator.log())?;
        operator.stop().await?;
        // Nobody acts on a job between its creation and the writing of its end.
        finish(&world, finished, complete..jobs - wanted).await?;
        (training, complete) = (wanted, jobs - wanted);
        for side in Side::BOTH {
            let controller = programs.start(side, &world.namespace, &world.credentials).await?;
            tokio::time::sleep(FIRST_SCRAPES).await;
            if idled.is_none() {
                crate::say(&format!("idle for {} s", idle_time.as_secs()));
                idled = Some(idle::measure(&controller, &world.user(), idle_time).await?);
            }
            let one = hold(&world, &controller, side, jobs, training).await?;
            println!("    {side}: {:.1} MB resident, at most {:.1}", one.resident as f64 / 1e6, one.peak as f64 / 1e6);
            held.push(one);
            controller.stop().await?;
        }
    }
    Ok(Sizes { held, idle: idled.context("no size was given")? })
}

/// What a controller holds while every training reports.
async fn hold(world: &World, controller: &Controller, side: Side, jobs: usize, training: usize) -> Result<Held> {
    let before = Usage::of(controller.id())?;
    let mut steps = interval(STEP);
    let turns = REPORTING.as_secs() / STEP.as_secs();
    let mut samples = Vec::new();
    for turn in 0..turns {
        steps.tick().await;
        world.page.set(jobs::metrics(16 + turn));
        if turn >= turns / 2 {
            samples.push(Usage::of(controller.id())?);
        }
    }
    samples.sort_by_key(|sample| sample.resident);
    let median = samples.get(samples.len() / 2).copied().context("there are samples")?;
    let after = Usage::of(controller.id())?;
    Ok(Held {
        jobs,
        training,
        side,
        resident: median.resident,
        anonymous: median.anonymous,
        peak: after.peak,
        cpu_milliseconds_per_second: (after.cpu - before.cpu).as_secs_f64() * 1e3 / REPORTING.as_secs_f64(),
    })
}

/// Creates jobs and waits until all of them train and have reported.
async fn train(world: &World, numbers: std::ops::Range<usize>) -> Result<()> {
    let mut story = Story::of(&world.namespace);
    let mut waited_for: HashSet<String> = numbers.map(|number| format!("training-{number:05}")).collect();
    let names: Vec<String> = waited_for.iter().cloned().collect();
    let creations = stream::iter(names).for_each_concurrent(AT_ONCE, |name| async move {
        world.create(&name).await;
    });
    creations.await;
    while !waited_for.is_empty() {
        let news = timeout(PATIENCE, story.next()).await.with_context(|| format!("{} jobs do not come to train", waited_for.len()))?;
        match news.context("the watch ended")? {
            News::Live(name) => {
                waited_for.remove(&name);
            }
            News::Complete(_) => {}
            News::Failed(name, why) => bail!("{name} failed: {why}"),
        }
    }
    Ok(())
}

/// Creates jobs with the ends that they came to, and their entries in the registry. What else they had is freed.
async fn finish(world: &World, finished: &Finished, numbers: std::ops::Range<usize>) -> Result<()> {
    stream::iter(numbers.map(Ok)).try_for_each_concurrent(AT_ONCE, |number| finish_one(world, finished, number)).await
}

async fn finish_one(world: &World, finished: &Finished, number: usize) -> Result<()> {
    let name = format!("complete-{number:05}");
    let created = world.create(&name).await;
    let uid = created.uid().context("a created job has a UID")?;
    let own = |value: &Value| -> Result<Value> {
        Ok(serde_json::from_str(&value.to_string().replace(&finished.uid, &uid).replace(&finished.name, &name))?)
    };
    let jobs: Api<FineTuneJob> = world.namespace.api();
    let status = Patch::Merge(json!({ "status": own(&finished.status)? }));
    jobs.patch_status(&name, &PatchParams::default(), &status).await.with_context(|| format!("the status of {name}"))?;
    let version = own(&finished.version)?;
    let entry = json!({
        "apiVersion": "temper.dev/v1alpha1", "kind": "ModelVersion",
        "metadata": { "name": version["metadata"]["name"], "labels": version["metadata"]["labels"] },
        "spec": version["spec"],
    });
    world.namespace.create_object::<ModelVersion>(entry).await;
    Ok(())
}
