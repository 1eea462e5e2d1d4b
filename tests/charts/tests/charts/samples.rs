//! The samples for a cluster belong together.

use crate::modes::one;
use std::collections::BTreeSet;
use temper_chart_tests::{Manifest, repository};
use temper_crds::{Resource, parse_manifest};

fn sample(name: &str) -> String {
    repository::read(format!("deploy/samples/{name}")).expect("a sample")
}

#[test]
fn the_job_finds_every_claim_that_it_names_and_the_loader_fills_what_it_reads() {
    let manifests = parse_manifest(&sample("finetunejob.yaml")).expect("a manifest");
    let Resource::FineTuneJob(job) = &manifests[0].resource else { panic!("a FineTuneJob") };
    let uris = [
        Some(&job.spec.base_model.storage_uri),
        Some(&job.spec.dataset.storage_uri),
        job.spec.checkpoint.storage_uri.as_ref(),
        job.spec.output.storage_uri.as_ref(),
    ];
    let claim = |uri: &String| uri.strip_prefix("pvc://").and_then(|rest| rest.split('/').next()).expect("a claim").to_owned();
    let named: BTreeSet<String> = uris.into_iter().flatten().map(claim).collect();
    let claims = Manifest::parse(&sample("cluster/claims.yaml")).expect("YAML");
    assert_eq!(named, claims.iter().map(|claim| claim.name().to_owned()).collect());

    let loader = Manifest::parse(&sample("cluster/loader.yaml")).expect("YAML");
    let mounts = one(&loader, "Pod", "loader").at("/spec/containers/0/volumeMounts").as_array().expect("mounts").clone();
    let mounted: BTreeSet<&str> = mounts.iter().filter_map(|mount| mount["mountPath"].as_str()).collect();
    for uri in [&job.spec.base_model.storage_uri, &job.spec.dataset.storage_uri] {
        let folder = format!("/volumes/{}", claim(uri));
        assert!(mounted.contains(folder.as_str()), "{uri}: the loader has {mounted:?}");
        let file = uri.rsplit('/').next().expect("a name");
        assert!(
            sample("cluster/loader.yaml").contains(&format!("{file} loader:{folder}/")),
            "the loader does not say how {file} gets there"
        );
    }
}

/// It runs on any cluster: nothing of it needs a GPU, a hub or a StorageClass.
#[test]
fn the_job_needs_nothing_special() {
    let text = sample("finetunejob.yaml");
    for special in ["gpu", "hf://", "s3://", "nodeSelector", "queue-name", "secretRef", "storageClassName"] {
        let uses = text.lines().filter(|line| !line.trim_start().starts_with('#')).any(|line| line.contains(special));
        assert!(!uses, "{special}");
    }
    assert!(!sample("cluster/claims.yaml").contains("storageClassName"));
}
