//! Which files of a remote place are fetched, and under which names.

use crate::error::{Error, Kind, Result};
use crate::source::{Listing, RemoteFile};
use std::collections::BTreeMap;

/// What the files are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A model's folder: weights as safetensors or GGUF, configuration, tokenizer, templates. Pickles are never fetched.
    Model,
    /// Rows: every file, in one folder.
    Data,
    /// Every file, as it lies there.
    Everything,
}

/// A file that is left where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its path.
    pub path: String,
    /// Why.
    pub reason: &'static str,
}

/// What is taken, by the name that it gets, and what is not.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub(super) wanted: BTreeMap<String, RemoteFile>,
    pub(super) skipped: Vec<Skipped>,
}

/// Weights in formats that run code when they are read, or that this project does not read.
const REFUSED: [&str; 13] =
    [".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack", ".onnx", ".ot", ".tflite", ".npz", ".mlmodel"];
/// Further files of a model's folder.
const TEXTS: [&str; 3] = ["merges.txt", "vocab.txt", "tokenizer.model"];
const TEMPLATES: &str = "additional_chat_templates/";
/// Files of a data repository that are about its rows, not rows.
const ABOUT_DATA: [&str; 3] = ["dataset_infos.json", "dataset_dict.json", "state.json"];

/// Chooses among the files of a place.
pub(super) fn select(purpose: Purpose, uri: &str, listing: &Listing) -> Result<Selection> {
    let mut selection = Selection::default();
    let has = |test: &dyn Fn(&str) -> bool| listing.files.iter().any(|file| test(&file.path));
    let has_safetensors = has(&|path| !path.contains('/') && path.ends_with(".safetensors"));
    let has_model_safetensors = has(&is_model_safetensors);
    for file in &listing.files {
        let path = file.path.as_str();
        if path.split('/').any(|part| part.is_empty() || part == "." || part == "..") || path.contains(['\\', '\0']) {
            return Err(Error::corrupt(uri, format!("it has a file of the name {path:?}, which leads out of its folder")));
        }
        let reason = match purpose {
            _ if path.split('/').any(|part| part.starts_with('.')) => Some("it is hidden"),
            Purpose::Model => not_of_a_model(path, listing.single, has_safetensors, has_model_safetensors),
            Purpose::Data if !listing.single && is_about_data(path) => Some("it is about the rows"),
            Purpose::Data | Purpose::Everything => None,
        };
        if let Some(reason) = reason {
            selection.skipped.push(Skipped { path: path.to_owned(), reason });
            continue;
        }
        // Rows are read from the files of one folder, in the order of their names.
        let name = if purpose == Purpose::Data { path.replace('/', "__") } else { path.to_owned() };
        if selection.wanted.insert(name, file.clone()).is_some() {
            return Err(Error::invalid(uri, format!("two of its files would be called {}", path.replace('/', "__")), "rename one of them"));
        }
    }
    if purpose == Purpose::Model {
        check_model(uri, &selection)?;
    }
    if selection.wanted.is_empty() {
        let reason = format!("none of its files is of use: {}", describe(&selection.skipped));
        return Err(Error::new(Kind::NotFound, uri, reason, "correct the URI, or put the files there"));
    }
    Ok(selection)
}

fn not_of_a_model(path: &str, single: bool, has_safetensors: bool, has_model_safetensors: bool) -> Option<&'static str> {
    let lower = path.to_lowercase();
    if REFUSED.iter().any(|suffix| lower.ends_with(suffix)) {
        return Some("it is a pickle, or weights in a format that is not read");
    }
    if single {
        return None;
    }
    if let Some(name) = path.strip_prefix(TEMPLATES) {
        return (name.contains('/') || !name.ends_with(".jinja")).then_some("it is no chat template");
    }
    if path.contains('/') {
        return Some("it lies in a sub-folder");
    }
    match () {
        () if path.ends_with(".safetensors") && has_model_safetensors && !is_model_safetensors(path) => {
            Some("the model's own safetensors hold the same weights")
        }
        () if path.ends_with(".gguf") && has_safetensors => Some("the safetensors hold the same weights"),
        () if [".safetensors", ".gguf", ".json", ".jinja"].iter().any(|suffix| path.ends_with(suffix)) || TEXTS.contains(&path) => None,
        () => Some("a model's folder does not need it"),
    }
}

fn is_model_safetensors(path: &str) -> bool {
    !path.contains('/') && (path.starts_with("model") || path.starts_with("adapter_model")) && path.ends_with(".safetensors")
}

fn is_about_data(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let lower = name.to_lowercase();
    lower.ends_with(".md") || lower.starts_with("license") || ABOUT_DATA.contains(&name)
}

/// One set of weights is needed, and only one can be meant.
fn check_model(uri: &str, selection: &Selection) -> Result<()> {
    let ggufs: Vec<&String> = selection.wanted.keys().filter(|name| name.ends_with(".gguf")).collect();
    if ggufs.len() > 1 {
        let names = ggufs.iter().take(8).map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
        let next_step = format!("name one of them: {}/{}", uri.trim_end_matches('/'), ggufs[0]);
        return Err(Error::invalid(uri, format!("it has {} GGUF files ({names})", ggufs.len()), next_step));
    }
    if !ggufs.is_empty() || selection.wanted.keys().any(|name| name.ends_with(".safetensors")) {
        return Ok(());
    }
    let reason = format!("it has no weights that are read (safetensors or GGUF): {}", describe(&selection.skipped));
    Err(Error::invalid(uri, reason, "name a repository or folder with safetensors; transformers' save_pretrained writes them"))
}

fn describe(skipped: &[Skipped]) -> String {
    match skipped {
        [] => "there are no files".to_owned(),
        some => some.iter().take(6).map(|file| format!("{} ({})", file.path, file.reason)).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::{Purpose, select};
    use crate::Kind;
    use crate::source::{Listing, RemoteFile};

    fn listing(paths: &[&str], single: bool) -> Listing {
        let file =
            |path: &&str| RemoteFile { path: (*path).to_owned(), key: (*path).to_owned(), size: 1, version: "v".to_owned(), check: None };
        Listing { revision: None, files: paths.iter().map(file).collect(), single }
    }

    #[test]
    fn a_model_is_its_weights_configuration_tokenizer_and_templates() {
        let there = [
            ".gitattributes",
            "README.md",
            "config.json",
            "generation_config.json",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
            "consolidated.safetensors",
            "pytorch_model.bin",
            "training_args.bin",
            "tokenizer.json",
            "tokenizer.model",
            "chat_template.jinja",
            "additional_chat_templates/tools.jinja",
            "original/params.json",
            "onnx/model.onnx",
            "q4.gguf",
        ];
        let selection = select(Purpose::Model, "hf://o/n", &listing(&there, false)).expect("a model");
        let wanted: Vec<&str> = selection.wanted.keys().map(String::as_str).collect();
        assert_eq!(
            wanted,
            [
                "additional_chat_templates/tools.jinja",
                "chat_template.jinja",
                "config.json",
                "generation_config.json",
                "model-00001-of-00002.safetensors",
                "model-00002-of-00002.safetensors",
                "model.safetensors.index.json",
                "tokenizer.json",
                "tokenizer.model",
            ]
        );
        assert_eq!(selection.wanted.len() + selection.skipped.len(), there.len());
    }

    #[test]
    fn pickles_alone_are_no_model_and_several_ggufs_are_a_question() {
        let error = select(Purpose::Model, "hf://o/n", &listing(&["config.json", "pytorch_model.bin"], false)).expect_err("no weights");
        assert!(error.kind == Kind::Invalid && error.reason.contains("pytorch_model.bin (it is a pickle"), "{error}");
        let error = select(Purpose::Model, "hf://o/n", &listing(&["a.Q4_0.gguf", "a.Q8_0.gguf"], false)).expect_err("which?");
        assert_eq!(error.next_step, "name one of them: hf://o/n/a.Q4_0.gguf");
        assert!(select(Purpose::Model, "hf://o/n/a.Q4_0.gguf", &listing(&["a.Q4_0.gguf"], true)).is_ok());
        assert!(select(Purpose::Model, "s3://b/model.pt", &listing(&["model.pt"], true)).is_err());
    }

    #[test]
    fn rows_of_sub_folders_come_into_one() {
        let there = ["README.md", "data/a.jsonl", "data/b.jsonl.gz", "dataset_infos.json"];
        let selection = select(Purpose::Data, "s3://b/rows", &listing(&there, false)).expect("rows");
        assert_eq!(selection.wanted.keys().collect::<Vec<_>>(), ["data__a.jsonl", "data__b.jsonl.gz"]);
    }

    #[test]
    fn a_name_that_leads_out_of_the_folder_is_refused() {
        for path in ["../evil.json", "a/../../b", "/etc/x", "a\\..\\b"] {
            let error = select(Purpose::Everything, "s3://b", &listing(&[path], false)).expect_err(path);
            assert_eq!(error.kind, Kind::Corrupt, "{error}");
        }
    }
}
