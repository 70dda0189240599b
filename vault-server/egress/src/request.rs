//! A request as it will be sent: the core's, byte for byte, or none.

use std::fmt;
use std::net::IpAddr;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue};
use http::header::{CONNECTION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Uri};
use vault_ipc::Dispatch;

use crate::problem::Problem;

/// Longest request taken, headers included, in bytes.
pub(crate) const URL_BYTES_MAX: usize = 60 << 10;
pub(crate) const OUR_USER_AGENT: &str = concat!("countersign/", env!("CARGO_PKG_VERSION"));

/// A request that can be sent as it stands.
pub(crate) struct VenueRequest {
    pub(crate) body: Bytes,
    pub(crate) host: String,
    /// All but `host`, which HTTP/2 says otherwise.
    headers: HeaderMap,
    method: Method,
    target: PathAndQuery,
}

/// Without what authorises: that may be anywhere in target, headers and body.
impl fmt::Debug for VenueRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("VenueRequest")
            .field("host", &self.host)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

impl VenueRequest {
    /// Takes a dispatch apart.
    ///
    /// # Errors
    ///
    /// [`Problem::RequestMalformed`] if a byte of it could not be sent as it is, or would not mean
    /// what the core has judged.
    pub(crate) fn new(dispatch: &Dispatch) -> Result<Self, Problem> {
        Self::read(dispatch).ok_or(Problem::RequestMalformed)
    }

    fn read(dispatch: &Dispatch) -> Option<Self> {
        let rest = dispatch.url.strip_prefix("https://")?;
        let slash = rest.find('/')?;
        let (host, target) = rest.split_at(slash);
        if !is_host(host) || dispatch.url.len() > URL_BYTES_MAX {
            return None;
        }
        let parsed = PathAndQuery::try_from(target).ok()?;
        // What the type leaves out or changes (a fragment), it may not send.
        if parsed.as_str() != target {
            return None;
        }
        let method = Method::from_bytes(dispatch.method.as_bytes()).ok()?;
        if method == Method::CONNECT || !dispatch.method.bytes().all(|b| b.is_ascii_uppercase()) {
            return None;
        }
        let mut headers = HeaderMap::with_capacity(dispatch.headers.len() + 3);
        for header in &dispatch.headers {
            let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
            let mut value = HeaderValue::from_bytes(header.value.as_bytes()).ok()?;
            // Kept out of what is printed, and of the tables of HPACK (RFC 7541, section 7.1.3).
            value.set_sensitive(true);
            // Spaces at the borders are no part of a value: whoever reads it drops them.
            if is_of_the_connection(&name) || header.value.trim_ascii() != header.value {
                return None;
            }
            headers.append(name, value);
        }
        headers.insert(USER_AGENT, HeaderValue::from_static(OUR_USER_AGENT));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let has_body = !dispatch.body.is_empty()
            || matches!(method, Method::POST | Method::PUT | Method::PATCH);
        if has_body {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(dispatch.body.len()));
        }
        Some(Self {
            body: Bytes::copy_from_slice(&dispatch.body),
            host: host.to_owned(),
            headers,
            method,
            target: parsed,
        })
    }

    /// For HTTP/1.1.
    pub(crate) fn plain(&self) -> Option<http::Request<http_body_util::Full<Bytes>>> {
        let mut request = http::Request::new(http_body_util::Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = Uri::from(self.target.clone());
        let host = HeaderValue::from_str(&self.host).ok()?;
        let headers = request.headers_mut();
        // First, as RFC 9110 section 7.2 wants it.
        headers.insert(HOST, host);
        headers.extend(self.headers.clone());
        Some(request)
    }

    /// For HTTP/2.
    pub(crate) fn framed(&self) -> Option<http::Request<()>> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTPS);
        parts.authority = Some(Authority::try_from(self.host.as_str()).ok()?);
        parts.path_and_query = Some(self.target.clone());
        let mut request = http::Request::new(());
        *request.version_mut() = http::Version::HTTP_2;
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = Uri::from_parts(parts).ok()?;
        *request.headers_mut() = self.headers.clone();
        Some(request)
    }
}

/// A lower-case DNS name that is no address.
pub(crate) fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let ends_in_letters = host
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().any(|byte| byte.is_ascii_lowercase()));
    host.len() <= 253
        && host.split('.').all(is_label)
        && ends_in_letters
        && host.parse::<IpAddr>().is_err()
}

/// Headers that say how bytes are carried: ours to write alone.
pub(crate) fn is_of_the_connection(name: &HeaderName) -> bool {
    [CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE].contains(name)
        || matches!(
            name.as_str(),
            "expect" | "keep-alive" | "proxy-authorization" | "proxy-connection" | "http2-settings"
        )
}

#[cfg(test)]
mod tests {
    use vault_ipc::Dispatch;
    use vault_ipc::proto::v1::Header;

    use super::VenueRequest;

    fn dispatch(method: &str, url: &str, headers: &[(&str, &str)]) -> Dispatch {
        let header = |(name, value): &(&str, &str)| Header {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        };
        Dispatch {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: headers.iter().map(header).collect(),
            ..Dispatch::default()
        }
    }

    #[test]
    fn path_and_query_stay_as_they_are_or_are_refused() {
        let read = |target: &str| {
            VenueRequest::new(&dispatch("GET", &format!("https://a.example{target}"), &[]))
        };
        for target in [
            "/",
            "/api/v3/order?a=b",
            "//x//y",
            "/../a/./b",
            "/a?b?c",
            "/%2F%zz",
            "/a?b=%2b+c",
            "/?",
            "/a;b,c",
            "/a?x=[1]&y={z:1}",
            "/a?b=c|d^e`f",
        ] {
            let request = read(target).expect(target);
            let plain = request.plain().expect("a request");
            assert_eq!(plain.uri().to_string(), target);
            let framed = request.framed().expect("a request");
            assert_eq!(framed.uri().path_and_query().map(|path| path.as_str()), Some(target));
        }
        for target in ["/a?b=\"c\"", "/a?b=<c>", "/a b", "/a#b", "/a\tb", "/\u{7f}"] {
            assert!(read(target).is_err(), "{target}");
        }
    }

    #[test]
    fn what_is_not_exactly_a_request_to_one_host_is_refused() {
        for url in [
            "http://a.example/",
            "https://a.example",
            "https://a.example?x",
            "https:///",
            "https://A.example/",
            "https://a.example:443/",
            "https://u@a.example/",
            "https://a.example./",
            "https://1.2.3.4/",
            "https://[::1]/",
            "https://127.1/",
            "https://a.example/#f",
            "https://a.example/a b",
            "https://a.example/\r\nx: y",
            "https://a..example/",
            "https://-a.example/",
            "//a.example/",
            "https://ä.example/",
            "https://a.example/\u{7f}",
            "https://a.example/\0",
        ] {
            assert!(VenueRequest::new(&dispatch("GET", url, &[])).is_err(), "{url}");
        }
        for method in ["CONNECT", "get", "", "G T", "GET\r\n"] {
            let refused = VenueRequest::new(&dispatch(method, "https://a.example/", &[]));
            assert!(refused.is_err(), "{method}");
        }
        for header in [
            ("host", "b.example"),
            ("Content-Length", "1"),
            ("transfer-encoding", "chunked"),
            ("connection", "close"),
            ("x", "a\r\nb: c"),
            ("x", " a"),
            ("x y", "a"),
            ("", "a"),
            ("upgrade", "websocket"),
            ("te", "trailers"),
            (":path", "/"),
        ] {
            let refused = VenueRequest::new(&dispatch("GET", "https://a.example/", &[header]));
            assert!(refused.is_err(), "{header:?}");
        }
    }

    #[test]
    fn the_body_has_its_length_and_our_headers_are_ours() {
        let mut post = dispatch("POST", "https://a.example/", &[("x-a", "1"), ("x-a", "2")]);
        post.headers.push(Header { name: "user-agent".into(), value: "ccxt".into() });
        let length = |dispatch: &Dispatch| {
            let request = VenueRequest::new(dispatch).expect("fits").plain().expect("a request");
            request.headers().get("content-length").map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(length(&post).as_deref(), Some("0"));
        post.body = b"abc".to_vec();
        assert_eq!(length(&post).as_deref(), Some("3"));
        assert_eq!(length(&dispatch("DELETE", "https://a.example/", &[])), None);

        let request = VenueRequest::new(&post).expect("fits").plain().expect("a request");
        let names: Vec<_> = request.headers().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["host", "x-a", "x-a", "user-agent", "accept-encoding", "content-length"]
        );
        let agent = concat!("countersign/", env!("CARGO_PKG_VERSION"));
        assert_eq!(request.headers()["user-agent"], agent);
    }

    #[test]
    fn what_authorises_is_never_printed() {
        let canary = "CANARY";
        let url = format!("https://a.example/?signature={canary}");
        let mut order = dispatch("POST", &url, &[("x-signature", canary)]);
        order.body = canary.as_bytes().to_vec();

        let request = VenueRequest::new(&order).expect("fits");

        let printed = format!("{request:?}");
        assert!(printed.contains("a.example") && !printed.contains(canary), "{printed}");
        for headers in [
            request.plain().expect("a request").headers(),
            request.framed().expect("a request").headers(),
        ] {
            assert_eq!(headers["x-signature"], canary);
            let printed = format!("{headers:?}");
            assert!(printed.contains("x-signature") && !printed.contains(canary), "{printed}");
        }
    }
}
