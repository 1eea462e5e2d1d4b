//! Pure deciders: a spec and what was observed in, the next intents and conditions out.
//!
//! ```text
//! FineTuneJob --validate--> ValidatedFineTuneJob --plan(observed, now)--> Plan { intents, status, wake_at }
//!                                   |
//!                                   +--trainer_config(folders)--> what `temper-trainer` reads
//! ```
//!
//! An executor (the operator's controller, or the command line's local one) observes, calls `plan`, carries out the intents and does it
//! again when something changes or at `wake_at`. Nothing here knows a client, an async runtime, a clock or torch.

pub mod backoff;
pub mod capabilities;
pub mod conditions;
pub mod deadline_policy;
pub mod end;
pub mod gpu_memory;
pub mod identity;
pub mod intent;
pub mod ledger;
pub mod memory_policy;
pub mod observed;
pub mod plan;
pub mod problem;
pub mod progress;
pub mod refusal;
pub mod registration;
pub mod restart_policy;
pub mod stall_policy;
mod status;
pub mod storage_uri;
pub mod trainer_config;
pub mod ttl_policy;
mod validate;
pub mod validated;

pub use capabilities::{Capabilities, Target};
pub use end::{Cause, End};
pub use intent::{Intent, Stage, StopReason};
pub use observed::{Attempt, CheckpointReference, Observed, Obstacle, Progress, Registration, TrainingAttempt};
pub use plan::{Outcome, Plan, Situation, plan};
pub use problem::Problem;
pub use storage_uri::StorageUri;
pub use temper_crds::Timestamp;
pub use trainer_config::{Folders, trainer_config};
pub use validate::validate;
pub use validated::ValidatedFineTuneJob;
