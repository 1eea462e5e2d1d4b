//! Temper's own rules for pods, beyond the `restricted` level.

use crate::template::{containers, list, name, pod};
use serde_json::Value;

/// Whether a pod talks to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiAccess {
    /// It does, with its service account's token.
    Needed,
    /// It does not, so it has no token.
    None,
}

/// What keeps a pod template (`metadata`, `spec`) from the rules: each field with what it must be. None, if it keeps them.
pub fn violations(template: &Value, api_access: ApiAccess) -> Vec<String> {
    let pod = pod(template);
    let mut found = Vec::new();
    if api_access == ApiAccess::None {
        if pod["automountServiceAccountToken"] != false {
            found.push("automountServiceAccountToken must be false".to_owned());
        }
        for volume in list(&pod["volumes"]) {
            if list(&volume["projected"]["sources"]).any(|source| !source["serviceAccountToken"].is_null()) {
                found.push(format!("volumes[{}] must hold no service account token", name(volume)));
            }
        }
    }
    for container in containers(pod) {
        let name = name(container);
        if container["securityContext"]["readOnlyRootFilesystem"] != true {
            found.push(format!("containers[{name}].securityContext.readOnlyRootFilesystem must be true"));
        }
        // Environment variables show in crash reports and child processes; Secrets are mounted as files.
        for variable in list(&container["env"]).filter(|variable| !variable["valueFrom"]["secretKeyRef"].is_null()) {
            found.push(format!("containers[{name}].env[{}] must not come from a Secret", self::name(variable)));
        }
        if list(&container["envFrom"]).any(|source| !source["secretRef"].is_null()) {
            found.push(format!("containers[{name}].envFrom must not name a Secret"));
        }
    }
    for volume in list(&pod["volumes"]).filter(|volume| !volume["hostPath"].is_null()) {
        found.push(format!("volumes[{}] must not be a hostPath", name(volume)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{ApiAccess, violations};
    use serde_json::{Value, json};

    fn good() -> Value {
        let container = json!({
            "name": "c", "securityContext": { "readOnlyRootFilesystem": true }, "env": [{ "name": "A", "value": "1" }],
        });
        json!({ "spec": { "automountServiceAccountToken": false, "containers": [container], "volumes": [{ "name": "v", "emptyDir": {} }] } })
    }

    #[test]
    fn each_rule_bites() {
        assert_eq!(violations(&good(), ApiAccess::None), [""; 0]);
        let token = json!({ "sources": [{ "serviceAccountToken": { "path": "token" } }] });
        let table = [
            ("/spec/automountServiceAccountToken", json!(true), "automountServiceAccountToken"),
            ("/spec/automountServiceAccountToken", json!(null), "automountServiceAccountToken"),
            ("/spec/volumes/0", json!({ "name": "v", "projected": token }), "volumes[v] must hold no service account token"),
            ("/spec/volumes/0", json!({ "name": "v", "hostPath": { "path": "/" } }), "volumes[v] must not be a hostPath"),
            ("/spec/containers/0/securityContext", json!(null), "readOnlyRootFilesystem"),
            ("/spec/containers/0/env/0", json!({ "name": "A", "valueFrom": { "secretKeyRef": { "name": "s" } } }), "env[A]"),
        ];
        for (pointer, value, wanted) in table {
            let mut template = good();
            *template.pointer_mut(pointer).expect(pointer) = value;
            let found = violations(&template, ApiAccess::None);
            assert!(found.len() == 1 && found[0].contains(wanted), "{pointer}: {found:?}");
        }
        let mut template = good();
        template["spec"]["containers"][0]["envFrom"] = json!([{ "secretRef": { "name": "s" } }]);
        assert_eq!(violations(&template, ApiAccess::None), ["containers[c].envFrom must not name a Secret"]);
        let mut template = good();
        template["spec"]["automountServiceAccountToken"] = json!(true);
        assert_eq!(violations(&template, ApiAccess::Needed), [""; 0]);
    }
}
