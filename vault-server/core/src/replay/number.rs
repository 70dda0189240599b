//! Numbers as LEB128: seven bits in a byte, the lowest first, the high bit where more follow.

/// Writes a number.
pub fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads a number and what is behind it; `None` where there is none.
pub fn take_number(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = *from.split_off_first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// Reads a number of bytes, or a place among them.
pub fn take_length(from: &mut &[u8]) -> Option<usize> {
    usize::try_from(take_number(from)?).ok()
}

/// How far a number is behind the one that is expected, even, or before it, odd. Any two have a distance:
/// it wraps.
pub fn zigzag(number: u64, expected: u64) -> u64 {
    let distance = number.wrapping_sub(expected).cast_signed();
    ((distance << 1) ^ (distance >> 63)).cast_unsigned()
}

/// The number that is so far from the one that is expected.
pub fn unzigzag(distance: u64, expected: u64) -> u64 {
    expected.wrapping_add((distance >> 1) ^ (distance & 1).wrapping_neg())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{put_number, take_number, unzigzag, zigzag};

    proptest! {
        #[test]
        fn any_number_comes_back(number: u64, expected: u64) {
            let mut bytes = Vec::new();
            put_number(&mut bytes, number);
            put_number(&mut bytes, zigzag(number, expected));
            let mut left = bytes.as_slice();
            prop_assert_eq!(take_number(&mut left), Some(number));
            let distance = take_number(&mut left).expect("a number");
            prop_assert_eq!(unzigzag(distance, expected), number);
            prop_assert!(left.is_empty());
        }
    }

    #[test]
    fn what_does_not_end_is_no_number() {
        assert_eq!(take_number(&mut [].as_slice()), None);
        assert_eq!(take_number(&mut [0xff; 9].as_slice()), None);
        assert_eq!(take_number(&mut [0xff; 12].as_slice()), None);
        assert_eq!(zigzag(7, 7), 0);
        assert_eq!(zigzag(8, 7), 2);
        assert_eq!(zigzag(6, 7), 1);
    }
}
