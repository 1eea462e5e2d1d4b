//! What a user gets from `temper run`, whatever the number of nodes or the kind of output.
#![allow(clippy::unwrap_used)] // a test fails by panicking

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
