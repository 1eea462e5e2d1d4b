//! Types of Temper's custom resources (group `temper.dev`, version `v1alpha1`), with the CRD YAML generated from them.
//!
//! The API server checks what the schema and its CEL rules say; `manifest` checks the same schema without a server, with line numbers.
//! This crate knows no client, no async runtime and no torch.

// `KubeSchema` expands to a copy of each struct inside a function, with the visibility of the original.
#![allow(unreachable_pub)]
// Printer columns repeat `type_`, which Clippy takes for a repeated attribute.
#![allow(clippy::duplicated_attributes)]

pub mod condition;
pub mod crd;
mod decimal;
mod default;
pub mod finetunejob;
pub mod label;
pub mod manifest;
pub mod modelversion;
mod pattern;
mod quantity;
mod rule;
mod schema;

pub use condition::Condition;
pub use decimal::Decimal;
pub use finetunejob::status::FineTuneJobStatus;
pub use finetunejob::{FineTuneJob, FineTuneJobSpec};
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
pub use k8s_openapi::jiff::Timestamp;
pub use manifest::{Manifest, ParseError, Resource, parse_manifest};
pub use modelversion::{ModelVersion, ModelVersionSpec, ModelVersionStatus, Stage};
pub use quantity::Quantity;

/// The API group of every Temper resource.
pub const GROUP: &str = "temper.dev";
/// The API version of every Temper resource.
pub const VERSION: &str = "v1alpha1";
/// Group and version as they stand in a manifest.
pub const API_VERSION: &str = "temper.dev/v1alpha1";
