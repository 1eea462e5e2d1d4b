//! What a user gets from `temper run`, whatever the number of nodes, the kind of output, or a Ctrl-C.
#![allow(clippy::unwrap_used)] // a test fails by panicking

use rustix::process::{Pid, Signal, kill_process};
use std::io::BufRead;
use std::time::{Duration, Instant};
use temper_tests::reference;
use temper_tests::run::Place;
use temper_tests::tensors::{read, relative_difference};

#[test]
fn two_nodes_end_with_the_bytes_of_one_with_two_processes() {
    let one = Place::new(|_| ());
    let two = Place::new(|spec| {
        spec["trainer"] = serde_json::json!({"numNodes": 2, "numProcPerNode": 1, "resourcesPerNode": {"limits": {"cpu": "1"}}});
    });
    one.complete();
    two.complete();
    assert!(one.adapter() == two.adapter());
}

#[test]
fn a_merged_model_is_the_base_with_the_adapter() {
    let adapter = Place::new(|_| ());
    let merged = Place::new(|spec| spec["output"]["mergeAdapter"] = true.into());
    adapter.complete();
    merged.complete();
    let base = reference::models().join("llama");
    let folder = tempfile::tempdir().unwrap();
    let logits = |published: &std::path::Path, name: &str| {
        let output = folder.path().join(name);
        reference::run(
            "peft_logits.py",
            [base.as_os_str(), published.as_os_str(), "[5, 90, 120, 33, 7, 200, 41]".as_ref(), output.as_os_str()],
        );
        read(&output, "logits")
    };
    let (expected, merged) = (logits(&adapter.model(), "adapter"), logits(&merged.model(), "merged"));
    let difference = relative_difference(&merged, &expected);
    assert!(difference <= 1e-4, "logits differ by {difference:e} of the largest");
}

#[test]
fn a_run_that_ctrl_c_interrupts_ends_with_the_bytes_of_one_that_nobody_did() {
    // So many steps that the signal comes long before the last of them.
    let place = || {
        Place::new(|spec| {
            spec["hyperparameters"]["maxSteps"] = 200.into();
            spec["evaluation"]["evalSteps"] = 100.into();
            spec["checkpoint"]["saveSteps"] = 100.into();
        })
    };
    let (undisturbed, interrupted) = (place(), place());
    undisturbed.complete();

    let (mut child, reader) = interrupted.start(None);
    let mut lines = reader.lines().map(Result::unwrap);
    let before: Vec<String> = lines.by_ref().take_while(|line| !line.starts_with("train: step 1/200")).collect();
    let processes = interrupted.processes();
    assert!(processes.len() >= 4, "the command, the trainer and two ranks: {processes:?}\n{}", before.join("\n"));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let after = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(child.wait().unwrap().code(), Some(130), "{after}");
    for part in ["press Ctrl-C again to stop at once", "interrupted; the last checkpoint is of step ", "the same command continues: "] {
        assert!(after.contains(part), "{part}: {after}");
    }
    let began = Instant::now();
    while !interrupted.processes().is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60), "{:?} are left", interrupted.processes());
    }

    let (success, printed) = interrupted.run(None);
    assert!(success && printed.contains("continuing on 2 ranks"), "{printed}");
    assert!(interrupted.adapter() == undisturbed.adapter());
}
