//! The life of the process: serve probes, wait for the CRDs, be elected, let the controllers work, stop.

use crate::args::OperatorArgs;
use crate::client::{self, Patience};
use crate::clock::Moment;
use crate::discovery::await_crds;
use crate::exit::Exit;
use crate::health::{self, Condition, Health};
use crate::leader::{Elector, Fence};
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;
use anyhow::{Context, anyhow};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, Config};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How long reconciles that run may take to end once the process is asked to stop. Kubernetes kills it 30 seconds after asking.
const GRACE: Duration = Duration::from_secs(20);

/// What controllers work with while this process leads.
#[derive(Clone)]
pub struct Leadership {
    /// To the API server. Requests are counted, and writes refused once this process may not lead any more.
    pub client: Client,
    /// The command line.
    pub args: Arc<OperatorArgs>,
    /// Namespace of the operator's own pods.
    pub operator_namespace: String,
    /// What this replica calls itself.
    pub identity: String,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What the probes tell. Controllers say when their caches are filled, and which reconciles run.
    pub health: Health,
    /// Once it is requested no new reconcile begins; those that run are finished, and the controllers' future ends.
    pub shutdown: Shutdown,
}

/// Runs the operator until it is asked to stop or another replica leads. `controllers` is called once, when this process leads.
///
/// # Errors
/// When something unexpected ends it.
pub async fn run<C, F>(args: OperatorArgs, controllers: C) -> anyhow::Result<Exit>
where
    C: FnOnce(Leadership) -> F,
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let shutdown = Shutdown::on_signals().context("failed to receive signals")?;
    let address = args.observability.http_address;
    let listener = TcpListener::bind(address).await.with_context(|| format!("--http-address {address}: failed to listen there"))?;
    let config = client::access(args.cluster.kubeconfig.as_deref()).await?;

    let health = Health::default();
    let metrics = Arc::new(Metrics::new());
    let fence = Arc::new(if args.election.leader_election { Fence::unopened() } else { Fence::always_open() });
    count_before_scrapes(&metrics, &health, &fence);
    let patience = Patience::with_writes(args.election.longest_write());
    let unfenced = client::unfenced(&config, patience, &metrics)?;
    let fenced = client::fenced(&config, patience, &fence, &metrics)?;

    let lease_namespace = args.election.lease_namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let identity = args.identity();
    announce(&args, &config, &identity);
    let elector = args.election.leader_election.then(|| {
        let leases = Api::<Lease>::namespaced(unfenced.clone(), &lease_namespace);
        Elector::new(leases, &args.election.lease_name, &identity, args.election.timing(), Arc::clone(&fence), health.clone())
    });
    let probes = tokio::spawn(health::serve(listener, health.clone(), Arc::clone(&metrics)));
    let leadership = Leadership {
        client: fenced,
        operator_namespace: args.cluster.operator_namespace.clone().unwrap_or(lease_namespace),
        args: Arc::new(args),
        identity,
        metrics,
        health,
        shutdown,
    };
    let exit = live(leadership, elector, &unfenced, controllers).await;
    probes.abort();
    exit
}

async fn live<C, F>(leadership: Leadership, mut elector: Option<Elector>, unfenced: &Client, controllers: C) -> anyhow::Result<Exit>
where
    C: FnOnce(Leadership) -> F,
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let Leadership { health, metrics, shutdown, identity, .. } = leadership.clone();
    let candidacy = async {
        await_crds(unfenced, &health.readiness, &metrics).await;
        if let Some(elector) = &mut elector {
            elector.acquire().await;
        }
    };
    if shutdown.or(candidacy).await.is_none() {
        return Ok(Exit::Stopped);
    }
    tracing::info!(identity, "this replica leads");
    health.readiness.waits(Condition::Caches, "the caches are being filled");

    let overdue = async {
        shutdown.requested().await;
        sleep(GRACE).await;
    };
    let lost = async {
        match &mut elector {
            Some(elector) => elector.hold().await.to,
            None => std::future::pending().await,
        }
    };
    // A task of its own: each wake-up of the future that the runtime blocks on goes through the kernel.
    let mut work = JoinSet::new();
    work.spawn(controllers(leadership));
    let ended = {
        let (overdue, lost) = (pin!(overdue), pin!(lost));
        tokio::select! {
            biased;
            to = lost => {
                tracing::error!(leader = to, "another replica leads now; this process ends, so that nothing of its time as leader is left");
                return Ok(Exit::LostLeadership);
            }
            Some(result) = work.join_next() => Some(result.unwrap_or_else(|panic| Err(panic.into()))),
            () = overdue => None,
        }
    };
    work.shutdown().await;
    match ended {
        Some(Err(error)) => Err(error.context("the controllers failed")),
        Some(Ok(())) if !shutdown.is_requested() => Err(anyhow!("the controllers ended, though nobody asked them to")),
        Some(Ok(())) => {
            if let Some(elector) = &mut elector {
                elector.release().await;
            }
            Ok(Exit::Stopped)
        }
        None => {
            // What was sent may still have an effect, so the lease is left to run out.
            tracing::warn!("reconciles were still running {} s after the request to stop; they are cut off", GRACE.as_secs());
            Ok(Exit::Stopped)
        }
    }
}

fn announce(args: &OperatorArgs, config: &Config, identity: &str) {
    let namespace = args.cluster.namespace.as_deref().unwrap_or("(all)");
    let (version, api_server) = (env!("CARGO_PKG_VERSION"), config.cluster_url.to_string());
    tracing::info!(version, api_server, namespace, identity, leader_election = args.election.leader_election, "temper-operator starts");
}

/// Gauges that follow from what is known anyway.
fn count_before_scrapes(metrics: &Metrics, health: &Health, fence: &Arc<Fence>) {
    let (health, fence) = (health.clone(), Arc::clone(fence));
    metrics.before_scrape(move |metrics| {
        metrics.leader(fence.admits(Moment::now()));
        metrics.reconciles_running(health.watchdog.running());
        for condition in Condition::ALL {
            if let Some(met) = health.readiness.is_met(condition) {
                metrics.ready(condition.name(), met);
            }
        }
    });
}
