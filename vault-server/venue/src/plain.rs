//! Plain forms of a request's outer parts. What is not plain is refused, never normalised: two
//! programs normalise differently.

/// An upper-case token of at most 16 letters.
pub(crate) fn is_method(text: &str) -> bool {
    (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase())
}

/// A lower-case host name without port.
pub(crate) fn is_host(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}

/// A path of `[A-Za-z0-9_./:-]` with its leading slash, without empty or dot segments.
pub(crate) fn is_path(text: &str) -> bool {
    let Some(segments) = text.strip_prefix('/') else {
        return false;
    };
    text.len() <= 256
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'/' | b':' | b'-'))
        && segments.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::{is_host, is_method, is_path};

    #[test]
    fn methods_are_exact_tokens() {
        assert!(is_method("POST"));
        for text in ["", "post", "POST ", " POST", "PO\r\nST", "POST\0", "P0ST"] {
            assert!(!is_method(text), "{text:?}");
        }
    }

    #[test]
    fn hosts_are_lower_case_names() {
        assert!(is_host("www.okx.com"));
        for text in ["", "WWW.okx.com", "okx.com:443", "okx.com.", ".okx.com", "a@okx.com", "[::1]"]
        {
            assert!(!is_host(text), "{text:?}");
        }
    }

    #[test]
    fn paths_have_no_escapes_and_no_dots() {
        assert!(is_path("/api/v5/account/balance"));
        for text in [
            "",
            "/",
            "api",
            "//api",
            "/api//x",
            "/api/",
            "/api/./x",
            "/api/../x",
            "/api/%77",
            "/a b",
            "/a?b",
            "/a\r\n",
            "/a;b",
            "/a\\b",
            "/ä",
            "/a#b",
        ] {
            assert!(!is_path(text), "{text:?}");
        }
    }
}
