//! What a response's bytes own: the holds of what they release, and the call's place.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;

use crate::place::Place;
use crate::registry::{CallPlace, Hold, Holds};
use crate::unary;

/// A response body whose bytes own the holds of what they release.
#[derive(Debug)]
pub(crate) struct ReplyBody {
    content: Content,
    /// The call's place on its connection, until the response has been handed over whole.
    _place: Option<CallPlace>,
}

#[derive(Debug)]
pub(super) enum Content {
    /// Whatever comes.
    Any { body: Body, holds: Option<Arc<Holds>> },
    /// One message, which has its hold.
    One(unary::Reply),
}

/// Released bytes: the holds go when the last of them goes.
struct HeldBytes {
    bytes: Bytes,
    _holds: Vec<Hold>,
    _place: Option<Arc<Place>>,
}

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl HttpBody for ReplyBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let (body, holds) = match &mut self.content {
            Content::Any { body, holds } => (body, holds),
            Content::One(reply) => return Poll::Ready(reply.next().map(Ok)),
        };
        let frame = std::task::ready!(Pin::new(body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            // What was encoded into these bytes has put its holds there before.
            frame.map(|frame| match holds {
                Some(holds) => frame.map_data(|bytes| {
                    let (_holds, _place) = (holds.take(), holds.place());
                    Bytes::from_owner(HeldBytes { bytes, _holds, _place })
                }),
                None => frame,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Any { body, .. } => body.is_end_stream(),
            Content::One(reply) => reply.has_ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Any { body, .. } => body.size_hint(),
            Content::One(_) => SizeHint::default(),
        }
    }
}

pub(super) fn body_of(content: Content, place: Option<CallPlace>) -> ReplyBody {
    ReplyBody { content, _place: place }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};
    use tonic::body::Body;

    use super::{Content, body_of};
    use crate::caller::Facts;
    use crate::registry::{Holds, Registry};

    #[tokio::test]
    async fn the_bytes_keep_the_hold_until_the_last_of_them_is_gone() {
        let registry = Arc::new(Registry::default());
        let open = registry.enter(Facts::for_test([1; 16]), 1, 1).expect("below the limit");
        let connection = open.connection();
        let content = Content::Any {
            body: Body::new(Full::new(Bytes::from_static(b"signed"))),
            holds: Some(Arc::new(Holds::of(registry.hold(connection)))),
        };
        let body = body_of(content, None);
        let is_settled = || {
            connection.settle();
            registry.barrier(&[]).is_none()
        };

        let mut bytes = body.collect().await.expect("no errors").to_bytes();
        let head = bytes.split_to(2);
        assert_eq!(head, b"si"[..]);
        drop(head);
        assert!(!is_settled());
        drop(bytes);
        assert!(is_settled());
    }
}
