//! Everything that must exist for an intent, in the order in which to apply it.

use crate::claim::claim;
use crate::config::trainer_config;
use crate::config_map::config_map;
use crate::job;
use crate::network_policy;
use crate::object::Object;
use crate::owner::Owner;
use crate::places::Places;
use crate::service::service;
use crate::settings::Settings;
use crate::work::{Try, Work};
use temper_contract::TrainerConfig;
use temper_planner::ValidatedFineTuneJob;

/// For `Intent::EnsurePrepare`.
pub fn prepare(job: &ValidatedFineTuneJob, owner: &Owner, settings: &Settings, attempt: u64) -> Vec<Object> {
    transfer(job, owner, settings, Try { number: attempt, work: Work::Prepare })
}

/// For `Intent::EnsureTrainers`. `max_restarts` is the configuration's (see [`trainer_config`]).
pub fn trainers(
    job: &ValidatedFineTuneJob,
    owner: &Owner,
    settings: &Settings,
    attempt: u64,
    num_nodes: usize,
    num_proc_per_node: usize,
    max_restarts: u64,
) -> Vec<Object> {
    let mut config = trainer_config(job, owner, max_restarts);
    (config.parallelism.num_nodes, config.parallelism.num_proc_per_node) = (num_nodes, num_proc_per_node);
    let policy = network_policy::of_ranks(owner, settings, config.parallelism.world_size(), config.checkpoint.mirror.is_some());
    let batch_job = job::of(job, owner, settings, Try { number: attempt, work: Work::Train { num_nodes, num_proc_per_node } });
    let mut objects = foundation(job, owner, settings, num_nodes, &config);
    objects.extend([Object::NetworkPolicy(Box::new(policy)), Object::Service(Box::new(service(owner))), Object::Job(Box::new(batch_job))]);
    stamped(objects)
}

/// For `Intent::EnsurePublish`. `parameters` is the model's number of them, where it is known: they are all held in memory.
pub fn publish(job: &ValidatedFineTuneJob, owner: &Owner, settings: &Settings, attempt: u64, parameters: Option<u64>) -> Vec<Object> {
    transfer(job, owner, settings, Try { number: attempt, work: Work::Publish { parameters } })
}

/// A stage of one pod that may go anywhere.
fn transfer(job: &ValidatedFineTuneJob, owner: &Owner, settings: &Settings, attempt: Try) -> Vec<Object> {
    // The same as the first training attempt's, so that between stages the ConfigMap is seldom written.
    let config = trainer_config(job, owner, job.max_restarts);
    let mut objects = foundation(job, owner, settings, job.parallelism.num_nodes, &config);
    objects.extend([
        Object::NetworkPolicy(Box::new(network_policy::of_transfer(owner))),
        Object::Job(Box::new(job::of(job, owner, settings, attempt))),
    ]);
    stamped(objects)
}

/// What every stage needs: the job's own volume, if it has one, and the configuration.
fn foundation(job: &ValidatedFineTuneJob, owner: &Owner, settings: &Settings, num_nodes: usize, config: &TrainerConfig) -> Vec<Object> {
    let places = Places::of(job, owner);
    let volume = places.run_claim().map(|name| Object::PersistentVolumeClaim(Box::new(claim(owner, settings, name, num_nodes))));
    volume.into_iter().chain([Object::ConfigMap(Box::new(config_map(owner, config)))]).collect()
}

fn stamped(objects: Vec<Object>) -> Vec<Object> {
    objects.into_iter().map(Object::stamped).collect()
}
