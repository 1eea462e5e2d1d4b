//! The base model's name for those who load what is published: their libraries know the hub's repositories and folders, not our URIs.

use temper_contract::config::BaseModel;
use temper_storage::HubPath;

/// What `from_pretrained` takes to find the base model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BaseName {
    /// A repository or a path.
    pub(super) name: String,
    /// The repository's branch, tag or commit, where the job names one.
    pub(super) revision: Option<String>,
}

impl BaseName {
    /// OWNER/NAME and the revision of `hf://`, the path of `file://`. Other places are none that such a library reads; their URI says where
    /// the model was. Only what the manifest says counts, so that the same manifest gives the same bytes wherever it runs.
    pub(super) fn of(base_model: &BaseModel) -> Self {
        let uri = base_model.uri.as_str();
        if let Some(hub) = uri.strip_prefix("hf://").and_then(HubPath::split) {
            let given = || base_model.fetch.as_ref().and_then(|remote| remote.revision.clone());
            return Self { name: hub.name, revision: hub.revision.map(str::to_owned).or_else(given) };
        }
        let name = match uri.strip_prefix("file://") {
            // Without a dot it would be taken for a repository.
            Some(path) if !path.starts_with(['/', '.']) => format!("./{path}"),
            Some(path) => path.to_owned(),
            None => uri.to_owned(),
        };
        Self { name, revision: None }
    }
}

#[cfg(test)]
mod tests {
    use super::BaseName;
    use temper_contract::config::{BaseModel, Remote};

    #[test]
    fn repositories_and_paths_are_named_as_libraries_take_them() {
        let table = [
            ("hf://org/name", None, "org/name", None),
            ("hf://org/name", Some("v1"), "org/name", Some("v1")),
            ("hf://org/name@v2", None, "org/name", Some("v2")),
            ("hf://models/org/name@v2/a/b.gguf", Some("v2"), "org/name", Some("v2")),
            ("file:///models/tiny", None, "/models/tiny", None),
            ("file://models/tiny", None, "./models/tiny", None),
            ("file://../tiny", None, "../tiny", None),
            ("pvc://models/tiny", None, "pvc://models/tiny", None),
            ("s3://bucket/tiny", None, "s3://bucket/tiny", None),
        ];
        for (uri, given, name, revision) in table {
            let remote = Remote { uri: uri.to_owned(), revision: given.map(str::to_owned), credentials: None };
            let base_model = BaseModel { path: "/run/inputs/base-model".into(), uri: uri.to_owned(), fetch: Some(remote) };
            let expected = BaseName { name: name.to_owned(), revision: revision.map(str::to_owned) };
            assert_eq!(BaseName::of(&base_model), expected, "{uri}");
        }
    }
}
