//! The `traceparent` of a bot: which trace its call is part of.
//!
//! ```text
//! version "-" trace id      "-" parent id      "-" flags
//! 2 hex       32 hex            16 hex             2 hex     flags: bit 0 = sampled
//! ```
//!
//! Source: <https://www.w3.org/TR/trace-context/#traceparent-header>, read 2026-11-23. All digits are
//! lower case. Of later versions the first four parts are read, as the text wants it.

use http::HeaderMap;

/// The header's name.
const NAME: &str = "traceparent";

/// Bytes of version 00, and of the part of later ones that is read.
const BYTES: usize = 55;

/// What a bot says of its trace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Parent {
    /// Not zero.
    pub trace_id: [u8; 16],
    /// The bot's span. Not zero.
    pub id: u64,
    /// Whether the bot's own trace is recorded.
    pub is_sampled: bool,
}

/// What the headers of a call say; `None` without a header, for one that does not read, and for several.
pub(super) fn of(headers: &HeaderMap) -> Option<Parent> {
    let mut values = headers.get_all(NAME).iter();
    let value = values.next()?;
    values.next().is_none().then(|| traceparent(value.as_bytes())).flatten()
}

/// Reads the value of a header.
pub fn traceparent(value: &[u8]) -> Option<Parent> {
    let (head, rest) = value.split_at_checked(BYTES)?;
    let [v0, v1, b'-', rest_of_head @ ..] = head else { return None };
    let version = u8::try_from(number(&[*v0, *v1])?).ok()?;
    let fits = match version {
        0 => rest.is_empty(),
        u8::MAX => false,
        _ => rest.first().is_none_or(|byte| *byte == b'-'),
    };
    let (trace_id, rest_of_head) = rest_of_head.split_at_checked(32)?;
    let (high, low) = trace_id.split_at(16);
    let [b'-', rest_of_head @ ..] = rest_of_head else { return None };
    let (id, rest_of_head) = rest_of_head.split_at_checked(16)?;
    let [b'-', flags @ ..] = rest_of_head else { return None };
    let trace_id = (u128::from(number(high)?) << 64) | u128::from(number(low)?);
    let (id, flags) = (number(id)?, number(flags)?);
    (fits && trace_id != 0 && id != 0).then(|| Parent {
        trace_id: trace_id.to_be_bytes(),
        id,
        is_sampled: flags & 1 == 1,
    })
}

/// The number of at most 16 lower-case hexadecimal digits.
fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number: u64, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(value))
    })
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::{of, traceparent};

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_standard_is_read() {
        let parent = traceparent(GOOD.as_bytes()).expect("reads");
        assert_eq!(parent.trace_id[..2], [0x4b, 0xf9]);
        assert_eq!(parent.trace_id[15], 0x36);
        assert_eq!(parent.id, 0x00f0_67aa_0ba9_02b7);
        assert!(parent.is_sampled);
        let unsampled = GOOD.replace("-01", "-fe");
        assert!(!traceparent(unsampled.as_bytes()).expect("reads").is_sampled);
        // A later version may have more behind it.
        for later in [GOOD.replacen("00", "cc", 1), GOOD.replacen("00", "01", 1) + "-what-ever"] {
            assert_eq!(traceparent(later.as_bytes()), Some(parent), "{later}");
        }
    }

    #[test]
    fn what_is_not_well_formed_is_not_there() {
        let zero_trace = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let zero_id = GOOD.replace("00f067aa0ba902b7", &"0".repeat(16));
        for bad in [
            "",
            "00",
            &GOOD[..54],
            &GOOD.to_uppercase(),
            &GOOD.replacen("00", "ff", 1),
            &GOOD.replacen("00", "0g", 1),
            &GOOD.replace('-', "_"),
            &GOOD.replace("-01", "-0x"),
            &format!("{GOOD}-"),
            &format!("{GOOD}00"),
            &(GOOD.replacen("00", "01", 1) + "x"),
            &format!(" {GOOD}"),
            &zero_trace,
            &zero_id,
        ] {
            assert_eq!(traceparent(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn who_says_two_parents_says_none() {
        let mut headers = HeaderMap::new();
        assert_eq!(of(&headers), None);
        headers.append("traceparent", HeaderValue::from_static(GOOD));
        assert!(of(&headers).is_some());
        headers.append("traceparent", HeaderValue::from_static(GOOD));
        assert_eq!(of(&headers), None);
    }
}
