//! Damaged files: whatever is done to one, it is read or refused, never a panic.

use crate::model_files::{Gguf, config, write_folder, write_json};
use proptest::prelude::*;
use std::path::Path;
use std::sync::OnceLock;
use temper_artifact::ModelSource;

/// Opens a model and reads everything there is.
fn read_all(path: &Path) {
    let Ok(source) = ModelSource::open(path) else { return };
    for info in source.tensors() {
        let tensor = source.tensor(&info.name).expect("it was checked");
        assert_eq!(tensor.to_f32().len(), info.elements());
    }
    let _ = source.tokenizer();
}

/// A good safetensors file; made once, since each writing waits for the disk.
fn weights() -> &'static [u8] {
    static WEIGHTS: OnceLock<Vec<u8>> = OnceLock::new();
    WEIGHTS.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        write_folder(folder.path());
        std::fs::read(folder.path().join("model.safetensors")).expect("read")
    })
}

/// Cut at a point, and with some bytes changed; positions are fractions of the length.
fn damage() -> impl Strategy<Value = (f64, Vec<(f64, u8)>)> {
    (prop_oneof![Just(1.0), 0.0..1.0f64], prop::collection::vec((0.0..1.0f64, any::<u8>()), 0..6))
}

fn damaged(whole: &[u8], cut: f64, changes: &[(f64, u8)]) -> Vec<u8> {
    let mut bytes = whole[..(whole.len() as f64 * cut) as usize].to_vec();
    for &(at, value) in changes {
        let at = (bytes.len() as f64 * at) as usize;
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= value;
        }
    }
    bytes
}

/// The share of a small file that is header: changes there matter most.
fn in_header(whole: &[u8], header: usize, changes: Vec<(f64, u8)>) -> Vec<(f64, u8)> {
    changes.into_iter().map(|(at, value)| (at * header as f64 / whole.len() as f64, value)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_gguf((cut, changes) in damage()) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.gguf");
        let whole = Gguf::llama().bytes();
        let data: usize = Gguf::llama().tensors.iter().map(|tensor| tensor.3.len().next_multiple_of(32)).sum();
        let changes = in_header(&whole, whole.len() - data, changes);
        std::fs::write(&path, damaged(&whole, cut, &changes)).expect("written");
        read_all(&path);
    }

    #[test]
    fn damaged_safetensors((cut, changes) in damage()) {
        let folder = tempfile::tempdir().expect("a folder");
        write_json(&folder.path().join("config.json"), &config());
        let path = folder.path().join("model.safetensors");
        let whole = weights();
        let header = 8 + u64::from_le_bytes(*whole.first_chunk().expect("eight bytes")) as usize;
        let changes = in_header(whole, header, changes);
        std::fs::write(&path, damaged(whole, cut, &changes)).expect("written");
        read_all(folder.path());
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.gguf");
        std::fs::write(&path, [b"GGUF\x03\0\0\0", bytes.as_slice()].concat()).expect("written");
        read_all(&path);
        std::fs::write(folder.path().join("model.safetensors"), weights()).expect("written");
        std::fs::write(folder.path().join("config.json"), &bytes).expect("written");
        read_all(folder.path());
    }
}

#[test]
fn every_truncation_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    let whole = Gguf::llama().bytes();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).expect("written");
        assert!(ModelSource::open(&path).is_err(), "{length} of {}", whole.len());
    }
}
