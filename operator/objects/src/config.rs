//! The configuration that a job's trainers read in a cluster.

use crate::owner::Owner;
use crate::places::{Places, remote};
use temper_contract::TrainerConfig;
use temper_planner::ValidatedFineTuneJob;

/// The configuration of a job's trainers. `max_restarts` is how many restarts in place the run may make over all its attempts: those that
/// it has made already, which the trainer goes on counting, and those that `Intent::EnsureTrainers` has left.
pub fn trainer_config(job: &ValidatedFineTuneJob, owner: &Owner, max_restarts: u64) -> TrainerConfig {
    let mut config = temper_planner::trainer_config(job, Places::of(job, owner).folders());
    let run_name = owner.run_name();
    // Places that the spec names may serve many jobs: each has its own folder in them.
    if let (Some(mirror), Some(uri)) = (&mut config.checkpoint.mirror, remote(job.checkpoint_location.as_ref(), &run_name)) {
        mirror.uri = uri;
    }
    if let (Some(upload), Some(uri)) = (&mut config.output.upload, remote(job.output_location.as_ref(), &run_name)) {
        upload.uri = uri;
    }
    config.failure.max_restarts = max_restarts;
    config
}
