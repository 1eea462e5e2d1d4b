//! `spec.cost`.

use crate::{Decimal, rule};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What the job may cost, by the prices of the operator's price book.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cost {
    /// The job is suspended with a checkpoint when it has cost this much, in the price book's currency.
    #[x_kube(validation = rule::positive("1e9"))]
    pub max_cost: Decimal,
}
