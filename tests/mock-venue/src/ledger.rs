//! What every connection shares: accounts, the record of what came, and what is to go wrong.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use crate::account::{Seat, Venue};
use crate::delay::Delay;
use crate::fault::{Fault, Plan};
use crate::http::Incoming;
use crate::stream::{Heard, Hub};
use crate::{Clock, binance, bybit, coinbase, kraken, okx, open};

/// A request that passed every check of its venue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Accepted {
    /// Which venue took it.
    pub venue: Venue,
    /// The HTTP method, in upper case.
    pub method: String,
    /// The header `host` as it arrived, or `:authority` in HTTP/2; empty if there was none.
    pub host: String,
    /// Path and query as they arrived, with the question mark if there was one.
    pub target: String,
    /// The path as it arrived, without the query.
    pub path: String,
    /// The query as it arrived, without the question mark; empty if there was none.
    pub query: String,
    /// The headers in the order in which they arrived, those of one name together. Names are in
    /// lower case; values have one character for each byte (Latin-1), so that nothing is lost.
    pub headers: Vec<(String, String)>,
    /// The body as it arrived; empty if there was none.
    pub body: String,
    /// Whether it came over HTTP/2.
    pub http2: bool,
    /// The API key id that signed it; empty for a public request.
    pub api_key: String,
    /// When it was judged, ms since the Unix epoch by [`MockConfig::clock`](crate::MockConfig::clock).
    pub at_ms: i64,
}

impl Accepted {
    /// The values of a header, by its name in lower case.
    pub fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.headers.iter().filter(move |(known, _)| known == name);
        named.map(|(_, value)| value.as_str())
    }
}

/// A request, or one order of a batch, that a venue refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refused {
    /// Which venue refused it.
    pub venue: Venue,
    /// The venue's error code: `-1022` at Binance, `10004` at Bybit, `unauthorized` at Coinbase,
    /// `EAPI:Invalid nonce` at Kraken, `50113` at OKX.
    pub code: String,
    /// Why, in words. Never holds a value from the request.
    pub reason: String,
}

/// What every connection shares.
pub(crate) struct Ledger {
    clock: Clock,
    delay: Option<Delay>,
    books: Mutex<Books>,
    pub(crate) hub: Hub,
}

/// What changes from request to request.
pub(crate) struct Books {
    seats: Vec<Seat>,
    pub(crate) checks_parameters: bool,
    pub(crate) faults: Plan,
    pub(crate) arrived: usize,
    pub(crate) seen: Vec<Accepted>,
    pub(crate) accepted: Vec<Accepted>,
    pub(crate) open: Vec<Accepted>,
    pub(crate) refused: Vec<Refused>,
    pub(crate) heard: Vec<Heard>,
}

impl Books {
    pub(crate) fn seats(&self) -> &[Seat] {
        &self.seats
    }

    pub(crate) fn seats_mut(&mut self) -> &mut [Seat] {
        &mut self.seats
    }

    /// Notes what a venue refused: codes and reasons.
    pub(crate) fn refuse(&mut self, venue: Venue, all: Vec<(String, String)>) {
        let all = all.into_iter();
        self.refused.extend(all.map(|(code, reason)| Refused { venue, code, reason }));
    }
}

/// When a request is judged, and how.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    /// ms since the Unix epoch.
    pub(crate) now_ms: i64,
    /// Whether unknown parameters are refused.
    pub(crate) checks_parameters: bool,
}

/// What a venue made of one request.
pub(crate) struct Outcome {
    pub(crate) status: StatusCode,
    pub(crate) answer: Value,
    /// The key id, if the request as a whole was accepted.
    pub(crate) accepted_by: Option<String>,
    /// Codes and reasons; several if orders of a batch failed one by one.
    pub(crate) refused: Vec<(String, String)>,
}

impl Ledger {
    pub(crate) fn new(clock: Clock, delay: Option<Delay>, seats: Vec<Seat>) -> Self {
        let books = Mutex::new(Books {
            seats,
            checks_parameters: true,
            faults: Plan::default(),
            arrived: 0,
            seen: Vec::new(),
            accepted: Vec::new(),
            open: Vec::new(),
            refused: Vec::new(),
            heard: Vec::new(),
        });
        Self { clock, delay, books, hub: Hub::new() }
    }

    pub(crate) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request whose last byte is here; returns what goes wrong with it.
    pub(crate) fn arrive(&self, request: &Incoming) -> Option<Fault> {
        let now_ms = (self.clock)();
        let mut books = self.books();
        books.arrived += 1;
        if let Some(venue) = venue_of(&request.path) {
            books.seen.push(record(venue, request, String::new(), now_ms));
        }
        books.faults.take(&request.path)
    }

    /// The present, and how requests are judged.
    pub(crate) fn moment(&self) -> Moment {
        Moment { now_ms: (self.clock)(), checks_parameters: self.books().checks_parameters }
    }

    /// How long to wait before judging, and before answering.
    pub(crate) fn delay(&self) -> Option<(Duration, Duration)> {
        self.delay.as_ref().map(Delay::draw)
    }

    /// Judges one request, keeps the record of it and returns the answer to send.
    pub(crate) fn handle(&self, request: &Incoming) -> (StatusCode, Value) {
        let now_ms = (self.clock)();
        let mut books = self.books();
        if let Some((venue, answer)) = open::answer(request, now_ms) {
            books.open.push(record(venue, request, String::new(), now_ms));
            return (StatusCode::OK, answer);
        }
        let Some(venue) = venue_of(&request.path) else {
            return (StatusCode::NOT_FOUND, json!({ "error": "no venue at this path" }));
        };
        let moment = Moment { now_ms, checks_parameters: books.checks_parameters };
        let endpoint = |prefix: &str| request.path.strip_prefix(prefix).unwrap_or_default();
        let seats = &mut books.seats;
        let outcome = match venue {
            Venue::Binance => binance::judge(seats, request, moment),
            Venue::Bybit => bybit::judge(seats, request, moment),
            Venue::Coinbase => coinbase::judge(seats, request, moment),
            Venue::Kraken => kraken::judge(seats, request, endpoint(KRAKEN), now_ms),
            Venue::Okx => okx::judge(seats, request, endpoint(OKX), now_ms),
        };

        self.hub.publish(&mut books.seats);

        if let Some(api_key) = outcome.accepted_by {
            books.accepted.push(record(venue, request, api_key, now_ms));
        }
        let refused = outcome.refused.into_iter();
        books.refused.extend(refused.map(|(code, reason)| Refused { venue, code, reason }));
        (outcome.status, outcome.answer)
    }
}

fn record(venue: Venue, request: &Incoming, api_key: String, at_ms: i64) -> Accepted {
    Accepted {
        venue,
        method: request.method.to_string(),
        host: request.host.clone(),
        target: request.target.clone(),
        path: request.path.clone(),
        query: request.query.clone(),
        headers: request.listed(),
        body: String::from_utf8_lossy(&request.body).into_owned(),
        http2: request.http2,
        api_key,
        at_ms,
    }
}

const BINANCE: [&str; 4] = ["/api/v3/", "/dapi/", "/fapi/", "/sapi/"];
const BYBIT: &str = "/v5/";
const COINBASE: [&str; 2] = ["/api/v3/brokerage/", "/v2/"];
const KRAKEN: &str = "/0/private/";
const OKX: &str = "/api/v5/";

/// Whose path it is. One path of Binance's begins like Coinbase's, so Coinbase comes first.
fn venue_of(path: &str) -> Option<Venue> {
    let begins = |prefix: &&str| path.starts_with(*prefix);
    if COINBASE.iter().any(begins) {
        Some(Venue::Coinbase)
    } else if BINANCE.iter().any(begins) {
        Some(Venue::Binance)
    } else if begins(&BYBIT) {
        Some(Venue::Bybit)
    } else if begins(&KRAKEN) {
        Some(Venue::Kraken)
    } else if begins(&OKX) {
        Some(Venue::Okx)
    } else {
        None
    }
}
