//! What the executor that a job is validated for can do.

/// Where a job is going to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// As processes on this machine.
    Local,
    /// As pods in a cluster.
    Cluster,
}

/// What the executor can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Where the job is going to run.
    pub target: Target,
    /// Whether there are NVIDIA GPUs and a trainer that uses them.
    pub cuda: bool,
}

impl Capabilities {
    /// This machine, without GPUs.
    pub const LOCAL_CPU: Self = Self { target: Target::Local, cuda: false };
    /// A cluster: whether a machine has GPUs is found out when pods are scheduled.
    pub const CLUSTER: Self = Self { target: Target::Cluster, cuda: true };
}
