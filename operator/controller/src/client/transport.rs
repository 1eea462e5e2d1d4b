//! Connections to the API server, with a limit on how long anything may take.
//!
//! Where the server offers HTTP/2, one connection carries everything: the watches, or all writes at once. An event then comes in one piece
//! of TLS, where HTTP/1.1's chunks come in three, each of which would wake the process.

use super::guarded::GuardedConnector;
use crate::leader::Fence;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::Config;
use kube::client::{Body, ConfigExt};
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tower::util::BoxCloneService;
use tower::{ServiceBuilder, ServiceExt};

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// Sends requests to the API server.
pub(super) type Connected = BoxCloneService<Request<Body>, Response<Incoming>, BoxError>;

/// How long the API server may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// To accept a connection, TLS included.
    pub connect: Duration,
    /// To say anything at all, while an answer is due or a watch is open.
    pub silence: Duration,
    /// To carry out a write, from when it is sent until the answer begins.
    pub write: Duration,
}

impl Patience {
    /// Writes take no longer than `write`: what a leader sent at the very end of its time must be over when another may lead.
    pub const fn with_writes(write: Duration) -> Self {
        Self { connect: Duration::from_secs(5), silence: Duration::from_secs(super::WATCH_SECONDS as u64 + 5), write }
    }
}

/// A peer that is gone says nothing: it is asked after this much silence, then again and again.
const PROBE_AFTER: Duration = Duration::from_secs(10);
const PROBE_EVERY: Duration = Duration::from_secs(5);
const PROBES: u32 = 3;
/// Connections that nobody uses are closed: each holds TLS buffers.
const IDLE: Duration = Duration::from_secs(20);
/// More than the headers of any answer. Bodies are read piece by piece.
const BUFFER: usize = 32 * 1024;

/// Which version of HTTP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    /// HTTP/2 where the server offers it, or else HTTP/1.1.
    Either,
    /// HTTP/1.1 always: a request that gets no answer takes its connection with it, and the next one opens another. One connection for
    /// everything would fail every request until its pings have found it dead, which is as long as a Lease lasts.
    Http1,
}

/// Connections of their own. With a fence they write only while it is open.
pub(super) fn connected(config: &Config, speaks: Speaks, patience: Patience, fence: Option<Arc<Fence>>) -> Result<Connected, kube::Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(PROBE_AFTER));
    tcp.set_keepalive_interval(Some(PROBE_EVERY));
    tcp.set_keepalive_retries(Some(PROBES));
    // What was sent and is not acknowledged by then is given up by the kernel too, and does not arrive late.
    tcp.set_tcp_user_timeout(Some(if fence.is_some() { patience.write } else { patience.silence }));

    let mut connector = TimeoutConnector::new(encrypted(config, speaks, GuardedConnector::new(tcp, fence))?);
    connector.set_connect_timeout(Some(patience.connect));
    connector.set_read_timeout(Some(patience.silence));
    connector.set_write_timeout(Some(patience.silence));
    // The time counts from when a request is sent, not from when its connection was last used.
    connector.set_reset_reader_on_write(true);

    let client = legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .http1_max_buf_size(BUFFER)
        .timer(TokioTimer::new())
        .http2_keep_alive_interval(PROBE_AFTER)
        .http2_keep_alive_timeout(PROBE_EVERY)
        .build::<_, Body>(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(client);
    Ok(service.boxed_clone())
}

/// TLS, and with it the choice of HTTP/2 or HTTP/1.1, over a connector's connections. A server without TLS is spoken to in HTTP/1.1.
fn encrypted<C>(config: &Config, speaks: Speaks, connector: C) -> Result<HttpsConnector<C>, kube::Error> {
    let mut builder = HttpsConnectorBuilder::new().with_tls_config(config.rustls_client_config()?).https_or_http();
    if let Some(name) = &config.tls_server_name {
        let name = ServerName::try_from(name.clone()).map_err(|error| kube::Error::Service(error.into()))?;
        builder = builder.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    Ok(match speaks {
        Speaks::Either => builder.enable_all_versions().wrap_connector(connector),
        Speaks::Http1 => builder.enable_http1().wrap_connector(connector),
    })
}
