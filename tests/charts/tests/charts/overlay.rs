//! `deploy/registry`: what is under `deploy/kustomize`, with images from another registry.

use std::process::Command;
use temper_chart_tests::repository;
use temper_cluster_tests::binaries;

#[test]
fn every_image_comes_from_the_registry_that_is_named() {
    let rendered = |folder: &str| {
        let output = Command::new(binaries::kubernetes("kubectl")).arg("kustomize").arg(repository::path(folder)).output();
        let output = output.expect("kubectl can be started");
        assert!(output.status.success(), "{folder}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let (ours, theirs) = ("ghcr.io/temper-dev/", "registry.example.com/");
    let usual = rendered("deploy/kustomize");
    assert_eq!(usual.matches(ours).count(), 2, "the operator's image, and the trainer's");
    assert_eq!(rendered("deploy/registry"), usual.replace(ours, theirs), "nothing else is changed");
}
