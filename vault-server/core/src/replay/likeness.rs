//! Says what a text has that another, which is like it, has not.
//!
//! Answers to one bot differ in a signature, a hash, a few digits: of some 500 bytes 90 are left. Cheap
//! enough for each Sign, unlike a general compression, since what a text is compared with is prepared once,
//! and since texts that differ in some places only are compared eight bytes at a time.
//!
//! ```text
//! repeat:  number, 4 times so many bytes of its own, and what they are: 0 themselves, 1 base64, 2 of URLs,
//!          3 hex | these
//!          | unless this is the end: number, twice so many bytes of the other, and 1 if they are moved
//!          | if so: number, from where, counted from where the last ones ended (zigzag)
//! ```

use super::form::Form;
use super::letters::Letters;
use super::number::{put_number, take_length, take_number, unzigzag, zigzag};

/// What texts are compared with.
#[derive(Debug, Eq, PartialEq)]
pub struct Model {
    bytes: Vec<u8>,
    /// Where eight bytes begin, of which six have this hash, and 1; 0: nowhere. A power of two of them.
    places: Vec<u16>,
    /// Bits of a hash that say no place.
    shift: u32,
    /// Where texts differ from it, if that is known.
    form: Option<Form>,
}

impl Model {
    /// Prepares a text, and what it differs from others in, if that is known; `None` if it is too long to
    /// be one.
    pub fn new(bytes: &[u8], form: Option<Form>) -> Option<Self> {
        if bytes.len() > MODEL_MAX {
            return None;
        }
        let mut places = vec![0; (2 * bytes.len()).next_power_of_two().clamp(2, PLACES_MAX)];
        let shift = u64::BITS - places.len().ilog2();
        for (place, eight) in (1..).zip(bytes.windows(8)) {
            places[slot(word(eight), shift)] = place;
        }
        Some(Self { bytes: bytes.to_vec(), places, shift, form })
    }

    /// Bytes that it takes.
    pub fn size(&self) -> usize {
        let form = self.form.as_ref().map_or(0, Form::size);
        self.bytes.len() + self.places.len() * size_of::<u16>() + form
    }

    /// The text itself.
    pub fn text(&self) -> &[u8] {
        &self.bytes
    }

    /// Writes to `packed` a text that differs from the model only where others did, in yet fewer bytes. Says
    /// whether it does; if not, nothing is written.
    pub fn pack_formed(&self, text: &[u8], packed: &mut Vec<u8>) -> bool {
        self.form.as_ref().is_some_and(|form| form.pack(&self.bytes, text, packed))
    }

    /// Reads what [`Model::pack_formed`] wrote; `None` for anything else.
    pub fn unpack_formed(&self, packed: &[u8]) -> Option<Vec<u8>> {
        self.form.as_ref()?.unpack(&self.bytes, packed)
    }

    /// Writes to `packed` what `text` does not share with the model.
    pub fn pack(&self, text: &[u8], packed: &mut Vec<u8>) {
        // Bytes of its own that are not written yet begin here; what was shared last ended there.
        let (mut own, mut ended) = (0, 0);
        while own < text.len() {
            let Some((at, from)) = self.shared(&text[own..], ended) else {
                break;
            };
            let (at, expected) = (own + at, ended + at);
            let length = common(&text[at..], &self.bytes[from..]);
            put_own(packed, &text[own..at]);
            let is_moved = from != expected;
            put_number(packed, (length as u64) << 1 | u64::from(is_moved));
            if is_moved {
                put_number(packed, zigzag(from as u64, expected as u64));
            }
            (own, ended) = (at + length, from + length);
        }
        if own < text.len() {
            put_own(packed, &text[own..]);
        }
    }

    /// Reads what [`Model::pack`] wrote; `None` for anything else.
    pub fn unpack(&self, mut packed: &[u8]) -> Option<Vec<u8>> {
        let (mut text, mut ended) = (Vec::new(), 0usize);
        while !packed.is_empty() {
            let own = take_own(&mut packed, &mut text)?;
            if packed.is_empty() {
                break;
            }
            let shared = take_length(&mut packed)?;
            let expected = ended.checked_add(own)?;
            let from = match shared & 1 {
                0 => expected,
                _ => usize::try_from(unzigzag(take_number(&mut packed)?, expected as u64)).ok()?,
            };
            ended = from.checked_add(shared >> 1)?;
            text.extend_from_slice(self.bytes.get(from..ended)?);
        }
        Some(text)
    }

    /// The next bytes of `rest` that the model has, too: where they are in it, and where in the model.
    fn shared(&self, rest: &[u8], ended: usize) -> Option<(usize, usize)> {
        let expected = self.bytes.get(ended..).unwrap_or_default();
        if let Some(at) = agree(rest, expected) {
            return Some((at, ended + at));
        }
        (0..).zip(rest.windows(8)).find_map(|(at, eight)| {
            let eight = word(eight);
            let place = usize::from(self.places[slot(eight, self.shift)].checked_sub(1)?);
            let differ = eight ^ word(self.bytes.get(place..)?);
            (same_first(differ) >= SEEN).then_some((at, place))
        })
    }
}

/// Where two texts begin to be the same, a few bytes at least, if they soon do: as they are after a
/// signature or a time, which is as long in both.
fn agree(one: &[u8], other: &[u8]) -> Option<usize> {
    if one.first_chunk::<SHARED_MIN>().is_some_and(|first| other.starts_with(first)) {
        return Some(0);
    }
    // Bytes before the present eight that are the same.
    let mut before = 0;
    for (at, (one, other)) in (0..SOON).step_by(8).zip(one.chunks(8).zip(other.chunks(8))) {
        let Some((one, other)) = one.first_chunk().zip(other.first_chunk()) else {
            return (before + common(one, other) >= SHARED_MIN).then_some(at - before);
        };
        let differ = u64::from_le_bytes(*one) ^ u64::from_le_bytes(*other);
        if before + same_first(differ) >= SHARED_MIN {
            return Some(at - before);
        }
        before = (differ.leading_zeros() / 8) as usize;
    }
    None
}

/// How many bytes both begin with.
fn common(one: &[u8], other: &[u8]) -> usize {
    let (ones, others) = (one.as_chunks::<8>().0, other.as_chunks::<8>().0);
    for (at, (one, other)) in (0..).step_by(8).zip(ones.iter().zip(others)) {
        let differ = u64::from_le_bytes(*one) ^ u64::from_le_bytes(*other);
        if differ != 0 {
            return at + same_first(differ);
        }
    }
    let eights = ones.len().min(others.len()) * 8;
    let rest = one[eights..].iter().zip(&other[eights..]);
    eights + rest.take_while(|(one, other)| one == other).count()
}

/// The first bytes of eight that are the same, by the bits that differ.
fn same_first(differ: u64) -> usize {
    (differ.trailing_zeros() / 8) as usize
}

/// Eight bytes as a number, the first the lowest.
fn word(eight: &[u8]) -> u64 {
    eight.first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight))
}

/// The place of six bytes, of eight.
fn slot(eight: u64, shift: u32) -> usize {
    // Fibonacci's: the upper bits depend on all that are left.
    ((eight << 16).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> shift) as usize
}

fn put_own(packed: &mut Vec<u8>, own: &[u8]) {
    let letters = Letters::worth(own);
    let kind = KINDS.iter().position(|kind| *kind == letters).unwrap_or(0);
    put_number(packed, (own.len() as u64) << 2 | kind as u64);
    match letters {
        None => packed.extend_from_slice(own),
        Some(letters) => letters.pack(own, packed),
    }
}

/// Reads bytes of its own; returns how many.
fn take_own(packed: &mut &[u8], text: &mut Vec<u8>) -> Option<usize> {
    let head = take_length(packed)?;
    let length = head >> 2;
    match KINDS[head & 3] {
        None => text.extend_from_slice(packed.split_off(..length)?),
        Some(letters) => {
            letters.unpack(packed.split_off(..letters.size(length))?, length, text);
        }
    }
    Some(length)
}

/// What bytes of its own are.
const KINDS: [Option<Letters>; 4] =
    [None, Some(Letters::Base64), Some(Letters::Base64Url), Some(Letters::Hex)];
/// Bytes by which a place is found.
const SEEN: usize = 6;
/// Fewer bytes are not worth saying where they are.
const SHARED_MIN: usize = 4;
/// So far two texts are compared side by side before one is looked for in the other: longer than a
/// signature of 64 bytes in hex.
const SOON: usize = 136;
/// Places that are remembered of a model at most.
const PLACES_MAX: usize = 1 << 11;
/// The longest model.
const MODEL_MAX: usize = 16 << 10;

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
        let model = Model::new(&text, None).expect("short enough");
        assert!(packed(&model, &text).len() <= 4);
        assert!(packed(&model, &[]).is_empty());
        assert!(Model::new(&vec![0; MODEL_MAX + 1], None).is_none());
    }

    #[test]
    fn a_change_and_a_shift_cost_little_more_than_themselves() {
        let text = "POST https://venue.test/order key=abcdefgh sign=0123456789 at=17000001 body={}";
        let like =
            "POST https://venue.test/order key=abcdefgh sign=98765 at=17000002 body={\"a\":1}";
        let model = Model::new(text.as_bytes(), None).expect("short enough");
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
            let model = Model::new(&model, None).expect("short enough");
            let found = packed(&model, &other);
            prop_assert_eq!(model.unpack(&found), Some(other));
        }

        #[test]
        fn any_bytes_are_read_or_refused(model in text(), packed in vec(any::<u8>(), 0..60)) {
            let model = Model::new(&model, None).expect("short enough");
            let longest = model.bytes.len().max(1) * packed.len() + packed.len();
            if let Some(text) = model.unpack(&packed) {
                prop_assert!(text.len() <= longest);
            }
        }
    }
}
