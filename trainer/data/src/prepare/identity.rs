//! The digest of everything that a job's tokens depend on.

use crate::Error;
use crate::example::Encoder;
use crate::rows::Shards;
use temper_artifact::digest;
use temper_contract::Event;
use temper_contract::config::{Dataset, Validation};

/// Changes whenever the code makes other tokens or another layout of the same input.
const CODE: &str = "temper-data 3";

/// SHA-256 over the code's version, the settings, the tokenizer, the templates with the day that they write, and the names and contents of
/// the data files. Where the files lie and when they were written does not matter.
pub(super) fn of(
    dataset: &Dataset,
    encoder: &Encoder,
    shards: [Option<&Shards>; 2],
    on_event: &mut dyn FnMut(Event),
) -> Result<String, Error> {
    let validation = match dataset.validation {
        None => "none".to_owned(),
        Some(Validation::Split(fraction)) => format!("split {fraction} {}", dataset.seed),
        Some(Validation::Path(_)) => "path".to_owned(),
    };
    let mut parts =
        vec![CODE.to_owned(), format!("{:?}", dataset.format), format!("{:?}", dataset.filters), dataset.packing.to_string(), validation];
    parts.extend(encoder.digest_parts());
    let total = shards.iter().flatten().map(|shards| shards.bytes()).sum();
    let mut done = 0;
    for (part, shards) in shards.into_iter().enumerate() {
        for shard in shards.iter().flat_map(|shards| &shards.files) {
            on_event(Event::Preparing { stage: "reading".to_owned(), done, total });
            parts.push(format!("{part} {} {}", shard.name(), digest::file(&shard.path)?));
            done += shard.bytes;
        }
    }
    // Each part with its length, so that none can run into the next.
    let text: String = parts.iter().map(|part| format!("{} {part}\n", part.len())).collect();
    Ok(digest::bytes(text.as_bytes()))
}
