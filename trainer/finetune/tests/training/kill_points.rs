//! Killed in each commit window, one rank or the whole group, a run ends with the same bytes as an undisturbed one.

use crate::job::Job;
use temper_contract::env;
use temper_trainer::kill_point;

/// The kill points of a stage.
fn points_of(stage: &str) -> Vec<&'static str> {
    let of_stage = |name: &&str| match stage {
        "train" => name.starts_with("checkpoint.") || name.starts_with("train."),
        other => name.starts_with(other),
    };
    kill_point::ALL.into_iter().filter(of_stage).collect()
}

fn reference() -> Vec<u8> {
    let job = Job::new().ranks(2);
    job.complete();
    job.adapter()
}

#[test]
fn every_kill_point_belongs_to_a_stage() {
    let covered: usize = ["prepare", "train", "publish"].iter().map(|stage| points_of(stage).len()).sum();
    assert_eq!(covered, kill_point::ALL.len());
}

#[test]
fn killed_as_a_whole_and_started_again() {
    let reference = reference();
    for stage in ["prepare", "train", "publish"] {
        for point in points_of(stage) {
            let mut job = Job::new().ranks(2);
            for (attempt, now) in ["prepare", "train", "publish"].into_iter().enumerate() {
                if now == stage {
                    job.variable(env::KILL_AT, format!("group:{point}"));
                    assert_eq!(job.run(now).code(), -9, "{point} is reached");
                    job.variables.clear();
                    job.variable(env::ATTEMPT, (attempt % 2).to_string());
                }
                job.must(now);
            }
            assert_eq!(job.adapter(), reference, "{point}");
            let steps: Vec<u64> = job.steps().iter().map(|record| record.step).collect();
            assert!(steps.iter().copied().eq(1..=12), "{point}: {steps:?}");
        }
    }
}

#[test]
fn one_rank_killed_and_restarted_in_place() {
    let reference = reference();
    for point in points_of("train") {
        let mut job = Job::new().ranks(2).with(|config| config.failure.max_restarts = 1);
        job.must("prepare");
        job.variable(env::KILL_AT, format!("{point}@2"));
        let outcome = job.run("train");
        assert!(outcome.status.success(), "{point}: {:?}\n{}", outcome.status, outcome.log);
        // There is one report, and two checkpoints are outdated: not every point is passed twice.
        let visited_twice = point != kill_point::TRAIN_REPORT;
        assert_eq!(outcome.restarts().len(), usize::from(visited_twice), "{point}: {:?}", outcome.restarts());
        assert_eq!(job.train_report().restarts, u64::from(visited_twice));
        job.variables.clear();
        job.must("publish");
        assert_eq!(job.adapter(), reference, "{point}");
    }
}
