//! Exact decimals. Nothing here rounds: an operation whose result does not fit says so.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A decimal number with 18 digits behind the point, exact. Amounts, quantities, prices and
/// fractions are all of this one type; what unit it has, its field says.
///
/// Every decimal that a venue's request may have (`^-?[0-9]{1,18}(\.[0-9]{1,18})?$`) fits.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Money(i128);

/// Not a decimal of up to 18 digits before and 18 behind the point.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected a decimal with at most 18 digits before and 18 behind the point")]
pub struct NotMoney;

/// Digits behind the point.
const DIGITS: u32 = 18;
/// What stands for 0.000000001, half of the digits.
const HALF: i128 = 10i128.pow(DIGITS / 2);
/// What stands for 1.
const ONE: i128 = 10i128.pow(DIGITS);

impl Money {
    /// 0.
    pub const ZERO: Self = Self(0);
    /// 1.
    pub const ONE: Self = Self(ONE);

    /// A whole number.
    pub fn whole(number: u64) -> Self {
        // 2^64 * 10^18 is below 2^127.
        Self(i128::from(number) * ONE)
    }

    /// The sum; `None` if it is out of range.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference; `None` if it is out of range.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The product; `None` if it would be rounded or is out of range.
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        // Nine digits each, as nearly all numbers have: one multiplication.
        let (one, rest) = (self.0 / HALF, self.0 % HALF);
        let (two, other_rest) = (other.0 / HALF, other.0 % HALF);
        if rest == 0 && other_rest == 0 {
            return one.checked_mul(two).map(Self);
        }
        let ((mut one, one_digits), (mut other, other_digits)) = (self.reduced(), other.reduced());
        let digits = one_digits + other_digits;
        let Some(surplus) = digits.checked_sub(DIGITS) else {
            return one.checked_mul(other)?.checked_mul(10i128.pow(DIGITS - digits)).map(Self);
        };
        // Both are reduced, and still 2 * 5 may make zeros. What goes is taken away before
        // multiplying: a product that fits must not fail for what stands between.
        for prime in [2, 5] {
            for _ in 0..surplus {
                if one % prime == 0 {
                    one /= prime;
                } else if other % prime == 0 {
                    other /= prime;
                } else {
                    return None;
                }
            }
        }
        one.checked_mul(other).map(Self)
    }

    /// Whether it is below 0.
    pub fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Whether it is 0.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Without zeros at its end: the number times 10^digits, and the digits, 0 to 18.
    pub(crate) fn reduced(self) -> (i128, u32) {
        let (mut number, mut digits) = (self.0, DIGITS);
        if number == 0 {
            return (0, 0);
        }
        for step in [8, 4, 2, 1, 1, 1, 1] {
            let power = 10i128.pow(step);
            if digits >= step && number % power == 0 {
                number /= power;
                digits -= step;
            }
        }
        (number, digits)
    }

    /// What has these [`Money::reduced`]; `None` if nothing has.
    pub(crate) fn from_reduced(number: i128, digits: u32) -> Option<Self> {
        // Nearly all of them are short, and to divide 128 bits takes many times as long.
        let ends_in_zero = i64::try_from(number).map_or_else(|_| number % 10 == 0, |n| n % 10 == 0);
        if digits > 0 && ends_in_zero {
            return None;
        }
        let power = 10u64.pow(DIGITS.checked_sub(digits)?);
        number.checked_mul(i128::from(power)).map(Self)
    }
}

impl FromStr for Money {
    type Err = NotMoney;

    fn from_str(text: &str) -> Result<Self, NotMoney> {
        let (negative, plain) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, part) = match plain.split_once('.') {
            Some((whole, part)) => (whole, Some(part)),
            None => (plain, None),
        };
        // Eighteen digits are below 2^60.
        let digits = |text: &str| {
            let fits = (1..=DIGITS as usize).contains(&text.len());
            (fits && text.bytes().all(|b| b.is_ascii_digit()))
                .then(|| text.bytes().fold(0u64, |sum, b| sum * 10 + u64::from(b - b'0')))
                .ok_or(NotMoney)
        };
        let mut number = i128::from(digits(whole)?) * ONE;
        if let Some(part) = part {
            let missing = DIGITS - u32::try_from(part.len()).map_err(|_| NotMoney)?.min(DIGITS);
            number += i128::from(digits(part)? * 10u64.pow(missing));
        }
        Ok(Self(if negative { -number } else { number }))
    }
}

impl fmt::Display for Money {
    /// Without zeros that say nothing: `0.001`, `60000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.unsigned_abs();
        let (whole, part) = (size / ONE.unsigned_abs(), size % ONE.unsigned_abs());
        if self.0 < 0 {
            f.write_str("-")?;
        }
        // Nearly every number is short, and 64 bits are written faster.
        match u64::try_from(whole) {
            Ok(whole) => write!(f, "{whole}")?,
            Err(_) => write!(f, "{whole}")?,
        }
        let Some(mut part) = u64::try_from(part).ok().filter(|part| *part != 0) else {
            return Ok(());
        };
        let mut digits = DIGITS as usize;
        while part % 10 == 0 {
            part /= 10;
            digits -= 1;
        }
        write!(f, ".{part:0digits$}")
    }
}

impl TryFrom<String> for Money {
    type Error = NotMoney;

    fn try_from(text: String) -> Result<Self, NotMoney> {
        text.parse()
    }
}

impl From<Money> for String {
    fn from(money: Money) -> Self {
        money.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::Money;

    fn money(text: &str) -> Money {
        text.parse().expect("a decimal")
    }

    #[test]
    fn texts_read_back_without_idle_zeros() {
        for (text, plain) in [
            ("0", "0"),
            ("-0", "0"),
            ("0.000", "0"),
            ("60000.10", "60000.1"),
            ("-1.5", "-1.5"),
            ("007", "7"),
            ("0.000000000000000001", "0.000000000000000001"),
            ("999999999999999999.999999999999999999", "999999999999999999.999999999999999999"),
        ] {
            assert_eq!(money(text).to_string(), plain, "{text}");
            assert_eq!(money(plain), money(text), "{text}");
        }
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "+1",
            "1e3",
            "NaN",
            "1,5",
            " 1",
            "--1",
            "1.0000000000000000001",
            "1000000000000000000",
        ] {
            assert!(text.parse::<Money>().is_err(), "{text}");
        }
    }

    #[test]
    fn products_are_exact_or_absent() {
        for (one, other, product) in [
            ("0.001", "60000", Some("60")),
            ("60000.12345678", "1.05", Some("63000.129629619")),
            ("0.000000001", "0.000000001", Some("0.000000000000000001")),
            ("0.0000000001", "0.000000001", None),
            // 2 * 5 makes the zero that is needed.
            ("0.0000000002", "0.000000005", Some("0.000000000000000001")),
            ("-2", "3.5", Some("-7")),
            ("0", "999999999999999999", Some("0")),
            ("999999999999999999", "999999999999999999", None),
            ("100000000000", "100000000", Some("10000000000000000000")),
        ] {
            let actual = money(one).checked_mul(money(other)).map(|product| product.to_string());
            assert_eq!(actual.as_deref(), product, "{one} * {other}");
            assert_eq!(
                money(one).checked_mul(money(other)),
                money(other).checked_mul(money(one)),
                "{one} * {other}"
            );
        }
    }

    #[test]
    fn sums_end_at_the_range() {
        let large = Money(i128::MAX);
        assert_eq!(large.checked_add(Money(1)), None);
        assert_eq!(Money(i128::MIN).checked_sub(Money(1)), None);
        assert_eq!(money("0.1").checked_add(money("0.2")), Some(money("0.3")));
        assert_eq!(money("0.1").checked_sub(money("0.2")), Some(money("-0.1")));
    }

    #[test]
    fn signs_and_zero_are_told_apart() {
        assert!(money("-0.1").is_negative() && !money("-0.1").is_zero());
        assert!(!money("0").is_negative() && money("0").is_zero());
        assert!(!money("0.1").is_negative() && !money("0.1").is_zero());
        assert_eq!(Money::whole(u64::MAX).to_string(), "18446744073709551615");
    }
}
