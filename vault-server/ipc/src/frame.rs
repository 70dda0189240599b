//! Frames: a 16-byte header and a protobuf body.
//!
//! `u32 LE body length | u8 version = 1 | u8 kind | u16 LE 0 | u64 LE correlation | body`. Many
//! frames may be written at once; a frame never depends on how the stream cuts it.

use std::io::{self, Read, Write};

use prost::Message;

use crate::message::{HEALTH_ROW_BYTES_MAX, HEALTH_ROWS_MAX, Kind};

/// Length of a header, in bytes.
pub const HEADER_BYTES: usize = 16;
/// Longest body of any kind, in bytes: the largest message of an operator and its wrapping.
pub const BODY_BYTES_MAX: usize = (1 << 20) + (128 << 10);
/// Version of the frames. Both ends are one binary, so there is no other.
pub const VERSION: u8 = 1;

/// One frame as it came; its body is not decoded yet.
#[derive(Clone, Eq, PartialEq)]
pub struct Frame {
    /// What the body is.
    pub kind: Kind,
    /// Ties a reply to its call; 0 where there is none.
    pub correlation: u64,
    /// The encoded message.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Frame {
    /// Shows no body: it may hold a signature or the server's key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame")
            .field("kind", &self.kind)
            .field("correlation", &self.correlation)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// Why a frame cannot be read. The stream is of no more use after any of them.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The body does not decode as what the kind says.
    #[error("the body of a frame does not decode")]
    Body,
    /// Wrong version, unknown kind, reserved bits, or a body that is longer than its kind's.
    #[error("the header of a frame is not one of ours")]
    Header,
    /// Reading or writing failed, or the stream ended inside a frame.
    #[error("the channel between the processes broke")]
    Io(#[from] io::Error),
}

impl Frame {
    /// Decodes the body.
    ///
    /// # Errors
    ///
    /// [`FrameError::Body`].
    pub fn message<M: Message + Default>(&self) -> Result<M, FrameError> {
        self.lent().message()
    }

    /// The same, lent.
    pub fn lent(&self) -> FrameRef<'_> {
        FrameRef { kind: self.kind, correlation: self.correlation, body: &self.body }
    }
}

/// One frame where it came: its body is neither decoded nor copied yet.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct FrameRef<'b> {
    /// As in [`Frame`].
    pub kind: Kind,
    /// As in [`Frame`].
    pub correlation: u64,
    /// As in [`Frame`].
    pub body: &'b [u8],
}

impl std::fmt::Debug for FrameRef<'_> {
    /// Shows no body, as [`Frame`].
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrameRef")
            .field("kind", &self.kind)
            .field("correlation", &self.correlation)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

impl FrameRef<'_> {
    /// Decodes the body.
    ///
    /// # Errors
    ///
    /// [`FrameError::Body`].
    pub fn message<M: Message + Default>(&self) -> Result<M, FrameError> {
        M::decode(self.body).map_err(|_| FrameError::Body)
    }

    /// A frame of its own.
    pub fn to_frame(&self) -> Frame {
        Frame { kind: self.kind, correlation: self.correlation, body: self.body.to_vec() }
    }
}

/// Longest body of a kind, in bytes. It bounds what can be made of a frame by decoding it, before anybody
/// has counted anything: a header of two bytes takes 48, a row of [`Health`](crate::Health) 136.
pub fn body_bytes_max(kind: Kind) -> usize {
    match kind {
        // A message of 64 KiB, or a head of 40 and a body of 64; and who calls.
        Kind::Execute | Kind::Proxy | Kind::Sign | Kind::Stream => 128 << 10,
        Kind::Health => HEALTH_ROWS_MAX * HEALTH_ROW_BYTES_MAX,
        // Numbers and a word.
        Kind::StreamEnd | Kind::VenueEnd => 1 << 10,
        // A head of 64 KiB, and what is around each header.
        Kind::VenueHead => 96 << 10,
        _ => BODY_BYTES_MAX,
    }
}

/// Appends one frame to `out`.
///
/// # Errors
///
/// [`FrameError::Header`] if the body is longer than [`body_bytes_max`]; `out` is unchanged then.
pub fn encode(
    kind: Kind,
    correlation: u64,
    message: &impl Message,
    out: &mut Vec<u8>,
) -> Result<(), FrameError> {
    let body_bytes = message.encoded_len();
    if body_bytes > body_bytes_max(kind) {
        return Err(FrameError::Header);
    }
    out.reserve(HEADER_BYTES + body_bytes);
    // Cannot be cut short: BODY_BYTES_MAX is far below 4 GiB.
    out.extend_from_slice(&(body_bytes as u32).to_le_bytes());
    out.extend_from_slice(&[VERSION, kind.code(), 0, 0]);
    out.extend_from_slice(&correlation.to_le_bytes());
    message.encode_raw(out);
    Ok(())
}

/// Takes frames out of bytes that arrive in pieces of any size.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    start: usize,
}

impl Decoder {
    /// Adds bytes that arrived.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.start > 0 && self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, if it is there.
    ///
    /// # Errors
    ///
    /// [`FrameError::Header`].
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        Ok(self.next_ref()?.map(|frame| frame.to_frame()))
    }

    /// As [`Decoder::next_frame`], without a copy.
    ///
    /// # Errors
    ///
    /// [`FrameError::Header`].
    pub fn next_ref(&mut self) -> Result<Option<FrameRef<'_>>, FrameError> {
        let rest = &self.buffer[self.start..];
        let header = rest.first_chunk::<HEADER_BYTES>().map(parse).transpose()?;
        let whole = header.filter(|(body_bytes, ..)| rest.len() - HEADER_BYTES >= *body_bytes);
        let Some((body_bytes, kind, correlation)) = whole else {
            self.compact();
            return Ok(None);
        };
        let begin = self.start + HEADER_BYTES;
        self.start = begin + body_bytes;
        Ok(Some(FrameRef { kind, correlation, body: &self.buffer[begin..self.start] }))
    }

    /// Whether the stream may end here.
    pub fn is_empty(&self) -> bool {
        self.start == self.buffer.len()
    }

    fn compact(&mut self) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
    }
}

/// Whether an error of a stream says no more than that the other process has closed it: a write fails
/// then, and a read too if that process left unread what we sent.
pub fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// How many bytes a read took; 0 at the end, whether or not the other process read all before it.
///
/// # Errors
///
/// [`FrameError::Io`].
pub fn read_count(read: io::Result<usize>) -> Result<usize, FrameError> {
    match read {
        Err(error) if is_end(&error) => Ok(0),
        read => Ok(read?),
    }
}

/// Reads one frame from a blocking stream; `None` at a clean end.
///
/// # Errors
///
/// [`FrameError::Header`], [`FrameError::Io`].
pub fn read(stream: &mut impl Read) -> Result<Option<Frame>, FrameError> {
    let mut header = [0; HEADER_BYTES];
    let first = loop {
        match stream.read(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => break other?,
        }
    };
    if first == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut header[first..])?;
    let (body_bytes, kind, correlation) = parse(&header)?;
    let mut body = vec![0; body_bytes];
    stream.read_exact(&mut body)?;
    Ok(Some(Frame { kind, correlation, body }))
}

/// Writes one frame to a blocking stream.
///
/// # Errors
///
/// [`FrameError::Header`], [`FrameError::Io`].
pub fn write(
    stream: &mut impl Write,
    kind: Kind,
    correlation: u64,
    message: &impl Message,
) -> Result<(), FrameError> {
    let mut bytes = Vec::new();
    encode(kind, correlation, message, &mut bytes)?;
    stream.write_all(&bytes)?;
    Ok(())
}

fn parse(header: &[u8; HEADER_BYTES]) -> Result<(usize, Kind, u64), FrameError> {
    let [l0, l1, l2, l3, version, kind, 0, 0, c0, c1, c2, c3, c4, c5, c6, c7] = *header else {
        return Err(FrameError::Header);
    };
    let body_bytes = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    let kind = Kind::from_code(kind).ok_or(FrameError::Header)?;
    if version != VERSION || body_bytes > body_bytes_max(kind) {
        return Err(FrameError::Header);
    }
    Ok((body_bytes, kind, u64::from_le_bytes([c0, c1, c2, c3, c4, c5, c6, c7])))
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::{
        BODY_BYTES_MAX, Decoder, FrameError, HEADER_BYTES, body_bytes_max, encode, is_end, read,
        read_count,
    };
    use crate::{BarrierDone, HEALTH_ROWS_MAX, Health, HealthRow, HealthState, Kind, State};

    fn two_frames() -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(Kind::BarrierDone, 0, &BarrierDone { id: 300 }, &mut bytes).expect("short");
        encode(Kind::State, 9, &State { sealed: true }, &mut bytes).expect("short");
        bytes
    }

    #[test]
    fn draws_the_header_as_documented() {
        assert_eq!(
            two_frames(),
            [
                3, 0, 0, 0, 1, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 172, 2, // barrier 300
                2, 0, 0, 0, 1, 66, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 8, 1, // state sealed
            ]
        );
    }

    #[test]
    fn decodes_however_the_stream_is_cut() {
        let bytes = two_frames();

        for cut in 0..=bytes.len() {
            let mut decoder = Decoder::default();
            let mut frames = Vec::new();
            for piece in [&bytes[..cut], &bytes[cut..]] {
                decoder.extend(piece);
                while let Some(frame) = decoder.next_frame().expect("our frames") {
                    frames.push(frame);
                }
            }
            assert_eq!(frames.len(), 2, "cut at {cut}");
            assert_eq!(frames[0].message::<BarrierDone>().expect("a barrier").id, 300);
            assert_eq!(frames[1].correlation, 9);
            assert!(decoder.is_empty());
        }
    }

    #[test]
    fn refuses_foreign_headers() {
        let good = two_frames();
        for (at, value) in [(3, 1), (4, 2), (5, 0), (5, 255), (6, 1), (7, 1)] {
            let mut bytes = good.clone();
            bytes[at] = value;
            let mut decoder = Decoder::default();
            decoder.extend(&bytes);
            assert!(matches!(decoder.next_frame(), Err(FrameError::Header)), "byte {at}");
            assert!(matches!(read(&mut bytes.as_slice()), Err(FrameError::Header)), "byte {at}");
        }
        let mut long = good;
        long[..4].copy_from_slice(&(BODY_BYTES_MAX as u32 + 1).to_le_bytes());
        assert!(matches!(read(&mut long.as_slice()), Err(FrameError::Header)));
    }

    #[test]
    fn the_longest_picture_of_venues_fits_and_a_longer_one_is_nobodys() {
        let row = HealthRow {
            venue: "v".repeat(64),
            host: "h".repeat(64),
            source: "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".to_owned(),
            state: HealthState::Banned.into(),
            until_us: i64::MIN,
            used_weight: u64::MAX,
            weight_limit: u64::MAX,
            in_flight: u32::MAX,
            streams: u32::MAX,
            last_problem: "P".repeat(64),
        };
        let rows = |count| Health { rows: vec![row.clone(); count] };
        let mut bytes = Vec::new();
        encode(Kind::Health, 0, &rows(HEALTH_ROWS_MAX), &mut bytes).expect("it fits");
        assert!(matches!(
            encode(Kind::Health, 0, &rows(2 * HEALTH_ROWS_MAX), &mut Vec::new()),
            Err(FrameError::Header)
        ));
        let one_too_many = body_bytes_max(Kind::Health) as u32 + 1;
        bytes[..4].copy_from_slice(&one_too_many.to_le_bytes());
        assert!(matches!(read(&mut bytes.as_slice()), Err(FrameError::Header)));
        let mut decoder = Decoder::default();
        decoder.extend(&bytes[..HEADER_BYTES]);
        assert!(matches!(decoder.next_ref(), Err(FrameError::Header)));
    }

    #[test]
    fn what_the_other_end_left_unread_does_not_change_that_it_ended() {
        let (mut ours, mut theirs) = UnixStream::pair().expect("a pair");
        ours.write_all(b"never read").expect("written");
        theirs.write_all(b"last").expect("written");
        drop(theirs);

        let mut bytes = [0; 8];
        assert_eq!(read_count(ours.read(&mut bytes)).expect("what came before"), 4);
        let reset = ours.read(&mut bytes).expect_err("a reset");
        assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(read_count(Err(reset)).expect("the end"), 0);
        assert!(is_end(&ours.write_all(b"more").expect_err("nobody is there")));
        let other = io::Error::from(io::ErrorKind::TimedOut);
        assert!(matches!(read_count(Err(other)), Err(FrameError::Io(_))));
    }

    #[test]
    fn a_stream_that_ends_inside_a_frame_is_an_error() {
        let bytes = two_frames();

        assert!(read(&mut &bytes[..0]).expect("clean end").is_none());
        for end in 1..HEADER_BYTES + 3 {
            assert!(matches!(read(&mut &bytes[..end]), Err(FrameError::Io(_))), "end {end}");
        }
    }
}
