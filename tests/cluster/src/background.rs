//! A runtime beside those of the tests, for what must go on while a test blocks or has ended its own: the heartbeats of nodes, played
//! kubelets, proxies.

use std::future::Future;
use std::sync::OnceLock;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread().worker_threads(2).thread_name("background").enable_all().build().expect("threads can be started")
    })
}

/// A background task; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts a task in the background.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Task {
    Task(runtime().spawn(future))
}

/// Makes a future in the background, runs it and blocks until it is done; callable inside and outside of async code.
pub(crate) fn wait<T: Send, F: Future<Output = T>>(make: impl FnOnce() -> F + Send) -> T {
    // A thread of its own, since one that runs async code may not block on more of it.
    let done = std::thread::scope(|scope| scope.spawn(|| runtime().block_on(async { make().await })).join());
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
