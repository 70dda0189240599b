//! Says what a text has that another, which is like it, has not.
//!
//! Answers to one bot differ in a signature, a hash, a few digits: of some 500 bytes 115 are left. Cheap
//! enough for each Sign, unlike a general compression, since what a text is compared with is prepared once.
//!
//! ```text
//! repeat:  number, so many bytes of its own | these | number, so many bytes of the other
//!          | if any: number, from where, counted from where the last ones ended (zigzag)
//! ```
//!
//! A number is LEB128: seven bits in a byte, the lowest first.

/// What texts are compared with.
#[derive(Debug, Eq, PartialEq)]
pub struct Model {
    bytes: Vec<u8>,
    /// Where six bytes with a hash stand, and 1; 0: nowhere.
    places: Vec<u16>,
}

impl Model {
    /// Prepares a text; `None` if it is too long to be one.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        if bytes.len() > MODEL_MAX {
            return None;
        }
        let mut places = vec![0; PLACES];
        for (place, six) in (1..).zip(bytes.windows(SEEN)) {
            places[slot(six)] = place;
        }
        Some(Self { bytes, places })
    }

    /// Bytes that it takes.
    pub fn size(&self) -> usize {
        self.bytes.len() + self.places.len() * size_of::<u16>()
    }

    /// Writes to `packed` what `text` does not share with the model.
    pub fn pack(&self, text: &[u8], packed: &mut Vec<u8>) {
        // Bytes of its own that are not written yet begin here; what was shared last ended there.
        let (mut own, mut ended) = (0, 0);
        let mut at = 0;
        while at < text.len() {
            let Some((from, length)) = self.shared(&text[at..], ended + (at - own)) else {
                at += 1;
                continue;
            };
            put_own(packed, &text[own..at]);
            put_number(packed, length);
            put_number(packed, zigzag(from, ended + (at - own)));
            at += length;
            (own, ended) = (at, from + length);
        }
        if own < text.len() {
            put_own(packed, &text[own..]);
            put_number(packed, 0);
        }
    }

    /// Reads what [`Model::pack`] wrote; `None` for anything else.
    pub fn unpack(&self, mut packed: &[u8]) -> Option<Vec<u8>> {
        let (mut text, mut ended) = (Vec::new(), 0usize);
        while !packed.is_empty() {
            let own = take_number(&mut packed)?;
            text.extend_from_slice(packed.split_off(..own)?);
            let length = take_number(&mut packed)?;
            if length == 0 {
                continue;
            }
            let from = unzigzag(take_number(&mut packed)?, ended.checked_add(own)?)?;
            ended = from.checked_add(length)?;
            text.extend_from_slice(self.bytes.get(from..ended)?);
        }
        Some(text)
    }

    /// Where the beginning of `rest` stands in the model, and how much of it: where it is expected, or
    /// anywhere.
    fn shared(&self, rest: &[u8], expected: usize) -> Option<(usize, usize)> {
        let shared_from = |from: usize| {
            let bytes = self.bytes.get(from..).unwrap_or_default();
            common(rest, bytes)
        };
        let there = shared_from(expected);
        if there >= SHARED_MIN {
            return Some((expected, there));
        }
        let place = self.places[slot(rest.get(..SEEN)?)].checked_sub(1)?;
        let length = shared_from(usize::from(place));
        (length >= SEEN).then_some((usize::from(place), length))
    }
}

/// Bytes by which a place is found.
const SEEN: usize = 6;
/// Fewer bytes are not worth saying where they are.
const SHARED_MIN: usize = 4;
/// Places that are remembered of a model; a power of two.
const PLACES: usize = 1 << 11;
/// The longest model.
const MODEL_MAX: usize = 16 << 10;

/// How many bytes both begin with.
fn common(one: &[u8], other: &[u8]) -> usize {
    let (ones, others) = (one.as_chunks::<8>().0, other.as_chunks::<8>().0);
    let eights = ones.iter().zip(others).take_while(|(one, other)| one == other).count() * 8;
    let rest = one[eights..].iter().zip(&other[eights..]);
    eights + rest.take_while(|(one, other)| one == other).count()
}

fn slot(six: &[u8]) -> usize {
    let number = six.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    // Fibonacci's: the upper bits depend on all.
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - PLACES.ilog2())) as usize
}

fn put_own(packed: &mut Vec<u8>, own: &[u8]) {
    put_number(packed, own.len());
    packed.extend_from_slice(own);
}

fn put_number(packed: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        packed.push(number as u8 | 0x80);
        number >>= 7;
    }
    packed.push(number as u8);
}

fn take_number(packed: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for shift in (0..usize::BITS).step_by(7) {
        let byte = *packed.split_off_first()?;
        number |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// How far a place is behind the one that is expected, even, or before it, odd.
fn zigzag(place: usize, expected: usize) -> usize {
    match place.checked_sub(expected) {
        Some(behind) => behind << 1,
        None => (expected - place) << 1 | 1,
    }
}

fn unzigzag(number: usize, expected: usize) -> Option<usize> {
    match number & 1 {
        0 => expected.checked_add(number >> 1),
        _ => expected.checked_sub(number >> 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::{MODEL_MAX, Model};

    fn packed(model: &Model, text: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        model.pack(text, &mut packed);
        packed
    }

    #[test]
    fn what_is_the_same_takes_nearly_nothing() {
        let text: Vec<u8> = (0..800u32).map(|at| (at * at / 7) as u8).collect();
        let model = Model::new(text.clone()).expect("short enough");
        assert!(packed(&model, &text).len() <= 4);
        assert!(packed(&model, &[]).is_empty());
        assert!(Model::new(vec![0; MODEL_MAX + 1]).is_none());
    }

    #[test]
    fn a_change_and_a_shift_cost_little_more_than_themselves() {
        let text = "POST https://venue.test/order key=abcdefgh sign=0123456789 at=17000001 body={}";
        let like =
            "POST https://venue.test/order key=abcdefgh sign=98765 at=17000002 body={\"a\":1}";
        let model = Model::new(text.as_bytes().to_vec()).expect("short enough");
        let found = packed(&model, like.as_bytes());
        assert_eq!(model.unpack(&found).as_deref(), Some(like.as_bytes()));
        assert!(found.len() < 40, "{}", found.len());
    }

    /// Texts made of parts that others are made of, too.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            Just(b"https://www.venue.test/api/v5/trade/order".to_vec()),
            Just(b"header-that-is-always-there".to_vec()),
            vec(any::<u8>(), 0..40),
            vec(0u8..2, 0..200),
        ];
        vec(part, 0..12).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(model in text(), other in text()) {
            let model = Model::new(model).expect("short enough");
            let found = packed(&model, &other);
            prop_assert_eq!(model.unpack(&found), Some(other));
        }

        #[test]
        fn any_bytes_are_read_or_refused(model in text(), packed in vec(any::<u8>(), 0..60)) {
            let model = Model::new(model).expect("short enough");
            let longest = model.bytes.len().max(1) * packed.len() + packed.len();
            if let Some(text) = model.unpack(&packed) {
                prop_assert!(text.len() <= longest);
            }
        }
    }
}
