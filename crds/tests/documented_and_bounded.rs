//! Every field has a sentence for `kubectl explain` and a bound (the API server refuses CEL rules over unbounded values).

use serde_json::Value;
use temper_crds::crd;

fn walk(schema: &Value, path: &str, visit: &mut impl FnMut(&str, &Value)) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        visit(&path, field);
        walk(field, &path, visit);
    }
    for (name, inner) in [("items", "[]"), ("additionalProperties", "{}")] {
        if schema[name].is_object() {
            walk(&schema[name], &format!("{path}{inner}"), visit);
        }
    }
}

fn complaints(complain: impl Fn(&str, &Value) -> Option<&'static str>) -> Vec<String> {
    let mut found = Vec::new();
    for (file, definition) in crd::all() {
        let mut fields = 0;
        walk(crd::schema(&definition), "", &mut |path, field| {
            fields += 1;
            found.extend(complain(path, field).map(|complaint| format!("{file}{path}: {complaint}")));
        });
        assert!(fields > 20, "{file} has only {fields} fields");
    }
    found
}

#[test]
fn every_field_has_a_sentence() {
    let found = complaints(|_, field| match field["description"].as_str() {
        None => Some("no description"),
        Some(text) if !text.ends_with(['.', ')']) || text.contains('\n') => Some("not a sentence on one line"),
        Some(_) => None,
    });
    assert_eq!(found, Vec::<String>::new());
}

fn unbounded(field: &Value) -> bool {
    let has = |name: &str| field.get(name).is_some();
    match field["type"].as_str() {
        Some("string") => !has("maxLength") && !has("enum") && field["format"] != "date-time",
        Some("array") => !has("maxItems") || unbounded(&field["items"]),
        Some("object") => has("additionalProperties") && (!has("maxProperties") || unbounded(&field["additionalProperties"])),
        Some("integer") => !has("minimum") && field["format"] != "int32",
        Some("number") => true,
        _ => field["x-kubernetes-int-or-string"] == true && !has("maxLength"),
    }
}

#[test]
fn every_field_is_bounded() {
    assert_eq!(complaints(|_, field| unbounded(field).then_some("no bound")), Vec::<String>::new());
    let open = complaints(|path, field| {
        (path.starts_with(".spec") && field["type"] == "integer" && field.get("maximum").is_none()).then_some("no maximum")
    });
    assert_eq!(open, Vec::<String>::new());
}

#[test]
fn nobody_reaches_beyond_the_namespace_or_into_the_pod() {
    let forbidden = ["podtemplate", "template", "hostpath", "namespace", "secretkeyref", "volumes", "securitycontext"];
    let found = complaints(|path, _| {
        let field = path.rsplit('.').next().unwrap_or_default().trim_end_matches(['[', ']', '{', '}']).to_lowercase();
        (path.starts_with(".spec") && forbidden.contains(&field.as_str())).then_some("the spec must not have such a field")
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn nothing_is_nullable_and_formats_are_those_that_kubernetes_knows() {
    let found = complaints(|_, field| {
        let format = field["format"].as_str();
        (field.get("nullable").is_some() || !matches!(format, None | Some("int32" | "int64" | "date-time")))
            .then_some("nullable or a strange format")
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn rules_have_sentences() {
    let mut rules = 0;
    for (_, definition) in crd::all() {
        let mut visit = |path: &str, field: &Value| {
            for rule in field["x-kubernetes-validations"].as_array().into_iter().flatten() {
                rules += 1;
                assert!(rule["message"].as_str().is_some_and(|message| message.len() > 15), "{path}: {rule}");
            }
        };
        visit("", crd::schema(&definition));
        walk(crd::schema(&definition), "", &mut visit);
    }
    assert!(rules > 50, "only {rules} rules");
}
