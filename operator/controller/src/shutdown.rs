//! The request to stop: SIGTERM from Kubernetes, SIGINT from a terminal.

use std::io;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Tells everyone who holds it that the process shall stop.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// Requests it.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

impl Shutdown {
    /// A shutdown that happens when the trigger is pulled.
    pub fn new() -> (Trigger, Self) {
        let (sender, receiver) = watch::channel(false);
        (Trigger(sender), Self(receiver))
    }

    /// The shutdown that SIGTERM or SIGINT requests.
    ///
    /// # Errors
    /// When the signals cannot be received.
    pub fn on_signals() -> io::Result<Self> {
        let (trigger, shutdown) = Self::new();
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::spawn(async move {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            tracing::info!(signal = name, "asked to stop");
            trigger.pull();
            // The sender must live on: a channel without one reads as a request too.
            std::future::pending::<()>().await;
        });
        Ok(shutdown)
    }

    /// Whether it was requested.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once it is requested.
    pub async fn requested(&self) {
        // Without a trigger nobody can ask for anything else any more.
        let _ = self.0.clone().wait_for(|requested| *requested).await;
    }

    /// What `work` returns, or `None` if the shutdown is requested first: `work` is then dropped.
    pub async fn or<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.requested() => None,
            value = work => Some(value),
        }
    }
}

impl Trigger {
    /// Requests the shutdown.
    pub fn pull(&self) {
        self.0.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use super::Shutdown;

    #[tokio::test]
    async fn everyone_is_told_also_those_who_ask_late() {
        let (trigger, shutdown) = Shutdown::new();
        assert!(!shutdown.is_requested());
        assert_eq!(shutdown.or(async { 7 }).await, Some(7));
        let early = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.or(std::future::pending::<()>()).await }
        });
        trigger.pull();
        assert_eq!(early.await.expect("it ends"), None);
        assert_eq!(shutdown.or(std::future::pending::<()>()).await, None);
        assert!(shutdown.is_requested());
    }
}
