//! Changing one field of a manifest.

use serde_json::{Value, json};

/// A copy with the field at a JSON pointer set (or, with null, removed), making objects on the way.
///
/// # Panics
/// When the pointer leads through something that has no fields.
pub fn with(object: &Value, pointer: &str, value: Value) -> Value {
    let mut object = object.clone();
    let mut place = &mut object;
    let mut names = pointer.trim_start_matches('/').split('/').map(unescaped).peekable();
    while let Some(name) = names.next() {
        let last = names.peek().is_none();
        place = match place {
            Value::Array(items) => {
                let index = name.parse::<usize>().unwrap_or_else(|_| panic!("{name} in {pointer} is no index"));
                &mut items[index]
            }
            Value::Object(fields) if last && value.is_null() => {
                fields.remove(&name);
                return object;
            }
            Value::Object(fields) => fields.entry(name).or_insert_with(|| json!({})),
            other => panic!("{pointer} leads through {other}"),
        };
    }
    *place = value;
    object
}

/// `~1` stands for a slash in a name and `~0` for a tilde (RFC 6901).
fn unescaped(name: &str) -> String {
    name.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::with;
    use serde_json::{Value, json};

    #[test]
    fn fields_are_set_made_and_removed() {
        let object = json!({"a": [{"b": 1}], "c": 2});
        assert_eq!(with(&object, "/a/0/b", json!(3)), json!({"a": [{"b": 3}], "c": 2}));
        assert_eq!(with(&object, "/d/e~1f", json!(4)), json!({"a": [{"b": 1}], "c": 2, "d": {"e/f": 4}}));
        assert_eq!(with(&object, "/c", Value::Null), json!({"a": [{"b": 1}]}));
    }
}
