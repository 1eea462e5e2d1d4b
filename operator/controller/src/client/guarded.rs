//! A connection that stops writing when the fence is shut.

use crate::clock::Moment;
use crate::leader::Fence;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;

/// Makes connections that ask a fence before each write. Without a fence they write always.
#[derive(Clone, Debug)]
pub(super) struct GuardedConnector<C> {
    connector: C,
    fence: Option<Arc<Fence>>,
}

impl<C> GuardedConnector<C> {
    pub(super) const fn new(connector: C, fence: Option<Arc<Fence>>) -> Self {
        Self { connector, fence }
    }
}

impl<C> Service<http::Uri> for GuardedConnector<C>
where
    C: Service<http::Uri>,
    C::Future: Send + 'static,
{
    type Response = Guarded<C::Response>;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, target: http::Uri) -> Self::Future {
        let (connecting, fence) = (self.connector.call(target), self.fence.clone());
        Box::pin(async move { Ok(Guarded { stream: connecting.await?, fence }) })
    }
}

/// One such connection. TLS is above it, so what is refused here has not left the process.
#[derive(Debug)]
pub(super) struct Guarded<S> {
    stream: S,
    fence: Option<Arc<Fence>>,
}

impl<S> Guarded<S> {
    fn check(&self) -> io::Result<()> {
        match &self.fence {
            Some(fence) if !fence.admits(Moment::now()) => Err(io::Error::new(io::ErrorKind::PermissionDenied, super::NotLeading)),
            _ => Ok(()),
        }
    }
}

impl<S: Read + Unpin> Read for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: Write + Unpin> Write for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }
}

impl<S: Connection> Connection for Guarded<S> {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}
