//! What training computes: the same whatever the number of ranks, and the same bits every time.

use crate::job::Job;
use temper_contract::config::Method;
use temper_contract::event::StepRecord;
use temper_contract::{Event, ExitCode};

fn relative_difference(a: f64, b: f64) -> f64 {
    (a - b).abs() / b.abs().max(f64::MIN_POSITIVE)
}

/// Every step of `a` and `b` agrees within 1e-5.
fn assert_agree(a: &[StepRecord], b: &[StepRecord]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert_eq!((a.step, a.tokens, a.target_tokens, a.learning_rate), (b.step, b.tokens, b.target_tokens, b.learning_rate));
        assert!(relative_difference(a.training_loss, b.training_loss) <= 1e-5, "{a:?}\n{b:?}");
        assert!(relative_difference(a.gradient_norm, b.gradient_norm) <= 1e-4, "{a:?}\n{b:?}");
    }
}

#[test]
fn one_two_and_three_ranks_agree_at_every_step() {
    let alone = Job::new();
    let three_micro_batches = |job: Job| job.with(|config| config.parallelism.micro_batches_per_step = 3);
    let alone = three_micro_batches(alone);
    alone.complete();
    let report = alone.train_report();
    assert_eq!((report.step, report.reason.as_str()), (12, "complete"));
    let validation = report.validation.expect("there are held-out rows");
    assert!(validation.after < validation.before, "it learns: {validation:?}");
    for ranks in [2, 3] {
        let several = three_micro_batches(Job::new()).ranks(ranks);
        several.complete();
        assert_agree(&several.steps(), &alone.steps());
        let after = several.train_report().validation.expect("there are held-out rows").after;
        assert!(relative_difference(after, validation.after) <= 1e-5);
    }
}

#[test]
fn more_ranks_than_micro_batches_in_a_step_agree_too() {
    let one_micro_batch = |job: Job| job.with(|config| config.parallelism.micro_batches_per_step = 1);
    let (alone, two) = (one_micro_batch(Job::new()), one_micro_batch(Job::new()).ranks(2));
    alone.complete();
    two.complete();
    assert_agree(&two.steps(), &alone.steps());
}

#[test]
fn two_runs_give_the_same_bytes() {
    let (first, second) = (Job::new().ranks(2), Job::new().ranks(2));
    first.complete();
    second.complete();
    assert_eq!(first.publish_report().digest, second.publish_report().digest);
    assert_eq!(first.adapter(), second.adapter());
}

#[test]
fn full_fine_tuning_goes_the_same_way() {
    let full = |job: Job| {
        job.with(|config| {
            config.method = temper_contract::config::Method::Full;
            config.hyperparameters.learning_rate = 1e-3;
        })
    };
    let (alone, two) = (full(Job::new()), full(Job::new()).ranks(2));
    alone.complete();
    two.complete();
    assert_agree(&two.steps(), &alone.steps());
    assert!(two.config.output_folder.join("config.json").is_file());
}

#[test]
fn a_job_stopped_on_two_ranks_goes_on_on_one() {
    let reference = Job::new().ranks(2);
    reference.complete();
    let mut job = Job::new().ranks(2);
    job.must("prepare");
    job.variable(temper_contract::env::KILL_AT, "group:train.step_logged@7");
    assert_eq!(job.run("train").code(), -9);
    job.variables.clear();
    job.config.parallelism.num_proc_per_node = 1;
    // What the first run had stays, whatever the new size suggests.
    job.config.parallelism.micro_batches_per_step = 1;
    job.variable(temper_contract::env::ATTEMPT, "1");
    let resumed = job.must("train");
    assert!(resumed.events.iter().any(|event| matches!(event, Event::Started { resumed_from_step: 6, world_size: 1, .. })));
    assert_agree(&job.steps(), &reference.steps());
}

#[test]
fn each_step_drops_other_inputs() {
    // One row, and weights that never change: only the masks can make one step's gradient differ from another's.
    let job = Job::with_rows(1, None).with(|config| {
        config.dataset.validation = None;
        config.hyperparameters.learning_rate = 0.0;
        config.hyperparameters.max_steps = Some(4);
        let Method::Lora(lora) = &mut config.method else { panic!("a LoRA job") };
        lora.lora_dropout = 0.5;
    });
    job.must("prepare");
    job.must("train");
    let norms: Vec<u64> = job.steps().iter().map(|step| step.gradient_norm.to_bits()).collect();
    let distinct: std::collections::BTreeSet<u64> = norms.iter().copied().collect();
    assert_eq!((norms.len(), distinct.len()), (4, 4));
}

#[test]
fn a_rate_of_zero_stops_early() {
    let job = Job::new().with(|config| {
        config.hyperparameters.learning_rate = 0.0;
        config.evaluation.eval_steps = Some(2);
        config.evaluation.early_stopping_patience = Some(2);
    });
    job.must("prepare");
    let outcome = job.must("train");
    let report = job.train_report();
    assert_eq!((report.step, report.total_steps, report.reason.as_str()), (4, 12, "earlyStopping"));
    assert!(outcome.events.iter().any(|event| matches!(event, Event::Finished { step: 4, reason } if reason == "earlyStopping")));
    job.must("publish");
}

#[test]
fn a_poisoned_row_skips_its_step_on_all_ranks() {
    // Twelve steps see each of 40 rows at least once, and this one once in ten steps.
    let job = Job::with_rows(40, Some(17)).ranks(2);
    job.must("prepare");
    job.must("train");
    let steps = job.steps();
    let skipped: Vec<u64> = steps.iter().filter(|step| step.skipped).map(|step| step.step).collect();
    assert!(!skipped.is_empty() && skipped.len() <= 2, "{skipped:?}");
    for step in &steps {
        assert_eq!(step.training_loss.is_finite(), !step.skipped, "{step:?}");
    }
    assert!(job.train_report().training_loss.is_finite());
}

#[test]
fn too_many_skipped_steps_in_a_row_fail() {
    let job = Job::with_rows(1, Some(0)).ranks(2).with(|config| {
        config.dataset.validation = None;
        config.failure.max_non_finite_steps = 2;
        config.failure.max_restarts = 5;
    });
    job.must("prepare");
    let outcome = job.run("train");
    outcome.expect(ExitCode::Diverged);
    assert!(outcome.restarts().is_empty(), "another try would diverge again");
    let message = job.termination();
    assert!(message.message.contains("step 3") && message.next_step.contains("learningRate"), "{message:?}");
}
