//! The parts of a pod template that rules look at.

use serde_json::Value;

/// The pod's spec.
pub(crate) fn pod(template: &Value) -> &Value {
    let spec = &template["spec"];
    assert!(spec["containers"].as_array().is_some_and(|containers| !containers.is_empty()), "no pod template: {template}");
    spec
}

/// Every container, of whatever sort.
pub(crate) fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|sort| list(&pod[sort]))
}

/// A list's items; none where there is no list.
pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A name, for messages.
pub(crate) fn name(of: &Value) -> &str {
    of["name"].as_str().unwrap_or("?")
}

/// Whether a field is absent, null or an empty text.
pub(crate) fn is_unset(value: &Value) -> bool {
    value.is_null() || value == ""
}
