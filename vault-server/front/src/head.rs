//! The heads of HTTP/1.1 requests, read strictly, beside hyper, before it.
//!
//! hyper mends what it can: it takes a bare line feed for the end of a line, drops a
//! `Content-Length` beside a `Transfer-Encoding`, merges equal ones, cuts off a fragment. Each of
//! these is read otherwise by other software, which is what request smuggling lives on. So the bytes
//! are looked at as they pass, and a request whose head could be read in two ways is refused, the
//! last of its connection. Nothing is ever taken that hyper would not take.

use std::collections::VecDeque;
use std::sync::Mutex;

/// What was found in the heads that have come; `io.rs` feeds it, `gate.rs` asks it.
#[derive(Debug)]
pub(crate) struct Heads(Mutex<Reader>);

#[derive(Debug)]
struct Reader {
    head_bytes_max: usize,
    read: VecDeque<Result<Framing, HeadError>>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// In a body: bytes that are left of it.
    Body(u64),
    /// In a head: its bytes so far.
    Head(Vec<u8>),
    /// Whatever comes is not looked at: no further request is taken.
    Last,
}

/// Where the body of a request ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Framing {
    /// By its own chunks; the last request of its connection.
    Chunked,
    /// After so many bytes.
    Length(u64),
}

/// Why a head is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum HeadError {
    #[error("a line of the request's head does not end in carriage return and line feed")]
    BareLineFeed,
    #[error("the request says in more than one way, or in a strange one, how long its body is")]
    Framing,
    #[error("the request's target has a fragment")]
    Fragment,
    /// Source: RFC 9112, section 3.2: a server answers 400.
    #[error("the request names more than one host")]
    Hosts,
    #[error("the request's head is not well formed")]
    Malformed,
    #[error("the request follows one that was the last of its connection")]
    Unexpected,
}

impl HeadError {
    /// The stable, machine-readable reason.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::BareLineFeed => "HEAD_BARE_LINE_FEED",
            Self::Framing => "HEAD_FRAMING",
            Self::Fragment => "TARGET_FRAGMENT",
            Self::Hosts => "HEAD_HOSTS",
            Self::Malformed => "HEAD_MALFORMED",
            Self::Unexpected => "HEAD_UNEXPECTED",
        }
    }
}

/// Heads that may have come before hyper asks for the first of them. Who sends more than its buffer
/// holds is not heard.
const HEADS_MAX: usize = 64;

impl Heads {
    /// `head_bytes_max`: as long as a head may become.
    pub(crate) fn new(head_bytes_max: usize) -> Self {
        Self(Mutex::new(Reader {
            head_bytes_max,
            read: VecDeque::new(),
            state: State::Head(Vec::new()),
        }))
    }

    /// Looks at bytes before hyper gets them.
    pub(crate) fn feed(&self, bytes: &[u8]) {
        self.0.lock().expect("no panic while locked").feed(bytes);
    }

    /// No head comes any more: the connection is no HTTP from here on.
    pub(crate) fn end(&self) {
        self.0.lock().expect("no panic while locked").state = State::Last;
    }

    /// What was found in the head of the next request that hyper hands out.
    pub(crate) fn next(&self) -> Result<Framing, HeadError> {
        let mut reader = self.0.lock().expect("no panic while locked");
        reader.read.pop_front().unwrap_or(Err(HeadError::Unexpected))
    }
}

impl Reader {
    fn feed(&mut self, mut bytes: &[u8]) {
        while let Some(&byte) = bytes.first() {
            match &mut self.state {
                State::Body(left) => {
                    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= count as u64;
                    bytes = &bytes[count..];
                    if *left == 0 {
                        self.state = State::Head(Vec::new());
                    }
                }
                State::Head(head) => {
                    bytes = &bytes[1..];
                    head.push(byte);
                    if byte == b'\n' && !head.ends_with(b"\r\n") {
                        self.found(Err(HeadError::BareLineFeed));
                    } else if head.ends_with(b"\r\n\r\n") {
                        let framing = judge(head);
                        self.found(framing);
                    } else if head.len() > self.head_bytes_max {
                        self.found(Err(HeadError::Malformed));
                    }
                }
                State::Last => return,
            }
        }
    }

    fn found(&mut self, framing: Result<Framing, HeadError>) {
        self.state = match framing {
            Ok(Framing::Length(0)) => State::Head(Vec::new()),
            Ok(Framing::Length(length)) => State::Body(length),
            Ok(Framing::Chunked) | Err(_) => State::Last,
        };
        if self.read.len() < HEADS_MAX {
            self.read.push_back(framing);
        } else {
            self.state = State::Last;
        }
    }
}

/// Judges a whole head, which ends in an empty line.
fn judge(head: &[u8]) -> Result<Framing, HeadError> {
    // Every line feed here has its carriage return.
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r"));
    let line = lines.next().flatten().ok_or(HeadError::Malformed)?;
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(_version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(HeadError::Malformed);
    };
    if !is_token(method) || line.iter().any(u8::is_ascii_control) {
        return Err(HeadError::Malformed);
    }
    if target.contains(&b'#') {
        return Err(HeadError::Fragment);
    }

    let mut length = None;
    let mut is_chunked = false;
    let mut has_host = false;
    for line in lines {
        let Some(line) = line.filter(|line| !line.is_empty()) else {
            break;
        };
        // A colon after anything but a token: a folded line, or a space before the colon.
        let colon = line.iter().position(|byte| *byte == b':').ok_or(HeadError::Malformed)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let is_control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
        if !is_token(name) || value.iter().any(is_control) {
            return Err(HeadError::Malformed);
        }
        if name.eq_ignore_ascii_case(b"content-length") {
            let digits = std::str::from_utf8(value)
                .ok()
                .filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|value| value.parse().ok());
            if length.is_some() || digits.is_none() {
                return Err(HeadError::Framing);
            }
            length = digits;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(HeadError::Framing);
            }
            is_chunked = true;
        } else if name.eq_ignore_ascii_case(b"host") && std::mem::replace(&mut has_host, true) {
            return Err(HeadError::Hosts);
        }
    }
    match (is_chunked, length) {
        (true, Some(_)) => Err(HeadError::Framing),
        (true, None) => Ok(Framing::Chunked),
        (false, length) => Ok(Framing::Length(length.unwrap_or(0))),
    }
}

fn is_token(name: &[u8]) -> bool {
    !name.is_empty()
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::{Framing, HeadError, Heads};

    fn found(bytes: &[u8]) -> Vec<Result<Framing, HeadError>> {
        let whole = Heads::new(1000);
        whole.feed(bytes);
        // However the stream cuts it.
        let pieces = Heads::new(1000);
        for byte in bytes {
            pieces.feed(&[*byte]);
        }
        let mut found = Vec::new();
        loop {
            let next = whole.next();
            assert_eq!(pieces.next(), next);
            if next == Err(HeadError::Unexpected) {
                return found;
            }
            found.push(next);
        }
    }

    #[test]
    fn finds_one_head_after_the_other() {
        let heads = found(
            b"POST /a HTTP/1.1\r\nContent-Length: 4\r\n\r\nGET GET /b HTTP/1.1\r\nhost: x\r\n\r\n\
              PUT /c HTTP/1.1\r\ncontent-length:0\r\n\r\n\
              POST /d HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\nGET /e HTTP/1.1\r\n\r\n",
        );

        let length = |length| Ok(Framing::Length(length));
        assert_eq!(heads, [length(4), length(0), length(0), Ok(Framing::Chunked)]);
    }

    #[test]
    fn refuses_what_can_be_read_in_two_ways() {
        let framing = Some(HeadError::Framing);
        for (head, error) in [
            ("GET / HTTP/1.1\r\nA: b\r\n\r\n", None),
            ("GET / HTTP/1.1\r\nA: b\tc\r\n\r\n", None),
            ("GET / HTTP/1.1\n\r\n", Some(HeadError::BareLineFeed)),
            ("GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n", Some(HeadError::BareLineFeed)),
            ("GET / HTTP/1.1\r\nA: b\r\n\n", Some(HeadError::BareLineFeed)),
            ("GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n", Some(HeadError::Malformed)),
            ("GET / HTTP/1.1\r\nA: b\0\r\n\r\n", Some(HeadError::Malformed)),
            ("GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", Some(HeadError::Malformed)),
            ("GET / HTTP/1.1\r\nA: b\r\n\tc: d\r\n\r\n", Some(HeadError::Malformed)),
            ("GET / HTTP/1.1\r\nA : b\r\n\r\n", Some(HeadError::Malformed)),
            ("GET / HTTP/1.1\r\n: b\r\n\r\n", Some(HeadError::Malformed)),
            ("GET / HTTP/1.1\r\nA\r\n\r\n", Some(HeadError::Malformed)),
            ("GET  / HTTP/1.1\r\n\r\n", Some(HeadError::Malformed)),
            ("GET /\r\n\r\n", Some(HeadError::Malformed)),
            ("\r\nGET / HTTP/1.1\r\n\r\n", Some(HeadError::Malformed)),
            ("\r\n\r\nGET / HTTP/1.1\r\n\r\n", Some(HeadError::Malformed)),
            ("GET /a#b HTTP/1.1\r\n\r\n", Some(HeadError::Fragment)),
            ("GET / HTTP/1.1\r\nHost: a\r\nX-Host: b\r\n\r\n", None),
            ("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", Some(HeadError::Hosts)),
            ("GET / HTTP/1.1\r\nHost: a\r\nC: d\r\nHOST: a\r\n\r\n", Some(HeadError::Hosts)),
            ("P / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", framing),
            ("P / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", framing),
            ("P / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n", framing),
            ("P / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", framing),
            ("P / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", framing),
            ("P / HTTP/1.1\r\nContent-Length: 0x1\r\n\r\n", framing),
            ("P / HTTP/1.1\r\nContent-Length:\r\n\r\n", framing),
            ("P / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", framing),
            ("P / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", framing),
            ("P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", framing),
            ("P / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", framing),
            ("P / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n", framing),
            ("P / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n", framing),
            (
                "P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
                framing,
            ),
        ] {
            let heads = found(head.as_bytes());
            assert_eq!(heads.len(), 1, "{head:?}");
            assert_eq!(heads[0].err(), error, "{head:?}");
        }
    }

    #[test]
    fn a_head_without_end_is_refused() {
        let heads = found(&[b'A'; 2000]);

        assert_eq!(heads, [Err(HeadError::Malformed)]);
    }

    #[test]
    fn what_follows_a_refused_head_is_not_looked_at() {
        let heads = found(b"GET /a#b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\n\r\n");

        assert_eq!(heads, [Err(HeadError::Fragment)]);
    }

    #[test]
    fn so_many_heads_at_once_and_no_more() {
        let heads = found(&b"GET / HTTP/1.1\r\n\r\n".repeat(100));

        assert_eq!(heads.len(), super::HEADS_MAX);
    }
}
