//! Where the API server is, who we are to it, and how long it may take.

use crate::arguments::cluster::AccessArgs;
use crate::cluster::refusal;
use crate::exit::Stop;
use http::HeaderValue;
use http::header::USER_AGENT;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use std::future::Future;
use std::time::Duration;
use tokio::time::timeout;

/// How long the API server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long it may take to answer. Streams are watched by whoever reads them.
const ANSWER: Duration = Duration::from_secs(30);

/// A way to the API server.
#[derive(Clone)]
pub struct Session {
    /// Sends requests.
    pub client: Client,
    /// The namespace that is meant where none is named.
    pub namespace: String,
    /// The API server's address, for messages.
    pub server: String,
}

impl Session {
    /// Reads the kubeconfig file, or the service account of the pod that this runs in. Nothing is sent yet.
    ///
    /// # Errors
    /// Where there is neither, or what is there cannot be used.
    pub async fn open(arguments: &AccessArgs) -> Result<Self, Stop> {
        let mut config = config(arguments).await?;
        config.connect_timeout = Some(CONNECT);
        config.headers.push((USER_AGENT, HeaderValue::from_static(concat!("temper/", env!("CARGO_PKG_VERSION")))));
        let namespace = arguments.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let server = config.cluster_url.to_string();
        let server = server.trim_end_matches('/').to_owned();
        let client = Client::try_from(config).map_err(|error| refusal::explain(&error, "connect to the cluster", &server))?;
        Ok(Self { client, namespace, server })
    }

    /// Waits for an answer. `what` says what was asked for, as in "list FineTuneJobs".
    ///
    /// # Errors
    /// Where it is refused or does not come; with what to do next.
    pub async fn ask<T>(&self, what: &str, answer: impl Future<Output = kube::Result<T>>) -> Result<T, Stop> {
        match timeout(ANSWER, answer).await {
            Ok(answer) => answer.map_err(|error| self.refused(what, &error)),
            Err(_) => Err(refusal::silent(what, &self.server, ANSWER)),
        }
    }

    /// What to say of an error.
    pub fn refused(&self, what: &str, error: &kube::Error) -> Stop {
        refusal::explain(error, what, &self.server)
    }
}

async fn config(arguments: &AccessArgs) -> Result<Config, Stop> {
    let options = KubeConfigOptions { context: arguments.context.clone(), ..KubeConfigOptions::default() };
    let (kubeconfig, place) = match &arguments.kubeconfig {
        Some(path) => (Kubeconfig::read_from(path), format!("--kubeconfig {}", path.display())),
        None => (Kubeconfig::read(), "the kubeconfig file".to_owned()),
    };
    let is_named = arguments.kubeconfig.is_some() || std::env::var_os("KUBECONFIG").is_some_and(|path| !path.is_empty());
    match kubeconfig {
        // A pod has no kubeconfig file, but an account.
        Err(error) if !is_named && is_absent(&error) && arguments.context.is_none() => {
            Config::incluster().map_err(|_| refusal::no_kubeconfig(&error))
        }
        Err(error) if is_absent(&error) => Err(refusal::no_kubeconfig(&error)),
        Err(error) => Err(refusal::bad_kubeconfig(&place, &error, &[])),
        Ok(kubeconfig) => {
            let contexts: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
            let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
            config.map_err(|error| refusal::bad_kubeconfig(&place, &error, &contexts))
        }
    }
}

/// Whether there is no file at all, or one that says nothing.
fn is_absent(error: &KubeconfigError) -> bool {
    match error {
        KubeconfigError::FindPath => true,
        KubeconfigError::ReadConfig(error, _) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

/// Runs what a command does to its end, on this thread: it waits more than it computes.
///
/// # Errors
/// What the command returns.
pub fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    // Nobody waits for a name to be resolved.
    runtime.shutdown_background();
    result
}
