//! One client's connection, and the connection to the API server behind it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http::header::HOST;
use http::uri::Scheme;
use http::{Request as HttpRequest, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

/// Why a request could not be forwarded.
pub(super) type Error = io::Error;

/// Where the API server is.
#[derive(Clone)]
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    pub(super) tls: Arc<rustls::ClientConfig>,
}

/// A connection to the API server that serves one client connection, all of its requests at the same time.
pub(super) struct Forwarder {
    upstream: Upstream,
    sender: Mutex<Option<SendRequest<Incoming>>>,
}

impl Forwarder {
    pub(super) fn new(upstream: Upstream) -> Self {
        Self { upstream, sender: Mutex::new(None) }
    }

    /// Hands a request on with everything that the client said, its bearer token included, and returns the answer once it begins.
    pub(super) async fn forward(&self, mut request: HttpRequest<Incoming>) -> Result<Response<Incoming>, Error> {
        let mut uri = request.uri().clone().into_parts();
        uri.scheme = Some(Scheme::HTTPS);
        uri.authority = Some(self.upstream.address.to_string().parse().expect("an address is an authority"));
        *request.uri_mut() = Uri::from_parts(uri).expect("a path at an authority");
        // In HTTP/2 the URI says it.
        request.headers_mut().remove(HOST);
        self.open().await?.send_request(request).await.map_err(Error::other)
    }

    async fn open(&self) -> Result<SendRequest<Incoming>, Error> {
        let mut kept = self.sender.lock().await;
        if let Some(open) = kept.as_mut()
            && open.ready().await.is_ok()
        {
            return Ok(open.clone());
        }
        let opened = self.connect().await?;
        *kept = Some(opened.clone());
        Ok(opened)
    }

    async fn connect(&self) -> Result<SendRequest<Incoming>, Error> {
        let stream = TcpStream::connect(self.upstream.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::IpAddress(self.upstream.address.ip().into());
        let stream = TlsConnector::from(Arc::clone(&self.upstream.tls)).connect(name, stream).await?;
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(Error::other)?;
        // It ends when the senders are dropped; how it ends shows in the answers.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }
}
