//! The ConfigMap with the trainer's configuration.

use crate::metadata::{metadata, of_job};
use crate::names;
use crate::owner::Owner;
use k8s_openapi::api::core::v1::ConfigMap;
use std::collections::BTreeMap;
use temper_contract::TrainerConfig;

/// The ConfigMap, its JSON laid out for people.
pub(crate) fn config_map(owner: &Owner, config: &TrainerConfig) -> ConfigMap {
    let text = serde_json::to_string_pretty(config).expect("a configuration is plain data with texts for keys");
    ConfigMap {
        metadata: metadata(owner, names::config_map(&owner.name), of_job(&owner.name)),
        data: Some(BTreeMap::from([(names::CONFIG_KEY.to_owned(), text)])),
        binary_data: None,
        immutable: None,
    }
}
