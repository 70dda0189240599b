//! What the log wants to know of a response: the venue's order id and its error code.

use crate::pointer::{self, Found};

/// Longest response that is looked into, in bytes.
const LOOKED_INTO_BYTES: usize = 64 << 10;
/// Longest id or code, in bytes.
const WORD_BYTES: usize = 64;
/// Values looked at.
const VALUES_MAX: usize = 64;

/// The beginning of a body, for as long as it may be looked into.
#[derive(Default)]
pub(crate) struct Finding {
    bytes: Vec<u8>,
    is_too_long: bool,
}

impl Finding {
    /// Adds what came.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        if self.bytes.len() + bytes.len() > LOOKED_INTO_BYTES {
            self.is_too_long = true;
            self.bytes = Vec::new();
        } else if !self.is_too_long {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// Order id and error code, each empty if there is none to be found.
    pub(crate) fn read(&self, order_id_at: &[String], error_code_at: &[String]) -> [String; 2] {
        if self.is_too_long || !matches!(self.bytes.trim_ascii_start().first(), Some(b'{' | b'[')) {
            return Default::default();
        }
        let pointers = order_id_at.iter().chain(error_code_at);
        let Ok(findings) = pointer::find(&self.bytes, pointers, VALUES_MAX) else {
            return Default::default();
        };
        // The first pointer that leads to one counts, wherever in the response it leads.
        let first = |range: std::ops::Range<usize>, counts: fn(&String) -> bool| {
            let words = findings.found.iter().filter(|found| range.contains(&found.at));
            let words = words.filter_map(|found| Some((found.at, word(found)?)));
            let words = words.filter(|(_, word)| counts(word));
            words.min_by_key(|(at, _)| *at).map(|(_, word)| word).unwrap_or_default()
        };
        let (middle, end) = (order_id_at.len(), order_id_at.len() + error_code_at.len());
        // Zeros say that all went well.
        let is_error = |code: &String| !code.bytes().all(|byte| byte == b'0');
        [first(0..middle, |_| true), first(middle..end, is_error)]
    }
}

/// A value in the letters of the log. A space, as in Kraken's `EOrder:Insufficient funds`, becomes
/// `_`.
fn word(found: &Found) -> Option<String> {
    // A fraction or a power of ten is no name of anything.
    if !found.is_text && !found.text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        return None;
    }
    let text = found.text.replace(' ', "_");
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    (text.len() <= WORD_BYTES && text.bytes().all(fits)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::{Finding, LOOKED_INTO_BYTES};

    fn read(body: &str) -> [String; 2] {
        let mut finding = Finding::default();
        for piece in body.as_bytes().chunks(3) {
            finding.extend(piece);
        }
        let at = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        finding
            .read(&at(&["/orderId", "/data/0/ordId"]), &at(&["/data/0/sCode", "/code", "/error/0"]))
    }

    #[test]
    fn the_first_pointer_that_leads_to_a_word_counts() {
        for (body, order_id, error_code) in [
            (r#"{"orderId":18446744073709551615}"#, "18446744073709551615", ""),
            (r#"{"orderId":null,"data":[{"ordId":"a-1:b_c.d"}]}"#, "a-1:b_c.d", ""),
            (r#" {"code":-2010,"msg":"x"}"#, "", "-2010"),
            (r#"{"code":"1","data":[{"sCode":"51008"}]}"#, "", "51008"),
            (r#"{"code":"50011","data":[{"sCode":"0"}]}"#, "", "50011"),
            (r#"{"code":"0","error":[]}"#, "", ""),
            (r#"{"error":["EOrder:Insufficient funds"]}"#, "", "EOrder:Insufficient_funds"),
            (r#"{"orderId":1.5,"code":true}"#, "", ""),
            (r#"{"orderId":"","code":"<script>"}"#, "", ""),
            (r#"{"orderId":"é"}"#, "", ""),
            (r#"{"orderId":1"#, "", ""),
            ("<html>", "", ""),
            ("", "", ""),
        ] {
            assert_eq!(read(body), [order_id, error_code], "{body}");
        }
        let long = "9".repeat(65);
        assert_eq!(read(&format!(r#"{{"orderId":"{long}"}}"#))[0], "");
        assert_eq!(read(&format!(r#"{{"orderId":"{}"}}"#, &long[1..]))[0], long[1..]);
    }

    #[test]
    fn long_responses_are_not_looked_into() {
        let fill = " ".repeat(LOOKED_INTO_BYTES - r#"{"orderId":7}"#.len());
        assert_eq!(read(&format!(r#"{{"orderId":7}}{fill}"#))[0], "7");
        assert_eq!(read(&format!(r#"{{"orderId":7}} {fill}"#))[0], "");
    }

    #[test]
    fn depth_is_bounded() {
        assert_eq!(read(&"[".repeat(10_000))[0], "");
    }
}
