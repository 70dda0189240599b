//! The rule of hours: what writes, but for cancels, happens within the scope's weekly windows, by
//! the wall clock of its time zone.

use chrono::{DateTime, Datelike, Timelike, Utc};
use vault_model::{Class, Member, Timestamp};

use crate::denial::Denial;
use crate::document::{HoursDocument, Window};
use crate::judge::Question;

pub(crate) fn judge(question: &Question<'_>, member: &Member) -> Result<(), Denial> {
    let Some(hours) = &question.scope.hours else {
        return Ok(());
    };
    let is_restricted = member.class.is_write() && member.class != Class::Cancel;
    if !is_restricted || is_open(hours, question.now) {
        Ok(())
    } else {
        Err(Denial::HoursClosed(question.outside(member)))
    }
}

fn is_open(hours: &HoursDocument, now: Timestamp) -> bool {
    // A year that the calendar does not have has no hours.
    let Some(now) = DateTime::<Utc>::from_timestamp_micros(now.micros()) else {
        return false;
    };
    let local = now.with_timezone(&hours.timezone.0);
    let day = local.weekday().num_days_from_monday();
    let minute = local.hour() * 60 + local.minute();
    hours.windows.iter().any(|window| has(window, day, minute))
}

fn has(window: &Window, day: u32, minute: u32) -> bool {
    let (first, last) = (u32::from(window.first_day), u32::from(window.last_day));
    let day_fits = if first <= last {
        (first..=last).contains(&day)
    } else {
        // Over the end of the week.
        day >= first || day <= last
    };
    day_fits && (u32::from(window.from)..u32::from(window.to)).contains(&minute)
}
