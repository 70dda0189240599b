//! How much of each request has passed to the socket, told from the bytes themselves.
//!
//! Whether a request was sent decides between "nothing happened" and "unknown", and whether it is
//! *wholly* sent is what a barrier waits for. Both are read off the plaintext as it goes into TLS,
//! not off what a library says it has done.

use std::collections::HashMap;

/// Client preface of HTTP/2 (RFC 9113, section 3.4), in bytes.
const PREFACE_BYTES: usize = 24;
/// Frame header of HTTP/2 (RFC 9113, section 4.1), in bytes.
const FRAME_HEADER_BYTES: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// The requests of one connection, and the place in the byte stream.
#[derive(Debug)]
pub(crate) struct Tally {
    passed: u64,
    place: Place,
    requests: HashMap<u32, Passed>,
}

/// How much of one request has passed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Passed {
    /// At least a byte.
    pub(crate) started: bool,
    /// Bytes of the connection that had passed when its last had.
    pub(crate) ended_at: Option<u64>,
}

#[derive(Debug)]
enum Place {
    /// HTTP/1.1, with the request that is being written.
    Plain { request: u32, part: Part },
    /// HTTP/2: inside the preface or a frame.
    Framed(Frames),
    /// A WebSocket, with the message that is being written. What passes beside it (an answer to a
    /// ping) counts as its beginning: nobody is told that nothing was sent when that is not certain.
    Messages(Option<u32>),
}

#[derive(Clone, Copy, Debug)]
enum Part {
    /// Bytes of CR LF CR LF that have matched.
    Head {
        matched: usize,
        body_bytes: u64,
    },
    Body {
        left: u64,
    },
    Over,
}

#[derive(Debug)]
struct Frames {
    preface_left: usize,
    header: [u8; FRAME_HEADER_BYTES],
    have: usize,
    payload_left: usize,
    /// The stream that ends with the payload that is passing.
    ends: Option<u32>,
    /// The stream that ends once its header block does.
    ends_with_block: Option<u32>,
}

impl Tally {
    /// For HTTP/1.1.
    pub(crate) fn plain() -> Self {
        let place = Place::Plain { request: 0, part: Part::Over };
        Self { passed: 0, place, requests: HashMap::new() }
    }

    /// For HTTP/2, from its preface on.
    pub(crate) fn framed() -> Self {
        let place = Place::Framed(Frames {
            preface_left: PREFACE_BYTES,
            header: [0; FRAME_HEADER_BYTES],
            have: 0,
            payload_left: 0,
            ends: None,
            ends_with_block: None,
        });
        Self { passed: 0, place, requests: HashMap::new() }
    }

    /// For a WebSocket, from its handshake on.
    pub(crate) fn messages() -> Self {
        Self { passed: 0, place: Place::Messages(None), requests: HashMap::new() }
    }

    /// Notes that all of a message has passed. It cannot be told from the bytes: they are masked, and
    /// what the library writes by itself is between them.
    pub(crate) fn end(&mut self, message: u32) {
        if let Some(noted) = self.requests.get_mut(&message) {
            noted.ended_at = Some(self.passed);
        }
        if let Place::Messages(current) = &mut self.place {
            *current = None;
        }
    }

    /// Follows a request from its first byte on; `request` is the stream in HTTP/2.
    pub(crate) fn begin(&mut self, request: u32, body_bytes: u64) {
        match &mut self.place {
            Place::Plain { request: current, part } => {
                *current = request;
                *part = Part::Head { matched: 0, body_bytes };
            }
            Place::Framed(_) => {}
            Place::Messages(current) => *current = Some(request),
        }
        self.requests.insert(request, Passed::default());
    }

    /// What has passed of a request.
    pub(crate) fn passed(&self, request: u32) -> Passed {
        self.requests.get(&request).copied().unwrap_or_default()
    }

    /// Whether a frame's first bytes have passed without saying yet whose it is.
    pub(crate) fn is_between(&self) -> bool {
        matches!(&self.place, Place::Framed(frames) if frames.have > 0)
    }

    /// Stops following a request.
    pub(crate) fn forget(&mut self, request: u32) {
        self.requests.remove(&request);
    }

    /// All bytes that have passed.
    pub(crate) fn bytes(&self) -> u64 {
        self.passed
    }

    /// Notes bytes that pass.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        match &mut self.place {
            Place::Plain { request, part } => {
                let noted = self.requests.entry(*request).or_default();
                noted.started |= !bytes.is_empty();
                if part.feed(bytes) && noted.ended_at.is_none() {
                    noted.ended_at = Some(self.passed + bytes.len() as u64);
                }
                self.passed += bytes.len() as u64;
            }
            Place::Framed(frames) => {
                let mut rest = bytes;
                while let Some(step) = frames.step(&mut rest) {
                    let at = self.passed + (bytes.len() - rest.len()) as u64;
                    // Streams that are not followed any more need no note.
                    match step {
                        Step::Ended(stream) => {
                            if let Some(noted) = self.requests.get_mut(&stream) {
                                noted.ended_at = Some(at);
                            }
                        }
                        Step::Passing => {}
                        Step::Started(stream) => {
                            if let Some(noted) = self.requests.get_mut(&stream) {
                                noted.started = true;
                            }
                        }
                    }
                }
                self.passed += bytes.len() as u64;
            }
            Place::Messages(current) => {
                if let Some(noted) = current.and_then(|current| self.requests.get_mut(&current)) {
                    noted.started |= !bytes.is_empty();
                }
                self.passed += bytes.len() as u64;
            }
        }
    }
}

impl Part {
    /// Whether the request is over.
    fn feed(&mut self, mut bytes: &[u8]) -> bool {
        if let Self::Head { matched, body_bytes } = self {
            let body_bytes = *body_bytes;
            let mut at = 0;
            while at < bytes.len() && *matched < 4 {
                let byte = bytes[at];
                *matched = if byte == b"\r\n\r\n"[*matched] {
                    *matched + 1
                } else {
                    usize::from(byte == b'\r')
                };
                at += 1;
            }
            if *matched < 4 {
                return false;
            }
            bytes = &bytes[at..];
            *self = Self::Body { left: body_bytes };
        }
        if let Self::Body { left } = self {
            *left = left.saturating_sub(bytes.len() as u64);
            if *left == 0 {
                *self = Self::Over;
            }
        }
        matches!(self, Self::Over)
    }
}

enum Step {
    Ended(u32),
    Passing,
    Started(u32),
}

impl Frames {
    /// Goes on by one part of a frame; `None` if there are no more bytes.
    fn step(&mut self, rest: &mut &[u8]) -> Option<Step> {
        if rest.is_empty() {
            return None;
        }
        if self.preface_left > 0 {
            skip(rest, &mut self.preface_left);
            return Some(Step::Passing);
        }
        if self.payload_left > 0 {
            skip(rest, &mut self.payload_left);
            return Some(self.end_of_payload());
        }
        self.header[self.have] = rest[0];
        *rest = &rest[1..];
        self.have += 1;
        if self.have < FRAME_HEADER_BYTES {
            return Some(Step::Passing);
        }
        self.have = 0;
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = self.header;
        self.payload_left = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        let stream = u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff;
        self.ends = match kind {
            DATA if flags & END_STREAM != 0 => Some(stream),
            HEADERS => {
                let ends = (flags & END_STREAM != 0).then_some(stream);
                let is_whole = flags & END_HEADERS != 0;
                self.ends_with_block = if is_whole { None } else { ends };
                if is_whole { ends } else { None }
            }
            CONTINUATION if flags & END_HEADERS != 0 => self.ends_with_block.take(),
            _ => None,
        };
        if kind == HEADERS {
            // A header block is never empty: what ends with it is told after its payload.
            return Some(Step::Started(stream));
        }
        Some(if self.payload_left == 0 { self.end_of_payload() } else { Step::Passing })
    }

    fn end_of_payload(&mut self) -> Step {
        match self.ends {
            Some(stream) if self.payload_left == 0 => {
                self.ends = None;
                Step::Ended(stream)
            }
            _ => Step::Passing,
        }
    }
}

fn skip(rest: &mut &[u8], left: &mut usize) {
    let count = rest.len().min(*left);
    *rest = &rest[count..];
    *left -= count;
}

#[cfg(test)]
mod tests {
    use super::{Passed, Tally};

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        bytes.extend([kind, flags]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn a_plain_request_is_over_with_its_last_byte() {
        let bytes = b"POST / HTTP/1.1\r\nhost: a\r\n\r\nbody\r\n\r\n";
        let mut tally = Tally::plain();
        tally.begin(1, 8);
        assert_eq!(tally.passed(1), Passed::default());
        for byte in &bytes[..bytes.len() - 1] {
            tally.feed(&[*byte]);
        }
        assert_eq!(tally.passed(1), Passed { started: true, ended_at: None });
        tally.feed(&bytes[bytes.len() - 1..]);
        assert_eq!(tally.passed(1).ended_at, Some(bytes.len() as u64));

        tally.begin(2, 0);
        assert!(!tally.passed(2).started);
        tally.feed(b"GET / HTTP/1.1\r\r\n\r\n");
        assert!(tally.passed(2).ended_at.is_some());
    }

    #[test]
    fn streams_are_told_apart_however_the_bytes_are_cut() {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frame(4, 0, 0, &[0; 6]));
        bytes.extend(frame(1, 4, 1, b"head"));
        let headed = bytes.len();
        bytes.extend(frame(1, 1, 3, b"he"));
        bytes.extend(frame(0, 0, 1, b"part"));
        let parted = bytes.len();
        bytes.extend(frame(9, 4, 3, b"ad"));
        let third = bytes.len();
        bytes.extend(frame(0, 1, 1, b""));
        let first = bytes.len();
        bytes.extend(frame(6, 1, 0, &[0; 8]));

        for size in [1, 2, 7, 9, 13, bytes.len()] {
            let mut tally = Tally::framed();
            tally.begin(1, 0);
            tally.begin(3, 0);
            for (at, piece) in bytes.chunks(size).enumerate() {
                tally.feed(piece);
                let done = (at * size + piece.len()).min(bytes.len());
                if done < headed - 4 {
                    assert!(!tally.passed(1).started, "{size} {done}");
                }
                if done < parted {
                    assert_eq!(tally.passed(3).ended_at, None, "{size} {done}");
                }
            }
            assert_eq!(tally.passed(3).ended_at, Some(third as u64), "{size}");
            assert_eq!(tally.passed(1).ended_at, Some(first as u64), "{size}");
            assert!(tally.passed(1).started && tally.passed(3).started);
            assert!(!tally.is_between());
            assert_eq!(tally.bytes(), bytes.len() as u64);
        }
    }

    #[test]
    fn a_message_is_over_when_it_is_said_to_be() {
        let mut tally = Tally::messages();
        tally.feed(b"a handshake");
        tally.begin(1, 0);
        assert_eq!(tally.passed(1), Passed::default());
        tally.feed(b"");
        assert!(!tally.passed(1).started);
        tally.feed(b"half");
        assert_eq!(tally.passed(1), Passed { started: true, ended_at: None });
        tally.feed(b"half");
        tally.end(1);
        assert_eq!(tally.passed(1).ended_at, Some(19));
        // What passes between two is nobody's.
        tally.begin(2, 0);
        tally.end(2);
        tally.feed(b"pong");
        assert!(!tally.passed(2).started);
        tally.forget(1);
        assert_eq!(tally.passed(1), Passed::default());
    }

    #[test]
    fn a_header_cut_in_its_middle_is_nobodys_yet() {
        let mut tally = Tally::framed();
        tally.begin(1, 0);
        tally.feed(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        tally.feed(&frame(1, 5, 1, b"head")[..5]);

        assert!(tally.is_between());
        assert!(!tally.passed(1).started);
    }
}
