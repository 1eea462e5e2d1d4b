//! What training computes: the same whatever the number of ranks, and the same bits every time.

use crate::job::Job;
use std::collections::BTreeMap;
use temper_contract::config::Method;
use temper_contract::event::StepRecord;
use temper_contract::{Event, ExitCode};

/// The most by which two fp32 runs that only add in another order may differ: sums over ranks round at 6e-8, which twelve steps of AdamW
/// carry on but do not multiply by much.
const TOLERANCE: f64 = 1e-5;

/// `max |a - b| / max |b|`.
fn relative_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    // A difference that is not a number must not pass as a small one.
    let worst = |worst: f64, value: f64| if value > worst || value.is_nan() { value } else { worst };
    let difference = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, worst);
    difference / b.iter().map(|value| value.abs()).fold(f64::MIN_POSITIVE, worst)
}

/// What was planned is the same to the bit; the losses of each step agree, and so does the series of the gradient's norms.
fn assert_agree(a: &[StepRecord], b: &[StepRecord]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert_eq!((a.step, a.tokens, a.target_tokens, a.learning_rate), (b.step, b.tokens, b.target_tokens, b.learning_rate));
        let difference = relative_difference(&[a.training_loss], &[b.training_loss]);
        assert!(difference <= TOLERANCE, "losses differ by {difference:e}: {a:?}\n{b:?}");
    }
    let norms = |steps: &[StepRecord]| -> Vec<f64> { steps.iter().map(|step| step.gradient_norm).collect() };
    let difference = relative_difference(&norms(a), &norms(b));
    assert!(difference <= TOLERANCE, "norms of the gradient differ by {difference:e} of the largest: {a:?}\n{b:?}");
}

/// The tensors of an fp32 safetensors file.
fn tensors(file: &[u8]) -> BTreeMap<String, Vec<f64>> {
    let (length, rest) = file.split_first_chunk::<8>().expect("the header's length");
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let mut header: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header).expect("JSON");
    header.remove("__metadata__");
    let values = |entry: &serde_json::Value| -> Vec<f64> {
        assert_eq!(entry["dtype"], "F32");
        let offset = |end: usize| entry["data_offsets"][end].as_u64().expect("a number") as usize;
        let bytes = data[offset(0)..offset(1)].chunks_exact(4);
        bytes.map(|bytes| f64::from(f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))).collect()
    };
    header.iter().map(|(name, entry)| (name.clone(), values(entry))).collect()
}

/// Each tensor of the published adapters agrees, and training has moved it: both start from the same values anyway.
fn assert_adapters_agree(a: &Job, b: &Job) {
    let (a, b) = (tensors(&a.adapter()), tensors(&b.adapter()));
    assert!(a.keys().eq(b.keys()) && !a.is_empty(), "{:?}\n{:?}", a.keys(), b.keys());
    for (name, a) in &a {
        let difference = relative_difference(a, &b[name]);
        assert!(difference <= TOLERANCE, "{name}: values differ by {difference:e} of the largest");
        assert!(!name.contains("lora_B") || a.iter().any(|value| *value != 0.0), "{name} is as it was before training");
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
        assert_adapters_agree(&several, &alone);
        let after = several.train_report().validation.expect("there are held-out rows").after;
        assert!(relative_difference(&[after], &[validation.after]) <= TOLERANCE);
    }
}

#[test]
fn more_ranks_than_micro_batches_in_a_step_agree_too() {
    let one_micro_batch = |job: Job| job.with(|config| config.parallelism.micro_batches_per_step = 1);
    let (alone, two) = (one_micro_batch(Job::new()), one_micro_batch(Job::new()).ranks(2));
    alone.complete();
    two.complete();
    assert_agree(&two.steps(), &alone.steps());
    assert_adapters_agree(&two, &alone);
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
