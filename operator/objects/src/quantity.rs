//! Amounts as the API types have them.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::collections::BTreeMap;

/// Amounts by resource name.
pub(crate) type Quantities = BTreeMap<String, Quantity>;

/// The amounts of a spec.
pub(crate) fn quantities(amounts: &BTreeMap<String, temper_crds::Quantity>) -> Quantities {
    amounts.iter().map(|(name, amount)| (name.clone(), Quantity(amount.to_string()))).collect()
}
