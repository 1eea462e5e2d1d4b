//! A collective under way.

use crate::bridge::ffi;
use crate::error::Error;
use crate::store::milliseconds;
use cxx::UniquePtr;
use std::time::Duration;

/// A collective that runs in the background. Until [`Work::wait`] has returned, its tensors belong to it: neither read
/// nor write them. c10d keeps their memory alive, so a work dropped without waiting is merely of unknown outcome.
#[must_use = "the tensors hold the result only after wait() has returned Ok"]
pub struct Work {
    collective: UniquePtr<ffi::Collective>,
    what: &'static str,
}

// SAFETY: c10d::Work guards its state with its own mutex, and c10d itself completes it from another thread.
unsafe impl Send for Work {}
// SAFETY: as above.
unsafe impl Sync for Work {}

impl Work {
    pub(crate) fn new(collective: UniquePtr<ffi::Collective>, what: &'static str) -> Self {
        Self { collective, what }
    }

    /// Waits for the end of the collective. On an error, the group is of no more use: a peer is gone or late.
    ///
    /// A peer's death is noticed at once, a hung peer when `timeout` or the group's own timeout passes, whichever is first.
    pub fn wait(&self, timeout: Duration) -> Result<(), Error> {
        let outcome = self.collective.wait(milliseconds(timeout));
        outcome.map_err(|exception| Error::from_exception(self.what, timeout, &exception))
    }

    /// Whether the collective has ended, well or not: `wait` then returns at once.
    pub fn is_completed(&self) -> Result<bool, Error> {
        self.collective.is_completed().map_err(|exception| Error::from_exception(self.what, Duration::ZERO, &exception))
    }
}

impl std::fmt::Debug for Work {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Work").field("what", &self.what).finish_non_exhaustive()
    }
}
