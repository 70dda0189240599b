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
                    b'*' if byte.is_ascii_alphanumeric() => {
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
    fn hashes_are_single_digits() {
        let future = Glob::new("*-USD-######");
        assert!(future.matches("BTC-USD-251226"));
        assert!(!future.matches("BTC-USD-25122"));
        assert!(!future.matches("BTC-USD-25122a"));
        assert!(!future.matches("BTC-USDT-251226"));
    }
}
