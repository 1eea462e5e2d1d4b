//! Asking a plain HTTP server one thing: an operator's probes and metrics.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub text: String,
}

/// Asks for a path; an error says in words why there is no answer.
pub async fn get(server: SocketAddr, path: &str) -> Result<Answer, String> {
    request(server, path).await.map_err(|error| format!("http://{server}{path}: {error}"))
}

async fn request(server: SocketAddr, path: &str) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TokioIo::new(TcpStream::connect(server).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    let request = http::Request::get(path).header("host", server.to_string()).body(Empty::<Bytes>::new())?;
    let conversation = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await?.to_bytes();
        // Ends the connection, and with it the future beside this one.
        drop(sender);
        Ok::<_, hyper::Error>(Answer { status, text: String::from_utf8_lossy(&body).into_owned() })
    };
    let (answer, closed) = futures::join!(conversation, connection);
    // A connection that breaks after the answer took nothing away.
    answer.map_err(|error| closed.err().unwrap_or(error).into())
}
