//! The figures with their goals, as a table for people and as JSON.

use crate::controller::Side;
use crate::latency::Latency;
use crate::lives::{Round, sum};
use crate::memory::Sizes;
use crate::requests::Kind;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::fmt;

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Figure {
    what: String,
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    goal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    met: Option<bool>,
}

/// Everything that was measured.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    figures: Vec<Figure>,
    details: Map<String, Value>,
}

/// Resident memory that is aimed at, in megabytes, by numbers of jobs.
const MEMORY_GOALS: [(usize, f64); 3] = [(1000, 25.0), (5000, 35.0), (10_000, 50.0)];

impl Report {
    /// An empty one.
    pub(crate) fn new(machine: Value) -> Self {
        Self { figures: Vec::new(), details: Map::from_iter([("machine".to_owned(), machine)]) }
    }

    fn plain(&mut self, what: impl Into<String>, value: impl Into<String>) {
        self.figures.push(Figure { what: what.into(), value: value.into(), goal: None, met: None });
    }

    fn aimed(&mut self, what: impl Into<String>, value: impl Into<String>, goal: impl Into<String>, met: bool) {
        self.figures.push(Figure { what: what.into(), value: value.into(), goal: Some(goal.into()), met: Some(met) });
    }

    fn detail(&mut self, name: &str, value: &impl Serialize) {
        // Plain data with texts for keys.
        self.details.insert(name.to_owned(), serde_json::to_value(value).unwrap_or_default());
    }

    /// From a job's creation to its pod's.
    pub(crate) fn latency(&mut self, side: Side, latency: &Latency) {
        let what = format!("{side}: FineTuneJob created -> pod created, {} jobs in turn", latency.jobs);
        let value = latency.total.to_string();
        match side {
            Side::Ours => self.aimed(what, value, "p99 <= 50 ms", latency.total.p99 <= 50.0),
            Side::Peer => self.plain(what, value),
        }
        for (part, quantiles) in [
            ("the API server makes the job", latency.job_creation),
            ("the controller, until it asks for the Job", latency.controller),
            ("  of it, the API server's answers to it", latency.answers),
            ("the API server makes the Job", latency.batch_job_creation),
            ("the Job controller, until its pod is there", latency.job_controller),
        ] {
            self.plain(format!("    {part}"), quantiles.to_string());
        }
        self.detail(&format!("latency-{}", word(side)), latency);
    }

    /// Whole lives, in turns.
    pub(crate) fn lives(&mut self, rounds: &[(Side, Round)]) {
        let of = |side| rounds.iter().filter(move |(of, _)| *of == side).map(|(_, round)| round).collect::<Vec<_>>();
        let [ours, peers] = Side::BOTH.map(of);
        let all = [&ours, &peers].map(|rounds| sum(rounds));
        for (side, total) in Side::BOTH.into_iter().zip(&all) {
            self.side(side, total);
            self.detail(&format!("lives-{}", word(side)), &of(side));
        }
        let ratios: Vec<f64> = ours.iter().zip(&peers).map(|(ours, peer)| peer.cpu_per_life() / ours.cpu_per_life()).collect();
        let ratio = all[1].cpu_per_life() / all[0].cpu_per_life();
        let worst = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let value = format!("{ratio:.1} x over all lives, {worst:.1} x in the worst pair of rounds");
        self.aimed("CPU of the peer's life by ours", value, ">= 5 x", ratio >= 5.0);
        let equal = (all[0].writes_per_life() - all[1].writes_per_life()).abs() < 0.05;
        self.aimed("the two write equally often", if equal { "yes" } else { "no" }, "within 0.05 a life", equal);
        self.detail("cpu-ratios", &ratios);
    }

    fn side(&mut self, side: Side, total: &Round) {
        let lives = total.lives as f64;
        let aimed = side == Side::Ours;
        let goal = |text: &str, met: bool| if aimed { Some((text.to_owned(), met)) } else { None };
        let (cpu, writes) = (total.cpu_per_life(), total.writes_per_life());
        let reads = total.requests.count(Kind::Read);
        for (what, value, goal) in [
            (format!("CPU of a life, {} lives", total.lives), format!("{cpu:.2} ms"), goal("<= 1.5 ms", cpu <= 1.5)),
            ("writes of a life".to_owned(), format!("{writes:.2}"), goal("<= 14", writes <= 14.0)),
            ("GET and LIST".to_owned(), format!("{reads} in {} lives", total.lives), goal("0", reads == 0)),
        ] {
            let what = format!("{side}: {what}");
            match goal {
                Some((text, met)) => self.aimed(what, value, text, met),
                None => self.plain(what, value),
            }
        }
        let apart = [Kind::Event, Kind::Watch, Kind::Lease].map(|kind| total.requests.count(kind) as f64 / lives);
        let live = total.live as f64 / lives;
        self.plain(format!("{side}: apart, a life"), format!("{live:.2} live metrics, {:.2} events", apart[0]));
        for kind in [Kind::Write, Kind::Read] {
            for (sort, count) in total.requests.sorts(kind) {
                self.plain(format!("    {sort}"), format!("{:.2} a life", count as f64 / lives));
            }
        }
        let (resident, peak) = (total.resident as f64 / 1e6, total.peak as f64 / 1e6);
        self.plain(format!("{side}: resident after a round, at most"), format!("{resident:.1} MB ({peak:.1} MB at its peak)"));
    }

    /// Memory at each size, and the idle time.
    pub(crate) fn memory(&mut self, sizes: &Sizes) {
        for held in &sizes.held {
            let megabytes = held.resident as f64 / 1e6;
            let what = format!("{}: resident, {} jobs, {} training", held.side, held.jobs, held.training);
            let (peak, cpu) = (held.peak as f64 / 1e6, held.cpu_milliseconds_per_second);
            let value = format!("{megabytes:.1} MB ({peak:.1} MB while listing; {cpu:.1} ms CPU/s)");
            let goal = MEMORY_GOALS.iter().find(|(jobs, _)| held.side == Side::Ours && *jobs == held.jobs);
            match goal {
                Some((_, goal)) => self.aimed(what, value, format!("<= {goal} MB"), megabytes <= *goal),
                None => self.plain(what, value),
            }
        }
        let idle = &sizes.idle;
        let other = [Kind::Write, Kind::Read, Kind::Event].map(|kind| idle.requests.count(kind)).into_iter().sum::<usize>();
        let [watches, leases] = [Kind::Watch, Kind::Lease].map(|kind| idle.requests.count(kind));
        let what = format!("requests in {:.0} idle seconds besides watches and the lease", idle.seconds);
        self.aimed(what, other.to_string(), "0", other == 0);
        let cpu = idle.cpu_milliseconds / idle.seconds;
        self.plain("    meanwhile", format!("{watches} watches, {leases} lease requests, {cpu:.2} ms CPU/s"));
        for kind in [Kind::Write, Kind::Read, Kind::Event] {
            for (sort, count) in idle.requests.sorts(kind) {
                self.plain(format!("    {sort}"), count.to_string());
            }
        }
        self.detail("memory", &sizes.held);
        self.detail("idle", idle);
    }

    /// All of it.
    pub(crate) fn json(&self) -> Value {
        let mut all = self.details.clone();
        all.insert("figures".to_owned(), json!(self.figures));
        Value::Object(all)
    }
}

fn word(side: Side) -> &'static str {
    match side {
        Side::Ours => "ours",
        Side::Peer => "peer",
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.details["machine"];
        writeln!(formatter, "{}, {} cores", machine["cpu"].as_str().unwrap_or_default(), machine["cores"])?;
        let width = |text: fn(&Figure) -> &str| self.figures.iter().map(|figure| text(figure).chars().count()).max().unwrap_or(0);
        let (what, value) = (width(|figure| &figure.what), width(|figure| &figure.value));
        for figure in &self.figures {
            let line = format!("{:what$}  {:value$}", figure.what, figure.value);
            match (&figure.goal, figure.met) {
                (Some(goal), Some(met)) => writeln!(formatter, "{line}  {goal}: {}", if met { "met" } else { "MISSED" })?,
                _ => writeln!(formatter, "{}", line.trim_end())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Report;
    use crate::controller::Side;
    use crate::lives::Round;
    use crate::requests::Tally;
    use serde_json::json;

    fn round(cpu_milliseconds: f64) -> Round {
        Round { lives: 10, seconds: 5.0, cpu_milliseconds, resident: 1, peak: 2, requests: Tally::default(), live: 0 }
    }

    #[test]
    fn a_goal_that_is_missed_says_so() {
        let mut report = Report::new(json!({ "cpu": "a CPU", "cores": 2 }));
        report.lives(&[(Side::Ours, round(20.0)), (Side::Peer, round(80.0)), (Side::Ours, round(10.0)), (Side::Peer, round(120.0))]);
        let text = report.to_string();
        assert!(text.contains("6.7 x over all lives, 4.0 x in the worst pair of rounds") && text.contains(">= 5 x: met"), "{text}");
        assert!(text.contains("1.50 ms") && text.contains("<= 1.5 ms: met"), "{text}");
        report.lives(&[(Side::Ours, round(20.0)), (Side::Peer, round(80.0))]);
        assert!(report.to_string().contains(">= 5 x: MISSED"));
        assert_eq!(report.json()["cpu-ratios"], json!([4.0]));
    }
}
