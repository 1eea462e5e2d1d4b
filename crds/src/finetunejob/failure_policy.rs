//! `spec.failurePolicy`.

use crate::default::{default_is_empty_object, number};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What to put up with before the job fails.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailurePolicy {
    /// How many times the job may start again after a failure: processes restarted in place and new attempts together. Preemption,
    /// suspension and wrong input do not count: the first two always continue, the last one fails at once.
    #[serde(default = "number::<3>")]
    #[schemars(range(min = 0, max = 1000))]
    pub max_restarts: u32,
    /// Seconds without a finished optimizer step after which the processes are started again from the last checkpoint.
    #[serde(default = "number::<900>")]
    #[schemars(range(min = 10, max = 86_400))]
    pub stall_timeout_seconds: u32,
}

default_is_empty_object!(FailurePolicy);
