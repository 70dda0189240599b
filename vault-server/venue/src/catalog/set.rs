//! Sets of small numbers: of parameter names, or of operations.

/// A set of numbers, one bit each.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Set(Vec<u64>);

impl Set {
    pub(crate) fn insert(&mut self, number: usize) {
        let (word, bit) = (number / 64, number % 64);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << bit;
    }

    /// Whether every number of this set is in the other one.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        self.0
            .iter()
            .enumerate()
            .all(|(word, bits)| bits & !other.0.get(word).copied().unwrap_or(0) == 0)
    }

    /// Takes a number out; returns whether it was there.
    pub(crate) fn remove(&mut self, number: usize) -> bool {
        let bit = 1 << (number % 64);
        self.0.get_mut(number / 64).is_some_and(|bits| {
            let was_there = *bits & bit != 0;
            *bits &= !bit;
            was_there
        })
    }

    /// Whether the two have a number in common.
    pub(crate) fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(bits, others)| bits & others != 0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|&bits| bits == 0)
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Keeps what is in the other one too.
    pub(crate) fn keep(&mut self, other: &Self) {
        self.0.truncate(other.0.len());
        for (bits, others) in self.0.iter_mut().zip(&other.0) {
            *bits &= others;
        }
    }

    /// Takes in what is in the other one.
    pub(crate) fn add(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (bits, others) in self.0.iter_mut().zip(&other.0) {
            *bits |= others;
        }
    }

    /// Its numbers, the smallest first.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(word, &bits)| numbers_of(word, bits))
    }

    /// The numbers that all three have, the smallest first.
    pub(crate) fn common([one, two, three]: [&Self; 3]) -> impl Iterator<Item = usize> {
        let words = one.0.iter().zip(&two.0).zip(&three.0).enumerate();
        words.flat_map(|(word, ((one, two), three))| numbers_of(word, one & two & three))
    }
}

fn numbers_of(word: usize, bits: u64) -> impl Iterator<Item = usize> {
    let mut left = bits;
    std::iter::from_fn(move || {
        let bit = left.trailing_zeros();
        (bit < 64).then(|| {
            left &= left - 1;
            word * 64 + bit as usize
        })
    })
}

impl FromIterator<usize> for Set {
    fn from_iter<I: IntoIterator<Item = usize>>(numbers: I) -> Self {
        let mut set = Self::default();
        numbers.into_iter().for_each(|number| set.insert(number));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::Set;

    fn set(numbers: &[usize]) -> Set {
        numbers.iter().copied().collect()
    }

    #[test]
    fn a_set_is_within_what_has_all_of_it() {
        let some = set(&[0, 63, 64, 127]);
        assert!(some.is_within(&some) && set(&[]).is_within(&set(&[])));
        for number in [0, 63, 64, 127] {
            assert!(set(&[number]).is_within(&some), "{number}");
            assert!(!some.is_within(&set(&[number])), "{number}");
        }
        for number in [1, 62, 65, 126, 128, 191] {
            assert!(!set(&[number]).is_within(&some), "{number}");
        }
        assert!(set(&[]).is_within(&some) && !some.is_within(&set(&[])));
    }

    #[test]
    fn what_is_taken_out_is_gone() {
        let mut some = set(&[0, 63, 64]);
        assert!(some.remove(63) && !some.remove(63) && !some.remove(1) && !some.remove(640));
        assert_eq!(some.numbers().collect::<Vec<_>>(), [0, 64]);
    }

    #[test]
    fn sets_are_joined_and_met() {
        let numbers = |set: &Set| set.numbers().collect::<Vec<_>>();
        for (one, other, both, either) in [
            (&[0, 63, 64][..], &[63, 200][..], &[63][..], &[0, 63, 64, 200][..]),
            (&[63, 200], &[0, 63, 64], &[63], &[0, 63, 64, 200]),
            (&[], &[5], &[], &[5]),
            (&[5], &[], &[], &[5]),
            (&[64], &[128], &[], &[64, 128]),
        ] {
            let (mut met, mut joined) = (set(one), set(one));
            met.keep(&set(other));
            joined.add(&set(other));
            assert_eq!(numbers(&met), both);
            assert_eq!(met.is_empty(), both.is_empty());
            assert_eq!(set(one).meets(&set(other)), !both.is_empty());
            let all = set(&[0, 63, 64, 128, 200]);
            assert!(Set::common([&set(one), &all, &set(other)]).eq(both.iter().copied()));
            assert_eq!(numbers(&joined), either);
        }
    }
}
