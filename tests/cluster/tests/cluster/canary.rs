//! A Secret's values as canaries: what only the trainer may know, held against each place where others would find it.

use std::fmt::Debug;
use std::path::Path;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{ListParams, LogParams};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use temper_cluster_tests::Namespace;

/// How much of a text a message shows.
const SHOWN: usize = 4000;

/// Values that may be told nowhere, each with what it is.
pub(crate) struct Canaries(Vec<(String, String)>);

impl Canaries {
    /// The values of some of a Secret's keys, as they are and as the API server encodes them.
    ///
    /// # Panics
    /// When the Secret lacks one.
    pub(crate) fn of(secret: &Secret, keys: &[&str]) -> Self {
        let data = secret.data.as_ref().expect("the API server returns what it stored");
        let forms = keys.iter().flat_map(|key| {
            let plain = String::from_utf8(data[*key].0.clone()).expect("it is text");
            let encoded = serde_json::to_value(&data[*key]).expect("it is JSON's to hold");
            let encoded = encoded.as_str().expect("bytes are text in JSON").to_owned();
            [((*key).to_owned(), plain), (format!("{key} in base64"), encoded)]
        });
        Self(forms.collect())
    }

    /// Holds a place to telling none of them. `known` is a word that it does tell: of a place with nothing in it nothing is shown.
    ///
    /// # Panics
    /// When the place tells a value, or lacks the word.
    pub(crate) fn are_not_in(&self, place: &str, text: &str, known: &str) {
        let shown = || text.chars().take(SHOWN).collect::<String>();
        assert!(text.contains(known), "{place}: it does not tell {known}, so it is not what was to be looked through:\n{}", shown());
        for (what, value) in &self.0 {
            let line = text.lines().find(|line| line.contains(value));
            assert!(line.is_none(), "{place}: it tells {what}: {}", line.unwrap_or_default());
        }
    }

    /// The same for all objects of a kind in a namespace, with all of their fields.
    ///
    /// # Panics
    /// When one tells a value, or none the word.
    pub(crate) async fn are_not_in_objects<K>(&self, namespace: &Namespace, known: &str)
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize,
    {
        let objects = namespace.api::<K>().list(&ListParams::default()).await.unwrap().items;
        self.are_not_in(&format!("objects of kind {}", K::kind(&())), &serde_json::to_string_pretty(&objects).unwrap(), known);
    }
}

/// Everything that a pod's only container has printed, and what it printed before its last restart.
pub(crate) async fn log(pods: &Api<Pod>, pod: &Pod) -> Result<String, String> {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let restarts: i32 = statuses.map(|container| container.restart_count).sum();
    let mut text = String::new();
    for previous in [true, false].into_iter().filter(|previous| !previous || restarts > 0) {
        let which = LogParams { previous, ..LogParams::default() };
        text += &pods.logs(&pod.name_any(), &which).await.map_err(|error| format!("{}: {error}", pod.name_any()))?;
        text.push('\n');
    }
    Ok(text)
}

/// Everything that the files below a folder hold.
///
/// # Panics
/// When one cannot be read.
pub(crate) fn files_below(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut text = String::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            text += &files_below(&path);
        } else {
            text += &String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
        }
        text.push('\n');
    }
    text
}
