//! The URL of a venue in the path of a request to the vault.
//!
//! ```text
//! plain:    /https://api.binance.com/api/v3/order?symbol=BTCUSDT
//! encoded:  /https%3A%2F%2Fapi.binance.com%2Fapi%2Fv3%2Forder%3Fsymbol%3DBTCUSDT
//! socket:   /wss://ws.okx.com:8443/ws/v5/private        (encoded as well)
//! ```
//!
//! The encoded form is decoded exactly once, as a whole; what comes out must be a plain URL. Nothing
//! is mended: no case folded, no slashes merged, no dot segment removed, nothing of path and query
//! decoded. So what is judged is what was written, and what is sent is what is judged. Only the port
//! 443 of a WebSocket, which says nothing, is taken off.

/// What a venue is to be spoken to by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// Requests.
    Https,
    /// A WebSocket.
    Wss,
}

/// The host, path and query of a venue's URL, as they were written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    /// Before `://`.
    pub scheme: Scheme,
    /// A DNS name: lower case, at most 253 bytes. Of a WebSocket with `:` and the port, unless that
    /// is 443; else without one.
    pub host: String,
    /// Begins with a slash.
    pub path: String,
    /// Without the question mark; empty if there is none or nothing after it.
    pub query: String,
}

/// Why a path is not the URL of a venue.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TargetError {
    /// A character that a URL writes as `%XX`: a control character, a space, one beyond ASCII.
    #[error("the url has a character that must be percent-encoded")]
    Character,
    /// A percent sign without two hexadecimal digits, or an encoded form that is not encoded
    /// throughout.
    #[error("the percent-encoding of the url is not well formed")]
    Encoding,
    /// A fragment.
    #[error("the url has a fragment")]
    Fragment,
    /// The host is no DNS name: empty, too long, or with an empty label or other characters.
    #[error("the host of the url is not a name")]
    Host,
    /// The host has capital letters.
    #[error("the host of the url is not in lower case")]
    HostCase,
    /// The host is an internationalised name.
    #[error("the host of the url is an internationalised name")]
    HostIdn,
    /// The host is an IP address, in whatever way of writing one.
    #[error("the host of the url is an ip address")]
    HostIsAddress,
    /// The host ends in a dot.
    #[error("the host of the url ends in a dot")]
    HostTrailingDot,
    /// Longer than [`TARGET_BYTES_MAX`] once decoded.
    #[error("the url is too long")]
    Long,
    /// There is no URL in the path at all.
    #[error("the path has no url of a venue in it")]
    None,
    /// An encoded URL with a query of its own behind it.
    #[error("a query follows the percent-encoded url")]
    OuterQuery,
    /// Nothing after the host.
    #[error("the url has no path")]
    Path,
    /// A port of requests, be it the usual one; or of a WebSocket what is no port, or not written as
    /// plainly as can be.
    #[error("the url has a port")]
    Port,
    /// Any other scheme than https and wss.
    #[error("the scheme of the url is neither https nor wss")]
    Scheme,
    /// A user or a password.
    #[error("the url has a user or a password")]
    Userinfo,
}

impl TargetError {
    /// The stable, machine-readable reason.
    pub fn code(self) -> &'static str {
        match self {
            Self::Character => "TARGET_CHARACTER",
            Self::Encoding => "TARGET_ENCODING",
            Self::Fragment => "TARGET_FRAGMENT",
            Self::Host => "TARGET_HOST",
            Self::HostCase => "TARGET_HOST_CASE",
            Self::HostIdn => "TARGET_HOST_IDN",
            Self::HostIsAddress => "TARGET_HOST_IS_ADDRESS",
            Self::HostTrailingDot => "TARGET_HOST_TRAILING_DOT",
            Self::Long => "TARGET_TOO_LONG",
            Self::None => "NOT_A_PROXY_TARGET",
            Self::OuterQuery => "TARGET_OUTER_QUERY",
            Self::Path => "TARGET_PATH_MISSING",
            Self::Port => "TARGET_PORT",
            Self::Scheme => "TARGET_SCHEME",
            Self::Userinfo => "TARGET_USERINFO",
        }
    }
}

/// Longest URL of a venue, decoded, in bytes: a batch of orders in a query is long.
pub const TARGET_BYTES_MAX: usize = 10 << 10;

/// Reads the URL in the path and query of a request, as they came.
///
/// # Errors
///
/// [`TargetError`]; [`TargetError::None`] if it is no request for a venue at all.
pub fn target(path_and_query: &str) -> Result<Target, TargetError> {
    let written = path_and_query.strip_prefix('/').ok_or(TargetError::None)?;
    if let Some((scheme, rest)) = written.split_once("://")
        && is_scheme(scheme)
    {
        return plain(scheme, rest);
    }
    let Some(colon) = written.find("%3").filter(|at| is_scheme(&written[..*at])) else {
        return Err(TargetError::None);
    };
    let separator = written.as_bytes()[colon..].get(.."%3A%2F%2F".len());
    if !separator.is_some_and(|separator| separator.eq_ignore_ascii_case(b"%3A%2F%2F")) {
        return Err(TargetError::None);
    }
    let decoded = decoded(written)?;
    let (scheme, rest) = decoded.split_once("://").ok_or(TargetError::None)?;
    plain(scheme, rest)
}

/// Reads a URL from behind its `://` on.
fn plain(scheme: &str, rest: &str) -> Result<Target, TargetError> {
    let kind = match scheme {
        "https" => Scheme::Https,
        "wss" => Scheme::Wss,
        _ => return Err(TargetError::Scheme),
    };
    if scheme.len() + "://".len() + rest.len() > TARGET_BYTES_MAX {
        return Err(TargetError::Long);
    }
    let host_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(host_end);
    let (host, authority) = match kind {
        Scheme::Https => (authority, authority),
        Scheme::Wss => without_port(authority)?,
    };
    check_host(host)?;
    if rest.contains('#') {
        return Err(TargetError::Fragment);
    }
    check_characters(rest)?;
    if !rest.starts_with('/') {
        return Err(TargetError::Path);
    }
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    Ok(Target {
        scheme: kind,
        host: authority.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
    })
}

/// The host, and the host with its port if that is not 443.
fn without_port(authority: &str) -> Result<(&str, &str), TargetError> {
    // Told apart from a port by what checks the host.
    if authority.contains('@') || authority.starts_with('[') {
        return Ok((authority, authority));
    }
    let Some((host, port)) = authority.split_once(':') else {
        return Ok((authority, authority));
    };
    let is_plain = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
    match port.parse::<u16>() {
        Ok(443) if is_plain => Ok((host, host)),
        Ok(_) if is_plain => Ok((host, authority)),
        _ => Err(TargetError::Port),
    }
}

fn check_host(host: &str) -> Result<(), TargetError> {
    if host.contains('@') {
        return Err(TargetError::Userinfo);
    }
    if host.starts_with('[') {
        return Err(TargetError::HostIsAddress);
    }
    if host.contains(':') {
        return Err(TargetError::Port);
    }
    if !host.is_ascii() {
        return Err(TargetError::HostIdn);
    }
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(TargetError::HostCase);
    }
    if host.len() > 1 && host.ends_with('.') {
        return Err(TargetError::HostTrailingDot);
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if host.len() > 253 || !host.split('.').all(is_label) {
        return Err(TargetError::Host);
    }
    if host.split('.').any(|label| label.starts_with("xn--")) {
        return Err(TargetError::HostIdn);
    }
    // `127.1`, `2130706433` and `0x7f.1` are addresses to much software: a last label that is a
    // number makes one. Source: https://url.spec.whatwg.org/#ends-in-a-number-checker, read
    // 2026-11-22.
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_hex = last
        .strip_prefix("0x")
        .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if is_hex || last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(TargetError::HostIsAddress);
    }
    Ok(())
}

/// Those of RFC 3986 and no others, and well-formed percent signs.
fn check_characters(rest: &str) -> Result<(), TargetError> {
    let bytes = rest.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'%' => {
                hex_pair(bytes, at).ok_or(TargetError::Encoding)?;
            }
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => {}
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+'
            | b',' | b';' | b'=' | b':' | b'@' | b'/' | b'?' | b'[' | b']' => {}
            _ => return Err(TargetError::Character),
        }
    }
    Ok(())
}

/// Decodes the encoded form, in which everything is encoded but what `encodeURIComponent` leaves.
fn decoded(written: &str) -> Result<String, TargetError> {
    let bytes = written.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'%' => {
                decoded.push(hex_pair(bytes, at - 1).ok_or(TargetError::Encoding)?);
                at += 2;
            }
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => decoded.push(*byte),
            b'-' | b'.' | b'_' | b'~' | b'!' | b'\'' | b'(' | b')' | b'*' => decoded.push(*byte),
            b'?' => return Err(TargetError::OuterQuery),
            b'#' => return Err(TargetError::Fragment),
            _ => return Err(TargetError::Encoding),
        }
    }
    // Not UTF-8: a character beyond ASCII at any rate.
    String::from_utf8(decoded).map_err(|_| TargetError::Character)
}

/// The byte that `%XX` at `at` stands for.
fn hex_pair(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
    u8::try_from(digit(at + 1)? * 16 + digit(at + 2)?).ok()
}

/// Whether it looks like a URL's scheme, of any kind.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Scheme, TARGET_BYTES_MAX, Target, TargetError, target};

    fn read(host: &str, path: &str, query: &str) -> Result<Target, TargetError> {
        of(Scheme::Https, host, path, query)
    }

    fn of(scheme: Scheme, host: &str, path: &str, query: &str) -> Result<Target, TargetError> {
        let [host, path, query] = [host, path, query].map(str::to_owned);
        Ok(Target { scheme, host, path, query })
    }

    /// As JavaScript's `encodeURIComponent` does.
    fn encoded(url: &str) -> String {
        let mut path = "/".to_owned();
        for byte in url.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
                path.push(char::from(byte));
            } else {
                path.push_str(&format!("%{byte:02X}"));
            }
        }
        path
    }

    #[test]
    fn reads_both_forms_alike() {
        for (url, host, path, query) in [
            ("https://api.binance.com/api/v3/order", "api.binance.com", "/api/v3/order", ""),
            ("https://api.bybit.com/v5/order?", "api.bybit.com", "/v5/order", ""),
            ("https://www.okx.com/a?b=c&d=e%20f", "www.okx.com", "/a", "b=c&d=e%20f"),
            ("https://x.y/a//b/../c?d?e=[1]", "x.y", "/a//b/../c", "d?e=[1]"),
            ("https://x.y//a", "x.y", "//a", ""),
            ("https://x.y/@:a,;$!*'()~+=", "x.y", "/@:a,;$!*'()~+=", ""),
            ("https://localhost/", "localhost", "/", ""),
            ("https://1inch.io/a", "1inch.io", "/a", ""),
        ] {
            assert_eq!(target(&format!("/{url}")), read(host, path, query), "{url}");
            assert_eq!(target(&encoded(url)), read(host, path, query), "{url}");
            assert_eq!(target(&encoded(url).to_lowercase()), read(host, path, query), "{url}");
        }
    }

    #[test]
    fn websockets_may_have_a_port() {
        for (url, host, path, query) in [
            ("wss://ws.okx.com:8443/ws/v5/private", "ws.okx.com:8443", "/ws/v5/private", ""),
            ("wss://stream.binance.com:9443/ws/a@b", "stream.binance.com:9443", "/ws/a@b", ""),
            ("wss://ws-api.binance.com:443/ws-api/v3", "ws-api.binance.com", "/ws-api/v3", ""),
            ("wss://ws.kraken.com/v2", "ws.kraken.com", "/v2", ""),
            ("wss://x.y/stream?streams=a@b/c", "x.y", "/stream", "streams=a@b/c"),
            ("wss://x.y:65535/", "x.y:65535", "/", ""),
            ("wss://x.y:1/?", "x.y:1", "/", ""),
        ] {
            assert_eq!(target(&format!("/{url}")), of(Scheme::Wss, host, path, query), "{url}");
            assert_eq!(target(&encoded(url)), of(Scheme::Wss, host, path, query), "{url}");
        }
    }

    #[test]
    fn decodes_once_and_leaves_the_rest_as_it_was_written() {
        let twice = target("/https%3A%2F%2Fx.y%2Fa%252Fb%3Fc%3Dd%2526e");
        assert_eq!(twice, read("x.y", "/a%2Fb", "c=d%26e"));
        // Encoded twice as a whole, it is no URL.
        let url = encoded("https://x.y/a");
        assert_eq!(target(&encoded(&url[1..])), Err(TargetError::None));
        assert_eq!(target("/https%253A%252F%252Fx.y%252Fa"), Err(TargetError::None));
        // The plain form is not decoded at all.
        assert_eq!(target("/https://x.y/a%2fb%2E?c=%41"), read("x.y", "/a%2fb%2E", "c=%41"));
    }

    #[test]
    fn refuses_what_is_no_plain_https_url_in_both_forms() {
        for (url, error) in [
            ("http://x.y/a", TargetError::Scheme),
            ("HTTPS://x.y/a", TargetError::Scheme),
            ("Https://x.y/a", TargetError::Scheme),
            ("ws://x.y/a", TargetError::Scheme),
            ("WSS://x.y/a", TargetError::Scheme),
            ("wss://x.y:/a", TargetError::Port),
            ("wss://x.y:0/a", TargetError::Port),
            ("wss://x.y:00443/a", TargetError::Port),
            ("wss://x.y:0443/a", TargetError::Port),
            ("wss://x.y:+443/a", TargetError::Port),
            ("wss://x.y:65536/a", TargetError::Port),
            ("wss://x.y:443:443/a", TargetError::Port),
            ("wss://x.y:8443x/a", TargetError::Port),
            ("wss://x.y:84 43/a", TargetError::Port),
            ("wss://:443/a", TargetError::Host),
            ("wss://user@x.y:443/a", TargetError::Userinfo),
            ("wss://user:443@x.y/a", TargetError::Userinfo),
            ("wss://127.0.0.1:9443/a", TargetError::HostIsAddress),
            ("wss://127.1/a", TargetError::HostIsAddress),
            ("wss://[::1]:9443/a", TargetError::HostIsAddress),
            ("wss://X.y:9443/a", TargetError::HostCase),
            ("wss://xn--p1ai.y:9443/a", TargetError::HostIdn),
            ("wss://b\u{0131}n.com:9443/a", TargetError::HostIdn),
            ("wss://x.y.:9443/a", TargetError::HostTrailingDot),
            ("wss://x.y:9443", TargetError::Path),
            ("wss://x.y:9443?a", TargetError::Path),
            ("wss://x.y:9443/a#b", TargetError::Fragment),
            ("wss://x.y:9443/a b", TargetError::Character),
            ("file:///etc/passwd", TargetError::Scheme),
            ("https://user@x.y/a", TargetError::Userinfo),
            ("https://user:pass@x.y/a", TargetError::Userinfo),
            ("https://api.binance.com@evil.example/a", TargetError::Userinfo),
            ("https://@x.y/a", TargetError::Userinfo),
            ("https://x.y:443/a", TargetError::Port),
            ("https://x.y:8443/a", TargetError::Port),
            ("https://x.y:/a", TargetError::Port),
            ("https://x.y/a#b", TargetError::Fragment),
            ("https://x.y/a?b#c", TargetError::Fragment),
            ("https://x.y#c", TargetError::Fragment),
            ("https://127.0.0.1/a", TargetError::HostIsAddress),
            ("https://127.1/a", TargetError::HostIsAddress),
            ("https://2130706433/a", TargetError::HostIsAddress),
            ("https://0x7f000001/a", TargetError::HostIsAddress),
            ("https://127.0.0.0x1/a", TargetError::HostIsAddress),
            ("https://0x/a", TargetError::HostIsAddress),
            ("https://[::1]/a", TargetError::HostIsAddress),
            ("https://[::ffff:127.0.0.1]:443/a", TargetError::HostIsAddress),
            ("https://API.binance.com/a", TargetError::HostCase),
            ("https://x.Y/a", TargetError::HostCase),
            ("https://b\u{0131}nance.com/a", TargetError::HostIdn),
            ("https://xn--bnance-q4a.com/a", TargetError::HostIdn),
            ("https://a.xn--p1ai/a", TargetError::HostIdn),
            ("https://x.y./a", TargetError::HostTrailingDot),
            ("https:///a", TargetError::Host),
            ("https://./a", TargetError::Host),
            ("https://x..y/a", TargetError::Host),
            ("https://.x.y/a", TargetError::Host),
            ("https://-x.y/a", TargetError::Host),
            ("https://x-.y/a", TargetError::Host),
            ("https://x_z.y/a", TargetError::Host),
            ("https://x.y\\a/b", TargetError::Host),
            ("https://x%2ey/a", TargetError::Host),
            ("https://x.y,z.y/a", TargetError::Host),
            ("https://x.y", TargetError::Path),
            ("https://x.y?a=b", TargetError::Path),
            ("https://x.y/a b", TargetError::Character),
            ("https://x.y/a\tb", TargetError::Character),
            ("https://x.y/a\r\nhost: z", TargetError::Character),
            ("https://x.y/a\0", TargetError::Character),
            ("https://x.y/a\u{7f}", TargetError::Character),
            ("https://x.y/\u{e9}", TargetError::Character),
            ("https://x.y/a?b=\u{1f4b0}", TargetError::Character),
            ("https://x.y/a\\b", TargetError::Character),
            ("https://x.y/a?b={\"c\":1}", TargetError::Character),
            ("https://x.y/a<b>", TargetError::Character),
            ("https://x.y/a|b^c`", TargetError::Character),
            ("https://x.y/a%2", TargetError::Encoding),
            ("https://x.y/a%zz", TargetError::Encoding),
            ("https://x.y/a?b=100%", TargetError::Encoding),
        ] {
            assert_eq!(target(&format!("/{url}")), Err(error), "{url}");
            assert_eq!(target(&encoded(url)), Err(error), "{url}");
        }
        let long = format!("https://{}.y/a", "x".repeat(64));
        assert_eq!(target(&format!("/{long}")), Err(TargetError::Host));
        let long = format!("https://{}y/a", "x.".repeat(127));
        assert_eq!(target(&format!("/{long}")), Err(TargetError::Host));
    }

    #[test]
    fn refuses_an_encoded_form_that_is_not_encoded_throughout() {
        for (path, error) in [
            ("/https%3A%2F%2Fx.y%2Fa?b=c", TargetError::OuterQuery),
            ("/https%3A%2F%2Fx.y%2Fa?", TargetError::OuterQuery),
            ("/https%3A%2F%2Fx.y%2Fa#b", TargetError::Fragment),
            ("/https%3A%2F%2Fx.y/a", TargetError::Encoding),
            ("/https%3A%2F%2Fx.y%2Fa+b", TargetError::Encoding),
            ("/https%3A%2F%2Fx.y%2Fa&b", TargetError::Encoding),
            ("/https%3A%2F%2Fx.y%2Fa%2", TargetError::Encoding),
            ("/https%3A%2F%2Fx.y%2Fa%G0", TargetError::Encoding),
            ("/https%3A%2F%2Fx.y%2Fa%FF", TargetError::Character),
            ("/https%3A%2F%2Fx.y%2Fa%00", TargetError::Character),
            ("/https%3A%2F%2Fx.y%2Fa%0D%0Ahost:", TargetError::Encoding),
        ] {
            assert_eq!(target(path), Err(error), "{path}");
        }
    }

    #[test]
    fn what_has_no_url_in_it_is_no_target() {
        for path in [
            "",
            "*",
            "/",
            "/healthz",
            "/vault.v1.SignService/Sign",
            "https://x.y/a",
            "//https://x.y/a",
            "/https:/x.y/a",
            "/https:x.y/a",
            "/https%3A//x.y/a",
            "/https:%2F%2Fx.y%2Fa",
            "/https%3A%2Fx.y%2Fa",
            "/https%3",
            "/%3A%2F%2Fx.y",
            "/://x.y/a",
            "/proxy/https://x.y/a",
            "/?https://x.y/a",
            "/a?u=https://x.y/a",
            "/\u{e9}%3A%2F%2F",
        ] {
            assert_eq!(target(path), Err(TargetError::None), "{path}");
        }
    }

    #[test]
    fn takes_the_longest_url_and_not_one_byte_more() {
        let start = "https://x.y/a?b=";
        let url = format!("{start}{}", "c".repeat(TARGET_BYTES_MAX - start.len()));
        assert!(target(&format!("/{url}")).is_ok());
        assert!(target(&encoded(&url)).is_ok());
        assert_eq!(target(&format!("/{url}c")), Err(TargetError::Long));
        assert_eq!(target(&encoded(&format!("{url}c"))), Err(TargetError::Long));
    }

    proptest! {
        #[test]
        fn what_is_read_says_the_same_url_again(
            text in "/(https|wss)(://|%3A%2F%2F)[a-z.%0-9A-F/?#@:-]{0,40}"
        ) {
            if let Ok(Target { scheme, host, path, query }) = target(&text) {
                let name = if scheme == Scheme::Wss { "wss" } else { "https" };
                let bare = format!("{name}://{host}{path}");
                let url = if query.is_empty() { bare } else { format!("{bare}?{query}") };
                let again = of(scheme, &host, &path, &query);
                prop_assert_eq!(target(&format!("/{url}")), again.clone());
                prop_assert_eq!(target(&encoded(&url)), again);
            }
        }

        #[test]
        fn nothing_makes_it_panic(text in "\\PC*") {
            let _ = target(&text);
            let _ = target(&format!("/https://{text}"));
            let _ = target(&format!("/https%3A%2F%2F{text}"));
        }
    }
}
