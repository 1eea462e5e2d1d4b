//! A kind of resource whose admission is tested.

use std::collections::BTreeSet;

use kube::Api;
use kube::api::PostParams;
use kube::core::DynamicObject;
use serde_json::Value;
use temper_cluster_tests::Namespace;

/// A kind and where its objects go.
pub(crate) struct Subject {
    pub(crate) definition: Value,
    api: Api<DynamicObject>,
}

/// Why the API server refused an object.
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    /// Field and sentence, for each cause.
    pub(crate) causes: Vec<(String, String)>,
    message: String,
}

impl Subject {
    pub(crate) fn new(namespace: &Namespace, definition: Value, manifest: &Value) -> Self {
        Self { definition, api: namespace.untyped(manifest) }
    }

    /// Creates an object; what it became, defaults included.
    pub(crate) async fn create(&self, manifest: &Value) -> Value {
        let object = serde_json::from_value(manifest.clone()).unwrap();
        let created = self.api.create(&PostParams::default(), &object).await;
        serde_json::to_value(created.unwrap_or_else(|error| panic!("{error} for {manifest}"))).unwrap()
    }

    /// Tries to create an object, and leaves none behind.
    pub(crate) async fn try_create(&self, manifest: &Value) -> Result<(), Refusal> {
        let object = serde_json::from_value(manifest.clone()).unwrap();
        told(self.api.create(&dry_run(), &object).await)
    }

    /// Tries to replace an object, and leaves it as it is.
    pub(crate) async fn try_replace(&self, object: &Value) -> Result<(), Refusal> {
        let name = object["metadata"]["name"].as_str().unwrap();
        let object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
        told(self.api.replace(name, &dry_run(), &object).await)
    }

    /// The sentences of the CEL rules; those of changes speak of `oldSelf`.
    pub(crate) fn sentences(&self, of_changes: bool) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        collect(temper_crds::crd::schema(&self.definition), of_changes, &mut found);
        found
    }
}

fn collect(schema: &Value, of_changes: bool, found: &mut BTreeSet<String>) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        if rule["rule"].as_str().unwrap().contains("oldSelf") == of_changes {
            found.insert(rule["message"].as_str().unwrap().to_owned());
        }
    }
    match schema {
        Value::Object(fields) => fields.values().for_each(|field| collect(field, of_changes, found)),
        Value::Array(items) => items.iter().for_each(|item| collect(item, of_changes, found)),
        _ => {}
    }
}

fn dry_run() -> PostParams {
    PostParams { dry_run: true, ..PostParams::default() }
}

fn told(answer: kube::Result<DynamicObject>) -> Result<(), Refusal> {
    match answer {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 422 => {
            let causes = status.details.map(|details| details.causes).unwrap_or_default();
            let causes = causes.into_iter().map(|cause| (cause.field, cause.message)).collect();
            Err(Refusal { causes, message: status.message })
        }
        Err(error) => panic!("not an answer about validity: {error}"),
    }
}

impl Refusal {
    /// The sentence of the one rule that refused, which must contain `wanted`.
    pub(crate) fn only(&self, case: &str, wanted: &str, sentences: &BTreeSet<String>) -> String {
        let [(_, message)] = self.causes.as_slice() else { panic!("{case}: not one cause but {self:#?}") };
        assert!(message.contains(wanted), "{case}: not {wanted:?} but {message:?} ({})", self.message);
        let sentence = sentences.iter().filter(|sentence| message.contains(*sentence)).max_by_key(|sentence| sentence.len());
        sentence.unwrap_or_else(|| panic!("{case}: no rule says {message:?}")).clone()
    }
}
