//! The kinds of objects that a person asks for.

use kube::discovery::ApiResource;
use temper_crds::{FineTuneJob, ModelVersion};

/// A kind of Temper's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A fine-tuning job.
    FineTuneJob,
    /// A version of a model.
    ModelVersion,
}

impl Kind {
    /// Every kind, in the order in which they are shown.
    pub const ALL: [Self; 2] = [Self::FineTuneJob, Self::ModelVersion];

    /// The kind that a person names: in full, in the plural, or short; with the group or without.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().trim_end_matches(".temper.dev") {
            "ftj" | "finetunejob" | "finetunejobs" => Some(Self::FineTuneJob),
            "mv" | "modelversion" | "modelversions" => Some(Self::ModelVersion),
            _ => None,
        }
    }

    /// As manifests have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FineTuneJob => "FineTuneJob",
            Self::ModelVersion => "ModelVersion",
        }
    }

    /// As `kubectl get -o name` has it.
    pub const fn resource(self) -> &'static str {
        match self {
            Self::FineTuneJob => "finetunejob.temper.dev",
            Self::ModelVersion => "modelversion.temper.dev",
        }
    }

    /// Where the API server has it.
    pub fn api_resource(self) -> ApiResource {
        match self {
            Self::FineTuneJob => ApiResource::erase::<FineTuneJob>(&()),
            Self::ModelVersion => ApiResource::erase::<ModelVersion>(&()),
        }
    }
}
