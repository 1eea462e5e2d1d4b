//! `temper` as its users have it: beside real pods.

use std::process::Command;

use serde_json::Value;
use temper_cluster_tests::ran::{Ran, run};
use temper_cluster_tests::{Nodes, binaries};
use temper_contract::Event;

use crate::job::{NAME, Place, STEPS};

/// Runs `temper ARGUMENTS` on the job's namespace.
fn temper(nodes: &Nodes, place: &Place, arguments: &[&str]) -> Ran {
    let mut command = Command::new(binaries::ours("temper"));
    command.args(arguments).arg("--kubeconfig").arg(nodes.kubeconfig()).args(["-n", place.namespace.name()]);
    run(command, "")
}

/// Holds the job as a person does, and comes back when its pods are gone.
///
/// # Panics
/// When the command fails.
pub(crate) fn suspend(nodes: &Nodes, place: &Place) {
    temper(nodes, place, &["suspend", NAME]).succeeded("temper suspend");
}

/// Lets the job go on as a person does, and comes back when it does.
///
/// # Panics
/// When the command fails.
pub(crate) fn resume(nodes: &Nodes, place: &Place) {
    temper(nodes, place, &["resume", NAME]).succeeded("temper resume");
}

/// The table, the story and what applying the manifest again would do, told of a job that trains.
///
/// # Panics
/// When one of them does not say what it should.
pub(crate) fn what_is_told_of_a_training(nodes: &Nodes, place: &Place, manifest: &Value) {
    let table = temper(nodes, place, &["get", "ftj"]).succeeded("temper get");
    let row = table.lines().find(|line| line.starts_with(NAME)).unwrap_or_else(|| panic!("no row of {NAME} in:\n{table}"));
    assert!(row.contains("Training") && row.contains(&STEPS.to_string()), "{table}");
    let story = temper(nodes, place, &["describe", NAME]).succeeded("temper describe");
    for word in ["Training", "prepare", "Timeline"] {
        assert!(story.contains(word), "{word} is not in:\n{story}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), manifest.to_string()).unwrap();
    let path = file.path().to_str().unwrap();
    let plan = temper(nodes, place, &["plan", "--cluster", "-f", path]).succeeded("temper plan --cluster");
    for word in [format!("FineTuneJob {}/{NAME}", place.namespace.name()), "PersistentVolumeClaim".to_owned(), "accepted".to_owned()] {
        assert!(plan.contains(&word), "{word} is not in:\n{plan}");
    }
}

/// Both nodes of the attempt that runs are heard.
///
/// # Panics
/// When one is not.
pub(crate) fn logs_of_both_nodes(nodes: &Nodes, place: &Place) {
    let said = temper(nodes, place, &["logs", NAME, "--stage", "train"]).succeeded("temper logs");
    for node in ["[0", "[1"] {
        assert!(said.lines().any(|line| line.contains(node)), "nothing of node {node}] in:\n{said}");
    }
}

/// Follows the job's logs until it has ended: its last step is told.
///
/// # Panics
/// When it is not.
pub(crate) fn follow_to_the_end(nodes: &Nodes, place: &Place) {
    let said = temper(nodes, place, &["logs", NAME, "--follow", "--output", "json"]).succeeded("temper logs --follow");
    let steps = said.lines().filter_map(Event::from_line).filter_map(|event| match event {
        Event::Step(record) => Some(record.step),
        _ => None,
    });
    assert_eq!(steps.max(), Some(STEPS), "{said}");
}
