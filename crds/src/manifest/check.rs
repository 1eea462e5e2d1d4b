//! Compares a document with a CRD's schema: unknown fields, types, bounds, patterns, required fields.

use super::nearest::nearest;
use super::problem::Problem;
use super::tree::{Node, Tree};
use crate::pattern;
use regex::Regex;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Every way in which the document differs from the schema, in the document's order.
pub(super) fn check(document: &Node, schema: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut schema = schema.clone();
    // A CRD's schema leaves metadata to Kubernetes; these are the fields that a person writes, then those that the server adds.
    schema["properties"]["metadata"] = metadata();
    for name in ["apiVersion", "kind"] {
        schema["properties"][name] = json!({ "type": "string" });
    }
    if let Some(required) = schema["required"].as_array_mut() {
        required.push(Value::from("metadata"));
    }
    value(document, &schema, "", &mut problems);
    problems
}

fn metadata() -> Value {
    let texts = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    let anything = json!({ "x-kubernetes-preserve-unknown-fields": true });
    json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": 253, "pattern": pattern::OBJECT_NAME },
            "namespace": { "type": "string", "minLength": 1, "maxLength": 63, "pattern": pattern::LABEL_NAME },
            "labels": texts,
            "annotations": texts,
            "finalizers": { "type": "array", "items": { "type": "string" } },
            "ownerReferences": anything, "managedFields": anything, "creationTimestamp": anything, "deletionTimestamp": anything,
            "deletionGracePeriodSeconds": anything, "generation": anything, "resourceVersion": anything, "selfLink": anything,
            "uid": anything,
        }
    })
}

fn value(node: &Node, schema: &Value, path: &str, problems: &mut Vec<Problem>) {
    // The API server drops nulls; a required field that is null shows as missing.
    if matches!(node.value, Tree::Null) || schema["x-kubernetes-preserve-unknown-fields"] == true {
        return;
    }
    let found = problems.len();
    let mut problem = |reason: String, next_step: &str| problems.push(Problem::new(node.line, path, node.value.shown(), reason, next_step));
    let int_or_string = schema["x-kubernetes-int-or-string"] == true;
    match (&node.value, schema["type"].as_str()) {
        (Tree::Map(fields), Some("object")) => return object(node, fields, schema, path, problems),
        (Tree::List(items), Some("array")) => return list(node, items, schema, path, problems),
        (Tree::Text(text), Some("string")) => self::text(text, schema, &mut problem),
        (Tree::Text(text), None) if int_or_string => self::text(text, schema, &mut problem),
        (Tree::Integer(number), Some("integer" | "number")) => self::number(*number as f64, schema, &mut problem),
        (Tree::Integer(_), None) if int_or_string => {}
        (Tree::Float(number), Some("number")) => self::number(*number, schema, &mut problem),
        (Tree::Float(number), Some("integer")) if number.fract() == 0.0 => {
            problem("must be a whole number".to_owned(), &format!("write {number:.0}"))
        }
        (Tree::Bool(_), Some("boolean")) => {}
        (Tree::Integer(_) | Tree::Float(_), Some("string")) => problem(
            "must be text, so that no digit changes on the way".to_owned(),
            &format!("put it in quotes: \"{}\"", node.value.shown()),
        ),
        (Tree::Bool(value), Some("string")) => problem("must be text".to_owned(), &format!("put it in quotes: \"{value}\"")),
        (Tree::Text(text), Some("integer" | "number")) if text.parse::<f64>().is_ok() => {
            problem("must be a number".to_owned(), &format!("take away the quotes: {text}"));
        }
        (_, wanted) => {
            let wanted = if int_or_string { "a whole number or text such as 500m" } else { kind(wanted) };
            problem(format!("must be {wanted}, not {}", node.value.kind()), "see `kubectl explain` or the CRD's description of the field");
        }
    }
    if problems.len() == found
        && let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(&node.value.to_json())
    {
        let names: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
        let next_step = match node.value.text().and_then(|text| nearest(text, names.iter().copied())) {
            Some(name) => format!("did you mean {name}?"),
            None => "choose one of them".to_owned(),
        };
        problems.push(Problem::new(node.line, path, node.value.shown(), format!("must be one of {}", names.join(", ")), &next_step));
    }
}

fn kind(schema_type: Option<&str>) -> &'static str {
    match schema_type {
        Some("object") => "an object",
        Some("array") => "a list",
        Some("string") => "text",
        Some("integer") => "a whole number",
        Some("number") => "a number",
        Some("boolean") => "true or false",
        _ => "of another type",
    }
}

fn object(node: &Node, fields: &[(super::tree::Key, Node)], schema: &Value, path: &str, problems: &mut Vec<Problem>) {
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    let additional = schema.get("additionalProperties");
    let inside = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if let Some(most) = schema["maxProperties"].as_u64()
        && fields.len() as u64 > most
    {
        problems.push(Problem::new(
            node.line,
            path,
            format!("{} entries", fields.len()),
            format!("must have at most {most}"),
            "take some away",
        ));
    }
    let known = |name: &str| properties.contains_key(name) || additional.is_some();
    for (key, field) in fields {
        match properties.get(&key.name).or(additional) {
            Some(schema) => value(field, schema, &inside(&key.name), problems),
            None => {
                // Of the names that are not used yet: a typo is not meant to repeat a field that is there.
                let unused = properties.keys().map(String::as_str).filter(|name| !fields.iter().any(|(key, _)| key.name == *name));
                let next_step = match nearest(&key.name, unused) {
                    Some(name) => format!("did you mean {name}?"),
                    None => format!("known here: {}", properties.keys().map(String::as_str).collect::<Vec<_>>().join(", ")),
                };
                problems.push(Problem::new(key.line, &inside(&key.name), "", "there is no such field", &next_step));
            }
        }
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let written = fields.iter().find(|(key, _)| key.name == name);
        // A field that is misspelt is reported as unknown already.
        let misspelt = fields.iter().any(|(key, _)| !known(&key.name) && nearest(&key.name, [name]).is_some());
        if !misspelt && written.is_none_or(|(_, node)| matches!(node.value, Tree::Null)) {
            let description = properties.get(name).and_then(|schema| schema["description"].as_str()).unwrap_or_default();
            let next_step = if description.is_empty() { format!("add {name}") } else { format!("add it: {description}") };
            problems.push(Problem::new(node.line, &inside(name), "", "is missing", &next_step));
        }
    }
}

fn list(node: &Node, items: &[Node], schema: &Value, path: &str, problems: &mut Vec<Problem>) {
    let count = items.len() as u64;
    if let Some(most) = schema["maxItems"].as_u64().filter(|most| count > *most) {
        problems.push(Problem::new(node.line, path, format!("{count} items"), format!("must have at most {most}"), "take some away"));
    }
    if let Some(least) = schema["minItems"].as_u64().filter(|least| count < *least) {
        problems.push(Problem::new(node.line, path, format!("{count} items"), format!("must have at least {least}"), "add some"));
    }
    let keys: Vec<&str> = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let unique = schema["x-kubernetes-list-type"] == "set" || !keys.is_empty();
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        value(item, &schema["items"], &path, problems);
        let identity = if keys.is_empty() {
            item.value.to_json().to_string()
        } else {
            keys.iter().map(|key| item.value.get(key).map(|node| node.value.to_json().to_string()).unwrap_or_default()).collect()
        };
        if unique && !seen.insert(identity) {
            problems.push(Problem::new(item.line, &path, item.value.shown(), "is there twice", "take one away"));
        }
    }
}

fn text(text: &str, schema: &Value, problem: &mut impl FnMut(String, &str)) {
    let length = text.chars().count() as u64;
    if let Some(most) = schema["maxLength"].as_u64().filter(|most| length > *most) {
        return problem(format!("has {length} characters, must have at most {most}"), "shorten it");
    }
    if let Some(least) = schema["minLength"].as_u64().filter(|least| length < *least) {
        return problem(format!("has {length} characters, must have at least {least}"), "fill it in or take the field away");
    }
    let Some(expression) = schema["pattern"].as_str() else { return };
    let matches = Regex::new(expression).is_ok_and(|expression| expression.is_match(text));
    if matches {
        return;
    }
    match expression {
        pattern::DECIMAL => problem("is not a decimal number".to_owned(), "write it as in \"0.05\" or \"2e-4\""),
        pattern::SOURCE_URI => problem(
            "is not a URI that models and datasets are read from".to_owned(),
            "start with hf://, s3://, gs://, az://, pvc://CLAIM/PATH or (local runs only) file://",
        ),
        pattern::TARGET_URI => problem(
            "is not a URI that can be written to".to_owned(),
            "start with s3://, gs://, az://, pvc://CLAIM/PATH or (local runs only) file://",
        ),
        pattern::OBJECT_NAME | pattern::LABEL_NAME => {
            problem(
                "is not a name that Kubernetes takes".to_owned(),
                "use lower-case letters, digits and '-', a letter or digit first and last",
            );
        }
        pattern::QUANTITY => problem("is not an amount".to_owned(), "write it as in \"2\", \"500m\" or \"16Gi\""),
        pattern::DIGEST => problem("is not a digest".to_owned(), "write sha256: and 64 hexadecimal digits"),
        other => problem(format!("does not match {other}"), "mend it"),
    }
}

fn number(number: f64, schema: &Value, problem: &mut impl FnMut(String, &str)) {
    let (least, most) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
    let wanted = match (least, most) {
        (Some(least), Some(most)) if number < least || number > most => format!("must be from {least} to {most}"),
        (Some(least), None) if number < least => format!("must be at least {least}"),
        (None, Some(most)) if number > most => format!("must be at most {most}"),
        _ => return,
    };
    problem(wanted, "choose a number in that range");
}
