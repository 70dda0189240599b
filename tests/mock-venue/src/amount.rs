//! Exact decimals, for balances and fills: 10 digits after the point.

use std::fmt;
use std::ops::{Add, Sub};

/// A decimal of 10 places. Sums and products beyond its range stay at the end of the range.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Amount(i128);

const PLACES: usize = 10;
const ONE: i128 = 10_i128.pow(10);

impl Amount {
    /// So many whole units.
    pub(crate) const fn units(units: i64) -> Self {
        Self(units as i128 * ONE)
    }

    /// Reads what [`Kind::Decimal`](crate::field::Kind::Decimal) takes; digits beyond the tenth
    /// place are cut off.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !digits(whole) || !digits(fraction) {
            return None;
        }
        let fraction: String = fraction.chars().chain("0000000000".chars()).take(PLACES).collect();
        format!("{whole}{fraction}").parse().ok().map(Self)
    }

    /// The product, cut to 10 places.
    pub(crate) fn times(self, other: Self) -> Self {
        Self(self.0.saturating_mul(other.0) / ONE)
    }

    /// The quotient, cut to 10 places; zero where there is nothing to divide by.
    pub(crate) fn over(self, other: Self) -> Self {
        Self(self.0.saturating_mul(ONE).checked_div(other.0).unwrap_or_default())
    }
}

impl Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Amount {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, fraction) = (
            self.0.unsigned_abs() / ONE.unsigned_abs(),
            self.0.unsigned_abs() % ONE.unsigned_abs(),
        );
        let text = format!("{sign}{whole}.{fraction:010}");
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_decimals() {
        for text in ["0", "1", "0.001", "60000.5", "123456789012345.0000000001"] {
            assert_eq!(Amount::parse(text).expect("decimal").to_string(), text);
        }
        assert_eq!(Amount::parse(".5").expect("decimal").to_string(), "0.5");
        assert_eq!(Amount::parse("1.00000000019").expect("decimal").to_string(), "1.0000000001");
        for text in ["", ".", "-1", "1e3", "1.2.3", "x"] {
            assert_eq!(Amount::parse(text), None, "{text}");
        }
    }

    #[test]
    fn computes() {
        let amount = |text| Amount::parse(text).expect("decimal");
        assert_eq!(amount("0.001").times(amount("50000")), amount("50"));
        assert_eq!(amount("50").over(amount("60000")).to_string(), "0.0008333333");
        assert_eq!(amount("1").over(Amount::default()), Amount::default());
        assert_eq!((amount("1") - amount("1.5")).to_string(), "-0.5");
        assert_eq!(Amount::units(i64::MAX).times(Amount::units(i64::MAX)).0, i128::MAX / ONE);
    }
}
