//! One try at a stage, as far as what is made for it differs.

use temper_planner::Stage;

/// One try at a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Try {
    /// Counted from 0.
    pub(crate) number: u64,
    pub(crate) work: Work,
}

/// What its pods do, and what decides how many and how large they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// One pod, which needs no accelerator.
    Prepare,
    /// One pod a node.
    Train { num_nodes: usize, num_proc_per_node: usize },
    /// One pod, which needs no accelerator and holds so many parameters in memory, where it is known how many.
    Publish { parameters: Option<u64> },
}

impl Try {
    /// The stage.
    pub(crate) fn stage(&self) -> Stage {
        match self.work {
            Work::Prepare => Stage::Prepare,
            Work::Train { .. } => Stage::Train,
            Work::Publish { .. } => Stage::Publish,
        }
    }
}
