//! How many jobs are in which state, for the metrics.

use super::KIND;
use super::context::Context;
use crate::metrics::JobState;
use crate::watched::{Body, KnownJob};
use kube::runtime::reflector;
use std::collections::BTreeMap;
use std::sync::Arc;
use temper_crds::condition::{COMPLETE, FAILED, reason};

/// Has the metrics count the jobs by what they are doing, and those that wait, whenever somebody asks.
pub fn take_before_scrapes(context: &Arc<Context>, jobs: &reflector::Store<KnownJob>) {
    // The metrics are the context's own, which must not keep itself alive.
    let (jobs, known) = (jobs.clone(), Arc::downgrade(context));
    context.metrics.before_scrape(move |metrics| {
        let Some(known) = known.upgrade() else { return };
        metrics.queue_depth(KIND, known.queue.depth());
        metrics.finetunejobs(&census(jobs.state().iter().map(|job| &job.body), known.settled.count()));
    });
}

/// Those that are kept, and those that are over and only counted.
fn census<'a>(kept: impl Iterator<Item = &'a Body>, settled: BTreeMap<&'static str, usize>) -> BTreeMap<JobState, usize> {
    let mut by_state: BTreeMap<JobState, usize> = settled.into_iter().map(|(end, count)| (over(end), count)).collect();
    for body in kept {
        let state = match body {
            Body::Finished(end) => over(end.reason),
            Body::Active(active) => {
                let reason = active.ready.as_deref().unwrap_or(reason::PENDING);
                JobState { phase: "Active", reason: reason.to_owned() }
            }
        };
        *by_state.entry(state).or_default() += 1;
    }
    by_state
}

/// The state of a job that has ended so.
fn over(reason: &str) -> JobState {
    JobState { phase: if reason == COMPLETE { COMPLETE } else { FAILED }, reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::census;
    use crate::watched::KnownJob;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    fn job(condition: &str, status: &str, reason: &str) -> KnownJob {
        let condition = json!({
            "type": condition, "status": status, "reason": reason, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        let job = json!({ "metadata": {}, "spec": {}, "status": { "conditions": [condition] } });
        serde_json::from_value::<KnownJob>(job).expect("a job")
    }

    #[test]
    fn jobs_are_counted_by_phase_and_reason() {
        let new = serde_json::from_value::<KnownJob>(json!({ "metadata": {}, "spec": {}, "status": Value::Null })).expect("a job");
        let kept = [
            new,
            job("Ready", "False", "InsufficientMemory"),
            job("Failed", "True", "InsufficientMemory"),
            job("Failed", "True", "Diverged"),
            job("Complete", "True", "Complete"),
        ];
        let counted = census(kept.iter().map(|job| &job.body), BTreeMap::from([("Complete", 7), ("Diverged", 2)]));
        let told: Vec<_> = counted.iter().map(|(state, count)| (state.phase, state.reason.as_str(), *count)).collect();
        let expected = [
            ("Active", "InsufficientMemory", 1),
            ("Active", "Pending", 1),
            ("Complete", "Complete", 8),
            ("Failed", "Diverged", 3),
            ("Failed", "InsufficientMemory", 1),
        ];
        assert_eq!(told, expected);
    }
}
