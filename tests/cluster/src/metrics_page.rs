//! The metrics page that a played trainer serves.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::background::{self, Task};

/// A page whose text a test changes while it is served. Clones are the same page.
#[derive(Clone, Debug, Default)]
pub struct MetricsPage {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    text: String,
    answered: u64,
}

impl MetricsPage {
    /// A page with a text.
    pub fn new(text: impl Into<String>) -> Self {
        let page = Self::default();
        page.set(text);
        page
    }

    /// Changes the text.
    pub fn set(&self, text: impl Into<String>) {
        self.state.lock().expect("no holder panics").text = text.into();
    }

    /// How often it was asked for.
    pub fn answered(&self) -> u64 {
        self.state.lock().expect("no holder panics").answered
    }

    fn answer(&self) -> Response<Full<Bytes>> {
        let mut state = self.state.lock().expect("no holder panics");
        state.answered += 1;
        Response::new(Full::from(state.text.clone()))
    }

    /// Serves it on every path of an address until the task is dropped.
    ///
    /// # Panics
    /// When someone else listens there.
    pub(crate) fn serve(&self, address: SocketAddr) -> Task {
        let listener = std::net::TcpListener::bind(address).unwrap_or_else(|error| panic!("a played trainer at {address}: {error}"));
        listener.set_nonblocking(true).expect("a listener can be asynchronous");
        let page = self.clone();
        background::spawn(async move {
            let listener = TcpListener::from_std(listener).expect("the background runtime takes listeners");
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let page = page.clone();
                connections.spawn(async move {
                    let service = service_fn(move |_| std::future::ready(Ok::<_, Infallible>(page.answer())));
                    // A scraper may hang up whenever it likes.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        })
    }
}
