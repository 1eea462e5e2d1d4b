use crate::model_files::{TENSORS, config, values, write_folder, write_json, write_safetensors};
use serde_json::{Map, json};
use std::path::Path;
use temper_artifact::{Dtype, Error, ModelSource, TensorInfo, write};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn refused(folder: &Path) -> String {
    ModelSource::open(folder).map(|_| ()).expect_err("refused").to_string()
}

/// Two shards and the index over them; `second` is what the index calls the second.
fn write_shards(folder: &Path, second: &str) {
    write_json(&folder.join("config.json"), &config());
    let (one, two) = TENSORS.split_at(5);
    write_safetensors(&folder.join("one.safetensors"), one);
    write_safetensors(&folder.join("two.safetensors"), two);
    let name =
        |list: &[(&str, &[usize])], file: &str| list.iter().map(|(tensor, _)| ((*tensor).to_owned(), json!(file))).collect::<Map<_, _>>();
    let mut map = name(one, "one.safetensors");
    map.extend(name(two, second));
    write_json(&folder.join("model.safetensors.index.json"), &json!({"metadata": {}, "weight_map": map}));
}

#[test]
fn one_file_and_shards_give_the_same_model() {
    let (single, sharded) = (folder(), folder());
    write_folder(single.path());
    write_shards(sharded.path(), "two.safetensors");
    let single = ModelSource::open(single.path()).expect("opens");
    let sharded = ModelSource::open(sharded.path()).expect("opens");
    assert_eq!(single.config(), sharded.config());
    assert_eq!(single.tensors(), sharded.tensors());
    assert_eq!(single.tensors().len(), TENSORS.len());
    for (number, info) in single.tensors().iter().enumerate().skip(5) {
        let tensor = sharded.tensor(&info.name).expect("there");
        let place = TENSORS.iter().position(|(name, _)| *name == info.name).expect("known");
        assert_eq!(tensor.to_f32(), values(place - 5, info.elements()), "{number}");
        assert_eq!(tensor.bytes().map(<[u8]>::len), Some(4 * info.elements()));
    }
    assert!(single.tokenizer().expect_err("none").to_string().contains("no tokenizer.json"));
}

#[test]
fn one_file_wins_over_an_index_that_was_left() {
    let folder = folder();
    write_shards(folder.path(), "two.safetensors");
    write_folder(folder.path());
    let assert_new = || {
        let source = ModelSource::open(folder.path()).expect("opens");
        for (number, (name, shape)) in TENSORS.iter().enumerate() {
            let tensor = source.tensor(name).expect("there");
            assert_eq!(tensor.to_f32(), values(number, shape.iter().product()), "{name}");
        }
    };
    assert_new();
    std::fs::remove_file(folder.path().join("one.safetensors")).expect("removed");
    assert_new();
}

#[test]
fn half_precision_is_read() {
    let folder = folder();
    write_folder(folder.path());
    let data: Vec<(TensorInfo, Vec<u8>)> = TENSORS
        .iter()
        .enumerate()
        .map(|(number, (name, shape))| {
            let dtype = if number % 2 == 0 { Dtype::BF16 } else { Dtype::F16 };
            let info = TensorInfo { name: (*name).to_owned(), shape: shape.to_vec(), dtype };
            // 1.5 in both.
            let bytes = if number % 2 == 0 { 0x3fc0u16 } else { 0x3e00 }.to_le_bytes().repeat(info.elements());
            (info, bytes)
        })
        .collect();
    let tensors: Vec<_> = data.iter().map(|(info, bytes)| (info.clone(), bytes.as_slice())).collect();
    write::safetensors(&folder.path().join("model.safetensors"), &tensors, &[]).expect("written");
    let source = ModelSource::open(folder.path()).expect("opens");
    for (name, _) in TENSORS {
        assert!(source.tensor(name).expect("there").to_f32().iter().all(|&value| value == 1.5), "{name}");
    }
}

#[test]
fn an_index_cannot_lead_out_of_the_folder() {
    let outside = folder();
    write_safetensors(&outside.path().join("two.safetensors"), &TENSORS[5..]);
    let absolute = outside.path().join("two.safetensors");
    for name in ["../two.safetensors", absolute.to_str().expect("UTF-8"), "a/../../two.safetensors", ""] {
        let model = folder();
        write_shards(model.path(), name);
        let message = refused(model.path());
        assert!(message.contains("weight_map.") && message.contains("not inside the folder"), "{name}: {message}");
    }
    let model = folder();
    write_shards(model.path(), "link.safetensors");
    std::os::unix::fs::symlink(&absolute, model.path().join("link.safetensors")).expect("linked");
    let message = refused(model.path());
    assert!(message.contains("link.safetensors") && message.contains("outside the model's folder"), "{message}");
}

#[test]
fn a_shard_that_the_system_refuses_is_no_fault_of_the_index() {
    let model = folder();
    write_shards(model.path(), "link.safetensors");
    std::os::unix::fs::symlink("nowhere.safetensors", model.path().join("link.safetensors")).expect("linked");
    let error = ModelSource::open(model.path()).map(|_| ()).expect_err("refused");
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

#[test]
fn a_snapshot_of_hugging_faces_cache_may_link_to_its_blobs() {
    let cache = folder();
    let (blobs, snapshot) = (cache.path().join("blobs"), cache.path().join("snapshots/0123"));
    std::fs::create_dir_all(&blobs).and_then(|()| std::fs::create_dir_all(&snapshot)).expect("made");
    write_folder(&blobs);
    for name in ["config.json", "model.safetensors"] {
        std::os::unix::fs::symlink(Path::new("../../blobs").join(name), snapshot.join(name)).expect("linked");
    }
    assert_eq!(ModelSource::open(&snapshot).expect("opens").tensors().len(), TENSORS.len());
}

#[test]
fn pickles_are_refused_whatever_they_are_called() {
    let zip = b"PK\x03\x04archive/data.pkl";
    for name in ["pytorch_model.bin", "model.pt", "model.pth", "model.safetensors"] {
        let folder = folder();
        write_json(&folder.path().join("config.json"), &config());
        std::fs::write(folder.path().join(name), zip).expect("written");
        let error = ModelSource::open(folder.path()).map(|_| ()).expect_err("refused");
        assert!(matches!(error, Error::Pickle { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(name) && message.contains("convert to safetensors"), "{message}");
    }
    let folder = folder();
    let path = folder.path().join("model.gguf");
    std::fs::write(&path, b"\x80\x04\x95 a pickle").expect("written");
    assert!(matches!(ModelSource::open(&path), Err(Error::Pickle { .. })));
}

#[test]
fn what_is_wrong_with_a_folder_is_said() {
    let check = |make: &dyn Fn(&Path), parts: &[&str]| {
        let folder = folder();
        write_folder(folder.path());
        make(folder.path());
        let message = refused(folder.path());
        assert!(parts.iter().all(|part| message.contains(part)), "{parts:?}: {message}");
    };
    let weights = |folder: &Path| folder.join("model.safetensors");
    check(&|folder| std::fs::remove_file(folder.join("config.json")).expect("removed"), &["no config.json"]);
    check(&|folder| std::fs::remove_file(weights(folder)).expect("removed"), &["neither model.safetensors", "it has config.json"]);
    check(&|folder| std::fs::write(folder.join("config.json"), "{").expect("written"), &["config.json", "JSON", "line 1"]);
    check(&|folder| write_safetensors(&weights(folder), &TENSORS[1..]), &["model.embed_tokens.weight", "missing"]);
    check(
        &|folder| {
            write_json(&folder.join("config.json"), &{
                let mut config = config();
                config["vocab_size"] = json!(7);
                config
            })
        },
        &["model.embed_tokens.weight", "[6, 8]", "[7, 8]"],
    );
    let extra: Vec<_> = TENSORS.into_iter().chain([("model.layers.0.self_attn.q_proj.bias", &[8usize] as &[usize])]).collect();
    check(&|folder| write_safetensors(&weights(folder), &extra), &["q_proj.bias", "does not call for it"]);
    check(
        &|folder| {
            let bytes = std::fs::read(weights(folder)).expect("read");
            std::fs::write(weights(folder), &bytes[..bytes.len() - 1]).expect("written");
        },
        &["model.safetensors", "cut short"],
    );
    check(
        &|folder| {
            let mut bytes = std::fs::read(weights(folder)).expect("read");
            let at = bytes.windows(5).position(|window| window == b"\"F32\"").expect("a type");
            bytes[at + 1] = b'I';
            std::fs::write(weights(folder), bytes).expect("written");
        },
        &["I32", "F32, F16 and BF16"],
    );
    check(&|folder| std::fs::write(weights(folder), u64::MAX.to_le_bytes()).expect("written"), &["above the limit"]);

    let adapter = folder();
    std::fs::write(adapter.path().join("adapter_config.json"), "{}").expect("written");
    assert!(refused(adapter.path()).contains("base model"));
    let shards = folder();
    write_shards(shards.path(), "three.safetensors");
    let message = refused(shards.path());
    assert!(message.contains("three.safetensors") && message.contains("incomplete"), "{message}");
}

#[test]
fn the_digest_follows_content_and_names() {
    let (one, two) = (folder(), folder());
    write_folder(one.path());
    write_folder(two.path());
    let digest = |folder: &Path| ModelSource::open(folder).expect("opens").digest().expect("hashed");
    assert_eq!(digest(one.path()), digest(two.path()));
    std::fs::write(two.path().join("README.md"), "words").expect("written");
    assert_eq!(digest(one.path()), digest(two.path()));
    std::fs::write(two.path().join("chat_template.jinja"), "{{ messages }}").expect("written");
    assert_ne!(digest(one.path()), digest(two.path()));
}

#[test]
fn a_copy_of_the_files_is_a_whole_model() {
    let folder = folder();
    write_folder(folder.path());
    let further = ["tokenizer.json", "tokenizer.model", "merges.txt", "vocab.txt", "vocab.json", "chat_template.jinja"];
    for name in further.iter().chain(&["README.md", "train.log", "notes.txt"]) {
        std::fs::write(folder.path().join(name), "").expect("written");
    }
    let files = ModelSource::open(folder.path()).expect("opens").files().expect("listed");
    let mut expected: Vec<&str> = further.into_iter().chain(["config.json", "model.safetensors"]).collect();
    expected.sort_unstable();
    assert_eq!(files.keys().collect::<Vec<_>>(), expected);
}
