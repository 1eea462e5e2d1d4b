//! Pieces of schema that no derive attribute can say.

use crate::pattern;
use schemars::{Schema, SchemaGenerator, json_schema};

/// `nodeSelector` and its like: label keys to label values.
pub(crate) fn label_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "maxProperties": 32, "additionalProperties": { "type": "string", "maxLength": 63 } })
}

/// Short texts by name.
pub(crate) fn text_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "maxProperties": 64, "additionalProperties": { "type": "string", "maxLength": 1024 } })
}

/// Decimal numbers by name.
pub(crate) fn decimal_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": { "type": "string", "pattern": pattern::DECIMAL, "maxLength": 32 }
    })
}

/// Amounts of resources by resource name.
pub(crate) fn quantity_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": { "x-kubernetes-int-or-string": true, "pattern": pattern::QUANTITY, "maxLength": 32 }
    })
}

/// Counts by name.
pub(crate) fn count_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "maxProperties": 64, "additionalProperties": { "type": "integer", "format": "int64", "minimum": 0 } })
}
