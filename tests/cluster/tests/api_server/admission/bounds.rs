//! Each bound of the schemas is kept by the API server: the samples with one value beyond one bound.

use serde_json::{Map, Value, json};
use temper_cluster_tests::Namespace;
use temper_cluster_tests::edit::with;
use temper_crds::crd;

use super::samples;
use super::subject::Subject;

/// One value beyond one bound, and how the API server speaks of it.
struct Breach {
    /// Where, as a JSON pointer.
    pointer: String,
    /// The same as the API server writes it.
    field: String,
    value: Value,
    wanted: &'static str,
}

/// Where a schema's values are.
#[derive(Clone)]
struct Place {
    pointer: String,
    field: String,
}

impl Place {
    fn below(&self, name: &str) -> Self {
        Self { pointer: format!("{}/{}", self.pointer, name.replace('/', "~1")), field: format!("{}.{name}", self.field) }
    }

    fn first(&self) -> Self {
        Self { pointer: format!("{}/0", self.pointer), field: format!("{}[0]", self.field) }
    }

    fn breach(&self, value: Value, wanted: &'static str) -> Breach {
        Breach { pointer: self.pointer.clone(), field: self.field.clone(), value, wanted }
    }
}

/// Collects a breach of every bound below a place. `valid` is the value that a valid object has there.
fn breaches(schema: &Value, place: &Place, valid: &Value, found: &mut Vec<Breach>) {
    let number = |bound: &str| schema[bound].as_i64();
    let length = |bound: &str| schema[bound].as_u64().map(|length| length as usize);
    if let Some(least) = number("minimum") {
        found.push(place.breach(json!(least - 1), "should be greater than or equal to"));
    }
    if let Some(most) = number("maximum") {
        found.push(place.breach(json!(most + 1), "should be less than or equal to"));
    }
    if let Some(most) = length("maxLength") {
        found.push(place.breach(json!("a".repeat(most + 1)), "may not be more than"));
    }
    if length("minLength").is_some_and(|least| least > 0) {
        found.push(place.breach(json!(""), "should be at least"));
    }
    if schema.get("pattern").is_some() {
        found.push(place.breach(json!("!"), "should match"));
    }
    if schema.get("enum").is_some() {
        found.push(place.breach(json!("Other"), "Unsupported value"));
    }
    if let Some(most) = length("maxItems") {
        found.push(place.breach(vec![valid[0].clone(); most + 1].into(), "must have at most"));
    }
    if length("minItems").is_some_and(|least| least > 0) {
        found.push(place.breach(json!([]), "should have at least"));
    }
    if let Some(most) = length("maxProperties") {
        let (_, value) = valid.as_object().and_then(|fields| fields.iter().next()).unwrap_or_else(|| panic!("no {}", place.field));
        let many: Map<_, _> = (0..=most).map(|number| (format!("k{number}"), value.clone())).collect();
        found.push(place.breach(many.into(), "must have at most"));
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        found.push(place.below(name.as_str().unwrap()).breach(Value::Null, "Required value"));
    }
    if schema["items"].is_object() {
        breaches(&schema["items"], &place.first(), &valid[0], found);
    }
    if schema["additionalProperties"].is_object() {
        let (name, value) = valid.as_object().and_then(|fields| fields.iter().next()).unwrap_or_else(|| panic!("no {}", place.field));
        breaches(&schema["additionalProperties"], &place.below(name), value, found);
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        breaches(schema, &place.below(name), &valid[name], found);
    }
}

async fn keeps_each(file: &str, definition: Value, least: usize) {
    let namespace = Namespace::create("bounds").await;
    let valid = samples::manifests(&samples::folder().join(file)).remove(0);
    let subject = Subject::new(&namespace, definition, &valid);
    subject.try_create(&valid).await.unwrap();
    let mut found = Vec::new();
    let spec = Place { pointer: "/spec".to_owned(), field: "spec".to_owned() };
    breaches(&temper_crds::crd::schema(&subject.definition)["properties"]["spec"], &spec, &valid["spec"], &mut found);
    assert!(found.len() >= least, "only {} bounds", found.len());
    let mut kept = Vec::new();
    for breach in &found {
        let object = with(&valid, &breach.pointer, breach.value.clone());
        let refused = subject.try_create(&object).await;
        let told = refused
            .as_ref()
            .is_err_and(|refusal| refusal.causes.iter().any(|(field, message)| *field == breach.field && message.contains(breach.wanted)));
        if !told {
            kept.push(format!("{}: not {:?} but {refused:?}", breach.field, breach.wanted));
        }
    }
    assert!(kept.is_empty(), "{} of {} bounds:\n{}", kept.len(), found.len(), kept.join("\n"));
}

#[tokio::test]
async fn each_bound_of_a_job_is_kept() {
    keeps_each("reference/finetunejob.yaml", crd::fine_tune_job(), 150).await;
}

#[tokio::test]
async fn each_bound_of_a_model_version_is_kept() {
    keeps_each("modelversion.yaml", crd::model_version(), 25).await;
}
