//! Temper's CRDs, installed as `kubectl apply` would.

use std::path::Path;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};

use crate::wait;

/// Installs every committed CRD and waits until the API serves it.
///
/// # Panics
/// When the API server refuses one; the message is its answer.
pub(super) async fn install(client: Client) {
    let api = Api::<CustomResourceDefinition>::all(client);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds/generated");
    for entry in std::fs::read_dir(&folder).expect("the folder of generated CRDs") {
        let path = entry.expect("an entry of that folder").path();
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let crd: CustomResourceDefinition = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        api.create(&PostParams::default(), &crd).await.unwrap_or_else(|error| panic!("{} is refused: {error}", path.display()));
        wait::until(&api, &crd.name_any(), "established", established).await;
        discovered(api.clone().into_client(), &crd).await;
    }
}

/// An established kind is served at once, but what tells kubectl of it follows a moment later.
async fn discovered(client: Client, crd: &CustomResourceDefinition) {
    for version in crd.spec.versions.iter().filter(|version| version.served) {
        let group = format!("{}/{}", crd.spec.group, version.name);
        wait::eventually(wait::PATIENCE, &format!("{} is in discovery", crd.name_any()), async || {
            let listed = client.list_api_group_resources(&group).await.map_err(|error| error.to_string())?;
            let is_there = listed.resources.iter().any(|resource| resource.name == crd.spec.names.plural);
            is_there.then_some(()).ok_or_else(|| "it is not listed".to_owned())
        })
        .await;
    }
}

fn established(crd: &CustomResourceDefinition) -> bool {
    let conditions = crd.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Established" && condition.status == "True")
}
