//! Venue requests from URLs.

use vault_proto::v1::VenueRequest;

/// Why a URL is not one of a venue request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UrlError {
    /// Neither `https` nor `wss`.
    #[error("the URL must begin with https:// or wss://")]
    Scheme,
    /// No host, or one with a user or a port.
    #[error("the URL must name the venue's host, without user or port")]
    Host,
    /// A fragment is never sent, so it has no place in what is signed.
    #[error("the URL must not have a fragment")]
    Fragment,
}

/// A request of any method. Path and query are taken byte for byte; a URL without a path has `/`.
///
/// # Errors
///
/// [`UrlError`].
pub fn venue_request(
    method: &str,
    url: &str,
    body: impl Into<Vec<u8>>,
) -> Result<VenueRequest, UrlError> {
    let (scheme, rest) = url.split_once("://").ok_or(UrlError::Scheme)?;
    if !matches!(scheme, "https" | "wss") {
        return Err(UrlError::Scheme);
    }
    if rest.contains('#') {
        return Err(UrlError::Fragment);
    }
    let (target, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (host, path) = target.find('/').map_or((target, "/"), |at| target.split_at(at));
    if host.is_empty() || host.contains(['@', ':']) {
        return Err(UrlError::Host);
    }
    Ok(VenueRequest {
        method: method.to_owned(),
        scheme: scheme.to_owned(),
        host: host.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        body: body.into(),
        headers: Vec::new(),
    })
}

/// A GET.
///
/// # Errors
///
/// [`UrlError`].
pub fn get(url: &str) -> Result<VenueRequest, UrlError> {
    venue_request("GET", url, Vec::new())
}

/// A POST with a body, which is taken byte for byte.
///
/// # Errors
///
/// [`UrlError`].
pub fn post(url: &str, body: impl Into<Vec<u8>>) -> Result<VenueRequest, UrlError> {
    venue_request("POST", url, body)
}

#[cfg(test)]
mod tests {
    use super::{UrlError, get, post};

    #[test]
    fn takes_urls_apart_byte_for_byte() {
        let request =
            get("https://www.okx.com/api/v5/account/balance?ccy=BTC,%45TH?x").expect("a URL");
        assert_eq!(request.method, "GET");
        assert_eq!(request.scheme, "https");
        assert_eq!(request.host, "www.okx.com");
        assert_eq!(request.path, "/api/v5/account/balance");
        assert_eq!(request.query, "ccy=BTC,%45TH?x");

        let request = post("wss://ws.okx.com?a=1", "{}").expect("a URL");
        assert_eq!((request.path.as_str(), request.query.as_str()), ("/", "a=1"));
        assert_eq!(request.body, b"{}");
    }

    #[test]
    fn refuses_what_would_not_be_sent_as_it_stands() {
        for (url, error) in [
            ("www.okx.com/", UrlError::Scheme),
            ("http://www.okx.com/", UrlError::Scheme),
            ("https://", UrlError::Host),
            ("https:///path", UrlError::Host),
            ("https://me@www.okx.com/", UrlError::Host),
            ("https://www.okx.com:443/", UrlError::Host),
            ("https://www.okx.com/#a", UrlError::Fragment),
        ] {
            assert_eq!(get(url), Err(error), "{url}");
        }
    }
}
