//! Writes texts of few letters with as many bits as these need: signatures are base64 or hex.
//!
//! Of a text that comes back letter by letter nothing need be known but its letters: where it begins within
//! a signature, or whether its last bits say anything, does not matter.

/// An alphabet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Letters {
    Base64,
    Base64Url,
    Hex,
}

impl Letters {
    /// The narrowest alphabet that has all letters of a text.
    pub fn of(text: &[u8]) -> Option<Self> {
        let mut all = ALL;
        for byte in text {
            all &= IN[usize::from(*byte)];
            if all == 0 {
                return None;
            }
        }
        [Self::Hex, Self::Base64, Self::Base64Url].into_iter().find(|one| all & one.bit() != 0)
    }

    /// As [`Letters::of`], of a text for which it is worth to look.
    pub fn worth(text: &[u8]) -> Option<Self> {
        if text.len() < LENGTH_MIN { None } else { Self::of(text) }
    }

    /// Whether a text has these letters only.
    pub fn has(self, text: &[u8]) -> bool {
        text.iter().fold(ALL, |all, byte| all & IN[usize::from(*byte)]) & self.bit() != 0
    }

    /// Writes a text of these letters.
    pub fn pack(self, text: &[u8], packed: &mut Vec<u8>) {
        let (bits, codes) = (self.bits(), self.codes());
        // Eight letters are as many bytes as one letter has bits.
        let word = |letters: &[u8]| {
            letters
                .iter()
                .fold(0, |word, letter| word << bits | u64::from(codes[usize::from(*letter)]))
        };
        let (eights, rest) = text.as_chunks::<8>();
        for eight in eights {
            packed.extend_from_slice(&word(eight).to_be_bytes()[8 - bits..]);
        }
        let left = 64 - rest.len() * bits;
        if !rest.is_empty() {
            packed.extend_from_slice(&(word(rest) << left).to_be_bytes()[..self.size(rest.len())]);
        }
    }

    /// Reads as many letters.
    pub fn unpack(self, packed: &[u8], length: usize, text: &mut Vec<u8>) {
        let letters = self.alphabet();
        let letter = |at: usize| {
            let (byte, shift) = (at * self.bits() / 8, at * self.bits() % 8);
            let two = [byte, byte + 1].map(|byte| packed.get(byte).copied().unwrap_or(0));
            let code = u16::from_be_bytes(two) << shift >> (16 - self.bits());
            letters[usize::from(code)]
        };
        text.extend((0..length).map(letter));
    }

    /// Bytes that so many letters take.
    pub fn size(self, length: usize) -> usize {
        // Not `length * bits`, which may be more than a number holds.
        length / 8 * self.bits() + (length % 8 * self.bits()).div_ceil(8)
    }

    /// Bits of a letter.
    fn bits(self) -> usize {
        match self {
            Self::Base64 | Self::Base64Url => 6,
            Self::Hex => 4,
        }
    }

    const fn alphabet(self) -> &'static [u8] {
        match self {
            Self::Base64 => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
            Self::Base64Url => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
            Self::Hex => b"0123456789abcdef",
        }
    }

    fn codes(self) -> &'static [u8; 256] {
        &CODES[self as usize]
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Fewer letters are not worth looking at.
const LENGTH_MIN: usize = 12;
const EACH: [Letters; 3] = [Letters::Base64, Letters::Base64Url, Letters::Hex];
const ALL: u8 = 0b111;
/// Which alphabets have a letter.
static IN: [u8; 256] = tables().0;
/// Which letter of an alphabet it is.
static CODES: [[u8; 256]; EACH.len()] = tables().1;

const fn tables() -> ([u8; 256], [[u8; 256]; EACH.len()]) {
    let (mut has, mut codes) = ([0; 256], [[0; 256]; EACH.len()]);
    // Loops without iterators: what is computed while compiling knows no others.
    let mut one = 0;
    while one < EACH.len() {
        let letters = EACH[one].alphabet();
        let mut code = 0;
        while code < letters.len() {
            has[letters[code] as usize] |= 1 << one;
            codes[one][letters[code] as usize] = code as u8;
            code += 1;
        }
        one += 1;
    }
    (has, codes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Letters;

    #[test]
    fn the_narrowest_alphabet_is_taken() {
        for (text, letters, size) in [
            ("00ff", Some(Letters::Hex), 2),
            ("00fF", Some(Letters::Base64), 3),
            ("a+/Z", Some(Letters::Base64), 3),
            ("a-_Zz", Some(Letters::Base64Url), 4),
            ("a+_Z", None, 0),
            ("a b", None, 0),
        ] {
            let found = Letters::of(text.as_bytes());
            assert_eq!(found, letters, "{text}");
            assert_eq!(found.map_or(0, |letters| letters.size(text.len())), size, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_of_letters_comes_back(text in "[0-9a-f]{0,70}|[A-Za-z0-9+/]{0,70}|[A-Za-z0-9_-]{0,70}") {
            let letters = Letters::of(text.as_bytes()).expect("letters");
            let (mut packed, mut back) = (Vec::new(), Vec::new());
            letters.pack(text.as_bytes(), &mut packed);
            prop_assert_eq!(packed.len(), letters.size(text.len()));
            letters.unpack(&packed, text.len(), &mut back);
            prop_assert_eq!(back, text.into_bytes());
        }
    }
}
