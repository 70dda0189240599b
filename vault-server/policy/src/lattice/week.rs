//! Weekly windows as sets of minutes.

use chrono::{Datelike as _, TimeZone as _, Timelike as _};
use vault_model::Timestamp;

use crate::document::HoursDocument;

/// Whether `one` is closed whenever `other` is. Windows on clocks of two zones are compared only
/// where one of them never opens or the other never closes: the offsets between two zones change
/// with laws.
pub(crate) fn is_within(one: Option<&HoursDocument>, other: Option<&HoursDocument>) -> bool {
    match (one, other) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(one), Some(other)) => {
            let (own, others) = (Week::of(one), Week::of(other));
            own.is_empty()
                || others.is_full()
                || (one.timezone == other.timezone && own.is_within(&others))
        }
    }
}

/// The first full minute of two weeks, one in winter and one in summer, at which `open` is open, and
/// `also` as it is wanted.
pub(crate) fn moment(
    open: Option<&HoursDocument>,
    also: Option<&HoursDocument>,
    also_is_open: bool,
) -> Option<Timestamp> {
    let own = open.map(|hours| (hours, Week::of(hours)));
    let others = also.map(|hours| (hours, Week::of(hours)));
    let is_open = |hours: &Option<(&HoursDocument, Week)>, at| {
        hours.as_ref().is_none_or(|(hours, week)| week.has(hours, at))
    };
    SAMPLE_WEEKS
        .iter()
        .flat_map(|start| (0..MINUTES as i64).map(move |minute| start + minute * 60))
        .map(|seconds| Timestamp::from_millis(seconds * 1_000))
        .find(|&at| is_open(&own, at) && is_open(&others, at) == also_is_open)
}

/// Weekday and time of day on the clock of the hours: `Sat 10:00`.
pub(crate) fn words(hours: Option<&HoursDocument>, at: Timestamp) -> String {
    let zone = hours.map_or(chrono_tz::UTC, |hours| hours.timezone.0);
    match zone.timestamp_opt(at.seconds(), 0).earliest() {
        Some(local) => format!("{} {}", local.format("%A %H:%M"), zone.name()),
        None => at.to_string(),
    }
}

const MINUTES: usize = 7 * 1_440;

/// Mondays, 2026-01-05 and 2026-07-06, 00:00 UTC: one on either side of daylight saving.
const SAMPLE_WEEKS: [i64; 2] = [1_767_571_200, 1_783_296_000];

/// The minutes of a week that are open.
struct Week(Vec<bool>);

impl Week {
    fn of(hours: &HoursDocument) -> Self {
        let mut minutes = vec![false; MINUTES];
        for window in &hours.windows {
            let (first, last) = (usize::from(window.first_day), usize::from(window.last_day));
            let days = (last + 7 - first) % 7;
            for day in (0..=days).map(|after| (first + after) % 7) {
                let (from, to) = (usize::from(window.from), usize::from(window.to));
                minutes[day * 1_440 + from..day * 1_440 + to].fill(true);
            }
        }
        Self(minutes)
    }

    fn is_empty(&self) -> bool {
        !self.0.contains(&true)
    }

    fn is_full(&self) -> bool {
        !self.0.contains(&false)
    }

    fn is_within(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(own, other)| !own || *other)
    }

    fn has(&self, hours: &HoursDocument, at: Timestamp) -> bool {
        let local = hours.timezone.0.timestamp_opt(at.seconds(), 0).earliest();
        local.is_some_and(|local| {
            let day = local.weekday().num_days_from_monday();
            let minute = day * 1_440 + local.hour() * 60 + local.minute();
            self.0.get(minute as usize).copied().unwrap_or(false)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Week, is_within, moment, words};
    use crate::document::HoursDocument;

    fn hours(timezone: &str, windows: &[&str]) -> HoursDocument {
        HoursDocument {
            timezone: timezone.parse().expect("a zone"),
            windows: windows.iter().map(|window| window.parse().expect("a window")).collect(),
        }
    }

    #[test]
    fn weeks_are_sets_of_minutes() {
        let whole = hours("UTC", &["mon-sun 00:00-24:00"]);
        let halves = hours("UTC", &["mon-sun 00:00-12:00", "mon-sun 12:00-24:00"]);
        let over_the_end = hours("UTC", &["sat-mon 10:00-11:00"]);
        let never = hours("Europe/Berlin", &[]);
        assert!(Week::of(&whole).is_full() && Week::of(&halves).is_full());
        assert!(is_within(Some(&whole), Some(&halves)) && is_within(Some(&halves), Some(&whole)));
        assert!(is_within(Some(&over_the_end), Some(&whole)));
        assert!(!is_within(Some(&whole), Some(&over_the_end)));
        assert_eq!(Week::of(&over_the_end).0.iter().filter(|open| **open).count(), 3 * 60);
        assert!(is_within(Some(&never), Some(&over_the_end)));
        assert!(is_within(Some(&never), None) && !is_within(None, Some(&whole)));
    }

    #[test]
    fn two_zones_are_compared_only_at_the_ends() {
        let (berlin, utc) =
            (hours("Europe/Berlin", &["mon 10:00-11:00"]), hours("UTC", &["mon 00:00-24:00"]));
        assert!(!is_within(Some(&berlin), Some(&utc)));
        assert!(is_within(Some(&berlin), Some(&hours("UTC", &["mon-sun 00:00-24:00"]))));
        assert!(is_within(Some(&hours("Europe/Berlin", &[])), Some(&utc)));
    }

    #[test]
    fn windows_on_one_clock_are_compared_minute_by_minute() {
        let berlin = |windows: &[&str]| hours("Europe/Berlin", windows);
        let (short, long) = (berlin(&["mon 10:00-11:00"]), berlin(&["mon-tue 09:00-11:00"]));
        assert!(is_within(Some(&short), Some(&long)) && !is_within(Some(&long), Some(&short)));
        let parts = berlin(&["mon 09:00-10:01", "mon-tue 10:01-11:00"]);
        assert!(is_within(Some(&short), Some(&parts)) && is_within(Some(&parts), Some(&long)));
        assert!(!is_within(Some(&short), Some(&berlin(&["mon 10:01-11:00"]))));
        assert!(!is_within(Some(&short), Some(&berlin(&["mon 10:00-10:59"]))));
    }

    #[test]
    fn moments_are_where_they_are_said_to_be() {
        let (wide, narrow) = (
            hours("Europe/Berlin", &["mon-sat 09:00-17:30"]),
            hours("UTC", &["mon-fri 08:00-16:30"]),
        );
        let at = moment(Some(&wide), Some(&narrow), false).expect("a moment");
        assert!(Week::of(&wide).has(&wide, at) && !Week::of(&narrow).has(&narrow, at));
        assert_eq!(words(Some(&wide), at), "Saturday 09:00 Europe/Berlin");
        assert!(moment(Some(&wide), None, false).is_none());
        // In summer Berlin is two hours ahead.
        let july =
            moment(Some(&hours("Europe/Berlin", &["mon-fri 09:00-17:30"])), Some(&narrow), false);
        assert_eq!(july.expect("a moment").to_string(), "2026-07-06T07:00:00.000Z");
    }
}
