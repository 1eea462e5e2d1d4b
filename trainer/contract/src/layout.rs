//! Names of the files and folders of a run. All are relative to the run's folder unless said otherwise.

/// The configuration the trainer reads.
pub const CONFIG: &str = "trainer-config.json";
/// `prepare`'s report.
pub const PREPARE_REPORT: &str = "prepare-report.json";
/// `train`'s report.
pub const TRAIN_REPORT: &str = "train-report.json";
/// `publish`'s report.
pub const PUBLISH_REPORT: &str = "publish-report.json";
/// The token cache of the training rows.
pub const TRAIN_CACHE: &str = "cache/train";
/// The token cache of the validation rows.
pub const VALIDATION_CACHE: &str = "cache/validation";
/// Checkpoints, unless the manifest puts them elsewhere.
pub const CHECKPOINTS: &str = "checkpoints";
/// How often ranks were restarted in place (`report::Restarts`); absent before the first time.
pub const RESTARTS: &str = "restarts.json";
/// What `prepare` fetched from a hub or an object store: the base model.
pub const FETCHED_BASE_MODEL: &str = "inputs/base-model";
/// The same: the dataset.
pub const FETCHED_DATASET: &str = "inputs/dataset";
/// The same: held-out rows of their own.
pub const FETCHED_VALIDATION: &str = "inputs/validation";
/// Logs of the stages.
pub const LOGS: &str = "logs";
/// One line an optimizer step (`StepRecord` as JSON), for plots and tests.
pub const STEP_LOG: &str = "steps.jsonl";

/// In the checkpoint folder, the folder of an attempt's checkpoints.
pub fn attempt_folder(attempt: u64) -> String {
    format!("attempt-{attempt}")
}

/// In an attempt's folder, the folder of one checkpoint.
pub fn step_folder(step: u64) -> String {
    format!("step-{step:08}")
}

/// The attempt and the step of a checkpoint, by the path or URI of its folder.
pub fn checkpoint_of(folder: &str) -> Option<(u64, u64)> {
    let mut names = folder.trim_end_matches('/').rsplit('/');
    let step = names.next()?.strip_prefix("step-")?.parse().ok()?;
    let attempt = names.next()?.strip_prefix("attempt-")?.parse().ok()?;
    Some((attempt, step))
}

/// In a checkpoint's folder, the manifest: written last, so a checkpoint without it does not exist.
pub const CHECKPOINT_MANIFEST: &str = "manifest.json";

#[cfg(test)]
mod tests {
    use super::{attempt_folder, checkpoint_of, step_folder};

    #[test]
    fn a_checkpoint_is_known_by_its_folder() {
        let folder = format!("/run/checkpoints/{}/{}", attempt_folder(3), step_folder(60));
        assert_eq!(checkpoint_of(&folder), Some((3, 60)));
        assert_eq!(checkpoint_of(&format!("s3://bucket/{folder}/")), Some((3, 60)));
        for other in ["", "/run/checkpoints", "attempt-3", "step-00000060", "attempt-x/step-1", "attempt-1/step-"] {
            assert_eq!(checkpoint_of(other), None, "{other}");
        }
    }
}
