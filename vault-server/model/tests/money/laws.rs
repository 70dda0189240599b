//! What must hold for any decimals.

use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, proptest};
use proptest::test_runner::Config;
use vault_model::Money;

/// Texts of every length before and behind the point.
fn decimal() -> impl Strategy<Value = String> {
    "-?[0-9]{1,18}(\\.[0-9]{1,18})?"
}

fn money(text: &str) -> Money {
    text.parse().expect("a decimal")
}

/// A second reading of the text: sign, digits before the point, 18 digits behind it.
fn written(text: &str) -> (bool, String, String) {
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, part) = rest.split_once('.').unwrap_or((rest, ""));
    (negative, format!("{whole:0>36}"), format!("{part:0<18}"))
}

/// So many of the smallest decimals.
fn units(count: u128) -> Money {
    const ONE: u128 = 10u128.pow(18);
    money(&format!("{}.{:018}", count / ONE, count % ONE))
}

/// All of 2^two * 5^five, two and five at least 18: the product needs all digits, and what stands
/// between is often out of range where the product is not.
#[test]
fn an_exact_product_is_never_refused() {
    let power =
        |prime: u128, times: u32| prime.checked_pow(times).filter(|it| *it < 10u128.pow(36));
    let (mut exact, mut beyond) = (0, 0);
    for two in 18..120 {
        for five in 18..52 {
            let (Some(one), Some(other)) = (power(2, two), power(5, five)) else { continue };
            let product = 2u128.pow(two - 18).checked_mul(5u128.pow(five - 18));
            let product = product.filter(|it| i128::try_from(*it).is_ok());
            let actual = units(one).checked_mul(units(other));
            match product {
                Some(product) if product < 10u128.pow(36) => {
                    assert_eq!(actual, Some(units(product)), "2^{two} * 5^{five}");
                }
                // Larger than any text.
                Some(_) => assert!(actual.is_some(), "2^{two} * 5^{five}"),
                None => assert_eq!(actual, None, "2^{two} * 5^{five}"),
            }
            exact += u32::from(product.is_some());
            beyond += u32::from(one.checked_mul(other).is_none() && product.is_some());
        }
    }
    assert!(exact > 1_000 && beyond > 500, "{exact} {beyond}");
}

proptest! {
    #![proptest_config(Config { cases: 2_000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn what_is_written_reads_back(text in decimal()) {
        let value = money(&text);
        let plain = value.to_string();
        prop_assert_eq!(money(&plain), value);
        let (negative, whole, part) = written(&text);
        let is_zero = format!("{whole}{part}").bytes().all(|b| b == b'0');
        prop_assert_eq!(value.is_zero(), is_zero);
        prop_assert_eq!(value.is_negative(), negative && !is_zero);
        prop_assert_eq!(written(&plain), (negative && !is_zero, whole, part));
        prop_assert!(!plain.contains('.') || !plain.ends_with('0'), "{}", plain);
        // As it stands in documents and in the log.
        let json = serde_json::to_string(&value).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<Money>(&json).expect("the same"), value);
    }

    #[test]
    fn what_is_added_can_be_taken_away(one in decimal(), other in decimal()) {
        let (one, other) = (money(&one), money(&other));
        let sum = one.checked_add(other).expect("two decimals of 36 digits are in range");
        prop_assert_eq!(Some(sum), other.checked_add(one));
        prop_assert_eq!(sum.checked_sub(other), Some(one));
        prop_assert_eq!(sum.checked_sub(one), Some(other));
        prop_assert_eq!(one < other, one.checked_sub(other).expect("in range").is_negative());
    }

    #[test]
    fn products_are_the_same_either_way(one in decimal(), other in decimal()) {
        let (one, other) = (money(&one), money(&other));
        prop_assert_eq!(one.checked_mul(other), other.checked_mul(one));
        prop_assert_eq!(one.checked_mul(Money::ONE), Some(one));
        prop_assert_eq!(one.checked_mul(Money::ZERO), Some(Money::ZERO));
    }

    #[test]
    fn products_spread_over_sums(
        one in "-?[0-9]{1,5}(\\.[0-9]{1,6})?",
        other in "-?[0-9]{1,5}(\\.[0-9]{1,6})?",
        times in "-?[0-9]{1,6}(\\.[0-9]{1,8})?",
    ) {
        let (one, other, times) = (money(&one), money(&other), money(&times));
        let product = |value: Money| value.checked_mul(times).expect("14 digits behind the point");
        let sum = one.checked_add(other).expect("in range");
        prop_assert_eq!(Some(product(sum)), product(one).checked_add(product(other)));
    }

    #[test]
    fn nothing_else_is_a_decimal(text in "[-+.,_0-9eE ]{0,40}") {
        let (_, rest) = text.strip_prefix('-').map_or((false, text.as_str()), |rest| (true, rest));
        let parts: Vec<&str> = rest.split('.').collect();
        let is_decimal = parts.len() <= 2
            && parts.iter().all(|part| {
                (1..=18).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
            });
        prop_assert_eq!(text.parse::<Money>().is_ok(), is_decimal);
    }
}
