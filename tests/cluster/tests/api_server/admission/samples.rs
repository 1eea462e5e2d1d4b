//! The samples are accepted as they are.

use std::path::Path;

use serde_json::Value;
use temper_cluster_tests::Namespace;
use temper_crds::crd;

use super::subject::Subject;

/// The manifests of one sample file.
pub(super) fn manifests(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The folder of the samples.
pub(super) fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/samples")
}

#[tokio::test]
async fn every_sample_is_accepted() {
    let namespace = Namespace::create("samples").await;
    let mut accepted = 0;
    for folder in [folder(), folder().join("quickstart")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            for manifest in manifests(&path) {
                let subject = Subject::new(&namespace, crd::fine_tune_job(), &manifest);
                subject.try_create(&manifest).await.unwrap_or_else(|refusal| panic!("{}: {refusal:#?}", path.display()));
                accepted += 1;
            }
        }
    }
    assert!(accepted >= 3, "only {accepted} manifests");
}
