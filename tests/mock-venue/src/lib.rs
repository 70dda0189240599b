//! Mock venues that verify requests as strictly as the real ones.
//!
//! One server on loopback plays Binance (`/api/v3/`, `/dapi/`, `/fapi/`, `/sapi/`), Bybit v5
//! (`/v5/`), Coinbase Advanced Trade (`/api/v3/brokerage/`, `/v2/`), Kraken spot (`/0/`) and OKX v5
//! (`/api/v5/`), over plain HTTP/1.1 and, if asked to, over TLS with HTTP/1.1 and HTTP/2 on a port
//! of its own. Which host a request was meant for decides nothing. It is written without a line of
//! the vault's own signing code, so that a signature it accepts was checked by somebody else: from
//! the bytes that arrived it recomputes the signature, then checks time, nonce, passphrase and
//! parameters, and answers with the venue's own error codes. It never speaks to anything outside
//! this machine.
//!
//! Accounts have orders and balances, but nothing ever matches: a limit order rests with its funds
//! locked until it is cancelled, a market order is filled at once at a fixed price. Markets, coins
//! and prices are public data that never change. On demand answers come late or
//! [wrong](Fault).

mod account;
mod amount;
mod binance;
mod book;
mod bybit;
mod coinbase;
mod delay;
mod fault;
mod field;
mod gzip;
mod http;
mod key;
mod kraken;
mod ledger;
mod okx;
mod open;
mod parse;
mod powers;
mod reply;
mod server;
mod stream;
mod tls;
mod wire;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

pub use account::{Account, Venue};
pub use fault::Fault;
pub use ledger::{Accepted, Refused};
pub use powers::KeyPowers;
pub use stream::{Heard, StreamFault};
pub use tls::{HOSTS, Identity, Tls};

use delay::Delay;
use ledger::Ledger;
use server::Door;

/// Returns the present time in ms since the Unix epoch.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What the mock venues know at start.
pub struct MockConfig {
    /// The API keys that exist, at most one per venue and key id.
    pub accounts: Vec<Account>,
    /// The venues' clock, ms since the Unix epoch.
    pub clock: Clock,
    /// TLS beside plain HTTP.
    pub tls: Option<Tls>,
    /// How long each request takes, drawn anew for each: part of it before the request is judged,
    /// the rest before it is answered. The same sequence in every run.
    pub delay: Option<Range<Duration>>,
}

impl MockConfig {
    /// Plain HTTP without delays.
    pub fn new(accounts: Vec<Account>, clock: Clock) -> Self {
        Self { accounts, clock, tls: None, delay: None }
    }
}

/// The running mock venues. Dropping it stops the server: requests in flight are answered,
/// idle connections closed, all within about a second.
pub struct MockVenues {
    address: SocketAddr,
    tls_address: Option<SocketAddr>,
    ca_pem: Option<String>,
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
    /// key, a demo key of another venue than OKX), for two accounts with one key id and for a
    /// certificate that does not fit its key; otherwise what binding or starting the thread reports.
    pub fn start_at(config: MockConfig, address: SocketAddr) -> io::Result<Self> {
        let seats = account::seats(config.accounts).map_err(invalid)?;
        let delay = config.delay.map(Delay::new);
        let ledger = Arc::new(Ledger::new(config.clock, delay, seats));

        let (listener, address) = bind(address)?;
        let mut doors = vec![Door { listener, tls: None }];
        let (mut tls_address, mut ca_pem) = (None, None);
        if let Some(tls) = config.tls {
            let (server, made) = tls::server(&tls)?;
            let (listener, address) = bind(tls.address)?;
            doors.push(Door { listener, tls: Some(TlsAcceptor::from(server)) });
            (tls_address, ca_pem) = (Some(address), made);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::clone(&ledger);
        let thread = std::thread::Builder::new()
            .name("mock-venue".to_owned())
            .spawn(move || runtime.block_on(server::serve(doors, shared, stopped)))?;

        Ok(Self { address, tls_address, ca_pem, ledger, stop, thread: Some(thread) })
    }

    /// Where the venues listen. Plain HTTP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where they listen with TLS, if they do.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.tls_address
    }

    /// The authority behind their certificate in PEM, if it was made at start.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Sets whether Binance, Bybit and Coinbase refuse parameters that an endpoint does not know
    /// (Binance: error -1104). They do until told otherwise; without it such parameters are
    /// ignored, which is the venue that the vault has to reckon with.
    pub fn check_parameters(&self, checks: bool) {
        self.ledger.books().checks_parameters = checks;
    }

    /// Sets what a venue tells of a key; before that it tells of one as it should be
    /// ([`KeyPowers::trading`]). Whether there is such a key.
    pub fn set_powers(&self, venue: Venue, api_key: &str, powers: KeyPowers) -> bool {
        let mut books = self.ledger.books();
        let index = account::find(books.seats(), venue, api_key);
        if let Some(seat) = index.and_then(|index| books.seats_mut().get_mut(index)) {
            seat.book.powers = powers;
            return true;
        }
        false
    }

    /// How many orders of a key are open.
    pub fn open_orders(&self, venue: Venue, api_key: &str) -> usize {
        let books = self.ledger.books();
        let index = account::find(books.seats(), venue, api_key);
        index.and_then(|index| books.seats().get(index)).map_or(0, |seat| seat.book.open().len())
    }

    /// Plans a fault for the next request, whatever it is. Faults planned before come first.
    pub fn fault(&self, fault: Fault) {
        self.fault_at("", 1, fault);
    }

    /// Plans a fault for the next `times` requests whose path begins with `prefix`; `usize::MAX` is
    /// for ever. Of several that fit a request, the one planned first happens.
    pub fn fault_at(&self, prefix: &str, times: usize, fault: Fault) {
        self.ledger.books().faults.add(prefix, times, fault);
    }

    /// Forgets all faults that have not happened; returns how many those were.
    pub fn clear_faults(&self) -> usize {
        self.ledger.books().faults.clear()
    }

    /// How many WebSockets stand.
    pub fn streams(&self) -> usize {
        self.ledger.hub.count()
    }

    /// Every text message that came on a WebSocket so far, oldest first.
    pub fn heard(&self) -> Vec<Heard> {
        self.ledger.books().heard.clone()
    }

    /// Brings something about on every WebSocket that stands and whose path and query begin with
    /// `prefix`. Faults of handshakes are those of requests ([`fault_at`](Self::fault_at)).
    pub fn disturb(&self, prefix: &str, fault: StreamFault) {
        self.ledger.hub.disturb(prefix, fault);
    }

    /// How many requests arrived whole, whatever became of them: accepted, refused, faulty, and
    /// those of no venue.
    pub fn arrived(&self) -> usize {
        self.ledger.books().arrived
    }

    /// What arrived whole at a venue's path, oldest first, before it was judged: `api_key` is empty.
    pub fn seen(&self) -> Vec<Accepted> {
        self.ledger.books().seen.clone()
    }

    /// Every signed request accepted so far, oldest first.
    pub fn accepted(&self) -> Vec<Accepted> {
        self.ledger.books().accepted.clone()
    }

    /// Every public request answered so far, oldest first.
    pub fn public(&self) -> Vec<Accepted> {
        self.ledger.books().open.clone()
    }

    /// Every refusal so far, oldest first. Requests outside the venues' paths are not here.
    pub fn refused(&self) -> Vec<Refused> {
        self.ledger.books().refused.clone()
    }

    /// Forgets what [`accepted`](Self::accepted), [`public`](Self::public), [`seen`](Self::seen),
    /// [`refused`](Self::refused), [`heard`](Self::heard) and [`arrived`](Self::arrived) report. Orders, balances and
    /// nonces stay.
    pub fn forget(&self) {
        let mut books = self.ledger.books();
        books.accepted.clear();
        books.open.clear();
        books.seen.clear();
        books.refused.clear();
        books.heard.clear();
        books.arrived = 0;
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

fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    if !address.ip().is_loopback() {
        return Err(invalid("mock venues listen on loopback only"));
    }
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}
