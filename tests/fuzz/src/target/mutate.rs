//! Mutations of inputs, the same ones for both worlds.

/// Random numbers that can be repeated (splitmix64).
pub struct Random(pub u64);

impl Random {
    /// 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`; 0 where `end` is.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        usize::try_from(self.next() % end.max(1)).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// So many random bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }
}

/// Texts that readers have treated differently, or that stand at a limit.
const ODD: &[&str] = &[
    "",
    "%",
    "%00",
    "%26",
    "%2B",
    "%c3%a9",
    "+",
    "&",
    "=",
    "&&",
    "&a=1",
    "#",
    ";",
    ",",
    "..",
    "/",
    "//",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "\\u00e9",
    "{",
    "}",
    "{}",
    "[",
    "]",
    "[]",
    "[[[[[[[[[",
    "null",
    "true",
    "false",
    "NaN",
    "0",
    "-0",
    "-1",
    "01",
    "1e9",
    "0.1",
    "1.",
    ".5",
    "9223372036854775808",
    "18446744073709551616",
    "123456789012345678901234567890",
    "0.0000000000000000001",
    "5000",
    "5001",
    "\u{0}",
    "\u{7f}",
    "\u{85}",
    "\u{feff}",
    "１",
    "é",
    "\n",
    "\r\n",
    " ",
    "\t",
];

/// Changes an input in one to four places. `other` is an input to splice from.
pub fn mutate(data: &mut Vec<u8>, other: &[u8], words: &[String], random: &mut Random, max: usize) {
    for _ in 0..=random.below(4) {
        once(data, other, words, random);
    }
    data.truncate(max);
}

fn once(data: &mut Vec<u8>, other: &[u8], words: &[String], random: &mut Random) {
    let at = random.below(data.len() + 1);
    let end = (at + random.below(17)).min(data.len());
    match random.below(11) {
        // A bit, a byte.
        0 => {
            if let Some(byte) = data.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        1 => {
            if let Some(byte) = data.get_mut(at) {
                *byte = random.byte();
            }
        }
        // Less, more, twice.
        2 => drop(data.drain(at..end)),
        3 => {
            let count = 1 + random.below(8);
            let bytes = random.bytes(count);
            data.splice(at..at, bytes);
        }
        4 => {
            let piece = data[at..end].to_vec();
            data.splice(at..at, piece);
        }
        // A piece of another input, in the place of one here.
        5 => {
            let from = random.below(other.len() + 1);
            let to = from + random.below(other.len() - from + 1);
            data.splice(at..end, other[from..to].iter().copied());
        }
        // Texts.
        6 => {
            let text = ODD[random.below(ODD.len())];
            data.splice(at..end, text.bytes());
        }
        7 => {
            let text = ODD[random.below(ODD.len())];
            data.splice(at..at, text.bytes());
        }
        8 => {
            let word = words.get(random.below(words.len()));
            data.splice(at..at, word.into_iter().flat_map(|word| word.bytes()));
        }
        // Another pair, and another value.
        9 => {
            let name = words.get(random.below(words.len()));
            let value = words.get(random.below(words.len()));
            if let (Some(name), Some(value)) = (name, value) {
                data.extend(format!("&{name}={value}").bytes());
            }
        }
        _ => {
            let from = at + data[at..].iter().position(|b| b"=:".contains(b)).unwrap_or(0);
            let is_end = |b: &u8| b"&,}]\n".contains(b);
            let to = data[from..].iter().position(is_end).map_or(data.len(), |to| from + to);
            let from = (from + 1).min(to);
            let text = match random.below(3) {
                0 => ODD[random.below(ODD.len())].to_owned(),
                1 => random.below(1_000_000).to_string(),
                _ => words.get(random.below(words.len())).cloned().unwrap_or_default(),
            };
            data.splice(from..to, text.bytes());
        }
    }
}

/// Changes a text by what the bytes say: place (2 bytes), how many bytes go, how many come, and
/// those. So a fuzzer that knows nothing of a long text can still change it anywhere.
pub fn edit(text: &[u8], mut edits: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    while let [high, low, gone, come, rest @ ..] = edits {
        let place = usize::from(u16::from_be_bytes([*high, *low]));
        let from = (place * text.len()) >> 16;
        let to = (from + usize::from(*gone)).min(text.len());
        let (come, rest) = rest.split_at(usize::from(*come).min(rest.len()));
        text.splice(from..to, come.iter().copied());
        edits = rest;
    }
    text
}
