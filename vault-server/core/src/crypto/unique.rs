//! Texts that were never sent before: 16 random bytes each, fetched from the system many at a time.

use std::cell::RefCell;

use ring::error::Unspecified;
use ring::rand::SecureRandom;

/// Random bytes that nobody had yet. They end up in requests for everybody to see: no secrets.
#[derive(Default)]
pub(crate) struct Uniques(RefCell<Vec<[u8; 16]>>);

impl Uniques {
    /// The next 16.
    ///
    /// # Errors
    ///
    /// [`Unspecified`] if the system has no randomness.
    pub fn next(&self, rng: &dyn SecureRandom) -> Result<[u8; 16], Unspecified> {
        let mut stock = self.0.borrow_mut();
        if let Some(unique) = stock.pop() {
            return Ok(unique);
        }
        let mut bytes = [[0; 16]; STOCK];
        rng.fill(bytes.as_flattened_mut())?;
        let (first, rest) = bytes.split_first().ok_or(Unspecified)?;
        stock.extend_from_slice(rest);
        Ok(*first)
    }
}

const STOCK: usize = 64;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use ring::rand::SystemRandom;

    use super::{STOCK, Uniques};

    #[test]
    fn none_comes_twice() {
        let (rng, uniques) = (SystemRandom::new(), Uniques::default());
        let all: HashSet<_> =
            (0..3 * STOCK).map(|_| uniques.next(&rng).expect("randomness")).collect();
        assert_eq!(all.len(), 3 * STOCK);
        assert!(!all.contains(&[0; 16]));
    }
}
