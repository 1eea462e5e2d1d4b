//! What an error of the API server, or on the way to it, means to a person, and what to do next.

use crate::exit::Stop;
use kube::config::KubeconfigError;
use std::error::Error;
use std::time::Duration;
use temper_crds::manifest::nearest;

const INSTALL: &str =
    "install Temper: helm upgrade --install temper charts/temper (or its CRDs alone: kubectl apply --server-side -f crds/generated)";
const WHICH_CLUSTER: &str =
    "check that it runs and that it is the one you mean: kubectl config current-context; choose with --context or --kubeconfig";

/// What to say of an error. `what` says what was asked for, as in "list FineTuneJobs in namespace ml".
pub fn explain(error: &kube::Error, what: &str, server: &str) -> Stop {
    match error {
        kube::Error::Api(status) => of_status(status, what, server),
        kube::Error::SerdeError(reason) => Stop::cluster(
            format!("cannot {what}: the answer of {server} is not understood: {reason}"),
            "use the temper of the operator's version, and the CRDs that come with it",
        ),
        kube::Error::Auth(reason) => unauthorised(server, &deepest(reason)),
        other if is_auth(other) => unauthorised(server, &deepest(other)),
        kube::Error::InferConfig(_) | kube::Error::InferKubeconfig(_) => {
            Stop::cluster(format!("cannot {what}: {error}"), "mend the kubeconfig file, or name another with --kubeconfig")
        }
        other => Stop::cluster(format!("cannot {what}: {server} cannot be reached: {}", deepest(other)), WHICH_CLUSTER),
    }
}

fn of_status(status: &kube::core::Status, what: &str, server: &str) -> Stop {
    let sentence = if status.message.is_empty() { format!("HTTP status {}", status.code) } else { status.message.clone() };
    match status.code {
        401 => unauthorised(server, &sentence),
        403 => Stop::cluster(
            format!("cannot {what}: {sentence}"),
            "ask an administrator of the cluster for the right; roles view and edit hold what temper needs, unless the chart was told not to extend them",
        ),
        404 if is_kind_missing(status) => {
            Stop::cluster(format!("cannot {what}: Temper's custom resources are not installed in the cluster at {server}"), INSTALL)
        }
        404 => Stop::cluster(format!("cannot {what}: {sentence}"), "look for it in all namespaces: temper get --all-namespaces"),
        400 | 409 | 422 => Stop::cluster(format!("cannot {what}: {sentence}"), ""),
        429 | 500.. => Stop::cluster(
            format!("cannot {what}: {server} is in trouble: {sentence}"),
            "try again; if it goes on, ask an administrator of the cluster",
        ),
        _ => Stop::cluster(format!("cannot {what}: {sentence}"), ""),
    }
}

/// Whether the API server does not know the kind, rather than the object.
pub fn is_kind_missing(status: &kube::core::Status) -> bool {
    status.code == 404 && status.details.as_ref().is_none_or(|details| details.name.is_empty())
}

fn unauthorised(server: &str, sentence: &str) -> Stop {
    Stop::cluster(
        format!("{server} does not know who you are: {sentence}"),
        "log in again as the cluster's provider says, or choose other credentials with --context or --kubeconfig",
    )
}

/// No answer in time.
pub fn silent(what: &str, server: &str, limit: Duration) -> Stop {
    Stop::cluster(format!("cannot {what}: {server} did not answer within {} s", limit.as_secs()), WHICH_CLUSTER)
}

/// There is no kubeconfig file.
pub fn no_kubeconfig(error: &KubeconfigError) -> Stop {
    let place = match error {
        KubeconfigError::ReadConfig(_, path) => format!("there is no {}", path.display()),
        _ => "there is none in the home folder".to_owned(),
    };
    Stop::cluster(format!("no kubeconfig file: {place}"), "name one with --kubeconfig FILE, or set KUBECONFIG")
}

/// The kubeconfig file cannot be used.
pub fn bad_kubeconfig(place: &str, error: &KubeconfigError, contexts: &[String]) -> Stop {
    let known = if contexts.is_empty() { "none".to_owned() } else { contexts.join(", ") };
    match error {
        KubeconfigError::LoadContext(name) => {
            let next_step = match nearest(name, contexts.iter().map(String::as_str)) {
                Some(context) => format!("did you mean {context}? It has: {known}"),
                None => format!("it has: {known}"),
            };
            Stop::cluster(format!("{place} has no context {name}"), next_step)
        }
        KubeconfigError::CurrentContextNotSet => {
            Stop::cluster(format!("{place} names no current context"), format!("choose one with --context: {known}"))
        }
        other => Stop::cluster(format!("{place} cannot be used: {}", deepest(other)), "mend it, or name another with --kubeconfig"),
    }
}

/// There is no such object.
pub fn not_found(kind: &str, name: &str, namespace: &str, others: &[String], program: &str) -> Stop {
    let next_step = match nearest(name, others.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {near}?"),
        None if others.is_empty() => {
            format!("the namespace has no {kind}; look in others: {program} get --all-namespaces, or choose one with -n")
        }
        None => format!("there are {}; look in other namespaces: {program} get --all-namespaces", listed(others)),
    };
    Stop::cluster(format!("there is no {kind} {name} in namespace {namespace}"), next_step)
}

/// The first few names.
fn listed(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}

/// What is at the bottom of an error: what those above say is which function it passed through.
fn deepest(error: &(dyn Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    deepest.to_string()
}

fn is_auth(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<kube::client::AuthError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::{explain, no_kubeconfig, not_found};
    use crate::exit::Exit;
    use kube::config::KubeconfigError;
    use kube::core::Status;
    use serde_json::json;

    fn told(status: serde_json::Value) -> (String, String) {
        let status: Status = serde_json::from_value(status).expect("a status");
        let stop = explain(&kube::Error::Api(status.boxed()), "list FineTuneJobs", "https://10.0.0.1:6443");
        assert_eq!(stop.exit, Exit::Cluster);
        (stop.message, stop.next_step)
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        let (message, next) = told(json!({ "code": 401, "reason": "Unauthorized", "message": "Unauthorized" }));
        assert!(message.contains("does not know who you are") && next.starts_with("log in"), "{message}");
        let said = "finetunejobs.temper.dev is forbidden: User \"eve\" cannot list resource";
        let (message, next) = told(json!({ "code": 403, "reason": "Forbidden", "message": said }));
        assert!(message.ends_with(said) && next.contains("administrator"), "{message}");
        let (message, next) = told(json!({ "code": 404, "reason": "Failed to parse error data", "message": "404 page not found" }));
        assert!(message.contains("not installed") && next.contains("helm upgrade --install temper"), "{message}");
        let (message, _) =
            told(json!({ "code": 404, "message": "namespaces \"x\" not found", "details": { "name": "x", "kind": "namespaces" } }));
        assert!(message.ends_with("namespaces \"x\" not found"), "{message}");
        let (message, next) = told(json!({ "code": 503, "message": "etcd is away" }));
        assert!(message.contains("etcd is away") && next.starts_with("try again"), "{message}");
    }

    #[test]
    fn what_cannot_be_reached_is_named_with_its_cause() {
        let cause = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        let stop = explain(&kube::Error::Service(Box::new(cause)), "list FineTuneJobs", "https://10.0.0.1:6443");
        assert_eq!(stop.message, "cannot list FineTuneJobs: https://10.0.0.1:6443 cannot be reached: connection refused");
        assert!(stop.next_step.contains("--context"));
    }

    #[test]
    fn a_missing_name_leads_to_the_nearest_one() {
        let others = ["listings".to_owned(), "titles".to_owned()];
        let stop = not_found("FineTuneJob", "listing", "ml", &others, "temper");
        assert_eq!(
            (stop.message.as_str(), stop.next_step.as_str()),
            ("there is no FineTuneJob listing in namespace ml", "did you mean listings?")
        );
        assert!(not_found("FineTuneJob", "zzzzzz", "ml", &others, "temper").next_step.starts_with("there are listings, titles;"));
        assert!(not_found("FineTuneJob", "a", "ml", &[], "temper").next_step.contains("--all-namespaces"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        let stop = no_kubeconfig(&KubeconfigError::ReadConfig(missing, "/home/me/.kube/config".into()));
        assert_eq!(stop.message, "no kubeconfig file: there is no /home/me/.kube/config");
        assert!(stop.next_step.contains("--kubeconfig FILE"));
    }
}
