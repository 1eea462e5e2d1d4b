//! What the operator costs, beside real Kubernetes servers and beside the same controller on Go's controller-runtime.
//!
//! ```text
//! check    one life under each: equal objects, status and events, or the bench is void
//! latency  FineTuneJob created -> its first pod created, one job after the other
//! lives    whole lives of jobs, in turns: CPU, requests, memory
//! idle     an operator whose jobs have no news
//! memory   resident memory with many jobs, a tenth of them running
//! ```
//!
//! Pods are played: they run and end with no container behind them. etcd, the API server and the controller-manager are real and share the
//! machine with what is measured. Nothing here asserts a time; goals stand beside the numbers.

mod arguments;
mod check;
mod controller;
mod idle;
mod jobs;
mod latency;
mod lives;
mod machine;
mod memory;
mod normal;
mod quantiles;
mod report;
mod requests;
mod rights;
mod story;
mod usage;
mod world;

use anyhow::{Context, Result};
use arguments::Arguments;
use clap::Parser;
use controller::{Program, Side};
use report::Report;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    machine::wait_until_idle(arguments.max_load)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let report = runtime.block_on(measure(&arguments))?;
    println!("\n{report}");
    let path = &arguments.output;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    std::fs::write(path, format!("{:#}\n", report.json())).with_context(|| format!("cannot write {}", path.display()))?;
    println!("written to {}", path.display());
    Ok(())
}

async fn measure(arguments: &Arguments) -> Result<Report> {
    let programs = Program { operator: arguments.operator.clone(), peer: arguments.peer.clone() };
    let mut report = Report::new(machine::describe());
    say("one life under each controller, compared");
    let finished = check::equal_ends(&programs).await?;
    for side in Side::BOTH {
        say(&format!("{side}: {} jobs one after the other, until their pods are created", arguments.latency_jobs));
        let latency = latency::measure(&programs, side, arguments.latency_jobs).await?;
        report.latency(side, &latency);
    }
    let mut rounds = Vec::new();
    for round in 1..=arguments.rounds {
        for side in Side::BOTH {
            say(&format!("{side}: round {round} of {}, {} lives, {} at a time", arguments.rounds, arguments.lives, arguments.at_once));
            let round = lives::round(&programs, side, arguments.lives, arguments.at_once).await?;
            println!("    {round}");
            rounds.push((side, round));
        }
    }
    report.lives(&rounds);
    if !arguments.sizes.is_empty() {
        let sizes = memory::measure(&programs, &arguments.sizes, arguments.idle.into(), &finished).await?;
        report.memory(&sizes);
    }
    Ok(report)
}

fn say(what: &str) {
    println!("==> {what}");
}
