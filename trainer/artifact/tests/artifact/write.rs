use temper_artifact::write::{self, SafetensorsWriter};
use temper_artifact::{Dtype, SafetensorsFile, TensorInfo};

fn infos() -> [TensorInfo; 2] {
    let info = |name: &str, shape: &[usize], dtype| TensorInfo { name: name.to_owned(), shape: shape.to_vec(), dtype };
    [info("z", &[2], Dtype::F32), info("a", &[3], Dtype::BF16)]
}

#[test]
fn bytes_follow_the_given_order_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.safetensors");
    let [z, a] = infos();
    write::safetensors(&path, &[(z, &[1; 8]), (a, &[2; 6])], &[("format", "pt")]).expect("written");
    let mut header = br#"{"__metadata__":{"format":"pt"},"z":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"BF16","shape":[3],"data_offsets":[8,14]}}"#.to_vec();
    header.resize(header.len().next_multiple_of(8), b' ');
    let expected = [(header.len() as u64).to_le_bytes().as_slice(), &header, &[1; 8], &[2; 6]].concat();
    assert_eq!(std::fs::read(&path).expect("read"), expected);
    let file = SafetensorsFile::open(&path).expect("opens");
    assert_eq!(file.tensors().cloned().collect::<Vec<_>>(), infos());
    assert_eq!(file.metadata().get("format").map(String::as_str), Some("pt"));
}

#[test]
fn an_unfinished_file_is_not_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.safetensors");
    std::fs::write(&path, "old").expect("written");
    let create = || SafetensorsWriter::create(&path, &infos(), &[]).expect("created");
    let mut wrong = create();
    assert!(wrong.tensor(&[0; 7]).expect_err("refused").to_string().contains("7 bytes were given for its 8"));
    drop(wrong);
    let mut short = create();
    short.tensor(&[0; 8]).expect("taken");
    assert!(short.finish().expect_err("refused").to_string().contains("not given"));
    assert_eq!(std::fs::read_to_string(&path).expect("read"), "old");
    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1);
    write::atomic_json(&path, &[1, 2]).expect("written");
    assert_eq!(std::fs::read_to_string(&path).expect("read"), "[\n  1,\n  2\n]\n");
    assert_eq!(std::fs::read_dir(folder.path()).expect("listed").count(), 1);
}
