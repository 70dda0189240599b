//! What the log wants to know of a response: the venue's order id and its error code.

use serde_json::Value;

/// Longest response that is looked into, in bytes.
const LOOKED_INTO_BYTES: usize = 64 << 10;
/// Longest id or code, in bytes.
const WORD_BYTES: usize = 64;

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
        let Ok(body) = serde_json::from_slice::<Value>(&self.bytes) else {
            return Default::default();
        };
        let order_id = order_id_at.iter().find_map(|at| word(body.pointer(at)?));
        // Zeros say that all went well.
        let is_error = |code: &String| !code.bytes().all(|byte| byte == b'0');
        let error_code =
            error_code_at.iter().find_map(|at| word(body.pointer(at)?).filter(is_error));
        [order_id.unwrap_or_default(), error_code.unwrap_or_default()]
    }
}

/// A value in the letters of the log. A space, as in Kraken's `EOrder:Insufficient funds`, becomes
/// `_`.
fn word(value: &Value) -> Option<String> {
    let text = match value {
        Value::Number(number) if number.is_i64() || number.is_u64() => number.to_string(),
        Value::String(text) => text.replace(' ', "_"),
        _ => return None,
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    ((1..=WORD_BYTES).contains(&text.len()) && text.bytes().all(fits)).then_some(text)
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
