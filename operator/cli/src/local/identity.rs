//! What makes two runs the same: the job's name, its specification and the content of its inputs.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Digests of what a run reads, by the manifest's field.
pub type Inputs = BTreeMap<String, String>;

/// A run's identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The job's name.
    pub name: String,
    /// SHA-256 over the canonical specification and the inputs' digests.
    pub digest: String,
}

/// Fields of the specification that may change while the job is the same one.
const MUTABLE: [&[&str]; 3] = [&["suspend"], &["cost", "maxCost"], &["ttlSecondsAfterFinished"]];

impl Identity {
    /// The identity of a job with this specification (as JSON, defaults filled in) and these inputs.
    pub fn of(name: &str, spec: &Value, inputs: &Inputs) -> Self {
        let mut spec = spec.clone();
        for path in MUTABLE {
            remove(&mut spec, path);
        }
        let mut text = String::new();
        canonical(&spec, &mut text);
        for (field, digest) in inputs {
            text.push_str(&format!("\n{field} {digest}"));
        }
        Self { name: name.to_owned(), digest: temper_artifact::digest::bytes(text.as_bytes()) }
    }

    /// The name of the run's folder.
    pub fn run_name(&self) -> String {
        format!("{}-{}", self.name, &self.digest["sha256:".len()..][..8])
    }
}

fn remove(value: &mut Value, path: &[&str]) {
    let Some((last, parents)) = path.split_last() else { return };
    let parent = parents.iter().try_fold(value, |value, key| value.get_mut(key));
    if let Some(Value::Object(fields)) = parent {
        fields.remove(*last);
    }
}

/// JSON with sorted keys, without nulls (a field set to null is a field not set) and without empty objects.
fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().filter(|(_, value)| !is_nothing(value)).collect();
            text.push('{');
            for (key, value) in sorted {
                text.push_str(&Value::String(key.clone()).to_string());
                text.push(':');
                canonical(value, text);
                text.push(',');
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for item in items {
                canonical(item, text);
                text.push(',');
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(is_nothing),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Identity, Inputs};
    use serde_json::{Value, json};

    fn digest(spec: &Value) -> String {
        Identity::of("job", spec, &Inputs::new()).digest
    }

    #[test]
    fn the_order_of_fields_and_absent_ones_do_not_matter() {
        let spec = json!({"a": {"b": 1, "c": [1, 2]}, "d": "x"});
        assert_eq!(digest(&spec), digest(&json!({"d": "x", "a": {"c": [1, 2], "b": 1, "e": null}, "f": {}})));
        assert_ne!(digest(&spec), digest(&json!({"a": {"b": 1, "c": [2, 1]}, "d": "x"})));
        assert_ne!(digest(&json!({"a": "1"})), digest(&json!({"a": 1})));
    }

    #[test]
    fn fields_that_may_change_do_not_matter() {
        let spec = json!({"suspend": false, "a": 1});
        assert_eq!(digest(&spec), digest(&json!({"suspend": true, "a": 1, "cost": {"maxCost": "3"}, "ttlSecondsAfterFinished": 5})));
    }

    #[test]
    fn inputs_matter_and_the_folder_is_named_for_the_job() {
        let inputs = |digest: &str| Inputs::from([("spec.baseModel".to_owned(), digest.to_owned())]);
        let [first, second] = ["aa", "ab"].map(|digest| Identity::of("listings", &json!({}), &inputs(digest)));
        assert_ne!(first.digest, second.digest);
        assert_eq!(first.run_name(), format!("listings-{}", &first.digest[7..15]));
    }
}
