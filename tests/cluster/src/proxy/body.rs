//! Answers that may be cut in the middle.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body, Bytes, Frame, Incoming};

use super::forward::Error;

/// The body of any answer.
pub(super) type AnswerBody = BoxBody<Bytes, Error>;

/// A whole body.
pub(super) fn whole(body: Full<Bytes>) -> AnswerBody {
    body.map_err(|never| match never {}).boxed()
}

/// A body that streams from the API server until `cut` is ready; then it breaks: over HTTP/1.1 with its connection, over HTTP/2 alone.
pub(super) fn until(body: Incoming, cut: impl Future<Output = ()> + Send + Sync + 'static) -> AnswerBody {
    BodyExt::boxed(Cut { body: body.map_err(Error::other).boxed(), cut: Box::pin(cut) })
}

/// A body that says nothing until `cut` is ready; then it breaks.
pub(super) fn standing_still(cut: impl Future<Output = ()> + Send + Sync + 'static) -> AnswerBody {
    let never = StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, Error>>());
    BodyExt::boxed(Cut { body: BodyExt::boxed(never), cut: Box::pin(cut) })
}

struct Cut {
    body: AnswerBody,
    cut: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
}

impl Body for Cut {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.cut.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(Error::other("the fault proxy cuts the connection"))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }
}
