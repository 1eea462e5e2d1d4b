//! What a controller may do in its namespace: the same for both.

use k8s_openapi::api::rbac::v1::PolicyRule;

/// The service account of both.
pub(crate) const ACCOUNT: &str = "controller";

/// What both need.
pub(crate) fn rules() -> Vec<PolicyRule> {
    let writes = ["get", "list", "watch", "create", "patch", "delete"];
    vec![
        rule("temper.dev", &["finetunejobs"], &["get", "list", "watch"]),
        rule("temper.dev", &["finetunejobs/status"], &["patch"]),
        rule("temper.dev", &["finetunejobs/finalizers"], &["update"]),
        rule("temper.dev", &["modelversions"], &["get", "list", "watch", "create"]),
        rule("batch", &["jobs"], &writes),
        rule("", &["pods"], &["get", "list", "watch"]),
        rule("", &["configmaps", "services", "persistentvolumeclaims"], &writes),
        rule("networking.k8s.io", &["networkpolicies"], &writes),
        rule("events.k8s.io", &["events"], &["create", "patch", "list"]),
        // controller-runtime's leader election tells its events in the core group.
        rule("", &["events"], &["create", "patch"]),
        rule("coordination.k8s.io", &["leases"], &["get", "list", "watch", "create", "update", "patch"]),
    ]
}

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    PolicyRule { api_groups: Some(vec![group.to_owned()]), resources: Some(owned(resources)), verbs: owned(verbs), ..PolicyRule::default() }
}
