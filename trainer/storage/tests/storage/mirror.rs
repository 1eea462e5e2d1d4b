//! Checkpoints at a remote place.

use crate::place::{bytes, contents, folder, settings};
use crate::s3::remote;
use temper_storage::Mirror;
use temper_storage::blocking::run;
use temper_test_stores::{s3, s3_bucket, s3_put, unique};

#[test]
fn folders_exist_by_their_manifests() {
    let bucket = s3_bucket(&format!("bucket-{}", unique()));
    let (place, _secret) = remote(&s3().url(), &format!("s3://{bucket}/checkpoints"));
    let mirror = Mirror::open(&place, "manifest.json", &settings()).expect("it is a place");

    assert_eq!(run(mirror.list()).expect("an empty place is no error"), Vec::<String>::new());
    let checkpoint =
        folder(&[("weights.safetensors", bytes(11 << 20, 1)), ("state.json", b"{}".to_vec()), ("manifest.json", b"{\"a\": 1}".to_vec())]);
    for name in ["attempt-0/step-00000010", "attempt-1/step-00000005"] {
        run(mirror.put(checkpoint.path(), name)).expect("uploaded");
    }
    // An upload that was cut has no manifest.
    s3_put(&bucket, "checkpoints/attempt-1/step-00000009/weights.safetensors", b"half");
    assert_eq!(run(mirror.list()).expect("listed"), ["attempt-0/step-00000010", "attempt-1/step-00000005"]);

    let target = tempfile::tempdir().expect("a folder");
    let there = target.path().join("step-5");
    run(mirror.get("attempt-1/step-00000005", &there)).expect("fetched");
    assert!(contents(&there) == contents(checkpoint.path()), "what comes back differs from what went up");
    assert!(!there.join(".fetch").exists());

    // The same attempt went back and made the step again.
    std::fs::write(checkpoint.path().join("state.json"), "{\"b\": 2}").expect("written");
    std::fs::write(checkpoint.path().join("manifest.json"), "{\"b\": 2}").expect("written");
    run(mirror.put(checkpoint.path(), "attempt-1/step-00000005")).expect("uploaded");
    let again = target.path().join("again");
    run(mirror.get("attempt-1/step-00000005", &again)).expect("fetched");
    assert!(contents(&again) == contents(checkpoint.path()), "what comes back differs from what went up");

    run(mirror.remove("attempt-0/step-00000010")).expect("removed");
    assert_eq!(run(mirror.list()).expect("listed"), ["attempt-1/step-00000005"]);
}
