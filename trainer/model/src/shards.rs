//! Which file of a published model each tensor goes to, in the layout that transformers reads: one `model.safetensors`, or for a larger model
//! `model-00001-of-00003.safetensors` and so on with an index of the tensors. Pure.

use serde_json::{Map, Value, json};
use temper_artifact::TensorInfo;

/// No file is larger than this, in bytes of tensors, unless one tensor alone is: object stores take a file of up to 5 GiB in one request.
pub(crate) const LARGEST: usize = 5_000_000_000;

/// One file and the tensors in it, in their order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shard {
    /// Its name in the model's folder.
    pub(crate) file: String,
    /// What is in it.
    pub(crate) tensors: Vec<TensorInfo>,
}

/// Fills one file after the other with tensors, in their order.
pub(crate) fn cut(tensors: Vec<TensorInfo>, largest: usize) -> Vec<Shard> {
    let mut files: Vec<Vec<TensorInfo>> = vec![Vec::new()];
    let mut room = largest;
    for tensor in tensors {
        let bytes = size(&tensor);
        if bytes > room && files.last().is_some_and(|file| !file.is_empty()) {
            files.push(Vec::new());
            room = largest;
        }
        room = room.saturating_sub(bytes);
        if let Some(file) = files.last_mut() {
            file.push(tensor);
        }
    }
    let count = files.len();
    let name = |number: usize| match count {
        1 => "model.safetensors".to_owned(),
        _ => format!("model-{number:05}-of-{count:05}.safetensors"),
    };
    files.into_iter().enumerate().map(|(index, tensors)| Shard { file: name(index + 1), tensors }).collect()
}

/// `model.safetensors.index.json`; `None` for a single file, which needs none.
pub(crate) fn index(shards: &[Shard]) -> Option<Value> {
    if shards.len() < 2 {
        return None;
    }
    let tensors = || shards.iter().flat_map(|shard| shard.tensors.iter().map(|tensor| (tensor, shard.file.as_str())));
    let total: usize = tensors().map(|(tensor, _)| size(tensor)).sum();
    let files: Map<String, Value> = tensors().map(|(tensor, file)| (tensor.name.clone(), Value::from(file))).collect();
    Some(json!({ "metadata": { "total_size": total }, "weight_map": files }))
}

fn size(tensor: &TensorInfo) -> usize {
    tensor.elements() * tensor.dtype.block_bytes()
}

#[cfg(test)]
mod tests {
    use super::{cut, index};
    use serde_json::json;
    use temper_artifact::{Dtype, TensorInfo};

    fn tensors(sizes: &[usize]) -> Vec<TensorInfo> {
        let tensor = |(index, &bytes): (usize, &usize)| TensorInfo { name: format!("t{index}"), shape: vec![bytes / 4], dtype: Dtype::F32 };
        sizes.iter().enumerate().map(tensor).collect()
    }

    #[test]
    fn files_are_filled_in_order_and_named_as_transformers_names_them() {
        let names = |sizes: &[usize]| {
            let shards = cut(tensors(sizes), 100);
            shards.into_iter().map(|shard| (shard.file, shard.tensors.len())).collect::<Vec<_>>()
        };
        let file = |number: usize, count: usize| format!("model-{number:05}-of-{count:05}.safetensors");
        assert_eq!(names(&[40, 60]), [("model.safetensors".to_owned(), 2)]);
        assert_eq!(names(&[40, 64, 36]), [(file(1, 2), 1), (file(2, 2), 2)]);
        assert_eq!(names(&[200, 4, 200]), [(file(1, 3), 1), (file(2, 3), 1), (file(3, 3), 1)], "one tensor is never cut");
    }

    #[test]
    fn an_index_says_where_each_tensor_is() {
        assert_eq!(index(&cut(tensors(&[40, 60]), 100)), None);
        let (first, second) = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors");
        assert_eq!(
            index(&cut(tensors(&[40, 64, 36]), 100)),
            Some(json!({ "metadata": { "total_size": 140 }, "weight_map": { "t0": first, "t1": second, "t2": second } }))
        );
    }
}
