//! Accepting clients and carrying out the faults.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use http::{Request as HttpRequest, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinSet, block_in_place};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::body::{self, AnswerBody};
use super::fault::Fault;
use super::forward::{Error, Forwarder, Upstream};
use super::request::{Request, Verb};
use super::{Shared, status};
use crate::background::{self, Task};
use crate::control_plane::ControlPlane;
use crate::loopback;

type Answering = Pin<Box<dyn Future<Output = Result<Response<AnswerBody>, Error>> + Send>>;

/// HTTP/2, as TLS names it.
const H2: &[u8] = b"h2";

/// Starts the proxy at an address of its own.
pub(super) fn start(control_plane: &ControlPlane, shared: Arc<Shared>) -> (SocketAddr, Task) {
    let host = loopback::address();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let identity = control_plane.server_identity(host.into());
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).expect("a certificate made here");
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("a key made here");
    let server = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let server = server.expect("ring speaks TLS 1.3").with_no_client_auth().with_single_cert(vec![certificate], key);
    let mut server = server.expect("the key belongs to the certificate");
    // As the API server offers them.
    server.alpn_protocols = vec![H2.to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(server));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(control_plane.authority().into()).expect("a certificate made here");
    let client = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut client = client.expect("ring speaks TLS 1.3").with_root_certificates(roots).with_no_client_auth();
    client.alpn_protocols = vec![H2.to_vec()];
    let upstream = Upstream { address: control_plane.endpoint(), tls: Arc::new(client) };

    let listener = std::net::TcpListener::bind((host, 0)).expect("an address of our own has free ports");
    listener.set_nonblocking(true).expect("a listener can be asynchronous");
    let address = listener.local_addr().expect("a bound socket has an address");
    let task = background::spawn(async move {
        let listener = TcpListener::from_std(listener).expect("the background runtime takes listeners");
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, upstream, shared) = (acceptor.clone(), upstream.clone(), Arc::clone(&shared));
            connections.spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                serve(stream, shared, Forwarder::new(upstream)).await;
            });
        }
    });
    (address, task)
}

/// Answers one client's requests until its connection ends.
async fn serve(stream: TlsStream<TcpStream>, shared: Arc<Shared>, forwarder: Forwarder) {
    let speaks_http2 = stream.get_ref().1.alpn_protocol() == Some(H2);
    let (forwarder, broken) = (Arc::new(forwarder), Arc::new(Notify::new()));
    let breaks = Arc::clone(&broken);
    let service = service_fn(move |request| -> Answering {
        let (shared, forwarder, breaks) = (Arc::clone(&shared), Arc::clone(&forwarder), Arc::clone(&breaks));
        Box::pin(async move {
            let answered = answer(&shared, &forwarder, request).await;
            if answered.is_err() {
                // HTTP/2 would end this one request; a connection that breaks ends all that share it.
                breaks.notify_one();
            }
            answered
        })
    });
    let stream = TokioIo::new(stream);
    // An error is a fault that was asked for, or a client that is gone.
    if speaks_http2 {
        tokio::select! {
            _ = http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service) => {}
            () = broken.notified() => {}
        }
    } else {
        let _ = http1::Builder::new().serve_connection(stream, service).await;
    }
}

async fn answer(shared: &Shared, forwarder: &Forwarder, request: HttpRequest<Incoming>) -> Result<Response<AnswerBody>, Error> {
    let (parts, body) = request.into_parts();
    let read = Request::read(&parts);
    let request = HttpRequest::from_parts(parts, body);
    let healed = changed(shared.heals.subscribe());
    shared.seen.lock().expect("no holder panics").push(read.clone());
    let fault = shared.faults.lock().expect("no holder panics").pick(&read);
    match fault {
        None => stream(shared, forwarder, &read, request).await,
        Some(Fault::Refuse(code)) => Ok(status::answer(code).map(body::whole)),
        Some(Fault::Expire) => Ok(status::expired().map(body::whole)),
        Some(Fault::Lie(code)) => {
            took_effect(forwarder, request).await?;
            Ok(status::answer(code).map(body::whole))
        }
        Some(Fault::LoseAnswer) => {
            took_effect(forwarder, request).await?;
            Err(Error::other("the fault proxy loses the answer"))
        }
        Some(Fault::Swallow) => {
            healed.await;
            Err(Error::other("the fault proxy swallowed the request"))
        }
        Some(Fault::Stall) => Ok(Response::new(body::standing_still(healed))),
        Some(Fault::Delay(duration)) => {
            tokio::time::sleep(duration).await;
            stream(shared, forwarder, &read, request).await
        }
        Some(Fault::Before(hook)) => {
            block_in_place(|| hook(&read));
            stream(shared, forwarder, &read, request).await
        }
        Some(Fault::Instead(hook)) => {
            block_in_place(|| hook(&read));
            Err(Error::other("the fault proxy does something else"))
        }
        Some(Fault::After(hook)) => {
            let answer = stream(shared, forwarder, &read, request).await?;
            block_in_place(|| hook(&read));
            Ok(answer)
        }
    }
}

/// Forwards, and hands the answer on as it comes.
async fn stream(
    shared: &Shared,
    forwarder: &Forwarder,
    read: &Request,
    request: HttpRequest<Incoming>,
) -> Result<Response<AnswerBody>, Error> {
    let cut = changed(shared.cuts.subscribe());
    let answer = forwarder.forward(request).await?;
    let watches = read.verb == Verb::Watch;
    Ok(answer.map(|answer| {
        body::until(answer, async move {
            if watches {
                cut.await;
            } else {
                std::future::pending().await
            }
        })
    }))
}

/// Forwards and drops the answer; the API server begins to answer when a write is in etcd.
async fn took_effect(forwarder: &Forwarder, request: HttpRequest<Incoming>) -> Result<(), Error> {
    forwarder.forward(request).await.map(drop)
}

/// Ready when the value changes from what it is at the time of the call.
fn changed(mut receiver: watch::Receiver<u64>) -> impl Future<Output = ()> + Send + Sync + 'static {
    receiver.mark_unchanged();
    async move {
        if receiver.changed().await.is_err() {
            // The proxy is gone, and its connections are about to be.
            std::future::pending().await
        }
    }
}
