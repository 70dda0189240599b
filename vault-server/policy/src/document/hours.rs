//! Weekly windows.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::NotADocument;

/// When writes other than cancels may happen.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HoursDocument {
    /// Whose clock the windows are on.
    pub timezone: Timezone,
    /// The windows; none: never.
    #[serde(default)]
    pub windows: BTreeSet<Window>,
}

/// A time zone of the IANA database: `Europe/Berlin`, `UTC`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timezone(pub(crate) chrono_tz::Tz);

impl FromStr for Timezone {
    type Err = NotADocument;

    fn from_str(text: &str) -> Result<Self, NotADocument> {
        text.parse().map(Self).map_err(|_| NotADocument::Timezone)
    }
}

impl fmt::Display for Timezone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl TryFrom<String> for Timezone {
    type Error = NotADocument;

    fn try_from(text: String) -> Result<Self, NotADocument> {
        text.parse()
    }
}

impl From<Timezone> for String {
    fn from(timezone: Timezone) -> Self {
        timezone.to_string()
    }
}

/// The same hours on each of several days. Written `mon-fri 09:00-17:30`, `sun 22:00-24:00`. Days
/// may run over the end of the week (`fri-mon`); hours may not run over midnight: that is two
/// windows.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window {
    /// 0 is Monday.
    pub(crate) first_day: u8,
    /// 0 is Monday.
    pub(crate) last_day: u8,
    /// Minutes since midnight, inclusive.
    pub(crate) from: u16,
    /// Minutes since midnight, exclusive; up to 1440.
    pub(crate) to: u16,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl FromStr for Window {
    type Err = NotADocument;

    fn from_str(text: &str) -> Result<Self, NotADocument> {
        let day = |text: &str| {
            DAYS.iter().position(|day| *day == text).and_then(|day| u8::try_from(day).ok())
        };
        let minutes = |text: &str| {
            let (hours, minutes) = text.split_once(':')?;
            let number = |text: &str| {
                (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit()))
                    .then(|| text.parse::<u16>().ok())
                    .flatten()
            };
            let (hours, minutes) = (number(hours)?, number(minutes)?);
            let at = hours * 60 + minutes;
            (minutes < 60 && at <= 1_440).then_some(at)
        };
        let window = || {
            let (days, hours) = text.split_once(' ')?;
            let (first_day, last_day) = days.split_once('-').unwrap_or((days, days));
            let (from, to) = hours.split_once('-')?;
            let (from, to) = (minutes(from)?, minutes(to)?);
            let (first_day, last_day) = (day(first_day)?, day(last_day)?);
            (from < to).then_some(Self { first_day, last_day, from, to })
        };
        window().ok_or(NotADocument::Window)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = |day: u8| DAYS[usize::from(day) % 7];
        f.write_str(day(self.first_day))?;
        if self.last_day != self.first_day {
            write!(f, "-{}", day(self.last_day))?;
        }
        let (from, to) = (self.from, self.to);
        write!(f, " {:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

impl TryFrom<String> for Window {
    type Error = NotADocument;

    fn try_from(text: String) -> Result<Self, NotADocument> {
        text.parse()
    }
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        window.to_string()
    }
}
