//! Canaries, and the search for them in any bytes and in every form.

use std::collections::HashMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};

/// Something that must not be found where it has no business.
pub struct Canary {
    pub name: String,
    pub bytes: Vec<u8>,
    /// Places where it may be; a place is named by how its name begins.
    pub allowed: &'static [&'static str],
}

impl Canary {
    /// One that may be nowhere.
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self::allowed_in(name, bytes, &[])
    }

    pub fn allowed_in(
        name: impl Into<String>,
        bytes: impl Into<Vec<u8>>,
        allowed: &'static [&'static str],
    ) -> Self {
        let canary = Self { name: name.into(), bytes: bytes.into(), allowed };
        assert!(canary.bytes.len() >= 24, "{}: too short to be told from chance", canary.name);
        canary
    }
}

/// Where something was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hit {
    /// Index of the canary.
    pub canary: usize,
    pub form: &'static str,
    pub offset: usize,
}

/// Finds canaries in every form: raw, reversed (as the limbs of a big number lie), as HMAC pads it, hex, base64 of both
/// alphabets at all alignments, `Debug` of bytes, and the texts of all of them in UTF-16.
///
/// It looks for pieces, not for wholes: memory that was freed keeps most of a secret, but an
/// allocator writes its own notes over the first 16 bytes, and PEM breaks lines.
pub struct Searcher {
    pieces: Vec<Piece>,
    by_head: HashMap<u64, Vec<u32>>,
    /// One bit for each hash of a head: says no without a look at the map.
    filter: Vec<bool>,
}

struct Piece {
    canary: usize,
    form: &'static str,
    bytes: Vec<u8>,
}

const HEAD: usize = 8;
/// Pieces begin at every so many bytes.
const STRIDE: usize = 4;
const FILTER_BITS: u32 = 20;
/// Longest piece, in bytes.
pub const PIECE_MAX: usize = 40;

impl Searcher {
    pub fn new(canaries: &[Canary]) -> Self {
        let mut searcher = Self {
            pieces: Vec::new(),
            by_head: HashMap::new(),
            filter: vec![false; 1 << FILTER_BITS],
        };
        for (index, canary) in canaries.iter().enumerate() {
            for (form, piece_bytes, bytes) in forms(&canary.bytes) {
                searcher.add(index, form, piece_bytes, &bytes);
            }
        }
        searcher
    }

    fn add(&mut self, canary: usize, form: &'static str, piece_bytes: usize, bytes: &[u8]) {
        let piece_bytes = piece_bytes.min(bytes.len());
        for bytes in bytes.windows(piece_bytes).step_by(STRIDE) {
            let head = u64::from_le_bytes(*bytes.first_chunk::<HEAD>().expect("long enough"));
            self.filter[slot(head)] = true;
            let index = u32::try_from(self.pieces.len()).expect("not that many");
            self.by_head.entry(head).or_default().push(index);
            self.pieces.push(Piece { canary, form, bytes: bytes.to_vec() });
        }
    }

    /// Every place where a piece of a canary is.
    pub fn find(&self, haystack: &[u8]) -> Vec<Hit> {
        let mut hits = Vec::new();
        for (offset, window) in haystack.windows(HEAD).enumerate() {
            let head = u64::from_le_bytes(*window.first_chunk::<HEAD>().expect("8 bytes"));
            if !self.filter[slot(head)] {
                continue;
            }
            for index in self.by_head.get(&head).into_iter().flatten() {
                let piece = &self.pieces[*index as usize];
                if haystack[offset..].starts_with(&piece.bytes) {
                    hits.push(Hit { canary: piece.canary, form: piece.form, offset });
                }
            }
        }
        hits
    }
}

fn slot(head: u64) -> usize {
    (head.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - FILTER_BITS)) as usize
}

/// The forms of some bytes, with how long a piece must be so that chance does not make it.
fn forms(bytes: &[u8]) -> Vec<(&'static str, usize, Vec<u8>)> {
    let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
    let decimals = bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte}, ").expect("into a string");
        text
    });
    let mut texts = vec![
        ("hex", 24, hex::encode(bytes)),
        ("HEX", 24, hex::encode_upper(bytes)),
        ("bytes in Debug", PIECE_MAX, decimals),
        ("escaped", 32, bytes.escape_ascii().to_string()),
    ];
    for (form, url_form, shift) in
        [("base64", "base64url", 0), ("base64+1", "base64url+1", 1), ("base64+2", "base64url+2", 2)]
    {
        let shifted = [vec![0; shift], bytes.to_vec()].concat();
        // Only characters that hold nothing but bits of the canary.
        let (start, end) = ((shift * 8).div_ceil(6), shifted.len() * 8 / 6);
        texts.push((form, 16, BASE64_STANDARD.encode(&shifted)[start..end].to_owned()));
        texts.push((url_form, 16, BASE64_URL_SAFE.encode(&shifted)[start..end].to_owned()));
    }
    let mut forms = vec![("raw", 12, bytes.to_vec()), ("reversed", 12, reversed)];
    // As HMAC mixes a key into its first blocks (RFC 2104).
    for (form, pad) in [("inner pad", 0x36), ("outer pad", 0x5c)] {
        forms.push((form, 12, bytes.iter().map(|byte| byte ^ pad).collect()));
    }
    for (form, piece_bytes, text) in &texts {
        forms.push((form, *piece_bytes, text.clone().into_bytes()));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        texts.push(("text", 16, text.to_owned()));
    }
    for (_, _, text) in texts {
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        forms.push(("utf-16", PIECE_MAX, little));
        forms.push(("utf-16", PIECE_MAX, big));
    }
    forms
}

#[test]
fn finds_every_form_and_what_is_left_of_it() {
    let secret: Vec<u8> = (0..32).map(|byte: u8| byte.wrapping_mul(67).wrapping_add(129)).collect();
    let searcher = Searcher::new(&[Canary::new("secret", secret.clone())]);
    let found = |haystack: &[u8]| !searcher.find(haystack).is_empty();
    let pem = |bytes: &[u8]| {
        let text = BASE64_STANDARD.encode(bytes);
        text.as_bytes().chunks(64).map(<[u8]>::to_vec).collect::<Vec<_>>().join(&b'\n')
    };

    for before in 0..4 {
        let within = [vec![7; before], secret.clone(), vec![9; 5]].concat();
        let escaped = format!("{}", secret.escape_ascii());
        for form in [
            within.clone(),
            hex::encode(&within).into_bytes(),
            hex::encode_upper(&within).into_bytes(),
            BASE64_STANDARD.encode(&within).into_bytes(),
            BASE64_URL_SAFE.encode(&within).into_bytes(),
            format!("{within:?}").into_bytes(),
            escaped.clone().into_bytes(),
            hex::encode(&secret).encode_utf16().flat_map(u16::to_le_bytes).collect(),
            within.iter().rev().copied().collect(),
            within.iter().map(|byte| byte ^ 0x36).collect(),
            within.iter().map(|byte| byte ^ 0x5c).collect(),
            pem(&[vec![3; 36], within.clone()].concat()),
        ] {
            assert!(found(&form), "{before}: {}", form.escape_ascii());
        }
    }
    let mut freed = secret.clone();
    freed[..16].fill(0);
    assert!(found(&freed), "half of it is left");
    let other: Vec<u8> =
        (0..1 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    assert!(!found(&other) && !found(hex::encode(&other).as_bytes()));
    assert!(!found(format!("{:?}", &other[..4096]).as_bytes()));
}
