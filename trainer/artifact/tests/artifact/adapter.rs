use crate::model_files::write_folder;
use std::path::Path;
use temper_artifact::{AdapterConfig, AdapterSource, Dtype, Error, ModelConfig, ModelSource, TensorInfo, write};

fn base() -> ModelConfig {
    let folder = tempfile::tempdir().expect("a folder");
    write_folder(folder.path());
    ModelSource::open(folder.path()).expect("opens").config().clone()
}

fn config(targets: &[&str]) -> AdapterConfig {
    AdapterConfig {
        base_model_name_or_path: Some("file:///models/tiny".to_owned()),
        revision: None,
        r: 2,
        lora_alpha: 4.0,
        lora_dropout: 0.1,
        target_modules: targets.iter().map(|&target| target.to_owned()).collect(),
        use_rslora: true,
    }
}

/// An adapter on q_proj; B's rank as given.
fn write_adapter(folder: &Path, rank_of_b: usize) {
    config(&["q_proj"]).write(folder).expect("written");
    let module = "model.layers.0.self_attn.q_proj";
    let tensor = |matrix: &str, shape: Vec<usize>| {
        let info = TensorInfo { name: AdapterConfig::tensor_name(module, matrix), shape, dtype: Dtype::F32 };
        let bytes = 0.5f32.to_le_bytes().repeat(info.elements());
        (info, bytes)
    };
    let tensors = [tensor("lora_A", vec![2, 8]), tensor("lora_B", vec![8, rank_of_b])];
    let tensors: Vec<_> = tensors.iter().map(|(info, bytes)| (info.clone(), bytes.as_slice())).collect();
    write::safetensors(&folder.join("adapter_model.safetensors"), &tensors, &[("format", "pt")]).expect("written");
}

#[test]
fn a_written_adapter_is_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    write_adapter(folder.path(), 2);
    let adapter = AdapterSource::open(folder.path(), &base()).expect("opens");
    assert_eq!(adapter.config(), &config(&["q_proj"]));
    let [module] = adapter.modules() else { panic!("one module") };
    assert_eq!(adapter.lora_a(module).expect("there").to_f32(), vec![0.5; 16]);
    assert_eq!(adapter.lora_b(module).expect("there").info().shape, [8, 2]);
}

#[test]
fn an_adapter_that_does_not_fit_is_refused() {
    let refused = |make: &dyn Fn(&Path)| {
        let folder = tempfile::tempdir().expect("a folder");
        write_adapter(folder.path(), 2);
        make(folder.path());
        AdapterSource::open(folder.path(), &base()).map(|_| ()).expect_err("refused")
    };
    let shape = refused(&|folder| write_adapter(folder, 3)).to_string();
    assert!(shape.contains("q_proj.lora_B.weight") && shape.contains("[8, 3]") && shape.contains("[8, 2]"), "{shape}");
    let more = refused(&|folder| config(&["q_proj", "v_proj"]).write(folder).expect("written")).to_string();
    assert!(more.contains("v_proj.lora_A.weight"), "{more}");
    let other = refused(&|folder| config(&["v_proj"]).write(folder).expect("written")).to_string();
    assert!(other.contains("v_proj.lora_A.weight"), "{other}");
    let pickled = refused(&|folder| {
        std::fs::remove_file(folder.join("adapter_model.safetensors")).expect("removed");
        std::fs::write(folder.join("adapter_model.bin"), b"PK\x03\x04").expect("written");
    });
    assert!(matches!(pickled, Error::Pickle { .. }), "{pickled}");
}
