//! Environment variables of a pod.

use crate::names;
use crate::ports;
use crate::settings::Settings;
use crate::volumes::SCRATCH;
use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, ObjectFieldSelector};
use std::collections::BTreeMap;
use temper_contract::env;
use temper_planner::ValidatedFineTuneJob;

/// Where the Job controller notes which of an Indexed Job's pods a pod is.
const COMPLETION_INDEX: &str = "metadata.annotations['batch.kubernetes.io/job-completion-index']";
/// Where the kubelet reads a container's last word.
pub(crate) const TERMINATION_MESSAGE: &str = "/dev/termination-log";

/// Variables by name: the API takes each name once.
pub(crate) struct Variables(BTreeMap<String, EnvVar>);

impl Variables {
    /// What every stage's pods get: about the cluster, then the job's own, then ours.
    pub(crate) fn of_stage(job: &ValidatedFineTuneJob, settings: &Settings, attempt: u64) -> Self {
        let mut variables = Self(BTreeMap::new());
        for (name, value) in settings.environment.iter().chain(job.env.iter().map(|(name, value)| (name, value))) {
            variables.set(name, escaped(value));
        }
        variables.set("HOME", SCRATCH);
        variables.set("TMPDIR", SCRATCH);
        variables.set(env::ATTEMPT, attempt.to_string());
        variables.set(env::LOG_FORMAT, "json");
        variables.set(env::TERMINATION_MESSAGE_PATH, TERMINATION_MESSAGE);
        variables.set(env::OMP_NUM_THREADS, job.parallelism.threads_per_proc.to_string());
        variables
    }

    /// What a training node gets besides.
    pub(crate) fn with_node(mut self, job: &str, attempt: u64, world_size: usize) -> Self {
        self.set(env::MASTER_ADDR, names::node_address(job, attempt, 0));
        self.set(env::MASTER_PORT, ports::RENDEZVOUS.to_string());
        self.set(env::WORLD_SIZE, world_size.to_string());
        self.set(env::METRICS_PORT, ports::METRICS.to_string());
        let index = ObjectFieldSelector { api_version: None, field_path: COMPLETION_INDEX.to_owned() };
        let source = EnvVarSource { field_ref: Some(index), ..EnvVarSource::default() };
        let node_rank = EnvVar { name: env::NODE_RANK.to_owned(), value: None, value_from: Some(source) };
        self.0.insert(env::NODE_RANK.to_owned(), node_rank);
        self
    }

    /// As a container has them.
    pub(crate) fn into_list(self) -> Vec<EnvVar> {
        self.0.into_values().collect()
    }

    fn set(&mut self, name: &str, value: impl Into<String>) {
        let variable = EnvVar { name: name.to_owned(), value: Some(value.into()), value_from: None };
        self.0.insert(name.to_owned(), variable);
    }
}

/// A value that the kubelet hands on as it is, though it replaces `$(NAME)` in values.
fn escaped(value: &str) -> String {
    value.replace('$', "$$")
}
