use super::violations;
use serde_json::{Map, Value, json};

fn good() -> Value {
    let context = json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } });
    let container = json!({ "name": "c", "securityContext": context, "ports": [{ "containerPort": 1 }] });
    json!({
        "metadata": { "annotations": {} },
        "spec": {
            "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [container],
            "volumes": [{ "name": "v", "emptyDir": {} }],
        },
    })
}

/// The good template with a field set, or taken away.
fn with(pointer: &str, value: Value) -> Value {
    let mut template = good();
    let mut place = &mut template;
    for part in pointer.split('/').skip(1) {
        place = match part.parse::<usize>() {
            Ok(index) => &mut place[index],
            Err(_) => {
                if !place.is_object() {
                    *place = Value::Object(Map::new());
                }
                &mut place[part.replace("~1", "/")]
            }
        };
    }
    *place = value;
    template
}

#[test]
fn a_pod_that_keeps_every_rule_passes() {
    assert_eq!(violations(&good()), [""; 0]);
    let also_good = [
        ("/spec/containers/0/securityContext/capabilities/add", json!(["NET_BIND_SERVICE"])),
        ("/spec/containers/0/securityContext/runAsUser", json!(1000)),
        ("/spec/containers/0/securityContext/procMount", json!("Default")),
        ("/spec/containers/0/livenessProbe", json!({ "httpGet": { "port": 1 } })),
        ("/spec/securityContext/sysctls", json!([{ "name": "net.ipv4.tcp_syncookies", "value": "1" }])),
        ("/spec/securityContext/seLinuxOptions", json!({ "type": "container_t", "level": "s0" })),
        ("/metadata/annotations/container.apparmor.security.beta.kubernetes.io~1c", json!("runtime/default")),
    ];
    for (pointer, value) in also_good {
        assert_eq!(violations(&with(pointer, value)), [""; 0], "{pointer}");
    }
}

#[test]
fn each_rule_bites() {
    let context = "/spec/containers/0/securityContext";
    let of = |field: &str| format!("{context}/{field}");
    let table = [
        ("/spec/hostNetwork".to_owned(), json!(true), "hostNetwork"),
        ("/spec/hostPID".to_owned(), json!(true), "hostPID"),
        ("/spec/hostIPC".to_owned(), json!(true), "hostIPC"),
        ("/spec/securityContext/windowsOptions/hostProcess".to_owned(), json!(true), "securityContext.windowsOptions"),
        (of("windowsOptions/hostProcess"), json!(true), "containers[c].securityContext.windowsOptions"),
        (of("privileged"), json!(true), "privileged"),
        (of("capabilities/add"), json!(["NET_ADMIN"]), "capabilities.add"),
        (of("capabilities/drop"), json!(["NET_ADMIN"]), "capabilities.drop"),
        (of("capabilities"), json!(null), "capabilities.drop"),
        ("/spec/volumes/0/hostPath".to_owned(), json!({ "path": "/" }), "volumes[v] must not be a hostPath"),
        ("/spec/volumes/0/nfs".to_owned(), json!({ "server": "s" }), "volumes[v] must not be a nfs"),
        ("/spec/containers/0/ports/0/hostPort".to_owned(), json!(80), "hostPort"),
        ("/spec/containers/0/livenessProbe/httpGet/host".to_owned(), json!("h"), "livenessProbe"),
        ("/spec/containers/0/readinessProbe/tcpSocket/host".to_owned(), json!("h"), "readinessProbe"),
        ("/spec/containers/0/startupProbe/httpGet/host".to_owned(), json!("h"), "startupProbe"),
        ("/spec/containers/0/lifecycle/postStart/httpGet/host".to_owned(), json!("h"), "postStart"),
        ("/spec/containers/0/lifecycle/preStop/tcpSocket/host".to_owned(), json!("h"), "preStop"),
        ("/metadata/annotations/container.apparmor.security.beta.kubernetes.io~1c".to_owned(), json!("unconfined"), "apparmor"),
        ("/spec/securityContext/appArmorProfile/type".to_owned(), json!("Unconfined"), "appArmorProfile"),
        (of("appArmorProfile/type"), json!("Unconfined"), "appArmorProfile"),
        (of("seLinuxOptions/type"), json!("spc_t"), "seLinuxOptions.type"),
        (of("seLinuxOptions/user"), json!("u"), "seLinuxOptions"),
        ("/spec/securityContext/seLinuxOptions/role".to_owned(), json!("r"), "seLinuxOptions"),
        (of("procMount"), json!("Unmasked"), "procMount"),
        (of("seccompProfile/type"), json!("Unconfined"), "seccompProfile"),
        ("/spec/securityContext/seccompProfile".to_owned(), json!(null), "seccompProfile"),
        ("/spec/securityContext/seccompProfile/type".to_owned(), json!("Unconfined"), "seccompProfile"),
        ("/spec/securityContext/sysctls".to_owned(), json!([{ "name": "kernel.msgmax" }]), "sysctls[kernel.msgmax]"),
        (of("allowPrivilegeEscalation"), json!(true), "allowPrivilegeEscalation"),
        (of("allowPrivilegeEscalation"), json!(null), "allowPrivilegeEscalation"),
        ("/spec/securityContext/runAsNonRoot".to_owned(), json!(null), "runAsNonRoot"),
        (of("runAsNonRoot"), json!(false), "runAsNonRoot"),
        (of("runAsUser"), json!(0), "runAsUser"),
        ("/spec/securityContext/runAsUser".to_owned(), json!(0), "securityContext.runAsUser"),
    ];
    for (pointer, value, wanted) in table {
        let found = violations(&with(&pointer, value));
        assert!(found.len() == 1 && found[0].contains(wanted), "{pointer}: {found:?}");
    }
}

#[test]
fn containers_of_every_sort_are_looked_at() {
    for sort in ["initContainers", "ephemeralContainers"] {
        let found = violations(&with(&format!("/spec/{sort}"), json!([{ "name": "other" }])));
        assert_eq!(found.iter().filter(|violation| violation.starts_with("containers[other]")).count(), 2, "{sort}: {found:?}");
    }
}
