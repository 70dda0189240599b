//! Values as few bytes, for what a process writes down to read it again itself.
//!
//! Each value has one form: what is read is written the same again. `docs/reference/formats.md` draws
//! it. Numbers are LEB128: seven bits a byte, the lowest first, the high bit where more follow.

use std::io::{self, Write};

use crate::{ClockTime, Money, Name, Timestamp};

/// Bytes that are no values of the kind that was asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the bytes are not of the format")]
pub struct NotPacked;

/// Writes values, one after the other.
pub struct Pack<'w> {
    buffer: Vec<u8>,
    out: &'w mut dyn Write,
    written: io::Result<()>,
    /// Bytes that the buffer has no more.
    written_out: usize,
}

impl<'w> Pack<'w> {
    /// Writes to `out`, some hundred KiB at a time.
    pub fn new(out: &'w mut dyn Write) -> Self {
        Self { buffer: Vec::with_capacity(2 * CHUNK_BYTES), out, written: Ok(()), written_out: 0 }
    }

    /// Writes what is left.
    ///
    /// # Errors
    ///
    /// The first error of the target: nothing was written after it.
    pub fn finish(mut self) -> io::Result<()> {
        self.write_out();
        self.written
    }

    /// How many bytes were put in.
    pub fn size(&self) -> usize {
        self.written_out + self.buffer.len()
    }

    /// Bytes of a length that the reader knows.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK_BYTES {
            self.write_out();
        }
    }

    /// Yes or no.
    pub fn flag(&mut self, is_so: bool) {
        self.bytes(&[u8::from(is_so)]);
    }

    /// A number of 64 bits.
    pub fn number(&mut self, number: u64) {
        self.wide(u128::from(number));
    }

    /// A length.
    pub fn len(&mut self, len: usize) {
        self.number(len as u64);
    }

    /// Bytes of any length.
    pub fn blob(&mut self, bytes: &[u8]) {
        self.len(bytes.len());
        self.bytes(bytes);
    }

    /// A text.
    pub fn text(&mut self, text: &str) {
        self.blob(text.as_bytes());
    }

    /// A value that may be absent.
    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// A time of the wall clock.
    pub fn timestamp(&mut self, at: Timestamp) {
        self.signed(i128::from(at.micros()));
    }

    /// A time of the vault's own clock.
    pub fn clock(&mut self, at: ClockTime) {
        self.number(at.0);
    }

    /// An amount: digits behind the point, and the number without it.
    pub fn money(&mut self, amount: Money) {
        let (number, digits) = amount.reduced();
        self.number(u64::from(digits));
        self.signed(number);
    }

    /// Zigzag: 0, -1, 1, -2 and so on.
    fn signed(&mut self, number: i128) {
        self.wide(((number << 1) ^ (number >> 127)).cast_unsigned());
    }

    fn wide(&mut self, mut number: u128) {
        while number >= 0x80 {
            self.buffer.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.bytes(&number.to_le_bytes()[..1]);
    }

    fn write_out(&mut self) {
        if self.written.is_ok() {
            self.written = self.out.write_all(&self.buffer);
        }
        self.written_out += self.buffer.len();
        self.buffer.clear();
    }
}

/// Reads what [`Pack`] wrote. Any bytes may come in: what does not fit is [`NotPacked`].
pub struct Unpack<'b>(&'b [u8]);

impl<'b> Unpack<'b> {
    /// Reads from these bytes.
    pub fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.0.len()
    }

    /// As [`Pack::bytes`].
    ///
    /// # Errors
    ///
    /// [`NotPacked`]: as for all that read.
    pub fn bytes<const N: usize>(&mut self) -> Result<[u8; N], NotPacked> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(NotPacked)?;
        self.0 = rest;
        Ok(*bytes)
    }

    /// As [`Pack::flag`].
    ///
    /// # Errors
    ///
    /// [`NotPacked`].
    pub fn flag(&mut self) -> Result<bool, NotPacked> {
        match self.bytes()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(NotPacked),
        }
    }

    /// As [`Pack::number`].
    ///
    /// # Errors
    ///
    /// [`NotPacked`].
    pub fn number(&mut self) -> Result<u64, NotPacked> {
        let mut number = 0u64;
        for (place, &byte) in self.0.iter().take(10).enumerate() {
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has one bit.
            if place == 9 && byte > 1 {
                return Err(NotPacked);
            }
            number |= bits << (7 * place);
            if byte < 0x80 {
                if byte == 0 && place > 0 {
                    return Err(NotPacked);
                }
                self.0 = &self.0[place + 1..];
                return Ok(number);
            }
        }
        Err(NotPacked)
    }

    /// As [`Pack::len`], of things that take so many bytes each at least: there are no more than the
    /// bytes that are left hold, so memory may be reserved for them.
    ///
    /// # Errors
    ///
    /// [`NotPacked`].
    pub fn len(&mut self, bytes_min: usize) -> Result<usize, NotPacked> {
        let len = usize::try_from(self.number()?).map_err(|_| NotPacked)?;
        let bytes = len.checked_mul(bytes_min.max(1)).ok_or(NotPacked)?;
        if bytes <= self.0.len() { Ok(len) } else { Err(NotPacked) }
    }

    /// As [`Pack::blob`].
    ///
    /// # Errors
    ///
    /// [`NotPacked`].
    pub fn blob(&mut self) -> Result<&'b [u8], NotPacked> {
        let len = self.len(1)?;
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(NotPacked)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// As [`Pack::text`].
    ///
    /// # Errors
    ///
    /// [`NotPacked`].
    pub fn text(&mut self) -> Result<&'b str, NotPacked> {
        std::str::from_utf8(self.blob()?).map_err(|_| NotPacked)
    }

    /// A text that is a name.
    ///
    /// # Errors
    ///
    /// [`NotPacked`].
    pub fn name(&mut self) -> Result<Name, NotPacked> {
        self.text()?.parse().map_err(|_| NotPacked)
    }

    /// As [`Pack::option`].
    ///
    /// # Errors
    ///
    /// [`NotPacked`], and those of `read`.
    pub fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, NotPacked>,
    ) -> Result<Option<T>, NotPacked> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    /// As [`Pack::timestamp`].
    ///
    /// # Errors
    ///
    /// [`NotPacked`].
    pub fn timestamp(&mut self) -> Result<Timestamp, NotPacked> {
        i64::try_from(self.signed()?).map(Timestamp).map_err(|_| NotPacked)
    }

    /// As [`Pack::clock`].
    ///
    /// # Errors
    ///
    /// [`NotPacked`].
    pub fn clock(&mut self) -> Result<ClockTime, NotPacked> {
        self.number().map(ClockTime)
    }

    /// As [`Pack::money`].
    ///
    /// # Errors
    ///
    /// [`NotPacked`].
    pub fn money(&mut self) -> Result<Money, NotPacked> {
        let digits = u32::try_from(self.number()?).map_err(|_| NotPacked)?;
        Money::from_reduced(self.signed()?, digits).ok_or(NotPacked)
    }

    fn signed(&mut self) -> Result<i128, NotPacked> {
        let number = self.wide()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    fn wide(&mut self) -> Result<u128, NotPacked> {
        // Nearly all of them are short, and 128 bits take several times as long.
        if let Ok(number) = self.number() {
            return Ok(u128::from(number));
        }
        let mut number = 0u128;
        for (place, &byte) in self.0.iter().take(19).enumerate() {
            // The nineteenth byte has two bits.
            if place == 18 && byte > 3 {
                return Err(NotPacked);
            }
            number |= u128::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                if byte == 0 && place > 0 {
                    return Err(NotPacked);
                }
                self.0 = &self.0[place + 1..];
                return Ok(number);
            }
        }
        Err(NotPacked)
    }
}

/// Bytes that are written at once.
const CHUNK_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{NotPacked, Pack, Unpack};
    use crate::{ClockTime, Money, Timestamp};

    fn packed(write: impl FnOnce(&mut Pack<'_>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut pack = Pack::new(&mut bytes);
        write(&mut pack);
        pack.finish().expect("memory takes it");
        bytes
    }

    #[test]
    fn numbers_have_the_bytes_of_leb128_and_no_others() {
        for (number, bytes) in
            [(0, vec![0]), (127, vec![0x7f]), (128, vec![0x80, 1]), (300, vec![0xac, 2])]
        {
            assert_eq!(packed(|pack| pack.number(number)), bytes);
        }
        assert_eq!(packed(|pack| pack.number(u64::MAX)).len(), 10);
        for bad in [&[0x80u8, 0] as &[u8], &[0x80], &[], &[0xff; 10], &[0xff; 11]] {
            assert_eq!(Unpack::new(bad).number(), Err(NotPacked), "{bad:?}");
        }
        let too_wide = [[0xff; 18].as_slice(), &[4]].concat();
        assert_eq!(Unpack::new(&too_wide).wide(), Err(NotPacked));
    }

    #[test]
    fn an_amount_has_one_form() {
        for text in ["0", "1", "-0.5", "123.45", "1000000", "0.000000000000000001"] {
            let amount: Money = text.parse().expect("an amount");
            let bytes = packed(|pack| pack.money(amount));
            assert_eq!(Unpack::new(&bytes).money(), Ok(amount), "{text}");
        }
        // 1.0 and nineteen digits.
        for bad in [[1u8, 20], [19, 2]] {
            assert_eq!(Unpack::new(&bad).money(), Err(NotPacked));
        }
    }

    #[test]
    fn no_more_is_announced_than_there_are_bytes() {
        let bytes = packed(|pack| pack.len(3));
        assert_eq!(Unpack::new(&bytes).len(1), Err(NotPacked));
        assert_eq!(Unpack::new(&[3, 0, 0, 0]).len(1), Ok(3));
        assert_eq!(Unpack::new(&[3, 0, 0, 0]).len(2), Err(NotPacked));
    }

    #[test]
    fn long_values_leave_in_pieces_and_come_back_whole() {
        let text = "x".repeat(1 << 20);
        let bytes = packed(|pack| {
            pack.text(&text);
            pack.flag(true);
        });
        let mut unpack = Unpack::new(&bytes);
        assert_eq!(unpack.text(), Ok(text.as_str()));
        assert_eq!(unpack.flag(), Ok(true));
        assert_eq!(unpack.left(), 0);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            number: u64, wide: i128, at: i64, text: String, is_so: bool, clock: Option<u64>,
        ) {
            let bytes = packed(|pack| {
                pack.number(number);
                pack.signed(wide);
                pack.timestamp(Timestamp(at));
                pack.text(&text);
                pack.flag(is_so);
                pack.option(clock.map(ClockTime), Pack::clock);
            });
            let mut unpack = Unpack::new(&bytes);
            prop_assert_eq!(unpack.number(), Ok(number));
            prop_assert_eq!(unpack.signed(), Ok(wide));
            prop_assert_eq!(unpack.timestamp(), Ok(Timestamp(at)));
            prop_assert_eq!(unpack.text(), Ok(text.as_str()));
            prop_assert_eq!(unpack.flag(), Ok(is_so));
            prop_assert_eq!(unpack.option(Unpack::clock), Ok(clock.map(ClockTime)));
            prop_assert_eq!(unpack.left(), 0);
        }

        #[test]
        fn what_is_read_is_written_the_same_again(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
            let mut unpack = Unpack::new(&bytes);
            if let Ok(amount) = unpack.money() {
                let read = bytes.len() - unpack.left();
                prop_assert_eq!(packed(|pack| pack.money(amount)), &bytes[..read]);
            }
            let mut unpack = Unpack::new(&bytes);
            if let Ok(number) = unpack.number() {
                let read = bytes.len() - unpack.left();
                prop_assert_eq!(packed(|pack| pack.number(number)), &bytes[..read]);
            }
        }
    }
}
