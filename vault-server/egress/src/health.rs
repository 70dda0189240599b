//! Whether a venue should be asked now: its own wish to be left alone, and the breakers for when it
//! does not answer.
//!
//! Limits of venues count by source address, so a venue is a host and the address from which it is
//! asked. Once it has refused for the sake of a limit, everything but cancels waits; while a budget is
//! only nearly used up, what can wait does (`public`, `read`), and the last of it is for cancels. Those
//! pass until it has shut us out.
//! The figures without a source here are ours, and cautious.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::RETRY_AFTER;
use vault_ipc::{HEALTH_ROWS_MAX, HealthRow, HealthState};

use crate::asker::{Asker, Errand};
use crate::breaker::Breakers;
use crate::problem::Problem;

/// Pauses when the venue does not say how long.
const LIMITED_DEFAULT: Duration = Duration::from_secs(1);
const BANNED_DEFAULT: Duration = Duration::from_secs(2 * 60);
/// The longest pauses that are believed.
const LIMITED_MAX: Duration = Duration::from_secs(10 * 60);
const BANNED_MAX: Duration = Duration::from_secs(3 * 24 * 60 * 60);
const RESET_MAX: Duration = Duration::from_secs(5);
/// Of a budget per minute, so much is kept for trades and cancels, in percent.
const RESERVE_PERCENT: u64 = 10;
/// So much of it is kept for cancels alone.
const CANCEL_RESERVE_PERCENT: u64 = 2;
/// Venues remembered.
const VENUES_MAX: usize = 4096;
/// How exactly the end of a pause is told, in microseconds: two clocks are in it.
const UNTIL_US: i64 = 100_000;

/// A host, and the address from which it is asked.
pub(crate) type VenueKey = (String, Option<IpAddr>);

/// The moment, on both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) instant: Instant,
    /// Since the epoch.
    pub(crate) unix: Duration,
}

impl Now {
    /// What the clocks say.
    pub(crate) fn read() -> Self {
        let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self { instant: Instant::now(), unix: unix.unwrap_or_default() }
    }
}

/// How all venues are.
#[derive(Debug, Default)]
pub(crate) struct Health(HashMap<VenueKey, Venue>);

#[derive(Debug, Default)]
struct Venue {
    name: String,
    banned_until: Option<Instant>,
    breakers: Breakers,
    in_flight: u32,
    last_problem: Option<Problem>,
    /// The venue has refused for the sake of a limit.
    limited_until: Option<Instant>,
    /// Little of a budget is left.
    low_until: Option<Instant>,
    streams: u32,
    /// Of a budget per minute, and the budget.
    used: Option<(u64, u64)>,
}

/// The venue is not to be asked for so long.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Paused(pub(crate) Duration);

impl Health {
    /// Whether a request may go to a venue now; whether it is a breaker's trial, of whose end
    /// [`Health::tried`] must be told.
    ///
    /// # Errors
    ///
    /// [`Paused`], with the time until it may.
    pub(crate) fn admit(
        &mut self,
        key: &VenueKey,
        asker: &Asker,
        now: Now,
    ) -> Result<bool, Paused> {
        let Some(venue) = self.0.get_mut(key) else { return Ok(false) };
        let now = now.instant;
        let left = |until: Option<Instant>| {
            until.map(|at| at.saturating_duration_since(now)).filter(|left| !left.is_zero())
        };
        if let Some(left) = left(venue.banned_until) {
            return Err(Paused(left));
        }
        if asker.errand != Errand::Cancel
            && let Some(left) = left(venue.limited_until)
        {
            return Err(Paused(left));
        }
        if asker.errand == Errand::Read
            && let Some(left) = left(venue.low_until)
        {
            return Err(Paused(left));
        }
        venue.breakers.admit(asker, now)
    }

    /// Notes that a request begins, if there is room for a note; [`Health::end`] then takes it away.
    pub(crate) fn begin(&mut self, key: &VenueKey, name: &str, now: Now) -> bool {
        // What has no host goes nowhere.
        if key.0.is_empty() {
            return false;
        }
        let Some(venue) = self.venue(key, now) else { return false };
        venue.name(name);
        venue.in_flight += 1;
        true
    }

    /// Notes how a request ended that [`Health::begin`] was told of.
    pub(crate) fn end(&mut self, key: &VenueKey, problem: Option<Problem>) {
        if let Some(venue) = self.0.get_mut(key) {
            venue.in_flight = venue.in_flight.saturating_sub(1);
            venue.note(problem);
        }
    }

    /// As [`Health::begin`], of a WebSocket.
    pub(crate) fn begin_stream(&mut self, key: &VenueKey, name: &str, now: Now) -> bool {
        let Some(venue) = self.venue(key, now) else { return false };
        venue.name(name);
        venue.streams += 1;
        true
    }

    /// As [`Health::end`], of a WebSocket.
    pub(crate) fn end_stream(&mut self, key: &VenueKey, problem: Option<Problem>) {
        if let Some(venue) = self.0.get_mut(key) {
            venue.streams = venue.streams.saturating_sub(1);
            venue.note(problem);
        }
    }

    /// How all venues are that were spoken to of late, by host and source.
    pub(crate) fn rows(&self, now: Now) -> Vec<HealthRow> {
        let mut rows: Vec<HealthRow> =
            self.0.iter().map(|(key, venue)| venue.row(key, now)).collect();
        if rows.len() > HEALTH_ROWS_MAX {
            // What goes wrong is not crowded out.
            rows.sort_by_key(|row| row.state == i32::from(HealthState::Closed));
            rows.truncate(HEALTH_ROWS_MAX);
        }
        rows.sort_by(|one, other| (&one.host, &one.source).cmp(&(&other.host, &other.source)));
        rows
    }

    /// Notes that a trial is over. If it told nothing of the venue, the next may be made.
    pub(crate) fn tried(&mut self, key: &VenueKey, asker: &Asker) {
        if let Some(venue) = self.0.get_mut(key) {
            venue.breakers.tried(asker);
        }
    }

    /// Notes that a venue could not be reached, or did not answer in time.
    pub(crate) fn failed(&mut self, key: &VenueKey, asker: &Asker, now: Now) {
        let Some(venue) = self.venue(key, now) else { return };
        if let Some(open_for) = venue.breakers.failed(asker, now.instant) {
            tracing::warn!(
                host = key.0,
                client = &*asker.client,
                open_ms = open_for.as_millis() as u64,
                "venue does not answer"
            );
        }
    }

    /// Notes a response: the venue is there, and may say how it feels. Tells how long it wants to be
    /// left alone, if it does.
    pub(crate) fn answered(
        &mut self,
        key: &VenueKey,
        asker: &Asker,
        status: u16,
        headers: &HeaderMap,
        now: Now,
    ) -> Option<Duration> {
        if let Some(venue) = self.venue(key, now)
            && venue.breakers.answered(asker, now.instant)
        {
            tracing::info!(host = key.0, "venue answers again");
        }
        match status {
            // Shut out. Source: https://developers.binance.com/docs/binance-spot-api-docs/rest-api/limits,
            // stored copy read 2026-11-22; unverified for other venues.
            418 => {
                self.use_up(key, headers, now);
                let pause = retry_after(headers, now).unwrap_or(BANNED_DEFAULT).min(BANNED_MAX);
                let venue = self.venue(key, now)?;
                lengthen(&mut venue.banned_until, now.instant + pause);
                tracing::error!(host = key.0, pause_s = pause.as_secs(), "venue has shut us out");
                Some(pause)
            }
            // RFC 6585, section 4.
            429 => {
                self.use_up(key, headers, now);
                let pause = retry_after(headers, now).unwrap_or(LIMITED_DEFAULT).min(LIMITED_MAX);
                self.limit(key, pause, now);
                Some(pause)
            }
            _ => {
                self.use_up(key, headers, now);
                if is_used_up_but_for_cancels(&key.0, headers) {
                    self.limit(key, next_minute(now), now);
                } else if let Some(pause) = nearly_used_up(&key.0, headers, now) {
                    let venue = self.venue(key, now)?;
                    lengthen(&mut venue.low_until, now.instant + pause);
                    let pause_ms = pause.as_millis() as u64;
                    tracing::warn!(host = key.0, pause_ms, "budget nearly used up");
                }
                None
            }
        }
    }

    /// Notes an error code of a venue that says there what others say by a status. The codes are
    /// unverified.
    pub(crate) fn refused(&mut self, key: &VenueKey, venue: &str, error_code: &str, now: Now) {
        if matches!((venue, error_code), ("okx", "50011") | ("bybit", "10006")) {
            self.limit(key, LIMITED_DEFAULT, now);
        }
    }

    fn use_up(&mut self, key: &VenueKey, headers: &HeaderMap, now: Now) {
        if let Some(used) = used_weight(&key.0, headers)
            && let Some(venue) = self.venue(key, now)
        {
            venue.used = Some(used);
        }
    }

    fn limit(&mut self, key: &VenueKey, pause: Duration, now: Now) {
        if let Some(venue) = self.venue(key, now) {
            lengthen(&mut venue.limited_until, now.instant + pause);
            tracing::warn!(
                host = key.0,
                pause_ms = pause.as_millis() as u64,
                "venue wants a pause"
            );
        }
    }

    fn venue(&mut self, key: &VenueKey, now: Now) -> Option<&mut Venue> {
        if self.0.len() >= VENUES_MAX && !self.0.contains_key(key) {
            self.0.retain(|_, venue| venue.is_remarkable(now.instant));
            if self.0.len() >= VENUES_MAX {
                return None;
            }
        }
        Some(self.0.entry(key.clone()).or_default())
    }
}

impl Venue {
    fn name(&mut self, name: &str) {
        if self.name != name {
            name.clone_into(&mut self.name);
        }
    }

    fn note(&mut self, problem: Option<Problem>) {
        // What the core or a bot has brought about says nothing of the venue.
        if let Some(problem) = problem
            && !matches!(
                problem,
                Problem::Barrier | Problem::Busy | Problem::HandleUnknown | Problem::StreamCut
            )
        {
            self.last_problem = Some(problem);
        }
    }

    fn row(&self, (host, source): &VenueKey, now: Now) -> HealthRow {
        let ahead = |until: Option<Instant>| until.filter(|at| *at > now.instant);
        let breaker = self.breakers.open_until(now.instant);
        let (state, until) = if let Some(until) = ahead(self.banned_until) {
            (HealthState::Banned, Some(until))
        } else if let Some(until) = ahead(self.limited_until) {
            (HealthState::Paused, Some(until))
        } else if breaker.is_some() {
            // Half open is open still: one may try.
            (HealthState::Open, breaker)
        } else if let Some(until) = ahead(self.low_until) {
            (HealthState::Low, Some(until))
        } else {
            (HealthState::Closed, None)
        };
        let (used_weight, weight_limit) = self.used.unwrap_or_default();
        HealthRow {
            venue: self.name.clone(),
            host: host.clone(),
            source: source.map(|source| source.to_string()).unwrap_or_default(),
            state: state.into(),
            until_us: until.map(|until| epoch_us(until, now)).unwrap_or_default(),
            used_weight,
            weight_limit,
            in_flight: self.in_flight,
            streams: self.streams,
            last_problem: self
                .last_problem
                .map(|problem| problem.code().to_owned())
                .unwrap_or_default(),
        }
    }

    fn is_remarkable(&self, now: Instant) -> bool {
        let is_ahead = |until: Option<Instant>| until.is_some_and(|at| at > now);
        self.in_flight > 0
            || self.streams > 0
            || self.breakers.is_remarkable()
            || is_ahead(self.banned_until)
            || is_ahead(self.limited_until)
            || is_ahead(self.low_until)
    }
}

/// A moment of one clock on the other.
fn epoch_us(at: Instant, now: Now) -> i64 {
    let left = at.saturating_duration_since(now.instant).as_micros();
    let past = now.instant.saturating_duration_since(at).as_micros();
    let at = now.unix.as_micros().saturating_add(left).saturating_sub(past);
    let at = i64::try_from(at).unwrap_or(i64::MAX);
    at.saturating_add(UNTIL_US / 2) / UNTIL_US * UNTIL_US
}

fn lengthen(until: &mut Option<Instant>, to: Instant) {
    *until = Some(until.map_or(to, |until| until.max(to)));
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// Seconds or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: Now) -> Option<Duration> {
    let text = text(headers, RETRY_AFTER.as_str())?;
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    let at = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(at.saturating_sub(now.unix))
}

/// Binance: weight used in this minute, and the limit. The limits are unverified; a smaller one would
/// only be noticed by a 429.
fn used_weight(host: &str, headers: &HeaderMap) -> Option<(u64, u64)> {
    let used = text(headers, "x-mbx-used-weight-1m")?.parse().ok()?;
    let limit = match host.split('.').next() {
        Some("dapi" | "fapi") => 2_400,
        _ => 6_000,
    };
    Some((used, limit))
}

fn is_used_up_but_for_cancels(host: &str, headers: &HeaderMap) -> bool {
    used_weight(host, headers)
        .is_some_and(|(used, limit)| used >= limit / 100 * (100 - CANCEL_RESERVE_PERCENT))
}

fn next_minute(now: Now) -> Duration {
    Duration::from_secs(60 - now.unix.as_secs() % 60)
}

/// How long to leave a venue alone of which the headers say that little is left.
fn nearly_used_up(host: &str, headers: &HeaderMap, now: Now) -> Option<Duration> {
    if let Some((used, limit)) = used_weight(host, headers)
        && used >= limit / 100 * (100 - RESERVE_PERCENT)
    {
        return Some(next_minute(now));
    }
    // Bybit: calls left, and when (ms since the epoch) there are new ones. Unverified.
    if text(headers, "x-bapi-limit-status") == Some("0") {
        let reset_ms = text(headers, "x-bapi-limit-reset-timestamp")?.parse().ok()?;
        let pause = Duration::from_millis(reset_ms).saturating_sub(now.unix).min(RESET_MAX);
        return (!pause.is_zero()).then_some(pause);
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use http::{HeaderMap, HeaderName, HeaderValue};

    use vault_ipc::{HealthRow, HealthState};

    use super::{Health, Now, Paused, VenueKey};
    use crate::asker::Asker;
    use crate::breaker::FAILURES_MAX;
    use crate::problem::Problem;

    struct Bed {
        health: Health,
        key: VenueKey,
        now: Now,
    }

    impl Bed {
        fn new(host: &str) -> Self {
            // 10 s into a minute.
            let now = Now { instant: Instant::now(), unix: Duration::from_secs(1_800_000_010) };
            Self { health: Health::default(), key: (host.to_owned(), None), now }
        }

        fn later(&mut self, ms: u64) {
            self.now.instant += Duration::from_millis(ms);
            self.now.unix += Duration::from_millis(ms);
        }

        fn answered(&mut self, status: u16, headers: &[(&'static str, &str)]) -> Option<Duration> {
            let headers: HeaderMap = headers
                .iter()
                .map(|(name, value)| {
                    let value = HeaderValue::from_str(value).expect("a value");
                    (HeaderName::from_static(name), value)
                })
                .collect();
            let asker = Asker::new("bot", "read");
            self.health.answered(&self.key, &asker, status, &headers, self.now)
        }

        fn failed(&mut self) {
            self.health.failed(&self.key, &Asker::new("bot", "read"), self.now);
        }

        /// Milliseconds until each of read, trade and cancel may go; 0 for now.
        fn waits(&mut self) -> [u128; 3] {
            ["read", "trade", "cancel"].map(|class| {
                match self.health.admit(&self.key, &Asker::new("bot", class), self.now) {
                    Ok(_) => 0,
                    Err(Paused(left)) => left.as_millis(),
                }
            })
        }
    }

    #[test]
    fn a_limit_pauses_all_but_cancels_and_ends() {
        let mut bed = Bed::new("api.example");
        assert_eq!(bed.answered(429, &[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(bed.waits(), [7_000, 7_000, 0]);
        // A later word does not shorten it.
        bed.answered(429, &[]);
        bed.later(6_999);
        assert_eq!(bed.waits(), [1, 1, 0]);
        bed.later(1);
        assert_eq!(bed.waits(), [0, 0, 0]);
    }

    #[test]
    fn a_ban_pauses_everything() {
        let mut bed = Bed::new("api.example");
        bed.answered(418, &[("retry-after", "120")]);
        assert_eq!(bed.waits(), [120_000; 3]);
        bed.later(120_000);
        assert_eq!(bed.waits(), [0; 3]);

        bed.answered(418, &[]);
        assert_eq!(bed.waits(), [120_000; 3]);
        bed.answered(418, &[("retry-after", "99999999999")]);
        assert_eq!(bed.waits(), [259_200_000; 3]);
    }

    #[test]
    fn a_date_is_understood_too() {
        let mut bed = Bed::new("api.example");
        let at = std::time::UNIX_EPOCH + bed.now.unix + Duration::from_secs(90);
        bed.answered(429, &[("retry-after", &httpdate::fmt_http_date(at))]);
        assert_eq!(bed.waits()[0], 90_000);
        let mut bed = Bed::new("api.example");
        bed.answered(429, &[("retry-after", "Thu, 01 Jan 1970 00:00:00 GMT")]);
        assert_eq!(bed.waits(), [0; 3]);
        bed.answered(429, &[("retry-after", "soon")]);
        assert_eq!(bed.waits()[0], 1_000);
    }

    #[test]
    fn a_reserve_is_kept_before_the_venue_says_stop() {
        for (host, used, wait) in [
            ("api.binance.com", "5399", 0),
            ("api.binance.com", "5400", 50_000),
            ("fapi.binance.com", "2159", 0),
            ("fapi.binance.com", "2160", 50_000),
            ("api.binance.com", "-1", 0),
            ("api.binance.com", "many", 0),
        ] {
            let mut bed = Bed::new(host);
            bed.answered(200, &[("x-mbx-used-weight-1m", used)]);
            assert_eq!(bed.waits(), [wait, 0, 0], "{host} {used}");
        }
        for (left, in_ms, wait) in
            [("0", 300, 300), ("1", 300, 0), ("0", -5, 0), ("0", 3_600_000, 5_000)]
        {
            let mut bed = Bed::new("api.bybit.com");
            let reset = (bed.now.unix.as_millis() as i64 + in_ms).to_string();
            bed.answered(
                200,
                &[("x-bapi-limit-status", left), ("x-bapi-limit-reset-timestamp", &reset)],
            );
            assert_eq!(bed.waits(), [wait, 0, 0], "{left} {in_ms}");
        }
        let mut bed = Bed::new("www.okx.com");
        bed.health.refused(&bed.key, "okx", "51008", bed.now);
        assert_eq!(bed.waits(), [0; 3]);
        bed.health.refused(&bed.key, "okx", "50011", bed.now);
        assert_eq!(bed.waits(), [1_000, 1_000, 0]);
        let mut bed = Bed::new("api.bybit.com");
        bed.health.refused(&bed.key, "bybit", "10006", bed.now);
        assert_eq!(bed.waits(), [1_000, 1_000, 0]);
    }

    #[test]
    fn the_last_of_a_budget_is_for_cancels() {
        for (host, used, trade) in [
            ("api.binance.com", "5879", 0),
            ("api.binance.com", "5880", 50_000),
            ("fapi.binance.com", "2351", 0),
            ("fapi.binance.com", "2352", 50_000),
        ] {
            let mut bed = Bed::new(host);
            bed.answered(200, &[("x-mbx-used-weight-1m", used)]);
            assert_eq!(bed.waits(), [50_000, trade, 0], "{host} {used}");
        }
    }

    #[test]
    fn what_is_told_is_what_is_done() {
        let row = |bed: &Bed| {
            let rows = bed.health.rows(bed.now);
            assert_eq!(rows.len(), 1);
            rows[0].clone()
        };
        let mut bed = Bed::new("api.binance.com");
        bed.key.1 = Some("203.0.113.7".parse().expect("an address"));
        assert!(bed.health.begin(&bed.key, "binance", bed.now));
        assert!(bed.health.begin_stream(&bed.key, "binance", bed.now));
        bed.answered(200, &[("x-mbx-used-weight-1m", "17")]);
        let expected = HealthRow {
            venue: "binance".into(),
            host: "api.binance.com".into(),
            source: "203.0.113.7".into(),
            state: HealthState::Closed.into(),
            until_us: 0,
            used_weight: 17,
            weight_limit: 6_000,
            in_flight: 1,
            streams: 1,
            last_problem: String::new(),
        };
        assert_eq!(row(&bed), expected);

        bed.health.end(&bed.key, Some(Problem::Timeout));
        bed.health.end_stream(&bed.key, Some(Problem::StreamCut));
        let expected =
            HealthRow { in_flight: 0, streams: 0, last_problem: "TIMEOUT".into(), ..expected };
        assert_eq!(row(&bed), expected);

        let until_us = |s: i64| 1_800_000_010_000_000 + s * 1_000_000;
        let is = |bed: &Bed, state: HealthState, s: i64| {
            assert_eq!((row(bed).state, row(bed).until_us), (state.into(), until_us(s)));
        };
        bed.answered(200, &[("x-mbx-used-weight-1m", "5400")]);
        is(&bed, HealthState::Low, 50);
        for _ in 0..FAILURES_MAX {
            bed.failed();
        }
        assert_eq!(row(&bed).state, i32::from(HealthState::Open));
        bed.later(600);
        assert_eq!(row(&bed).state, i32::from(HealthState::Open));
        bed.now.instant -= Duration::from_millis(600);
        bed.now.unix -= Duration::from_millis(600);
        bed.answered(429, &[("retry-after", "7")]);
        is(&bed, HealthState::Paused, 7);
        bed.answered(418, &[("retry-after", "120")]);
        is(&bed, HealthState::Banned, 120);
        bed.later(120_000);
        assert_eq!((row(&bed).state, row(&bed).until_us), (HealthState::Closed.into(), 0));
    }

    #[test]
    fn what_goes_wrong_is_not_crowded_out() {
        let mut bed = Bed::new("z.example");
        bed.answered(418, &[]);
        for number in 0..300 {
            let key = (format!("host-{number}.example"), None);
            assert!(bed.health.begin(&key, "example", bed.now));
        }
        assert!(!bed.health.begin(&(String::new(), None), "example", bed.now));
        let rows = bed.health.rows(bed.now);
        assert_eq!(rows.len(), 256);
        assert!(rows.iter().any(|row| row.host == "z.example"));
        assert!(rows.is_sorted_by_key(|row| row.host.clone()));
    }

    #[test]
    fn a_breaker_pauses_its_kind_until_the_venue_answers() {
        let mut bed = Bed::new("api.example");
        for _ in 0..FAILURES_MAX {
            bed.failed();
        }
        assert_eq!(bed.waits(), [500, 0, 0]);
        bed.later(500);
        assert_eq!(bed.waits(), [0, 0, 0]);
        assert_eq!(bed.waits(), [500, 0, 0]);
        bed.health.tried(&bed.key, &Asker::new("bot", "read"));
        assert_eq!(bed.waits(), [0, 0, 0]);
        bed.answered(500, &[]);
        assert_eq!(bed.waits(), [0, 0, 0]);
        assert_eq!(bed.waits(), [0, 0, 0]);
    }

    #[test]
    fn hosts_and_addresses_are_told_apart() {
        let mut bed = Bed::new("api.example");
        bed.answered(418, &[]);
        bed.key.1 = Some("203.0.113.7".parse().expect("an address"));
        assert_eq!(bed.waits(), [0; 3]);
    }
}
