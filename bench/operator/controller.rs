//! The two controllers that are compared, as processes.

use anyhow::{Result, bail};
use rustix::process::Signal;
use serde::Serialize;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use temper_cluster_tests::control_plane::Credentials;
use temper_cluster_tests::operator::OperatorOptions;
use temper_cluster_tests::process::Process;
use temper_cluster_tests::{ControlPlane, Namespace, Operator, http, loopback, wait};
use tempfile::TempDir;

/// The image that both put into pods.
const IMAGE: &str = "temper-trainer:test";
/// After it is ready a controller still fills caches, answers their first events and settles.
const SETTLE: Duration = Duration::from_secs(3);

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Side {
    /// temper-operator.
    Ours,
    /// The same on controller-runtime.
    Peer,
}

impl Side {
    /// Both, in the order in which they take turns.
    pub(crate) const BOTH: [Self; 2] = [Self::Ours, Self::Peer];
}

impl fmt::Display for Side {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Ours => "temper-operator",
            Self::Peer => "controller-runtime",
        })
    }
}

/// What they are started from.
pub(crate) struct Program {
    /// temper-operator; `None` for the one that cargo built.
    pub(crate) operator: Option<PathBuf>,
    pub(crate) peer: PathBuf,
}

/// One that runs.
pub(crate) enum Controller {
    Ours(Box<Operator>),
    Peer { process: Process, _folder: TempDir },
}

impl Program {
    /// Starts a controller of a namespace, as a Deployment would, and waits until it works.
    pub(crate) async fn start(&self, side: Side, namespace: &Namespace, credentials: &Credentials) -> Result<Controller> {
        let controller = match side {
            Side::Ours => {
                let options = OperatorOptions::new(namespace, credentials);
                let options = self.operator.iter().fold(options, |options, program| options.program(program.clone()));
                let mut operator = options.start();
                operator.ready().await;
                Controller::Ours(Box::new(operator))
            }
            Side::Peer => self.start_peer(namespace, credentials).await?,
        };
        tokio::time::sleep(SETTLE).await;
        Ok(controller)
    }

    async fn start_peer(&self, namespace: &Namespace, credentials: &Credentials) -> Result<Controller> {
        let plane = ControlPlane::shared();
        let kubeconfig = plane.kubeconfig(plane.url(), &format!("peer-{}", namespace.name()), credentials);
        let address = loopback::address();
        let (metrics, health) = (loopback::port(address), loopback::port(address));
        let folder = tempfile::tempdir()?;
        let name = namespace.name();
        let arguments = [
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--namespace={name}"),
            format!("--operator-namespace={name}"),
            format!("--trainer-image={IMAGE}"),
            format!("--metrics-address={metrics}"),
            format!("--health-address={health}"),
        ];
        let mut process = Process::start("peer", &self.peer, arguments, &folder.path().join("log"));
        await_ready(&mut process, health).await;
        Ok(Controller::Peer { process, _folder: folder })
    }
}

async fn await_ready(process: &mut Process, health: SocketAddr) {
    wait::eventually(wait::PATIENCE, "the peer is ready", async || {
        if let Some(status) = process.ended() {
            panic!("the peer ended with {status}:\n{}", process.last_lines());
        }
        let answer = http::get(health, "/readyz").await?;
        if answer.status == 200 { Ok(()) } else { Err(format!("{}: {}", answer.status, answer.text)) }
    })
    .await;
}

impl Controller {
    /// Its process number.
    pub(crate) fn id(&self) -> u32 {
        match self {
            Self::Ours(operator) => operator.id(),
            Self::Peer { process, .. } => process.id(),
        }
    }

    /// What it has printed.
    pub(crate) fn log(&self) -> String {
        match self {
            Self::Ours(operator) => operator.log(),
            Self::Peer { process, .. } => process.log(),
        }
    }

    /// Asks it to stop and waits until it has.
    pub(crate) async fn stop(self) -> Result<()> {
        let code = match self {
            Self::Ours(mut operator) => Some(operator.stop().await),
            Self::Peer { mut process, .. } => {
                process.signal(Signal::TERM);
                process.wait(wait::PATIENCE).await.code()
            }
        };
        if code != Some(0) {
            bail!("a controller that was asked to stop ended with {code:?}");
        }
        Ok(())
    }
}
