//! The status as a JSON merge patch: only what changed is sent, and nothing when nothing did.

use serde_json::{Map, Value};

/// The patch (RFC 7386) that makes `new` of `old`; `None` where they are equal. Lists are replaced as a whole.
pub fn merge_patch(old: &Value, new: &Value) -> Option<Value> {
    if old == new {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return Some(new.clone()) };
    let mut patch = Map::new();
    for (name, value) in new {
        match old.get(name) {
            Some(before) => {
                if let Some(change) = merge_patch(before, value) {
                    patch.insert(name.clone(), change);
                }
            }
            None => {
                patch.insert(name.clone(), value.clone());
            }
        }
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    Some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::merge_patch;
    use serde_json::{Value, json};

    /// RFC 7386, section 2.
    fn apply(target: &mut Value, patch: &Value) {
        let Value::Object(fields) = patch else {
            *target = patch.clone();
            return;
        };
        if !target.is_object() {
            *target = json!({});
        }
        let target = target.as_object_mut().expect("an object");
        for (name, value) in fields {
            if value.is_null() {
                target.remove(name);
            } else {
                apply(target.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
    }

    #[test]
    fn a_patch_makes_the_new_of_the_old_and_says_no_more() {
        let table = [
            (json!({}), json!({ "a": 1 }), json!({ "a": 1 })),
            (json!({ "a": 1, "b": { "c": 2, "d": 3 } }), json!({ "a": 1, "b": { "c": 4 } }), json!({ "b": { "c": 4, "d": null } })),
            (json!({ "l": [1, 2] }), json!({ "l": [2] }), json!({ "l": [2] })),
            (json!({ "a": { "b": 1 } }), json!({ "a": 5 }), json!({ "a": 5 })),
        ];
        for (old, new, wanted) in table {
            let patch = merge_patch(&old, &new).expect("they differ");
            assert_eq!(patch, wanted);
            let mut patched = old;
            apply(&mut patched, &patch);
            assert_eq!(patched, new);
        }
        assert_eq!(merge_patch(&json!({ "a": [1] }), &json!({ "a": [1] })), None);
    }
}
