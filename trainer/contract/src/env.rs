//! Names of environment variables. The first five keep the meanings PyTorch gave them.

/// Host name or address of the TCPStore, which node 0's supervisor serves.
pub const MASTER_ADDR: &str = "MASTER_ADDR";
/// Port of the TCPStore. Unset or 0 on a single node: the system chooses one.
pub const MASTER_PORT: &str = "MASTER_PORT";
/// Number of ranks: nodes times processes a node.
pub const WORLD_SIZE: &str = "WORLD_SIZE";
/// This process's number among all ranks, from 0.
pub const RANK: &str = "RANK";
/// This process's number on its node, from 0.
pub const LOCAL_RANK: &str = "LOCAL_RANK";

/// This node's number, from 0 (a pod's completion index in the cluster).
pub const NODE_RANK: &str = "NODE_RANK";
/// The attempt's number, from 0: fences what an older attempt writes late.
pub const ATTEMPT: &str = "TEMPER_ATTEMPT";
/// The in-place restart's number within the attempt, from 0: separates the rendezvous of one generation from the next's.
pub const GENERATION: &str = "TEMPER_GENERATION";
/// Port of rank 0's metrics; rank n serves on the port plus n. Unset or 0 serves none.
pub const METRICS_PORT: &str = "TEMPER_METRICS_PORT";
/// Where to write the termination message; Kubernetes' `/dev/termination-log` in a pod.
pub const TERMINATION_MESSAGE_PATH: &str = "TEMPER_TERMINATION_MESSAGE_PATH";
/// Process id of the parent, for a child that must not outlive it: the child ends when its parent is another process.
pub const PARENT_PID: &str = "TEMPER_PARENT_PID";
/// `json` makes the trainer log one JSON object a line; anything else, text.
pub const LOG_FORMAT: &str = "TEMPER_LOG_FORMAT";
/// Threads of OpenMP, set to the manifest's threads a process.
pub const OMP_NUM_THREADS: &str = "OMP_NUM_THREADS";
/// Overrides where the command line looks for `temper-trainer`.
pub const TRAINER_BINARY: &str = "TEMPER_TRAINER";
/// Overrides the folder of the command line's runs and registry.
pub const HOME: &str = "TEMPER_HOME";

/// A place in the program at which to die by SIGKILL, `NAME` or `NAME@N` (the Nth time): fault tests only.
pub const KILL_AT: &str = "TEMPER_KILL_AT";
