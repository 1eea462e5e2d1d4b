//! Default values of fields, named so that serde and the schema share them.

/// An object all of whose fields have defaults is what an empty object becomes.
macro_rules! default_is_empty_object {
    ($type:ty) => {
        impl Default for $type {
            fn default() -> Self {
                let empty = serde_json::Value::Object(serde_json::Map::new());
                serde_json::from_value(empty).expect("every field has a default")
            }
        }
    };
}
pub(crate) use default_is_empty_object;

/// A constant as serde wants it: a function's result.
pub(crate) fn number<const N: u32>() -> u32 {
    N
}
