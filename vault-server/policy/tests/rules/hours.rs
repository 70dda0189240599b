//! Weekly hours.

use vault_model::{Class, Side};
use vault_policy::HoursDocument;

use super::*;

fn open(timezone: &str, windows: &[&str]) -> Bed {
    bed().scoped(|scope| {
        scope.hours = Some(HoursDocument {
            timezone: timezone.parse().expect("a time zone"),
            windows: windows.iter().map(|window| window.parse().expect("a window")).collect(),
        });
    })
}

/// The answer to an order at a moment, in seconds since the epoch.
fn at(bed: &Bed, seconds: i64) -> &'static str {
    let bed = bed.clone().with(|bed| bed.now = Timestamp::from_millis(seconds * 1_000));
    bed.code(trade([limit(Side::Buy, "1", "1")]))
}

const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;
/// Monday 2024-04-01, 00:00 UTC.
const MONDAY: i64 = 1_711_929_600;

#[test]
fn a_window_begins_with_its_first_minute_and_ends_before_its_last() {
    let bed = open("UTC", &["mon-fri 09:00-17:30"]);
    for (seconds, expected) in [
        (9 * HOUR - 1, "HOURS_CLOSED"),
        (9 * HOUR, "ALLOW"),
        (17 * HOUR + 30 * 60 - 1, "ALLOW"),
        (17 * HOUR + 30 * 60, "HOURS_CLOSED"),
        (4 * DAY + 9 * HOUR, "ALLOW"),
        (5 * DAY + 9 * HOUR, "HOURS_CLOSED"),
        (6 * DAY + 9 * HOUR, "HOURS_CLOSED"),
        (7 * DAY + 9 * HOUR, "ALLOW"),
    ] {
        assert_eq!(at(&bed, MONDAY + seconds), expected, "{seconds}");
    }
    let one_day = open("UTC", &["wed 00:00-24:00"]);
    assert_eq!(at(&one_day, MONDAY + 2 * DAY - 1), "HOURS_CLOSED");
    assert_eq!(at(&one_day, MONDAY + 2 * DAY), "ALLOW");
    // To the end of the day.
    assert_eq!(at(&one_day, MONDAY + 3 * DAY - 1), "ALLOW");
    assert_eq!(at(&one_day, MONDAY + 3 * DAY), "HOURS_CLOSED");
}

#[test]
fn days_may_run_over_the_end_of_the_week() {
    let bed = open("UTC", &["fri-mon 10:00-11:00"]);
    for (day, expected) in [
        (0, "ALLOW"),
        (1, "HOURS_CLOSED"),
        (2, "HOURS_CLOSED"),
        (3, "HOURS_CLOSED"),
        (4, "ALLOW"),
        (5, "ALLOW"),
        (6, "ALLOW"),
    ] {
        assert_eq!(at(&bed, MONDAY + day * DAY + 10 * HOUR), expected, "{day}");
    }
}

#[test]
fn any_of_several_windows_is_enough_and_none_is_never() {
    let bed = open("UTC", &["mon 09:00-10:00", "mon 22:00-24:00", "tue 00:00-01:00"]);
    for (seconds, expected) in [
        (9 * HOUR, "ALLOW"),
        (12 * HOUR, "HOURS_CLOSED"),
        (23 * HOUR, "ALLOW"),
        (24 * HOUR, "ALLOW"),
        (25 * HOUR, "HOURS_CLOSED"),
    ] {
        assert_eq!(at(&bed, MONDAY + seconds), expected, "{seconds}");
    }
    assert_eq!(at(&open("UTC", &[]), MONDAY), "HOURS_CLOSED");
}

/// Berlin is an hour ahead of UTC in winter, two in summer; 2024 it changed on 31 March and 27
/// October, at 01:00 UTC.
#[test]
fn hours_follow_the_clock_of_the_time_zone() {
    let bed = open("Europe/Berlin", &["mon-sun 09:00-10:00"]);
    let (winter, summer) = (MONDAY - 2 * DAY, MONDAY - DAY);
    assert_eq!(at(&bed, winter + 8 * HOUR), "ALLOW");
    assert_eq!(at(&bed, winter + 7 * HOUR), "HOURS_CLOSED");
    assert_eq!(at(&bed, summer + 7 * HOUR), "ALLOW");
    assert_eq!(at(&bed, summer + 8 * HOUR), "HOURS_CLOSED");
    // 02:00 to 03:00 is not there on that Sunday, and twice in October.
    let night = open("Europe/Berlin", &["sun 02:00-03:00"]);
    for minute in 0..240 {
        assert_eq!(at(&night, summer + minute * 60), "HOURS_CLOSED", "{minute}");
    }
    let october = 1_729_987_200;
    for (seconds, expected) in [
        (-1, "HOURS_CLOSED"),
        (0, "ALLOW"),
        (HOUR, "ALLOW"),
        (2 * HOUR - 1, "ALLOW"),
        (2 * HOUR, "HOURS_CLOSED"),
    ] {
        assert_eq!(at(&night, october + seconds), expected, "{seconds}");
    }
}

#[test]
fn reads_and_cancels_have_no_hours() {
    let bed = open("UTC", &[]);
    for class in Class::ALL {
        let expected = match class {
            Class::Cancel | Class::Public | Class::Read => "ALLOW",
            Class::Keys | Class::Withdraw => "CLASS_NOT_GRANTABLE",
            Class::Other => "OPERATION_NOT_GRANTED",
            _ => "HOURS_CLOSED",
        };
        assert_eq!(bed.code(member(*class)), expected, "{class}");
    }
}

#[test]
fn a_time_beyond_the_calendar_has_no_hours() {
    let bed = open("UTC", &["mon-sun 00:00-24:00"]);
    for micros in [i64::MIN, i64::MAX] {
        let bed = bed.clone().with(|bed| bed.now = Timestamp(micros));
        assert_eq!(bed.code(trade([limit(Side::Buy, "1", "1")])), "HOURS_CLOSED", "{micros}");
    }
    assert_eq!(at(&bed, -1), "ALLOW");
}
