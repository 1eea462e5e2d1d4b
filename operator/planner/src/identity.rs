//! What makes two jobs the same job.

use crate::validated::ValidatedFineTuneJob;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// The digest of a job's resolved spec, as `sha256:` and 64 hexadecimal digits. A default that is written out changes nothing; neither
/// do `suspend` and `ttlSecondsAfterFinished`, which may change in mid-job, nor the name, which stands beside the digest in an identity.
/// What the URIs name (the inputs) is not read here: the executor adds the inputs' own digests.
pub fn spec_digest(job: &ValidatedFineTuneJob) -> String {
    let json = serde_json::to_value(job).map(sorted).expect("a validated job is plain data with finite numbers");
    let digest = Sha256::digest(json.to_string().as_bytes());
    let hexadecimal: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hexadecimal}")
}

/// The same JSON with every object's fields in the order of their names.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> = fields.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            fields.sort_by(|left, right| left.0.cmp(&right.0));
            Value::Object(Map::from_iter(fields))
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}
