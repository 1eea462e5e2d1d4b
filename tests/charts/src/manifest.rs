//! Kubernetes manifests as plain data.

use anyhow::Context;
use serde_json::Value;

/// One object.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest(pub Value);

impl Manifest {
    /// Every object of a YAML stream.
    ///
    /// # Errors
    /// When it is not YAML.
    pub fn parse(text: &str) -> anyhow::Result<Vec<Self>> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(text).context("this is not YAML")?;
        Ok(documents.into_iter().filter(|document| !document.is_null()).map(Self).collect())
    }

    /// Its kind.
    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// Its namespace; empty where it has none.
    pub fn namespace(&self) -> &str {
        self.text("/metadata/namespace")
    }

    /// A text in it, by JSON pointer; empty where there is none.
    pub fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// What is at a JSON pointer.
    pub fn at(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// The spec and metadata of the pods that it makes, if it makes pods.
    pub fn pod(&self) -> Option<&Value> {
        match self.kind() {
            "Pod" => Some(&self.0),
            "Deployment" | "Job" => self.0.pointer("/spec/template"),
            _ => None,
        }
    }

    /// It as a YAML document.
    ///
    /// # Errors
    /// When it cannot be written, which plain data always can.
    pub fn to_yaml(&self) -> anyhow::Result<String> {
        serde_saphyr::to_string(&self.0).with_context(|| format!("cannot write {} {} as YAML", self.kind(), self.name()))
    }
}
