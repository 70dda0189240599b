//! What comes back: one face for both versions of HTTP.

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONNECTION, CONTENT_ENCODING, TRANSFER_ENCODING};
use http_body_util::BodyExt as _;
use vault_ipc::proto::v1::Header;

use crate::problem::Problem;
use crate::scrub::Scrubber;

/// A body as it arrives.
pub(crate) enum Body {
    Framed(h2::RecvStream),
    Plain(hyper::body::Incoming),
}

impl Body {
    /// The next piece; `None` at the end that the venue meant.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, Problem> {
        match self {
            Self::Framed(stream) => match stream.data().await {
                Some(Ok(piece)) => {
                    stream
                        .flow_control()
                        .release_capacity(piece.len())
                        .map_err(|_| Problem::BodyCut)?;
                    Ok(Some(piece))
                }
                Some(Err(_)) => Err(Problem::BodyCut),
                None => Ok(None),
            },
            Self::Plain(incoming) => loop {
                match incoming.frame().await {
                    // Trailers say nothing that is passed on.
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(piece) => return Ok(Some(piece)),
                        Err(_) => continue,
                    },
                    Some(Err(_)) => return Err(Problem::BodyCut),
                    None => return Ok(None),
                }
            },
        }
    }
}

/// Whether a body is something else than it seems.
pub(crate) fn is_encoded(headers: &HeaderMap) -> bool {
    let is_said = |value: &http::HeaderValue, word: &[u8]| {
        value.as_bytes().trim_ascii().eq_ignore_ascii_case(word)
    };
    let mut contents = headers.get_all(CONTENT_ENCODING).iter();
    let mut transfers = headers.get_all(TRANSFER_ENCODING).iter();
    contents.any(|value| !is_said(value, b"") && !is_said(value, b"identity"))
        || transfers.any(|value| !is_said(value, b"chunked"))
}

/// The headers that are passed on. What is no text is left out, and what is named after a secret.
pub(crate) fn passed_on(headers: &HeaderMap, scrubber: &Scrubber) -> Vec<Header> {
    let named = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named: Vec<String> =
        named.flat_map(|value| value.split(',')).map(|name| name.trim().to_lowercase()).collect();
    let is_kept = |name: &str| {
        !named.iter().any(|named| named == name)
            && !name.starts_with("proxy-")
            // The last would send the bot elsewhere than through us.
            && !matches!(
                name,
                "connection" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "upgrade" | "alt-svc"
            )
    };
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        if !is_kept(name.as_str()) {
            return None;
        }
        let mut said = name.as_str().as_bytes().to_vec();
        scrubber.scrub(&mut said);
        if said != name.as_str().as_bytes() {
            return None;
        }
        let mut bytes = value.as_bytes().to_vec();
        scrubber.scrub(&mut bytes);
        Some(Header { name: name.as_str().to_owned(), value: String::from_utf8(bytes).ok()? })
    };
    headers.iter().filter_map(header).collect()
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{is_encoded, passed_on};
    use crate::scrub::Scrubber;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        all.iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn headers_of_the_connection_stay_behind() {
        let all = headers(&[
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("trailer", "x"),
            ("upgrade", "h2c"),
            ("proxy-authenticate", "x"),
            ("alt-svc", "h3=\":443\""),
            ("content-type", "text/plain"),
            ("x-echo", "sig=SIGNATURE!"),
        ]);
        let kept = passed_on(&all, &Scrubber::new(["SIGNATURE"]));
        let kept: Vec<_> =
            kept.iter().map(|header| (header.name.as_str(), header.value.as_str())).collect();
        assert_eq!(kept, [("content-type", "text/plain"), ("x-echo", "sig=*********!")]);
    }

    #[test]
    fn only_identity_is_no_encoding() {
        assert!(!is_encoded(&headers(&[])));
        assert!(!is_encoded(&headers(&[("content-encoding", " Identity")])));
        for encoding in ["gzip", "br", "identity, gzip", "x"] {
            let mut all = HeaderMap::new();
            all.insert("content-encoding", HeaderValue::from_static("identity"));
            all.append("content-encoding", HeaderValue::from_static(encoding));
            assert!(is_encoded(&all), "{encoding}");
        }
    }

    #[test]
    fn a_body_comes_in_chunks_or_as_it_is() {
        for (encoding, encoded) in [
            ("chunked", false),
            ("Chunked ", false),
            ("gzip, chunked", true),
            ("gzip", true),
            ("chunked, chunked", true),
            ("identity", true),
            ("", true),
        ] {
            let all = headers(&[("transfer-encoding", encoding)]);
            assert_eq!(is_encoded(&all), encoded, "{encoding}");
        }
        let mut all = headers(&[("transfer-encoding", "chunked")]);
        all.append("transfer-encoding", HeaderValue::from_static("gzip"));
        assert!(is_encoded(&all));
    }

    #[test]
    fn a_header_named_after_a_secret_stays_behind() {
        let all = headers(&[("x-00ffabcdef-y", "1"), ("x-00ffabcde", "2")]);
        let kept = passed_on(&all, &Scrubber::new(["00FFABCDEF"]));
        let kept: Vec<_> = kept.iter().map(|header| header.name.as_str()).collect();
        assert_eq!(kept, ["x-00ffabcde"]);
    }
}
