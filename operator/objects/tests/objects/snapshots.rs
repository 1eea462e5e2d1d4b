//! What a cluster is sent, word for word.

use crate::example::{self, Example, settings};
use temper_objects::{Object, prepare, publish, trainers};

/// The objects as one YAML file.
fn yaml(objects: &[Object]) -> String {
    let documents = objects.iter().map(|object| serde_saphyr::to_string(&object.to_value()).expect("plain data"));
    documents.collect::<Vec<_>>().join("---\n")
}

fn trained(example: &Example, attempt: u64, max_restarts: u64) -> String {
    let parallelism = &example.job.parallelism;
    let (nodes, processes) = (parallelism.num_nodes, parallelism.num_proc_per_node);
    yaml(&trainers(&example.job, &example.owner, &settings(), attempt, nodes, processes, max_restarts))
}

#[test]
fn preparing() {
    let Example { job, owner } = example::large();
    insta::assert_snapshot!("prepare", yaml(&prepare(&job, &owner, &settings(), 0)));
}

#[test]
fn four_machines_of_eight_gpus() {
    insta::assert_snapshot!("trainers_4x8", trained(&example::large(), 2, 1));
}

#[test]
fn one_process_with_a_claim_of_its_own() {
    insta::assert_snapshot!("trainers_1x1", trained(&example::small(), 0, 3));
}

#[test]
fn publishing() {
    let Example { job, owner } = example::large();
    insta::assert_snapshot!("publish", yaml(&publish(&job, &owner, &settings(), 1, None)));
}

#[test]
fn everything_from_elsewhere() {
    let Example { job, owner } = example::remote();
    insta::assert_snapshot!("prepare_remote", yaml(&prepare(&job, &owner, &settings(), 0)));
}
