//! Symbol patterns of the catalogue's product rules.

/// A pattern: `*` is one or more of `[A-Za-z0-9]`, `#` one digit, anything else itself.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Glob(Vec<u8>);

impl Glob {
    /// Takes the pattern as the catalogue writes it.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.as_bytes().to_vec())
    }

    /// Whether the whole symbol fits.
    pub fn matches(&self, symbol: &str) -> bool {
        self.fits(symbol, |byte| byte, |byte| byte.is_ascii_alphanumeric())
    }

    /// Whether it fits in upper case, if letters need not be ASCII.
    pub fn could_match(&self, symbol: &str) -> bool {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || !byte.is_ascii();
        self.fits(symbol, |byte| byte.to_ascii_uppercase(), is_letter)
    }

    fn fits(&self, symbol: &str, seen: impl Fn(u8) -> u8, is_letter: impl Fn(u8) -> bool) -> bool {
        let (pattern, symbol) = (self.0.as_slice(), symbol.as_bytes());
        let byte_at = |at: usize| symbol.get(at).map(|&byte| seen(byte));
        let is_letter_at = |at: usize| byte_at(at).is_some_and(&is_letter);
        let (mut wanted, mut at) = (0, 0);
        // What comes after the last star, and the end of what that star took.
        let mut last: Option<(usize, usize)> = None;
        loop {
            let fits = match (pattern.get(wanted).copied(), byte_at(at)) {
                (None, None) => return true,
                (Some(b'*'), Some(_)) if is_letter_at(at) => {
                    last = Some((wanted + 1, at + 1));
                    true
                }
                (Some(b'#'), Some(byte)) => byte.is_ascii_digit(),
                (Some(b'*'), _) => false,
                (literal, byte) => literal == byte,
            };
            if fits {
                (wanted, at) = (wanted + 1, at + 1);
                continue;
            }
            // Only the last star ever has to take more: a star stops at what is no letter, so what an
            // earlier one could take besides, all those after it can take instead.
            match last.filter(|(_, end)| is_letter_at(*end)) {
                Some((after, end)) => {
                    last = Some((after, end + 1));
                    (wanted, at) = (after, end + 1);
                }
                None => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn stars_do_not_cross_separators() {
        let spot = Glob::new("*-*");
        assert!(spot.matches("BTC-USDT"));
        for symbol in ["BTC-USDT-SWAP", "BTCUSDT", "-", "BTC-", "", "BTC/-USDT", "BTC-USDT\n"] {
            assert!(!spot.matches(symbol), "{symbol:?}");
        }
    }

    #[test]
    fn letters_could_be_of_any_script() {
        let linear = Glob::new("*USDT");
        assert!(!linear.matches("币安人生USDT"));
        assert!(linear.could_match("币安人生USDT") && linear.could_match("币安人生usdt"));
        assert!(!linear.could_match("币安-USDT"));
    }

    #[test]
    fn hashes_are_single_digits() {
        let future = Glob::new("*-USD-######");
        assert!(future.matches("BTC-USD-251226"));
        assert!(!future.matches("BTC-USD-25122"));
        assert!(!future.matches("BTC-USD-25122a"));
        assert!(!future.matches("BTC-USDT-251226"));
    }

    /// Every way to fit, tried one after the other.
    fn could(pattern: &[u8], text: &[u8]) -> bool {
        let Some((wanted, pattern)) = pattern.split_first() else {
            return text.is_empty();
        };
        let Some((byte, rest)) = text.split_first() else {
            return false;
        };
        match wanted {
            b'*' => {
                byte.is_ascii_alphanumeric()
                    && (could(pattern, rest) || could(&[b"*", pattern].concat(), rest))
            }
            b'#' => byte.is_ascii_digit() && could(pattern, rest),
            literal => literal == byte && could(pattern, rest),
        }
    }

    /// Every text of so many of these letters.
    fn texts(letters: &str, length: usize) -> Vec<String> {
        (0..length).fold(vec![String::new()], |shorter, _| {
            let longer = |text: &String| {
                letters.chars().map(|letter| format!("{text}{letter}")).collect::<Vec<_>>()
            };
            shorter.iter().flat_map(longer).collect()
        })
    }

    #[test]
    fn what_fits_in_any_way_fits() {
        let patterns: Vec<_> = (0..6).flat_map(|length| texts("*#a-", length)).collect();
        let symbols: Vec<_> = (0..7).flat_map(|length| texts("a1-", length)).collect();
        for pattern in &patterns {
            let glob = Glob::new(pattern);
            for symbol in &symbols {
                let fits = could(pattern.as_bytes(), symbol.as_bytes());
                assert_eq!(glob.matches(symbol), fits, "{pattern:?} {symbol:?}");
            }
        }
    }
}
