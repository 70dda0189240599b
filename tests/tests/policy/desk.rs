//! A desk at which requests are asked as one line each: read by the venue's catalogue, judged by a
//! scope, and remembered when they are allowed.
//!
//! ```text
//! CREDENTIAL MODE METHOD HOST/PATH[?QUERY] [BODY]     the credential's name begins with its venue's
//! at 2026-03-02T10:00:00Z                              the time, and as much of the vault's own clock
//! from ADDRESS [COUNTRY]                               where the next requests come from
//! assume venue_checks                                  what the operator declared for the credential
//! ```

use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::Duration;

use vault_model::{
    ClockTime, Environment, Instrument, Mode, Money, Name, Pair, Product, SizeUnit, Timestamp,
    VenueRequest,
};
use vault_policy::{
    Country, Decision, Halts, History, Market, Question, Scope, ScopeDocument, Spend, judge,
};
use vault_venue::{KeyType, Registry, Standing};

static REGISTRY: LazyLock<Registry> =
    LazyLock::new(|| Registry::bundled().expect("bundled catalogues are sound"));

/// The market of the regressions and, as a block, of `docs/scopes.md`: the latter is held equal.
///
/// Instruments: venue, symbol, product, contract size with its unit, reference. Prices: pair, price.
pub const MARKET: &str = "\
okx       BTC-USDT        spot     1    base   BTC/USDT
okx       ETH-USDT        spot     1    base   ETH/USDT
okx       BTC-USDT-SWAP   linear   0.01 base   BTC/USDT
okx       BTC-USD-SWAP    inverse  100  quote  BTC/USD
okx       BTC-USD-261225-70000-C option 0.01 base BTC/USD
binance   BTCUSDT         spot     1    base   BTC/USDT
binance   BTCUSDT         linear   1    base   BTC/USDT
binance   BTCUSD_PERP     inverse  100  quote  BTC/USD
bybit     BTCUSDT         spot     1    base   BTC/USDT
bybit     BTCUSDT         linear   1    base   BTC/USDT
bybit     BTCUSD          inverse  1    quote  BTC/USD
coinbase  BTC-USD         spot     1    base   BTC/USD
kraken    XBTUSD          spot     1    base   XBT/USD
price     BTC/USD         60000
price     XBT/USD         60000
price     BTC/USDT        60000
price     ETH/USDT        3000
";

/// Reads lines as [`MARKET`] has them.
pub fn market(lines: &str) -> Market {
    let mut market = Market::default();
    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["price", pair, price] => market.set_price(read(pair), read(price)),
            [venue, symbol, product, size, unit, reference] => {
                let reference: Pair = read(reference);
                market.approve(Instrument {
                    base: reference.base.clone(),
                    contract_size: read(size),
                    price_tick: None,
                    product: read::<Product>(product),
                    quantity_step: None,
                    quote: reference.quote.clone(),
                    reference,
                    size_unit: if unit == "quote" { SizeUnit::Quote } else { SizeUnit::Base },
                    symbol: symbol.to_owned(),
                    venue: read(venue),
                });
            }
            _ => panic!("neither instrument nor price: {line}"),
        }
    }
    market
}

fn read<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

/// What became of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// Allowed, and worth so much in USD if anybody can say.
    Allow(Option<Money>),
    /// Denied, by the reader or by a rule.
    Deny(&'static str),
}

pub struct Desk {
    scope: Scope,
    pub market: Market,
    pub history: History,
    /// All that was allowed, in order.
    pub spends: Vec<Spend>,
    pub halts: Halts,
    now: Timestamp,
    clock: ClockTime,
    address: IpAddr,
    country: Option<Country>,
    venue_checks: bool,
}

impl Desk {
    /// A desk under a scope of TOML text.
    pub fn new(scope: &str) -> Self {
        let document =
            ScopeDocument::from_toml(scope).unwrap_or_else(|error| panic!("{error:?} in\n{scope}"));
        Self {
            scope: Scope::compile(&document),
            market: market(MARKET),
            history: History::default(),
            spends: Vec::new(),
            halts: Halts::default(),
            now: Timestamp::from_millis(1_772_445_600_000),
            clock: ClockTime(1_000_000_000_000),
            address: read("10.0.0.5"),
            country: None,
            venue_checks: false,
        }
    }

    fn dated(&self, line: &str) -> String {
        let Some((before, rest)) = line.split_once("deadline=+") else {
            return line.to_owned();
        };
        let (seconds, after) = rest.split_once('s').expect("seconds");
        let end = self.now.plus(Duration::from_secs(read(seconds))).iso_millis();
        format!("{before}deadline={}{after}", end.replace(':', "%3A"))
    }

    /// The vault's own clock.
    pub fn clock(&self) -> ClockTime {
        self.clock
    }

    /// Goes on with the vault's own clock and the wall clock.
    pub fn wait(&mut self, seconds: u64) {
        self.clock.0 += seconds * 1_000_000;
        self.now = self.now.plus(std::time::Duration::from_secs(seconds));
    }

    /// Takes a line that is no request; `false` if it is one.
    pub fn set(&mut self, line: &str) -> bool {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["at", time] => {
                let time = chrono::DateTime::parse_from_rfc3339(time)
                    .unwrap_or_else(|error| panic!("{time}: {error}"));
                self.now = Timestamp::from_millis(time.timestamp_millis());
                let micros = u64::try_from(self.now.micros()).expect("after 1970");
                assert!(micros >= self.clock.0, "time goes on: {line}");
                self.clock = ClockTime(micros);
            }
            ["from", address] => (self.address, self.country) = (read(address), None),
            ["from", address, country] => {
                (self.address, self.country) = (read(address), Some(read(country)));
            }
            ["assume", "venue_checks"] => self.venue_checks = true,
            _ => return false,
        }
        true
    }

    /// Asks; what is allowed is remembered. `deadline=+30s` stands for the moment 30 s later.
    pub fn ask(&mut self, line: &str) -> Answer {
        let dated = self.dated(line);
        let line = dated.as_str();
        let mut words = line.splitn(5, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (credential, mode, method, url, body) = (word(), word(), word(), word(), word());
        let (credential, mode): (Name, Mode) = (read(credential), read(mode));
        let (venue, _) = credential.as_str().split_once('-').expect("venue-name");
        let (host, rest) = url.split_at(url.find('/').expect("a path"));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let request = VenueRequest {
            method: method.to_owned(),
            scheme: "https".to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            body: body.as_bytes().to_vec(),
            headers: Vec::new(),
        };
        let venue = REGISTRY.venue(venue).unwrap_or_else(|| panic!("no venue {venue}"));
        let standing = Standing {
            environment: Environment::Live,
            sites: None,
            key_type: venue.key_types().first().copied().unwrap_or(KeyType::Hmac),
            venue_checks: self.venue_checks,
            rights: None,
        };
        let reading = match venue.read(&request, &standing) {
            Ok(reading) => reading,
            Err(error) => return Answer::Deny(error.code()),
        };
        let decision = judge(&Question {
            client: &read("bot"),
            credential: &credential,
            mode,
            address: self.address,
            reading: &reading,
            scope: &self.scope,
            client_networks: &[],
            halts: &self.halts,
            market: &self.market,
            history: &self.history,
            withdrawn: &self.history,
            now: self.now,
            steady_now: self.now,
            clock: self.clock,
            country: self.country,
            takes_signatures_once: venue.takes_signatures_once(),
        });
        match decision {
            Decision::Allow(cost) => {
                let spend = cost.spend(self.clock);
                self.history.add(&spend);
                self.spends.push(spend);
                Answer::Allow(cost.notional_usd)
            }
            Decision::Deny(denial) => Answer::Deny(denial.code()),
        }
    }
}
