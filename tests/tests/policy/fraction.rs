//! Numbers of the reference model: fractions of integers of any length.

use num_bigint::BigInt;
use num_rational::BigRational;
use vault_model::Money;

pub type Fraction = BigRational;

/// A decimal text as a fraction.
pub fn fraction(text: &str) -> Fraction {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits: BigInt = format!("{whole}{part}").parse().expect("digits");
    let places = u32::try_from(part.len()).expect("short");
    Fraction::new(digits, BigInt::from(10).pow(places))
}

pub fn of(money: Money) -> Fraction {
    fraction(&money.to_string())
}

pub fn whole(number: u64) -> Fraction {
    Fraction::from_integer(BigInt::from(number))
}

/// The number, if the engine can have it: a multiple of 10^-18 in the range of an i128 of them.
/// Everything else it must refuse, never round.
pub fn sayable(number: Fraction) -> Option<Fraction> {
    let units = &number * Fraction::from_integer(BigInt::from(10).pow(18));
    let limit = Fraction::from_integer(BigInt::from(2).pow(127));
    (units.is_integer() && units < limit && units >= -limit).then_some(number)
}

pub fn is_positive(number: &Fraction) -> bool {
    *number > whole(0)
}
