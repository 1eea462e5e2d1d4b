//! The configuration that a job's trainers read in a cluster.

use crate::owner::Owner;
use crate::places::Places;
use temper_contract::TrainerConfig;
use temper_planner::ValidatedFineTuneJob;

/// The configuration of a job's trainers. `max_restarts` is how many restarts in place the run may make over all its attempts: those that
/// it has made already, which the trainer goes on counting, and those that `Intent::EnsureTrainers` has left.
pub fn trainer_config(job: &ValidatedFineTuneJob, owner: &Owner, max_restarts: u64) -> TrainerConfig {
    let mut config = temper_planner::trainer_config(job, Places::of(job, owner).folders());
    config.failure.max_restarts = max_restarts;
    config
}
