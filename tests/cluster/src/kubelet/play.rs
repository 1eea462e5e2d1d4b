//! What a played pod does: how it starts, how it ends, what it makes of SIGTERM.

use crate::metrics_page::MetricsPage;

/// What one pod does from the moment it is seen.
#[derive(Clone, Debug)]
pub struct Play {
    pub(super) start: Start,
    pub(super) then: Option<End>,
    pub(super) stopped: Option<End>,
    pub(super) page: Option<(u16, MetricsPage)>,
}

#[derive(Clone, Debug)]
pub(super) enum Start {
    Runs,
    Unschedulable { message: String },
    Waits { reason: String, message: String },
}

/// How a pod's first container ends. Others end with it, with exit code 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The process exits.
    Exit {
        /// Its exit code.
        code: i32,
        /// Its termination message.
        message: String,
    },
    /// A signal ends the process.
    Signal(i32),
    /// The kernel ends the process for using more memory than its limit.
    OutOfMemory,
    /// The kubelet evicts the pod.
    Evicted {
        /// Why, as the kubelet says it: "The node was low on resource: memory."
        message: String,
    },
}

impl End {
    /// An exit with a termination message.
    pub fn exit(code: i32, message: impl Into<String>) -> Self {
        Self::Exit { code, message: message.into() }
    }
}

impl Play {
    fn starting(start: Start) -> Self {
        Self { start, then: None, stopped: Some(End::exit(143, "")), page: None }
    }

    /// Runs until the test ends it; when it is asked to stop, it exits with 143.
    pub fn runs() -> Self {
        Self::starting(Start::Runs)
    }

    /// Runs, and ends so at once.
    pub fn ends(end: End) -> Self {
        Self { then: Some(end), ..Self::runs() }
    }

    /// Succeeds at once, with a termination message.
    pub fn succeeds(message: impl Into<String>) -> Self {
        Self::ends(End::exit(0, message))
    }

    /// No node takes it.
    pub fn unschedulable(message: impl Into<String>) -> Self {
        Self::starting(Start::Unschedulable { message: message.into() })
    }

    /// Its container does not start: `ImagePullBackOff`, `CreateContainerConfigError`, `ContainerCreating`, ...
    pub fn waits(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self::starting(Start::Waits { reason: reason.into(), message: message.into() })
    }

    /// What it does when it is asked to stop, instead of an exit with 143.
    pub fn when_stopped(self, end: End) -> Self {
        Self { stopped: Some(end), ..self }
    }

    /// Ignores that it is asked to stop, so that it is killed when its grace period is over.
    pub fn ignoring_stop(self) -> Self {
        Self { stopped: None, ..self }
    }

    /// Serves a metrics page on a port of the pod's address for as long as it runs.
    pub fn serving(self, port: u16, page: &MetricsPage) -> Self {
        Self { page: Some((port, page.clone())), ..self }
    }
}
