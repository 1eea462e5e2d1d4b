//! Whole lives of jobs under one controller: what they cost it.

use crate::controller::{Program, Side};
use crate::requests::{self, Kind, Tally};
use crate::story::{News, Story};
use crate::usage::Usage;
use crate::world::World;
use anyhow::{Context, Result, bail};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde::Serialize;
use std::collections::HashSet;
use std::fmt;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// After the last job is done its events are told and the last watch events come in.
pub(crate) const SETTLE: Duration = Duration::from_secs(2);
/// The longest that nothing may happen.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a round took.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Round {
    /// Lives from creation to Complete.
    pub(crate) lives: usize,
    /// Wall time, from the first creation until everything was settled.
    pub(crate) seconds: f64,
    /// The controller's CPU time, in milliseconds.
    pub(crate) cpu_milliseconds: f64,
    /// Its resident memory at the end, in bytes.
    pub(crate) resident: u64,
    /// The most that was resident.
    pub(crate) peak: u64,
    /// What it asked the API server for.
    pub(crate) requests: Tally,
    /// Writes that were live metrics.
    pub(crate) live: usize,
}

impl Round {
    /// CPU milliseconds of one life.
    pub(crate) fn cpu_per_life(&self) -> f64 {
        self.cpu_milliseconds / self.lives as f64
    }
}

impl fmt::Display for Round {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cpu, rate) = (self.cpu_per_life(), self.lives as f64 / self.seconds);
        let (resident, peak) = (self.resident as f64 / 1e6, self.peak as f64 / 1e6);
        write!(formatter, "{cpu:.2} ms CPU a life, {rate:.1} lives/s, {resident:.1} MB resident, at most {peak:.1}")
    }
}

/// A fresh process of a controller carries jobs out.
pub(crate) async fn round(programs: &Program, side: Side, lives: usize, at_once: usize) -> Result<Round> {
    let world = World::new("lives", side).await;
    let controller = programs.start(side, &world.namespace, &world.credentials).await?;
    let asked_before = requests::by(&world.user()).len();
    let (before, began) = (Usage::of(controller.id())?, Instant::now());
    let live = live(&world, lives, at_once).await.with_context(|| format!("{side}:\n{}", controller.log()))?;
    tokio::time::sleep(SETTLE).await;
    let (after, took) = (Usage::of(controller.id())?, began.elapsed());
    let asked = requests::by(&world.user());
    controller.stop().await?;
    Ok(Round {
        lives,
        seconds: took.as_secs_f64(),
        cpu_milliseconds: (after.cpu - before.cpu).as_secs_f64() * 1e3,
        resident: after.resident,
        peak: after.peak,
        requests: Tally::of(&asked[asked_before..]),
        live,
    })
}

/// Creates jobs, so many at a time, and plays their trainings until all are complete; how often live metrics were written.
pub(crate) async fn live(world: &World, lives: usize, at_once: usize) -> Result<usize> {
    let mut story = Story::of(&world.namespace);
    let (mut created, mut done, mut live) = (0, 0, 0);
    let mut reported = HashSet::new();
    let mut trainings = FuturesUnordered::new();
    while done < lives {
        while created < lives && created - done < at_once {
            world.create(&format!("life-{created:04}")).await;
            created += 1;
        }
        let next = async {
            loop {
                tokio::select! {
                    news = story.next() => return news,
                    Some(()) = trainings.next() => {}
                }
            }
        };
        let news = timeout(PATIENCE, next).await.with_context(|| format!("nothing happens; {done} of {lives} jobs are done"))?;
        match news.context("the watch ended")? {
            News::Live(name) => {
                live += 1;
                if reported.insert(name.clone()) {
                    trainings.push(async move { world.finish_training(&name).await });
                }
            }
            News::Complete(_) => done += 1,
            News::Failed(name, why) => bail!("{name} failed: {why}"),
        }
    }
    trainings.collect::<()>().await;
    Ok(live)
}

/// What all rounds of a side took together.
pub(crate) fn sum(rounds: &[&Round]) -> Round {
    let mut all = Round { lives: 0, seconds: 0.0, cpu_milliseconds: 0.0, resident: 0, peak: 0, requests: Tally::default(), live: 0 };
    for round in rounds {
        all.lives += round.lives;
        all.seconds += round.seconds;
        all.cpu_milliseconds += round.cpu_milliseconds;
        all.resident = all.resident.max(round.resident);
        all.peak = all.peak.max(round.peak);
        all.requests.add(&round.requests);
        all.live += round.live;
    }
    all
}

impl Round {
    /// Writes of a life, events and live metrics apart.
    pub(crate) fn writes_per_life(&self) -> f64 {
        (self.requests.count(Kind::Write) - self.live) as f64 / self.lives as f64
    }
}
