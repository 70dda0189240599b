//! The opening handshake of a WebSocket, read strictly.
//!
//! Source: RFC 6455, section 4.2, <https://www.rfc-editor.org/rfc/rfc6455#section-4.2>.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Why no WebSocket is opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Handshake {
    /// A page has sent it: whoever has the certificate in a browser would lend it to every page.
    #[error("websockets are for bots, not for pages in a browser")]
    Browser,
    #[error("the websocket's handshake is not well formed")]
    Malformed,
    #[error("the connection can become a websocket and nothing else")]
    Other,
    #[error("a websocket is asked for without its handshake")]
    Missing,
    #[error("websockets are opened by http/1.1 alone")]
    Protocol,
    #[error("websockets are spoken in version 13 alone")]
    Version,
}

impl Handshake {
    /// The stable, machine-readable reason.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Browser => "BROWSER_REFUSED",
            Self::Malformed => "WEBSOCKET_MALFORMED",
            Self::Missing => "WEBSOCKET_HANDSHAKE_MISSING",
            Self::Other => "UPGRADE_NOT_SERVED",
            Self::Protocol => "WEBSOCKET_NEEDS_HTTP1",
            Self::Version => "WEBSOCKET_VERSION",
        }
    }
}

/// Every header of the handshake begins so.
pub(crate) const OF_HANDSHAKE: &str = "sec-websocket-";

/// What a client's own key is: 16 bytes in base64.
const KEY_BYTES: usize = 24;

/// Reads a handshake; returns what proves that it was read (`sec-websocket-accept`). Extensions and
/// protocols that are offered are not taken up.
///
/// # Errors
///
/// [`Handshake`].
pub(crate) fn accept(parts: &Parts) -> Result<HeaderValue, Handshake> {
    if parts.version != Version::HTTP_11 {
        return Err(Handshake::Protocol);
    }
    let headers = &parts.headers;
    let upgrade = only(headers, &header::UPGRADE)?.ok_or(Handshake::Missing)?;
    if !upgrade.eq_ignore_ascii_case("websocket") {
        return Err(Handshake::Other);
    }
    let asks = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|named| named.trim().eq_ignore_ascii_case("upgrade"));
    if parts.method != Method::GET || !asks || has_body(headers) {
        return Err(Handshake::Malformed);
    }
    if is_of_browser(headers) {
        return Err(Handshake::Browser);
    }
    if only(headers, &header::SEC_WEBSOCKET_VERSION)? != Some("13") {
        return Err(Handshake::Version);
    }
    let key = only(headers, &header::SEC_WEBSOCKET_KEY)?.ok_or(Handshake::Malformed)?;
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    let is_key = key.len() == KEY_BYTES
        && key.strip_suffix("==").is_some_and(|digits| digits.bytes().all(is_base64));
    if !is_key {
        return Err(Handshake::Malformed);
    }
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).map_err(|_| Handshake::Malformed)
}

/// The value of a header that may be there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Handshake> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Handshake::Malformed);
    }
    value.to_str().map(|value| Some(value.trim())).map_err(|_| Handshake::Malformed)
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0")
}

/// Whether a page has sent it: browsers say so with each handshake, by an `Origin` that is a page's.
/// Libraries send none, or what is no page's: ccxt's is `*` or a UUID.
fn is_of_browser(headers: &HeaderMap) -> bool {
    let is_page = |origin: &HeaderValue| {
        let origin = origin.as_bytes();
        origin == b"null" || origin.windows(3).any(|part| part == b"://")
    };
    headers.get_all(header::ORIGIN).iter().any(is_page)
        || headers.keys().any(|name| name.as_str().starts_with("sec-fetch-"))
}

#[cfg(test)]
mod tests {
    use http::request::Parts;
    use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version};

    use super::{Handshake, accept};

    /// The example of RFC 6455, section 1.3.
    fn good() -> Parts {
        let request = Request::get("/wss://ws.okx.com/ws/v5/public")
            .header("host", "vault.test")
            .header("upgrade", "websocket")
            .header("connection", "Upgrade")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .body(())
            .expect("valid");
        request.into_parts().0
    }

    fn with(pairs: &[(&'static str, &'static str)]) -> Parts {
        let mut parts = good();
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::from_static(name);
            parts.headers.remove(&name);
            if !value.is_empty() {
                headers.append(name, HeaderValue::from_static(value));
            }
        }
        for (name, value) in &headers {
            parts.headers.append(name, value.clone());
        }
        parts
    }

    #[test]
    fn answers_as_the_standard_does() {
        let accepted = Ok(HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        assert_eq!(accept(&good()), accepted);
        for pairs in [
            &[("upgrade", "WebSocket")][..],
            &[("connection", "keep-alive, Upgrade")],
            &[("connection", "keep-alive"), ("connection", "upgrade")],
            &[("content-length", "0")],
            &[("sec-websocket-extensions", "permessage-deflate")],
            &[("sec-websocket-protocol", "json")],
            &[("origin", "*")],
            &[("origin", "2c5ea4c0-4067-11e9-8bad-9b1deb4d3b7d")],
        ] {
            assert_eq!(accept(&with(pairs)), accepted, "{pairs:?}");
        }
    }

    #[test]
    fn refuses_what_is_not_exactly_a_handshake() {
        for (error, pairs) in [
            (Handshake::Missing, &[("upgrade", "")][..]),
            (Handshake::Other, &[("upgrade", "h2c")]),
            (Handshake::Other, &[("upgrade", "websocket, h2c")]),
            (Handshake::Malformed, &[("upgrade", "websocket"), ("upgrade", "websocket")]),
            (Handshake::Malformed, &[("connection", "")]),
            (Handshake::Malformed, &[("connection", "keep-alive")]),
            (Handshake::Malformed, &[("connection", "xupgrade")]),
            (Handshake::Malformed, &[("content-length", "1")]),
            (Handshake::Malformed, &[("transfer-encoding", "chunked")]),
            (Handshake::Malformed, &[("sec-websocket-key", "")]),
            (Handshake::Malformed, &[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=")]),
            (Handshake::Malformed, &[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ===")]),
            (Handshake::Malformed, &[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZ!==")]),
            (Handshake::Malformed, &[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ12")]),
            (
                Handshake::Malformed,
                &[
                    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
                    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
                ],
            ),
            (Handshake::Version, &[("sec-websocket-version", "")]),
            (Handshake::Version, &[("sec-websocket-version", "8")]),
            (Handshake::Version, &[("sec-websocket-version", "13, 8")]),
            (
                Handshake::Malformed,
                &[("sec-websocket-version", "13"), ("sec-websocket-version", "13")],
            ),
            (Handshake::Browser, &[("origin", "null")]),
            (Handshake::Browser, &[("origin", "https://evil.example")]),
            (Handshake::Browser, &[("origin", "moz-extension://a")]),
            (Handshake::Browser, &[("origin", "*"), ("origin", "http://evil.example")]),
            (Handshake::Browser, &[("sec-fetch-mode", "websocket")]),
        ] {
            assert_eq!(accept(&with(pairs)), Err(error), "{pairs:?}");
        }
        for (error, method, version) in [
            (Handshake::Malformed, Method::POST, Version::HTTP_11),
            (Handshake::Malformed, Method::HEAD, Version::HTTP_11),
            (Handshake::Protocol, Method::GET, Version::HTTP_10),
            (Handshake::Protocol, Method::GET, Version::HTTP_2),
        ] {
            let mut parts = good();
            (parts.method, parts.version) = (method, version);
            assert_eq!(accept(&parts), Err(error));
        }
    }
}
