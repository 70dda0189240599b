//! One message in, one out: what gRPC puts around them on HTTP/2, without a codec's buffers.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use prost::Message;
use tonic::Status;

use crate::registry::Hold;

/// Reads a request to its end: one message, not compressed.
///
/// # Errors
///
/// With the codes of `tonic`: [`tonic::Code::OutOfRange`] for more than `bytes_max` bytes, before they have
/// come; [`tonic::Code::Internal`] for what is no message, or not one.
pub(crate) async fn message<M, B>(body: B, bytes_max: usize) -> Result<M, Status>
where
    M: Message + Default,
    B: Body<Data = Bytes> + Unpin,
{
    let bytes = one(body, bytes_max).await?;
    M::decode(bytes).map_err(|error| Status::internal(error.to_string()))
}

async fn one<B: Body<Data = Bytes> + Unpin>(
    mut body: B,
    bytes_max: usize,
) -> Result<Bytes, Status> {
    // Nearly always all of it is one piece, which is then not copied.
    let mut come = Bytes::new();
    let mut pieces = BytesMut::new();
    let mut size = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Status::internal("a request that breaks off"))?;
        let Ok(data) = frame.into_data() else { continue };
        if pieces.is_empty() && come.is_empty() {
            come = data;
        } else {
            if pieces.is_empty() {
                pieces.put(std::mem::take(&mut come));
            }
            pieces.put(data);
        }
        let head = if pieces.is_empty() { &come[..] } else { &pieces[..] };
        if size.is_none() {
            size = prefix(head, bytes_max)?;
        }
        if size.is_some_and(|size| head.len() > PREFIX_BYTES + size) {
            return Err(Status::internal("more than one message"));
        }
        if pieces.is_empty() && size.is_none_or(|size| come.len() < PREFIX_BYTES + size) {
            // What has come keeps the connection's whole buffer, for as long as the rest takes.
            pieces.put(std::mem::take(&mut come));
        }
    }
    let mut bytes = if pieces.is_empty() { come } else { pieces.freeze() };
    match size {
        Some(size) if bytes.len() == PREFIX_BYTES + size => {
            bytes.advance(PREFIX_BYTES);
            Ok(bytes)
        }
        Some(_) => Err(Status::internal("a message that breaks off")),
        None if bytes.is_empty() => Err(Status::internal("Missing request message.")),
        None => Err(Status::internal("a message that breaks off")),
    }
}

/// How long the message is that begins here, once its prefix has come.
fn prefix(head: &[u8], bytes_max: usize) -> Result<Option<usize>, Status> {
    let Some((&[compressed, a, b, c, d], _)) = head.split_first_chunk() else {
        return Ok(None);
    };
    if compressed != 0 {
        return Err(Status::internal("a compressed message, of which the head says nothing"));
    }
    let size = u32::from_be_bytes([a, b, c, d]) as usize;
    if size > bytes_max {
        return Err(Status::out_of_range(format!(
            "a message of {size} bytes is too large; the limit is {bytes_max} bytes"
        )));
    }
    Ok(Some(size))
}

/// An answer's one message and its good end.
#[derive(Debug)]
pub(crate) struct Reply(State);

#[derive(Debug)]
enum State {
    Message(Bytes),
    Trailers,
    Ended,
}

/// Released bytes with what must live as long as they do.
struct Held {
    bytes: Vec<u8>,
    _hold: Option<Hold>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Reply {
    /// With an encoded message; the hold goes when its last byte goes.
    pub(crate) fn new(message: &[u8], hold: Option<Hold>) -> Self {
        let mut bytes = Vec::with_capacity(PREFIX_BYTES + message.len());
        bytes.push(0);
        bytes.put_u32(u32::try_from(message.len()).expect("a frame of the core is shorter"));
        bytes.extend_from_slice(message);
        Self(State::Message(Bytes::from_owner(Held { bytes, _hold: hold })))
    }

    /// The head of such an answer.
    pub(crate) fn head() -> Response<()> {
        let mut head = Response::new(());
        let kind = HeaderValue::from_static("application/grpc");
        head.headers_mut().insert(header::CONTENT_TYPE, kind);
        head
    }

    /// The next part of it.
    pub(crate) fn next(&mut self) -> Option<Frame<Bytes>> {
        let next = match self.0 {
            State::Message(_) => State::Trailers,
            State::Trailers | State::Ended => State::Ended,
        };
        match std::mem::replace(&mut self.0, next) {
            State::Message(bytes) => Some(Frame::data(bytes)),
            State::Trailers => {
                let mut trailers = HeaderMap::with_capacity(1);
                trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
                Some(Frame::trailers(trailers))
            }
            State::Ended => None,
        }
    }

    /// Whether nothing is left of it.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.0, State::Ended)
    }
}

const PREFIX_BYTES: usize = 5;

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use futures_util::{FutureExt, stream};
    use http_body::Frame;
    use http_body_util::StreamBody;
    use prost::Message;
    use tonic::{Code, Status};
    use vault_ipc::proto::v1::SignRequest;

    use super::{Reply, message};

    fn request() -> SignRequest {
        SignRequest { request_id: "one".into(), credential: "main".into(), ..Default::default() }
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        let size = u32::try_from(message.len()).expect("short");
        [&[0][..], &size.to_be_bytes(), message].concat()
    }

    /// Reads it in pieces of so many bytes, or all at once.
    fn read(bytes: &[u8], piece: usize) -> Result<SignRequest, Status> {
        let pieces = bytes
            .chunks(piece)
            .map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(piece))));
        let body = StreamBody::new(stream::iter(pieces));
        message(body, 64).now_or_never().expect("all has come")
    }

    fn refused(bytes: &[u8], piece: usize) -> Code {
        read(bytes, piece).expect_err("refused").code()
    }

    #[test]
    fn a_message_reads_in_pieces_of_any_size() {
        let bytes = framed(&request().encode_to_vec());
        for piece in 1..=bytes.len() {
            assert_eq!(read(&bytes, piece).expect("read"), request());
        }
        assert_eq!(read(&framed(b""), 9).expect("read"), SignRequest::default());
    }

    #[test]
    fn what_is_not_one_whole_message_is_refused() {
        let whole = framed(&request().encode_to_vec());
        for piece in 1..=whole.len() {
            for cut in 0..whole.len() {
                assert_eq!(refused(&whole[..cut], piece), Code::Internal);
            }
            let more = [&whole[..], b"\0"].concat();
            assert_eq!(refused(&more, piece), Code::Internal);
            assert_eq!(refused(&[&whole[..], &whole].concat(), piece), Code::Internal);
            let compressed = [&[1], &whole[1..]].concat();
            assert_eq!(refused(&compressed, piece), Code::Internal);
            assert_eq!(refused(&framed(b"\xff\xff\xff"), piece), Code::Internal);
        }
    }

    #[test]
    fn what_is_too_long_is_refused_by_its_prefix() {
        for size in [65, u32::MAX] {
            let prefix = [&[0][..], &size.to_be_bytes()].concat();
            for piece in 1..=5 {
                assert_eq!(refused(&prefix, piece), Code::OutOfRange);
            }
        }
        assert_eq!(refused(&[0, 0, 0, 0, 64], 5), Code::Internal);
    }

    #[test]
    fn a_reply_is_its_message_and_a_good_end() {
        let mut reply = Reply::new(b"signed", None);
        let data = reply.next().and_then(|frame| frame.into_data().ok()).expect("data");
        assert_eq!(data, framed(b"signed"));
        assert!(!reply.has_ended());
        let trailers = reply.next().and_then(|frame| frame.into_trailers().ok());
        assert_eq!(trailers.expect("trailers")["grpc-status"], "0");
        assert!(reply.has_ended() && reply.next().is_none());
    }

    #[test]
    fn an_error_of_the_connection_is_no_message() {
        let failed = stream::iter([Err::<Frame<Bytes>, _>("reset")]);
        let read = message::<SignRequest, _>(StreamBody::new(failed), 64).now_or_never();
        assert_eq!(read.expect("ended").expect_err("refused").code(), Code::Internal);
    }
}
