//! One message in, one out: what gRPC puts around them on HTTP/2, without a codec's buffers.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::{FutureExt, stream};
use http::{HeaderMap, HeaderValue, Response, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use tonic::Status;

use crate::registry::Hold;
use crate::room::{Room, full};
use crate::status::from_failure;

/// What has come of a request's body, and the rest of it.
#[derive(Debug)]
pub(crate) struct Partial<B> {
    body: B,
    come: Bytes,
}

/// Reads a request of which all has come: one message, not compressed. Nearly always it has, in one
/// piece, which is then not copied.
///
/// # Errors
///
/// What has come, if it is not all.
pub(crate) fn try_message<B: Body<Data = Bytes> + Unpin>(
    mut body: B,
    bytes_max: usize,
) -> Result<Result<Bytes, Status>, Partial<B>> {
    // Whoever polls it next says whom to wake.
    let mut nobody = Context::from_waker(Waker::noop());
    let mut come = Bytes::new();
    loop {
        match Pin::new(&mut body).poll_frame(&mut nobody) {
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) if come.is_empty() => come = data,
                // Most clients end with a frame that is empty.
                Ok(data) if data.is_empty() => {}
                Ok(data) => {
                    let come = [come, data].concat().into();
                    return Err(Partial { body, come });
                }
                Err(_trailers) => {}
            },
            Poll::Ready(Some(Err(_))) => return Ok(Err(broken_off())),
            Poll::Ready(None) => break,
            Poll::Pending => return Err(Partial { body, come }),
        }
        if body.is_end_stream() {
            break;
        }
    }
    Ok(prefix(&come, bytes_max).and_then(|size| whole(come, size)))
}

/// Reads a request to its end: one message, not compressed. Until it is whole it takes its size in `room`.
///
/// # Errors
///
/// With the codes of `tonic`: [`tonic::Code::OutOfRange`] for more than `bytes_max` bytes, before they have
/// come; [`tonic::Code::Internal`] for what is no message, or not one; `OVERLOADED` if there is no room.
pub(crate) async fn message<B: Body<Data = Bytes> + Unpin>(
    partial: Partial<B>,
    bytes_max: usize,
    room: &Room,
) -> Result<Bytes, Status> {
    let Partial { mut body, come } = partial;
    // A copy: what has come keeps the connection's whole buffer, for as long as the rest takes.
    let mut pieces = BytesMut::from(&come[..]);
    drop(come);
    let mut size = None;
    let mut _taken = None;
    loop {
        if size.is_none() {
            size = prefix(&pieces, bytes_max)?;
            if let Some(size) = size {
                // Whole or not: its end has not come.
                _taken = Some(room.take(size).ok_or_else(|| from_failure(full()))?);
                pieces.reserve((PREFIX_BYTES + size).saturating_sub(pieces.len()));
            }
        }
        if size.is_some_and(|size| pieces.len() > PREFIX_BYTES + size) {
            return Err(Status::internal("more than one message"));
        }
        match body.frame().await {
            Some(frame) => match frame.map_err(|_| broken_off())?.into_data() {
                Ok(data) => pieces.put(data),
                Err(_trailers) => {}
            },
            None => break,
        }
    }
    whole(pieces.freeze(), size)
}

/// Reads one message out of pieces, in which it comes to its end, as every Sign is read; for tests.
///
/// # Errors
///
/// With the codes of `tonic`: [`tonic::Code::OutOfRange`] for more than `bytes_max` bytes,
/// [`tonic::Code::Internal`] for what is no message, or not one.
pub fn read_message(pieces: &[Bytes], bytes_max: usize) -> Result<Bytes, Status> {
    let pieces = pieces.iter().map(|piece| Ok::<_, Infallible>(Frame::data(piece.clone())));
    match try_message(StreamBody::new(stream::iter(pieces)), bytes_max) {
        Ok(read) => read,
        Err(partial) => {
            let room = Room::of(bytes_max);
            message(partial, bytes_max, &room).now_or_never().expect("all pieces have come")
        }
    }
}

/// The message that all these bytes are, of which the prefix says how long it is.
fn whole(mut bytes: Bytes, size: Option<usize>) -> Result<Bytes, Status> {
    match size {
        Some(size) if bytes.len() == PREFIX_BYTES + size => {
            bytes.advance(PREFIX_BYTES);
            Ok(bytes)
        }
        Some(size) if bytes.len() > PREFIX_BYTES + size => {
            Err(Status::internal("more than one message"))
        }
        Some(_) => Err(Status::internal("a message that breaks off")),
        None if bytes.is_empty() => Err(Status::internal("Missing request message.")),
        None => Err(Status::internal("a message that breaks off")),
    }
}

fn broken_off() -> Status {
    Status::internal("a request that breaks off")
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

/// An encoded message, with what gRPC puts before it: whoever sends it on does not copy it again.
pub(crate) struct Framed(Vec<u8>);

impl Framed {
    pub(crate) fn of(message: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(PREFIX_BYTES + message.len());
        bytes.push(0);
        bytes.put_u32(u32::try_from(message.len()).expect("a frame of the core is shorter"));
        bytes.extend_from_slice(message);
        Self(bytes)
    }

    /// As the body of a request.
    pub(crate) fn into_body(self) -> Full<Bytes> {
        Full::new(self.0.into())
    }

    /// The message alone.
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0[PREFIX_BYTES..]
    }
}

impl std::fmt::Debug for Framed {
    /// Shows no message: it may hold a signature.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Framed").field("message_bytes", &self.as_slice().len()).finish()
    }
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
    framed: Framed,
    _hold: Option<Hold>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.framed.0
    }
}

impl Reply {
    /// With an encoded message; the hold goes when its last byte goes.
    pub(crate) fn new(framed: Framed, hold: Option<Hold>) -> Self {
        Self(State::Message(Bytes::from_owner(Held { framed, _hold: hold })))
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

/// Before a message: `u8 compressed | u32 BE length`.
const PREFIX_BYTES: usize = 5;

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};
    use prost::Message;
    use tonic::{Code, Status};
    use vault_ipc::proto::v1::SignRequest;

    use super::{Framed, Reply, message, read_message, try_message};
    use crate::room::Room;

    fn request() -> SignRequest {
        SignRequest { request_id: "one".into(), credential: "main".into(), ..Default::default() }
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        let size = u32::try_from(message.len()).expect("short");
        [&[0][..], &size.to_be_bytes(), message].concat()
    }

    /// Reads it in pieces of so many bytes, or all at once.
    fn read(bytes: &[u8], piece: usize) -> Result<SignRequest, Status> {
        let pieces: Vec<_> = bytes.chunks(piece).map(Bytes::copy_from_slice).collect();
        decode(read_message(&pieces, 64))
    }

    fn decode(read: Result<Bytes, Status>) -> Result<SignRequest, Status> {
        SignRequest::decode(read?).map_err(|error| Status::internal(error.to_string()))
    }

    /// As [`read`], of a body that says when all of it has come.
    fn read_whole(bytes: &[u8]) -> Result<SignRequest, Status> {
        let body = Full::new(Bytes::copy_from_slice(bytes));
        decode(try_message(body, 64).expect("all has come"))
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
        assert_eq!(read_whole(&bytes).expect("read"), request());
        let ended_later =
            [&bytes[..], b""].map(|it| Ok::<_, Infallible>(Bytes::copy_from_slice(it)));
        let body = StreamBody::new(stream::iter(ended_later).map_ok(Frame::data));
        assert_eq!(decode(try_message(body, 64).expect("all has come")).expect("read"), request());
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
    fn what_has_come_whole_and_is_not_one_message_is_refused() {
        let whole = framed(&request().encode_to_vec());
        let more = [&whole[..], b"\0"].concat();
        let compressed = [&[1], &whole[1..]].concat();
        let long = framed(&[0; 65]);
        for (bytes, code) in (0..whole.len())
            .map(|cut| (&whole[..cut], Code::Internal))
            .chain([(&more[..], Code::Internal), (&compressed, Code::Internal)])
            .chain([(&long[..], Code::OutOfRange)])
        {
            assert_eq!(read_whole(bytes).expect_err("refused").code(), code, "{bytes:?}");
        }
    }

    #[test]
    fn what_has_not_come_is_waited_for() {
        let whole = framed(&request().encode_to_vec());
        for first in 0..whole.len() {
            let (head, tail) = whole.split_at(first);
            let pieces = [head, tail].map(|it| Ok::<_, Infallible>(Bytes::copy_from_slice(it)));
            // The second comes when it is asked for again.
            let mut is_late = true;
            let mut pieces = pieces.into_iter().skip(usize::from(first == 0));
            let body = stream::poll_fn(move |cx| {
                if pieces.len() == 1 && std::mem::take(&mut is_late) {
                    cx.waker().wake_by_ref();
                    return std::task::Poll::Pending;
                }
                std::task::Poll::Ready(pieces.next().map(|it| it.map(Frame::data)))
            });
            let partial = try_message(StreamBody::new(body), 64).expect_err("not all has come");
            let room = Room::of(64);
            let mut reading = Box::pin(message(partial, 64, &room));
            let read = loop {
                if let Some(read) = (&mut reading).now_or_never() {
                    break read;
                }
            };
            assert_eq!(decode(read).expect("read"), request());
        }
    }

    #[test]
    fn what_has_not_come_to_its_end_takes_its_size_until_it_does_or_is_dropped() {
        let whole = framed(&[7; 60]);
        let begin = |come: usize| {
            let come = Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(&whole[..come])));
            let body = StreamBody::new(stream::iter([come]).chain(stream::pending()));
            try_message(body, 64).expect_err("not all has come")
        };
        // Whole too, without its end.
        for come in 0..=whole.len() {
            let room = Room::of(100);
            let mut first = Box::pin(message(begin(come), 64, &room));
            assert!((&mut first).now_or_never().is_none());
            assert_eq!(room.left(), if come < 5 { 100 } else { 40 }, "{come}");
            if come >= 5 {
                let second = message(begin(5), 64, &room).now_or_never().expect("refused");
                assert_eq!(second.expect_err("no room").code(), Code::ResourceExhausted);
            }
            drop(first);
            assert_eq!(room.left(), 100);
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
        assert_eq!(Framed::of(b"signed").as_slice(), b"signed");
        let mut reply = Reply::new(Framed::of(b"signed"), None);
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
        let read = try_message(StreamBody::new(failed), 64).expect("it has ended");
        assert_eq!(read.expect_err("refused").code(), Code::Internal);
    }
}
