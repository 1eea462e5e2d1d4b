//! Kubernetes objects that a plan's intents stand for, as pure functions.
//!
//! ```text
//! EnsurePrepare  --prepare-->   [claim] ConfigMap  NetworkPolicy J-transfer  Job J-prepare-N
//! EnsureTrainers --trainers-->  [claim] ConfigMap  NetworkPolicy J-ranks  Service J-ranks  Job J-aN (Indexed, one pod a node)
//! EnsurePublish  --publish-->   [claim] ConfigMap  NetworkPolicy J-transfer  Job J-publish-N
//! Register       --model_version--> ModelVersion MODEL-vN
//! ```
//!
//! Each returns everything that must exist for its intent, in the order in which to apply it; what is there already needs nothing more.
//! Claims and Jobs cannot be changed once they are made ([`Object::is_made_once`]): create them where they are missing and leave them
//! alone otherwise. Nothing here fails, knows a client or reads a clock.

mod claim;
pub mod config;
mod config_map;
mod environment;
mod failure_policy;
mod job;
mod metadata;
mod model_version;
pub mod names;
mod network_policy;
mod object;
mod owner;
mod placement;
pub mod places;
mod pod;
pub mod ports;
mod quantity;
mod resources;
mod security;
mod service;
mod settings;
mod stages;
mod volumes;
mod work;

pub use config::trainer_config;
pub use model_version::model_version;
pub use object::Object;
pub use owner::Owner;
pub use places::Places;
pub use settings::Settings;
pub use stages::{prepare, publish, trainers};
