//! One client's connection, and the connection to the API server behind it.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::HOST;
use http::{Request as HttpRequest, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

/// Why a request could not be forwarded.
pub(super) type Error = Box<dyn std::error::Error + Send + Sync>;

/// Where the API server is.
#[derive(Clone)]
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    pub(super) tls: Arc<rustls::ClientConfig>,
}

/// A connection to the API server that serves one client connection, whose requests follow one another.
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
        let host = self.upstream.address.to_string().parse().expect("an address is a header value");
        request.headers_mut().insert(HOST, host);
        let mut sender = self.sender.lock().await;
        let ready = match sender.as_mut() {
            Some(open) => open.ready().await.is_ok(),
            None => false,
        };
        if !ready {
            *sender = Some(self.connect().await?);
        }
        let open = sender.as_mut().expect("it was opened above");
        Ok(open.send_request(request).await?)
    }

    async fn connect(&self) -> Result<SendRequest<Incoming>, Error> {
        let stream = TcpStream::connect(self.upstream.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::IpAddress(self.upstream.address.ip().into());
        let stream = TlsConnector::from(Arc::clone(&self.upstream.tls)).connect(name, stream).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // It ends when the sender is dropped; how it ends shows in the answers.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(sender)
    }
}
