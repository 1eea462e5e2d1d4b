//! Which checkpoint: the attempt it is written under and its step, and the path that says so.

use std::path::Path;
use temper_contract::layout;

/// A committed checkpoint. Ordered as readers prefer them: the highest attempt first of all, then the newest step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id {
    pub(super) attempt: u64,
    pub(super) step: u64,
}

impl Id {
    /// Its path below the checkpoint folder.
    pub(super) fn path(self) -> String {
        format!("{}/{}", layout::attempt_folder(self.attempt), layout::step_folder(self.step))
    }

    /// Which checkpoint a folder of that path is.
    pub(super) fn of(folder: &Path) -> Option<Self> {
        Some(Self { attempt: attempt_of(folder.parent()?)?, step: number_after(folder, "step-")? })
    }
}

/// The attempt whose checkpoints a folder of that path holds.
pub(super) fn attempt_of(folder: &Path) -> Option<u64> {
    number_after(folder, "attempt-")
}

fn number_after(path: &Path, prefix: &str) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix(prefix)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::Id;
    use std::path::Path;

    #[test]
    fn a_checkpoints_path_tells_which_it_is() {
        let id = Id { attempt: 2, step: 30 };
        assert_eq!(id.path(), "attempt-2/step-00000030");
        assert_eq!(Id::of(Path::new("/checkpoints/attempt-2/step-00000030")), Some(id));
        assert_eq!(Id::of(Path::new("attempt-x/step-1")), None);
    }
}
