//! One object by its name; where there is none, the nearest name.

use crate::cluster::access::Session;
use crate::cluster::kind::Kind;
use crate::cluster::refusal;
use crate::exit::Stop;
use crate::program::Program;
use kube::Api;
use kube::api::ListParams;
use kube::core::DynamicObject;
use serde::de::DeserializeOwned;
use temper_crds::FineTuneJob;

/// Names that are looked through for the nearest one.
const MOST_NAMES: u32 = 500;

/// The objects of a kind in the session's namespace.
pub fn api(session: &Session, kind: Kind) -> Api<DynamicObject> {
    Api::namespaced_with(session.client.clone(), &session.namespace, &kind.api_resource())
}

/// One object.
///
/// # Errors
/// Where there is none, or it cannot be had.
pub async fn object(session: &Session, kind: Kind, name: &str, program: Program) -> Result<DynamicObject, Stop> {
    let api = api(session, kind);
    let what = format!("get {} {name} in namespace {}", kind.name(), session.namespace);
    match session.ask(&what, api.get_opt(name)).await? {
        Some(object) => Ok(object),
        None => Err(missing(session, kind, name, program).await),
    }
}

/// What to say of a name that is not there. The kind itself may be missing, which a read of one name does not tell from a missing name.
async fn missing(session: &Session, kind: Kind, name: &str, program: Program) -> Stop {
    let others = match api(session, kind).list_metadata(&ListParams::default().limit(MOST_NAMES)).await {
        Ok(list) => list.items.into_iter().filter_map(|item| item.metadata.name).collect(),
        Err(kube::Error::Api(status)) if refusal::is_kind_missing(&status) => {
            return session.refused(&format!("get {} {name}", kind.name()), &kube::Error::Api(status));
        }
        // Who may read one object may not be allowed to list all.
        Err(_) => Vec::new(),
    };
    refusal::not_found(kind.name(), name, &session.namespace, &others, program.name())
}

/// A FineTuneJob.
///
/// # Errors
/// Where there is none, or it cannot be had or understood.
pub async fn job(session: &Session, name: &str, program: Program) -> Result<FineTuneJob, Stop> {
    typed(&object(session, Kind::FineTuneJob, name, program).await?, Kind::FineTuneJob)
}

/// An object as its own type.
///
/// # Errors
/// Where it holds what this version does not know.
pub fn typed<K: DeserializeOwned>(object: &DynamicObject, kind: Kind) -> Result<K, Stop> {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    let value = serde_json::to_value(object).and_then(serde_json::from_value);
    value.map_err(|error| {
        Stop::cluster(
            format!("{} {name} is not understood: {error}", kind.name()),
            "use the temper of the operator's version; to see it as it is: kubectl get -o yaml",
        )
    })
}
