//! A request as the venues see it: byte for byte as it arrived.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, Version};

/// A whole request, byte for byte as it arrived.
pub(crate) struct Incoming {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    /// Path and query together, with the question mark if there was one.
    pub(crate) target: String,
    /// The header `host`, or `:authority` in HTTP/2; empty if there is none.
    pub(crate) host: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) http2: bool,
}

/// A header that may appear once.
pub(crate) enum Header<'a> {
    /// Not there, or there and empty.
    Absent,
    /// There more than once, or not visible ASCII.
    Malformed,
    Value(&'a str),
}

impl Incoming {
    pub(crate) fn new(head: Parts, body: Bytes) -> Self {
        let target = head.uri.path_and_query().map_or("", |target| target.as_str()).to_owned();
        let host = match head.headers.get(HOST) {
            Some(host) => latin1(host),
            None => head.uri.authority().map(ToString::to_string).unwrap_or_default(),
        };
        Self {
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            target,
            host,
            method: head.method,
            headers: head.headers,
            body,
            http2: head.version == Version::HTTP_2,
        }
    }

    /// Reads a header. Two headers of one name are never resolved by taking the first: a
    /// proxy in between could take the other.
    pub(crate) fn header(&self, name: &str) -> Header<'_> {
        let mut values = self.headers.get_all(name).iter();
        match (values.next().map(HeaderValue::to_str), values.next()) {
            (None | Some(Ok("")), None) => Header::Absent,
            (Some(Ok(value)), None) => Header::Value(value),
            _ => Header::Malformed,
        }
    }

    /// Every header: its name in lower case, its value with one character for each byte.
    pub(crate) fn listed(&self) -> Vec<(String, String)> {
        let text = |(name, value): (&http::HeaderName, &HeaderValue)| {
            (name.as_str().to_owned(), latin1(value))
        };
        self.headers.iter().map(text).collect()
    }

    /// The media type of the body in lower case, without parameters.
    pub(crate) fn media_type(&self) -> Option<String> {
        match self.header(CONTENT_TYPE.as_str()) {
            Header::Value(value) => {
                value.split(';').next().map(|media| media.trim().to_ascii_lowercase())
            }
            Header::Absent | Header::Malformed => None,
        }
    }
}

fn latin1(value: &HeaderValue) -> String {
    value.as_bytes().iter().map(|&byte| char::from(byte)).collect()
}
