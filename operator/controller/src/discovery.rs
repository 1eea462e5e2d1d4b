//! Waits for the custom resources that the operator works on.
//!
//! An operator whose CRDs are missing does not end: whoever installs both may install them in any order.

use crate::complaint::Complaint;
use crate::health::{Condition, Readiness};
use crate::metrics::Metrics;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::{Client, Resource};
use std::time::Duration;
use temper_crds::{FineTuneJob, ModelVersion};
use tokio::time::sleep;

/// How long to wait between two looks, at first and at most.
const WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// The plural names that must be served.
fn required() -> [String; 2] {
    [FineTuneJob::plural(&()).into_owned(), ModelVersion::plural(&()).into_owned()]
}

/// The group and version that they must be served in.
fn api_version() -> String {
    FineTuneJob::api_version(&()).into_owned()
}

/// Which CRDs are missing, by what the API server serves in our group; `None` where it does not know the group.
fn missing(served: Option<&APIResourceList>) -> Vec<String> {
    let group = FineTuneJob::group(&());
    let is_served = |plural: &String| served.is_some_and(|list| list.resources.iter().any(|resource| resource.name == *plural));
    required().into_iter().filter(|plural| !is_served(plural)).map(|plural| format!("{plural}.{group}")).collect()
}

/// What to say of missing CRDs, and what to do.
fn sentence(missing: &[String]) -> String {
    let version = FineTuneJob::version(&());
    format!(
        "not installed in version {version}: {}. Install the chart (`helm upgrade --install temper charts/temper`), or the CRDs alone \
         (`kubectl apply --server-side -f crds/generated`)",
        missing.join(", ")
    )
}

/// Returns once all CRDs are there. Says which are missing, and how to install them.
pub async fn await_crds(client: &Client, readiness: &Readiness, metrics: &Metrics) {
    let mut complaint = Complaint::about("CRDs");
    let mut wait = WAITS.0;
    loop {
        let reason = match look(client).await {
            Ok(missing) => {
                metrics.missing_crds(&missing);
                if missing.is_empty() {
                    complaint.settled();
                    return readiness.met(Condition::Crds);
                }
                sentence(&missing)
            }
            Err(error) => format!("failed to ask the API server for {}: {error}", api_version()),
        };
        complaint.say(&reason);
        readiness.waits(Condition::Crds, reason);
        sleep(wait).await;
        wait = (wait * 2).min(WAITS.1);
    }
}

async fn look(client: &Client) -> kube::Result<Vec<String>> {
    match client.list_api_group_resources(&api_version()).await {
        Ok(served) => Ok(missing(Some(&served))),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(missing(None)),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{missing, sentence};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIResource, APIResourceList};

    fn serving(names: &[&str]) -> APIResourceList {
        let resources = names.iter().map(|name| APIResource { name: (*name).to_owned(), ..APIResource::default() }).collect();
        APIResourceList { resources, ..APIResourceList::default() }
    }

    #[test]
    fn what_is_not_served_is_missing() {
        let all = ["finetunejobs.temper.dev".to_owned(), "modelversions.temper.dev".to_owned()];
        assert_eq!(missing(None), all);
        assert_eq!(missing(Some(&serving(&["finetunejobs", "finetunejobs/status"]))), all[1..]);
        assert!(missing(Some(&serving(&["modelversions", "finetunejobs"]))).is_empty());
    }

    #[test]
    fn the_sentence_names_them_and_a_folder_that_has_them() {
        let said = sentence(&missing(None));
        assert!(said.contains("finetunejobs.temper.dev, modelversions.temper.dev"), "{said}");
        for file in ["finetunejobs.yaml", "modelversions.yaml"] {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds/generated").join(file);
            assert!(path.is_file(), "{} is where the sentence says", path.display());
        }
    }
}
