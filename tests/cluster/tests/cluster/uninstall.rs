//! The chart goes and comes back.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use temper_cluster_tests::edit::with;
use temper_cluster_tests::{Nodes, wait};
use temper_crds::FineTuneJob;

use crate::job::{NAME, PATIENCE, manifest, ready_reason};
use crate::release;

#[tokio::test]
async fn uninstalling_leaves_the_crds_and_every_job_and_installing_again_takes_them_up() {
    let nodes = Nodes::alone().await;
    release::install(&nodes).await;
    let namespace = nodes.namespace("uninstall").await;
    let job: FineTuneJob = namespace.create_object(with(&manifest("1"), "/spec/suspend", json!(true))).await;
    let jobs = namespace.api::<FineTuneJob>();
    wait::until_within(PATIENCE, &jobs, NAME, "suspended", |job| ready_reason(job) == "Suspended").await;

    release::uninstall(&nodes);
    wait::eventually(PATIENCE, "the operator's pods are gone", async || {
        let left: Vec<_> = release::pods(&nodes).await.iter().map(ResourceExt::name_any).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    let crds = Api::<CustomResourceDefinition>::all(nodes.admin().await);
    for name in ["finetunejobs.temper.dev", "modelversions.temper.dev"] {
        let crd = crds.get(name).await.unwrap();
        assert_eq!(crd.metadata.deletion_timestamp, None);
    }
    let left = jobs.get(NAME).await.unwrap();
    assert_eq!((left.uid(), left.metadata.deletion_timestamp.as_ref()), (job.uid(), None));
    assert_eq!(ready_reason(&left), "Suspended");

    let go_on = json!({ "spec": { "suspend": false } });
    jobs.patch(NAME, &PatchParams::default(), &Patch::Merge(go_on)).await.unwrap();
    release::install(&nodes).await;
    wait::until_within(PATIENCE, &jobs, NAME, "taken up", |job| ready_reason(job) != "Suspended").await;
}
