//! Objects without what differs between two runs of the same job: identities, times, the namespace. Pure.

use regex::Regex;
use serde_json::{Map, Value};
use std::sync::LazyLock;

/// Fields of the metadata that the API server makes.
const SERVERS: [&str; 4] = ["uid", "resourceVersion", "creationTimestamp", "managedFields"];
/// Fields whose values depend on when they were computed, or on how a program writes JSON.
const OF_THE_MOMENT: [&str; 3] = ["estimatedRemaining", "estimatedRemainingSeconds", "temper.dev/content-digest"];

static TIME: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z").expect("a pattern"));
static UID: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").expect("a pattern"));

/// An object of a job, which has this UID and lives in this namespace.
pub(crate) fn normal(value: &Value, namespace: &str, uid: &str) -> Value {
    let prefix = uid.get(..8).unwrap_or(uid);
    let plain = |text: &str| {
        let text = text.replace(namespace, "NAMESPACE");
        let text = TIME.replace_all(&text, "TIME").into_owned();
        let text = UID.replace_all(&text, "UID").into_owned();
        text.replace(prefix, "UID8")
    };
    walk(value, &plain)
}

fn walk(value: &Value, plain: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| !SERVERS.contains(&name.as_str()));
            let kept = kept.map(|(name, value)| {
                let value = if OF_THE_MOMENT.contains(&name.as_str()) { Value::from("SET") } else { walk(value, plain) };
                (name.clone(), value)
            });
            let mut all: Vec<_> = kept.collect();
            all.sort_by(|left, right| left.0.cmp(&right.0));
            Value::Object(Map::from_iter(all))
        }
        Value::Array(items) => items.iter().map(|item| walk(item, plain)).collect(),
        // JSON in a text (a ConfigMap's) is compared as JSON.
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(inner @ Value::Object(_)) => walk(&inner, plain),
            _ => Value::String(plain(text)),
        },
        // 32 and 32.0 are one number.
        Value::Number(number) => number.as_f64().map_or(Value::Null, Value::from),
        other => other.clone(),
    }
}

/// Where two values differ, each place with both values.
pub(crate) fn differences(left: &Value, right: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(left, right, "", &mut found);
    found
}

fn compare(left: &Value, right: &Value, path: &str, found: &mut Vec<String>) {
    match (left, right) {
        (Value::Object(first), Value::Object(second)) => {
            let names = first.keys().chain(second.keys().filter(|name| !first.contains_key(*name)));
            for name in names {
                let of = |fields: &Map<String, Value>| fields.get(name).cloned().unwrap_or_default();
                compare(&of(first), &of(second), &format!("{path}/{name}"), found);
            }
        }
        (Value::Array(first), Value::Array(second)) if first.len() == second.len() => {
            for (index, (first, second)) in first.iter().zip(second).enumerate() {
                compare(first, second, &format!("{path}/{index}"), found);
            }
        }
        _ if left != right => found.push(format!("{path}: {left} and {right}")),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{differences, normal};
    use serde_json::json;

    #[test]
    fn equal_work_of_two_runs_is_equal() {
        let object = |namespace: &str, uid: &str, scale: serde_json::Value, time: &str| {
            json!({
                "metadata": { "namespace": namespace, "uid": "x", "name": "a", "ownerReferences": [{ "uid": uid }] },
                "data": { "file": format!("{{\"scale\": {scale}, \"run\": \"/volumes/a-{}\"}}", &uid[..8]) },
                "at": time,
            })
        };
        let (first, second) = ("0b5e7ac4-5a0d-4f7e-9a34-6f2a7c1d9e55", "1c5e7ac4-5a0d-4f7e-9a34-6f2a7c1d9e55");
        let ours = normal(&object("ours", first, json!(32.0), "2026-01-01T00:00:00Z"), "ours", first);
        let peers = normal(&object("peer", second, json!(32), "2026-01-02T10:00:00.5Z"), "peer", second);
        assert_eq!(differences(&ours, &peers), Vec::<String>::new());
        let other = normal(&object("peer", second, json!(33), "2026-01-02T10:00:00Z"), "peer", second);
        assert_eq!(differences(&ours, &other), ["/data/file/scale: 32.0 and 33.0"]);
        assert_eq!(differences(&json!({ "a": 1 }), &json!({ "b": [1] })), ["/a: 1 and null", "/b: null and [1]"]);
    }
}
