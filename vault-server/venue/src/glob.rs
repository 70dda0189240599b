//! Symbol patterns of the catalogue's product rules.

/// A pattern: `*` is one or more of `[A-Za-z0-9]`, `#` one digit, anything else itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Glob(Vec<u8>);

impl Glob {
    /// Takes the pattern as the catalogue writes it.
    pub fn new(pattern: &str) -> Self {
        Self(pattern.as_bytes().to_vec())
    }

    /// Whether the whole symbol fits.
    pub fn matches(&self, symbol: &str) -> bool {
        self.fits(symbol, |byte| byte.is_ascii_alphanumeric())
    }

    /// Whether it fits if letters need not be ASCII.
    pub fn could_match(&self, symbol: &str) -> bool {
        self.fits(symbol, |byte| byte.is_ascii_alphanumeric() || !byte.is_ascii())
    }

    fn fits(&self, symbol: &str, is_letter: impl Fn(u8) -> bool) -> bool {
        // The set of pattern positions reached so far: linear in the symbol, no backtracking.
        let mut reached = vec![false; self.0.len() + 1];
        reached[0] = true;
        for byte in symbol.bytes() {
            let mut next = vec![false; self.0.len() + 1];
            for (at, &wanted) in self.0.iter().enumerate() {
                if !reached[at] {
                    continue;
                }
                match wanted {
                    b'*' if is_letter(byte) => {
                        next[at] = true;
                        next[at + 1] = true;
                    }
                    b'#' if byte.is_ascii_digit() => next[at + 1] = true,
                    b'*' | b'#' => {}
                    literal if literal == byte => next[at + 1] = true,
                    _ => {}
                }
            }
            reached = next;
        }
        reached[self.0.len()]
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
        assert!(linear.could_match("币安人生USDT"));
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
}
