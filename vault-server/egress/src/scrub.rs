//! Strikes out of responses what authorises: a venue that echoes a request echoes its signature.
//!
//! Each text is looked for as it stands and in the forms in which servers repeat what they got:
//! percent-encoded, escaped as in JSON, in the other alphabet of base64, and inside a base64 text.
//! What is found becomes as many `*`, so that lengths stay true.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem::Finder;

/// Shorter texts are let be: they would be found where they mean nothing. In bytes.
const TEXT_BYTES_MIN: usize = 4;

/// What to look for. Never printed.
pub(crate) struct Scrubber {
    patterns: Vec<Finder<'static>>,
    longest: usize,
}

/// A body in the course of being scrubbed. Never printed.
pub(crate) struct Scrubbing<'a> {
    scrubber: &'a Scrubber,
    /// What may be the beginning of a pattern, as it came.
    held: Vec<u8>,
    /// So many bytes of `held` are struck out already.
    struck: usize,
}

impl Scrubber {
    /// Looks for these texts, in all their forms.
    pub(crate) fn new<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let mut forms = Vec::new();
        for text in texts.into_iter().filter(|text| text.len() >= TEXT_BYTES_MIN) {
            add_forms(text, &mut forms);
        }
        forms.sort_unstable();
        forms.dedup();
        let longest = forms.iter().map(Vec::len).max().unwrap_or(0);
        let patterns = forms.iter().map(|form| Finder::new(form).into_owned()).collect();
        Self { patterns, longest }
    }

    /// Strikes out of one text.
    pub(crate) fn scrub(&self, bytes: &mut [u8]) {
        for range in self.found(bytes) {
            bytes[range].fill(b'*');
        }
    }

    /// Strikes out of a body that comes in pieces.
    pub(crate) fn stream(&self) -> Scrubbing<'_> {
        Scrubbing { scrubber: self, held: Vec::new(), struck: 0 }
    }

    fn found(&self, bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
        let mut found = Vec::new();
        for pattern in &self.patterns {
            let length = pattern.needle().len();
            if bytes.len() < length {
                continue;
            }
            let mut from = 0;
            while let Some(at) = bytes.get(from..).and_then(|rest| pattern.find(rest)) {
                found.push(from + at..from + at + length);
                // Occurrences of one text may overlap.
                from += at + 1;
            }
        }
        found
    }
}

impl Scrubbing<'_> {
    /// Takes the next piece and gives what is certain by now.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        if self.scrubber.longest == 0 {
            return piece.to_vec();
        }
        self.held.extend_from_slice(piece);
        let certain = self.held.len().saturating_sub(self.scrubber.longest - 1);
        self.take(certain)
    }

    /// The rest, at the end.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.take(self.held.len())
    }

    fn take(&mut self, certain: usize) -> Vec<u8> {
        let found = self.scrubber.found(&self.held);
        let mut bytes = self.held[..certain].to_vec();
        let struck = self.struck.min(certain);
        bytes[..struck].fill(b'*');
        let mut struck_to = self.struck;
        for range in found {
            // A match that begins in what is held comes again with the next piece.
            if range.start < certain {
                bytes[range.start..range.end.min(certain)].fill(b'*');
                struck_to = struck_to.max(range.end);
            }
        }
        self.held.drain(..certain);
        self.struck = struck_to.saturating_sub(certain);
        bytes
    }
}

fn add_forms(text: &str, forms: &mut Vec<Vec<u8>>) {
    let mut add = |form: String| {
        if form.len() >= TEXT_BYTES_MIN {
            forms.push(form.into_bytes());
        }
    };
    add(text.to_owned());
    // What has nothing to escape is the same in all of these. Most signatures are such texts.
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        for is_upper in [true, false] {
            add(percent_encoded(text, is_upper, |byte| {
                byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
            }));
            // JSON in which all that HTML minds is escaped, as Go and PHP write it; then but for `/`;
            // then only what is not of base64's own letters.
            for left in ["", "/", "=/"] {
                add(json_escaped(text, is_upper, left));
            }
        }
        add(text.replace('/', "\\/"));
        add(text.replace('\\', "\\\\").replace('"', "\\\""));
        // A form's spaces.
        add(text.replace('+', " "));
    }
    // Hexadecimal texts mean the same in both cases.
    if text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        add(text.to_ascii_uppercase());
        add(text.to_ascii_lowercase());
    }
    // The other alphabet, and without its padding.
    let bare = text.trim_end_matches('=');
    add(bare.to_owned());
    add(bare.replace('+', "-").replace('/', "_"));
    add(bare.replace('-', "+").replace('_', "/"));
    // The text inside something that is base64 as a whole, at each of the three places.
    for shift in 0..3 {
        let shifted = [&[0; 3][..shift], text.as_bytes()].concat();
        // Letters that also depend on what stands before or behind are left out.
        let first = (shift * 8).div_ceil(6);
        let whole = shifted.len() * 8 / 6;
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let encoded = engine.encode(&shifted);
            add(encoded.get(first..whole).unwrap_or_default().to_owned());
        }
    }
    // A text that is base64 itself, said in hexadecimal.
    if let Ok(bytes) = STANDARD.decode(text) {
        for is_upper in [true, false] {
            let digits = hex_digits(is_upper);
            let two = |byte: &u8| [byte >> 4, byte & 15];
            let digit = |digit: u8| char::from(digits[digit as usize]);
            add(bytes.iter().flat_map(two).map(digit).collect());
        }
    }
}

fn percent_encoded(text: &str, is_upper: bool, stays: impl Fn(u8) -> bool) -> String {
    let digits = hex_digits(is_upper);
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if stays(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.extend([byte >> 4, byte & 15].map(|digit| char::from(digits[digit as usize])));
        }
    }
    encoded
}

/// Escapes for JSON what HTML minds, but for the characters in `left`.
fn json_escaped(text: &str, is_upper: bool, left: &str) -> String {
    let digits = hex_digits(is_upper);
    let mut escaped = String::with_capacity(text.len() * 2);
    for character in text.chars() {
        match character {
            '+' | '/' | '=' | '&' | '<' | '>' | '\'' if !left.contains(character) => {
                // All of them are ASCII.
                let code = character as usize;
                escaped.push_str("\\u00");
                escaped.extend([code >> 4, code & 15].map(|digit| char::from(digits[digit])));
            }
            '"' | '\\' => escaped.extend(['\\', character]),
            other => escaped.push(other),
        }
    }
    escaped
}

fn hex_digits(is_upper: bool) -> &'static [u8; 16] {
    if is_upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::Scrubber;

    const SIGNATURE: &str = "a+b/Cd0123456789+/xyzABCDEFGH==";

    fn scrubber() -> Scrubber {
        Scrubber::new([SIGNATURE, "passphrase", "ab"])
    }

    fn scrubbed(body: &[u8], size: usize) -> Vec<u8> {
        let scrubber = scrubber();
        let mut stream = scrubber.stream();
        let mut out = Vec::new();
        for piece in body.chunks(size) {
            out.extend(stream.push(piece));
        }
        out.extend(stream.finish());
        out
    }

    #[test]
    fn every_form_is_struck_out_wherever_the_pieces_are_cut() {
        let forms = [
            SIGNATURE.to_owned(),
            "a%2Bb%2FCd0123456789%2B%2FxyzABCDEFGH%3D%3D".to_owned(),
            "a%2bb%2fCd0123456789%2b%2fxyzABCDEFGH%3d%3d".to_owned(),
            SIGNATURE.replace('/', "\\/"),
            SIGNATURE.replace('+', "\\u002b"),
            SIGNATURE.replace('+', "\\u002B").replace('=', "\\u003D"),
            "a-b_Cd0123456789-_xyzABCDEFGH".to_owned(),
            "passphrase".to_owned(),
        ];
        for form in forms {
            let body = format!("{{\"echo\":\"{form}\",\"order\":1}}");
            let expected = body.replace(&form, &"*".repeat(form.len()));
            for size in 1..=body.len() {
                let out = scrubbed(body.as_bytes(), size);
                assert_eq!(String::from_utf8_lossy(&out), expected, "{form} {size}");
            }
        }
    }

    #[test]
    fn a_text_inside_base64_is_struck_out() {
        for before in ["", "x", "xy", "xyz"] {
            let whole = STANDARD.encode(format!("{before}{SIGNATURE}&b=1"));
            let out = String::from_utf8(scrubbed(whole.as_bytes(), 5)).expect("text");
            assert_eq!(out.len(), whole.len());
            // All but the letters at the borders.
            assert!(out.matches('*').count() >= SIGNATURE.len() * 8 / 6 - 2, "{out}");
        }
    }

    #[test]
    fn hexadecimal_is_struck_out_in_both_cases() {
        let scrubber = Scrubber::new(["00ffabcdef"]);
        let mut text = b"00FFABCDEF 00ffabcdef 00ffabcdee".to_vec();
        scrubber.scrub(&mut text);
        assert_eq!(text, b"********** ********** 00ffabcdee");
    }

    #[test]
    fn nothing_else_is_touched() {
        let body = "passphras ab a+b/Cd0123456789 passphras".repeat(50);
        for size in [1, 7, 64, 4096] {
            assert_eq!(scrubbed(body.as_bytes(), size), body.as_bytes());
        }
        let none = Scrubber::new([]);
        let mut stream = none.stream();
        assert_eq!(stream.push(b"at once"), b"at once");
        assert_eq!(stream.finish(), b"");
    }

    #[test]
    fn texts_that_overlap_are_struck_out_together() {
        let scrubber = Scrubber::new(["abcdef", "defghi"]);
        for size in 1..12 {
            let mut stream = scrubber.stream();
            let mut out = Vec::new();
            for piece in b"--abcdefghi--abcdefghi".chunks(size) {
                out.extend(stream.push(piece));
            }
            out.extend(stream.finish());
            assert_eq!(out, b"--*********--*********", "{size}");
        }
    }
}
