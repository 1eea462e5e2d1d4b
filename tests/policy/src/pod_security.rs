//! The `restricted` level of the Pod Security Standards, with all of `baseline` that it includes.
//!
//! <https://kubernetes.io/docs/concepts/security/pod-security-standards/>

use crate::template::{containers, is_unset, list, name, pod};
use serde_json::{Map, Value};

const VOLUMES: [&str; 8] = ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];
const CAPABILITIES: [&str; 1] = ["NET_BIND_SERVICE"];
const SELINUX_TYPES: [&str; 5] = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
const SYSCTLS: [&str; 10] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_syncookies",
];
const APP_ARMOR_ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";

/// What keeps a pod template (`metadata`, `spec`) from the level: each field with what it must be. None, if it passes.
pub fn violations(template: &Value) -> Vec<String> {
    let pod = pod(template);
    let mut found = Vec::new();
    for field in ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|field| pod[*field] == true) {
        found.push(format!("{field} must not be true"));
    }
    for volume in list(&pod["volumes"]) {
        // A volume has its name and one source.
        let sources = volume.as_object().into_iter().flat_map(Map::keys).filter(|field| *field != "name");
        for source in sources.filter(|source| !VOLUMES.contains(&source.as_str())) {
            found.push(format!("volumes[{}] must not be a {source}", name(volume)));
        }
    }
    for sysctl in list(&pod["securityContext"]["sysctls"]).filter(|sysctl| !SYSCTLS.contains(&name(sysctl))) {
        found.push(format!("securityContext.sysctls[{}] is not a safe one", name(sysctl)));
    }
    let annotations = template["metadata"]["annotations"].as_object().into_iter().flatten();
    for (annotation, profile) in annotations.filter(|(annotation, _)| annotation.starts_with(APP_ARMOR_ANNOTATION)) {
        let profile = profile.as_str().unwrap_or_default();
        if !(profile.is_empty() || profile == "runtime/default" || profile.starts_with("localhost/")) {
            found.push(format!("annotation {annotation} must be runtime/default"));
        }
    }
    shared(&pod["securityContext"], "securityContext", &mut found);
    for container in containers(pod) {
        of_container(container, &pod["securityContext"], &mut found);
    }
    found
}

/// Rules for a security context, of a pod or of a container.
fn shared(context: &Value, at: &str, found: &mut Vec<String>) {
    if context["windowsOptions"]["hostProcess"] == true {
        found.push(format!("{at}.windowsOptions.hostProcess must not be true"));
    }
    let se_linux = &context["seLinuxOptions"];
    if !SELINUX_TYPES.contains(&se_linux["type"].as_str().unwrap_or_default()) {
        found.push(format!("{at}.seLinuxOptions.type is not one of the container types"));
    }
    if !is_unset(&se_linux["user"]) || !is_unset(&se_linux["role"]) {
        found.push(format!("{at}.seLinuxOptions must set no user and no role"));
    }
    if context["appArmorProfile"]["type"] == "Unconfined" {
        found.push(format!("{at}.appArmorProfile must not be Unconfined"));
    }
    if context["seccompProfile"]["type"] == "Unconfined" {
        found.push(format!("{at}.seccompProfile must not be Unconfined"));
    }
    if context["runAsUser"] == 0 {
        found.push(format!("{at}.runAsUser must not be 0"));
    }
    if context["runAsNonRoot"] == false {
        found.push(format!("{at}.runAsNonRoot must not be false"));
    }
}

fn of_container(container: &Value, of_pod: &Value, found: &mut Vec<String>) {
    let at = format!("containers[{}]", name(container));
    let context = &container["securityContext"];
    shared(context, &format!("{at}.securityContext"), found);
    if context["privileged"] == true {
        found.push(format!("{at}.securityContext.privileged must not be true"));
    }
    if context["allowPrivilegeEscalation"] != false {
        found.push(format!("{at}.securityContext.allowPrivilegeEscalation must be false"));
    }
    if !is_unset(&context["procMount"]) && context["procMount"] != "Default" {
        found.push(format!("{at}.securityContext.procMount must be Default"));
    }
    if context["runAsNonRoot"].is_null() && of_pod["runAsNonRoot"] != true {
        found.push(format!("{at}.securityContext.runAsNonRoot must be true, there or on the pod"));
    }
    let profile = [&context["seccompProfile"]["type"], &of_pod["seccompProfile"]["type"]].into_iter().find(|profile| !profile.is_null());
    if profile.is_none() {
        found.push(format!("{at}.securityContext.seccompProfile must be RuntimeDefault, there or on the pod"));
    }
    let capabilities = &context["capabilities"];
    if !list(&capabilities["drop"]).any(|capability| capability == "ALL") {
        found.push(format!("{at}.securityContext.capabilities.drop must have ALL"));
    }
    for added in list(&capabilities["add"]).filter(|added| !CAPABILITIES.iter().any(|allowed| added == allowed)) {
        found.push(format!("{at}.securityContext.capabilities.add must not have {added}"));
    }
    if list(&container["ports"]).any(|port| !port["hostPort"].is_null() && port["hostPort"] != 0) {
        found.push(format!("{at}.ports must have no hostPort"));
    }
    let probes = ["livenessProbe", "readinessProbe", "startupProbe"].map(|probe| (probe, &container[probe]));
    let hooks = ["postStart", "preStop"].map(|hook| (hook, &container["lifecycle"][hook]));
    for (handler, action) in probes.into_iter().chain(hooks) {
        if !is_unset(&action["httpGet"]["host"]) || !is_unset(&action["tcpSocket"]["host"]) {
            found.push(format!("{at}.{handler} must name no host"));
        }
    }
}

#[cfg(test)]
mod tests;
