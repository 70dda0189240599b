//! Mock venues that verify requests as strictly as the real ones.
//!
//! One plain HTTP/1.1 server on loopback plays Binance (`/api/v3/`, `/fapi/`, `/sapi/`), Bybit v5
//! (`/v5/`), Coinbase Advanced Trade (`/api/v3/brokerage/`), Kraken spot (`/0/private/`) and OKX v5
//! (`/api/v5/`). Which host a request was meant for does not matter. It is written without a line of the vault's own signing code, so that a
//! signature it accepts was checked by somebody else: from the bytes that arrived it
//! recomputes the signature, then checks time, nonce, passphrase and parameters, and answers
//! with the venue's own error codes. It never speaks to anything outside this machine.
//!
//! Order books are small and never match: a resting order stays open until it is cancelled.

mod account;
mod binance;
mod bybit;
mod coinbase;
mod field;
mod http;
mod key;
mod kraken;
mod okx;
mod parse;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use ::http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::watch;

use account::Seat;
pub use account::{Account, Venue};
use http::Incoming;

/// Returns the present time in ms since the Unix epoch.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What the mock venues know at start.
pub struct MockConfig {
    /// The API keys that exist, at most one per venue and key id.
    pub accounts: Vec<Account>,
    /// The venues' clock, ms since the Unix epoch.
    pub clock: Clock,
}

/// A request that passed every check of its venue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Accepted {
    /// Which venue took it.
    pub venue: Venue,
    /// The HTTP method, in upper case.
    pub method: String,
    /// The path as it arrived, without the query.
    pub path: String,
    /// The query as it arrived, without the question mark; empty if there was none.
    pub query: String,
    /// The body as it arrived; empty if there was none.
    pub body: String,
    /// The API key id that signed it.
    pub api_key: String,
    /// When it arrived, ms since the Unix epoch by [`MockConfig::clock`].
    pub at_ms: i64,
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

/// The running mock venues. Dropping it stops the server: requests in flight are answered,
/// idle connections closed, all within about a second.
pub struct MockVenues {
    address: SocketAddr,
    ledger: Arc<Ledger>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl MockVenues {
    /// Starts all venues on a free port of 127.0.0.1.
    ///
    /// The server has a thread and runtime of its own, so this may be called with or without
    /// a tokio runtime around it.
    ///
    /// # Errors
    ///
    /// As [`MockVenues::start_at`].
    pub fn start(config: MockConfig) -> io::Result<Self> {
        Self::start_at(config, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// Starts all venues on the given loopback address; port 0 picks a free one.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for an address that is not loopback, for an account that its venue could
    /// not have (an OKX key without a passphrase, a Kraken secret that is not base64, a private
    /// key, a demo key of another venue than OKX) and for two accounts with one key id; otherwise what binding or starting the
    /// thread reports.
    pub fn start_at(config: MockConfig, address: SocketAddr) -> io::Result<Self> {
        if !address.ip().is_loopback() {
            return Err(invalid("mock venues listen on loopback only"));
        }
        let seats = account::seats(config.accounts).map_err(invalid)?;
        let ledger = Arc::new(Ledger { clock: config.clock, books: Mutex::new(Books::new(seats)) });

        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::clone(&ledger);
        let thread = std::thread::Builder::new()
            .name("mock-venue".to_owned())
            .spawn(move || runtime.block_on(http::serve(listener, shared, stopped)))?;

        Ok(Self { address, ledger, stop, thread: Some(thread) })
    }

    /// Where the venues listen. Plain HTTP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets whether Binance, Bybit and Coinbase refuse parameters that an endpoint does not know
    /// (Binance: error -1104). They do until told otherwise; without it such parameters are
    /// ignored, which is the venue that the vault has to reckon with.
    pub fn check_parameters(&self, checks: bool) {
        self.ledger.books().checks_parameters = checks;
    }

    /// Every request accepted so far, oldest first.
    pub fn accepted(&self) -> Vec<Accepted> {
        self.ledger.books().accepted.clone()
    }

    /// Every refusal so far, oldest first. Requests outside the venues' paths are not here.
    pub fn refused(&self) -> Vec<Refused> {
        self.ledger.books().refused.clone()
    }
}

impl Drop for MockVenues {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic of the server thread has been printed already; a second one here would abort.
            let _ = thread.join();
        }
    }
}

/// What every connection shares.
pub(crate) struct Ledger {
    clock: Clock,
    books: Mutex<Books>,
}

struct Books {
    seats: Vec<Seat>,
    checks_parameters: bool,
    accepted: Vec<Accepted>,
    refused: Vec<Refused>,
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

impl Books {
    fn new(seats: Vec<Seat>) -> Self {
        Self { seats, checks_parameters: true, accepted: Vec::new(), refused: Vec::new() }
    }
}

impl Ledger {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges one request, keeps the record of it and returns the answer to send.
    pub(crate) fn handle(&self, request: &Incoming) -> (StatusCode, Value) {
        let now_ms = (self.clock)();
        let mut books = self.books();
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

        if let Some(api_key) = outcome.accepted_by {
            books.accepted.push(Accepted {
                venue,
                method: request.method.to_string(),
                path: request.path.clone(),
                query: request.query.clone(),
                body: String::from_utf8_lossy(&request.body).into_owned(),
                api_key,
                at_ms: now_ms,
            });
        }
        let refused = outcome.refused.into_iter();
        books.refused.extend(refused.map(|(code, reason)| Refused { venue, code, reason }));
        (outcome.status, outcome.answer)
    }
}

const BINANCE: [&str; 3] = ["/api/v3/", "/fapi/", "/sapi/"];
const BYBIT: &str = "/v5/";
const COINBASE: &str = "/api/v3/brokerage/";
const KRAKEN: &str = "/0/private/";
const OKX: &str = "/api/v5/";

/// Whose path it is. One path of Binance's begins like Coinbase's, so Coinbase comes first.
fn venue_of(path: &str) -> Option<Venue> {
    let begins = |prefix: &str| path.starts_with(prefix);
    if begins(COINBASE) {
        Some(Venue::Coinbase)
    } else if BINANCE.iter().any(|prefix| begins(prefix)) {
        Some(Venue::Binance)
    } else if begins(BYBIT) {
        Some(Venue::Bybit)
    } else if begins(KRAKEN) {
        Some(Venue::Kraken)
    } else if begins(OKX) {
        Some(Venue::Okx)
    } else {
        None
    }
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}
