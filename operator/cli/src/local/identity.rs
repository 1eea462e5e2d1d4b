//! What makes two runs the same: the job's name, its resolved specification and the content of its inputs.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Digests of what a run reads, by the manifest's field.
pub type Inputs = BTreeMap<String, String>;

/// A run's identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The job's name.
    pub name: String,
    /// SHA-256 over the specification's and the inputs' digests.
    pub digest: String,
}

impl Identity {
    /// The identity of a job whose resolved specification has this digest and that has these inputs.
    pub fn of(name: &str, spec_digest: &str, inputs: &Inputs) -> Self {
        let lines: String = inputs.iter().map(|(field, digest)| format!("\n{field} {digest}")).collect();
        Self { name: name.to_owned(), digest: temper_artifact::digest::bytes(format!("{spec_digest}{lines}").as_bytes()) }
    }

    /// The name of the run's folder.
    pub fn run_name(&self) -> String {
        let digits = self.digest.strip_prefix("sha256:").unwrap_or(&self.digest);
        format!("{}-{}", self.name, &digits[..8.min(digits.len())])
    }
}

#[cfg(test)]
mod tests {
    use super::{Identity, Inputs};

    #[test]
    fn inputs_matter_and_the_folder_is_named_for_the_job() {
        let inputs = |digest: &str| Inputs::from([("spec.baseModel".to_owned(), digest.to_owned())]);
        let of = |spec: &str, input: &str| Identity::of("listings", spec, &inputs(input));
        assert_eq!(of("a", "b"), of("a", "b"));
        assert!(of("a", "b").digest != of("a", "c").digest && of("a", "b").digest != of("c", "b").digest);
        let name = of("a", "b").run_name();
        assert!(name.starts_with("listings-") && name.len() == "listings-".len() + 8, "{name}");
    }
}
