//! Looks at what a spec names, as far as the person who asks may see it. Of Secrets only their names are asked for.

use crate::cluster::access::Session;
use crate::cluster::preview::named::{NamedKind, claim_detail, claim_warning, named};
use crate::cluster::preview::report::Reference;
use crate::cluster::preview::rights::{Deed, Rights};
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DynamicObject, ListParams};
use kube::discovery::ApiResource;
use kube::{Api, Resource};
use temper_crds::{ModelVersion, label};
use temper_objects::{Owner, Places};
use temper_planner::ValidatedFineTuneJob;

/// The annotation of the StorageClass that claims get which name none.
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
/// Objects in one answer.
const PAGE: u32 = 500;

/// What the spec names, and what may go wrong with it.
pub(super) async fn references(
    session: &Session,
    rights: &mut Rights<'_>,
    job: &ValidatedFineTuneJob,
    owner: &Owner,
) -> (Vec<Reference>, Vec<String>) {
    let mut references = Vec::new();
    let mut warnings = Vec::new();
    for (kind, name, fields) in named(job) {
        let (_, _, kind_name, plural, _) = kind.resource();
        let reference =
            |found, detail: String| Reference { kind: kind_name.to_owned(), name: name.clone(), fields: fields.clone(), found, detail };
        if !may_get(rights, kind, &owner.namespace, &name).await {
            references.push(reference(None, format!("you may not get {plural}")));
            continue;
        }
        if kind == NamedKind::PersistentVolumeClaim {
            let claims: Api<PersistentVolumeClaim> = Api::namespaced(session.client.clone(), &owner.namespace);
            references.push(match session.ask("get a claim", claims.get_opt(&name)).await {
                Ok(Some(claim)) => {
                    warnings.extend(claim_warning(&claim, job, owner));
                    reference(Some(true), claim_detail(&claim))
                }
                Ok(None) => reference(Some(false), "is not there".to_owned()),
                Err(stop) => reference(None, stop.message),
            });
            continue;
        }
        references.push(match session.ask("look", api(session, kind, &owner.namespace).get_metadata_opt(&name)).await {
            Ok(Some(_)) => reference(Some(true), "is there".to_owned()),
            Ok(None) => reference(Some(false), "is not there".to_owned()),
            Err(stop) => reference(None, stop.message),
        });
    }
    if let Some(claim) = Places::of(job, owner).run_claim() {
        references.push(default_class(session, rights, claim).await);
    }
    (references, warnings)
}

async fn may_get(rights: &mut Rights<'_>, kind: NamedKind, namespace: &str, name: &str) -> bool {
    let (group, _, _, resource, namespaced) = kind.resource();
    rights.allow(Deed { verb: "get", group, resource, namespace: namespaced.then_some(namespace), name: Some(name) }).await
}

fn api(session: &Session, kind: NamedKind, namespace: &str) -> Api<DynamicObject> {
    let (group, version, kind, plural, namespaced) = kind.resource();
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let resource =
        ApiResource { group: group.to_owned(), version: version.to_owned(), api_version, kind: kind.to_owned(), plural: plural.to_owned() };
    if namespaced {
        Api::namespaced_with(session.client.clone(), namespace, &resource)
    } else {
        Api::all_with(session.client.clone(), &resource)
    }
}

/// The class that the job's own volume gets, unless the operator is told of another.
async fn default_class(session: &Session, rights: &mut Rights<'_>, claim: &str) -> Reference {
    let reference = |found, name: &str, detail: String| Reference {
        kind: "StorageClass".to_owned(),
        name: name.to_owned(),
        fields: vec![format!("the job's own volume {claim}")],
        found,
        detail,
    };
    let deed = Deed { verb: "list", group: "storage.k8s.io", resource: "storageclasses", namespace: None, name: None };
    if !rights.allow(deed).await {
        return reference(None, "(default)", "you may not list storageclasses".to_owned());
    }
    let classes: Api<StorageClass> = Api::all(session.client.clone());
    match session.ask("list storage classes", classes.list_metadata(&ListParams::default())).await {
        Ok(list) => {
            let mut defaults = list.items.into_iter().filter(|class| {
                class
                    .metadata
                    .annotations
                    .as_ref()
                    .and_then(|annotations| annotations.get(DEFAULT_CLASS))
                    .is_some_and(|value| value == "true")
            });
            match defaults.next().and_then(|class| class.metadata.name) {
                Some(name) => reference(Some(true), &name, "is the cluster's default".to_owned()),
                None => {
                    let detail =
                        "there is no default class; name a claim in spec.checkpoint.storageUri, unless the operator is told of a class";
                    reference(Some(false), "(default)", detail.to_owned())
                }
            }
        }
        Err(stop) => reference(None, "(default)", stop.message),
    }
}

/// Every machine, and everything that runs; `None` where that may not be seen.
pub(super) async fn machines(session: &Session, rights: &mut Rights<'_>) -> (Option<Vec<Node>>, Option<Vec<Pod>>) {
    let everywhere = |resource| Deed { verb: "list", group: "", resource, namespace: None, name: None };
    let nodes = if rights.allow(everywhere("nodes")).await { all(session).await } else { None };
    let pods = if nodes.is_some() && rights.allow(everywhere("pods")).await { all(session).await } else { None };
    (nodes, pods)
}

async fn all<K>(session: &Session) -> Option<Vec<K>>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let api: Api<K> = Api::all(session.client.clone());
    let mut parameters = ListParams::default().limit(PAGE);
    let mut items = Vec::new();
    loop {
        let page = session.ask("list what machines have", api.list(&parameters)).await.ok()?;
        items.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters.continue_token = Some(token),
            None => return Some(items),
        }
    }
}

/// The version that the job's model would become, if nothing else is registered before.
pub(super) async fn next_version(session: &Session, rights: &mut Rights<'_>, namespace: &str, model: &str) -> Option<u32> {
    let (group, resource) = (ModelVersion::group(&()), ModelVersion::plural(&()));
    if !rights.allow(Deed { verb: "list", group: &group, resource: &resource, namespace: Some(namespace), name: None }).await {
        return None;
    }
    let versions: Api<ModelVersion> = Api::namespaced(session.client.clone(), namespace);
    let parameters = ListParams::default().labels(&format!("{}={model}", label::MODEL_NAME)).limit(PAGE);
    let list = session.ask("list ModelVersions", versions.list_metadata(&parameters)).await.ok()?;
    let numbers = list.items.iter().filter_map(|item| item.metadata.labels.as_ref()?.get(label::MODEL_VERSION)?.parse::<u32>().ok());
    Some(numbers.max().unwrap_or(0).saturating_add(1))
}
