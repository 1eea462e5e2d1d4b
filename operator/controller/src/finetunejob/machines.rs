//! The labels of machines whose GPUs tell their memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use temper_planner::{ValidatedFineTuneJob, gpu_memory};

/// Labels by the machine's name.
type Labels = BTreeMap<String, BTreeMap<String, String>>;

/// What is known of the machines. Empty where the operator looks at one namespace only: then it may not see them.
#[derive(Debug, Default)]
pub struct Machines(Mutex<Labels>);

impl Machines {
    /// A machine has these labels.
    pub fn put(&self, name: String, labels: BTreeMap<String, String>) {
        self.labels().insert(name, labels);
    }

    /// A machine is gone, or tells no memory any more.
    pub fn remove(&self, name: &str) {
        self.labels().remove(name);
    }

    /// They are listed anew.
    pub fn clear(&self) {
        self.labels().clear();
    }

    /// The memory in bytes of a GPU that the job may get, where it is known.
    pub fn gpu_memory(&self, job: &ValidatedFineTuneJob) -> Option<u64> {
        gpu_memory::largest(job, self.labels().values())
    }

    fn labels(&self) -> MutexGuard<'_, Labels> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
