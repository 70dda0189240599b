//! One question to the policy, as plain values, and the engine's answer to it.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use vault_model::{
    ClockTime, HaltLevel, HaltTarget, Instrument, Leg, Mode, Money, Name, Pair, Reading, Timestamp,
};
use vault_policy::{
    Country, Decision, Halts, History, Market, Question, Scope, ScopeDocument, Spend, Withdrawn,
    id_key, judge, order_key,
};

/// Something that was allowed before.
#[derive(Clone, Debug)]
pub struct Past {
    pub at: ClockTime,
    /// Until when it can happen.
    pub until: ClockTime,
    pub orders: u64,
    pub resting: u64,
    pub notional_usd: Option<Money>,
    /// Which orders it placed, each with the credential.
    pub placed: Vec<(Name, Leg)>,
    /// Client order ids, each with the credential.
    pub ids: Vec<(Name, String)>,
    /// Venue, asset, amount.
    pub withdrawn: Vec<(Name, String, Money)>,
}

impl Past {
    fn spend(&self) -> Spend {
        Spend {
            at: self.at,
            until: self.until,
            orders: self.orders,
            resting: self.resting,
            notional_usd: self.notional_usd,
            order_keys: self
                .placed
                .iter()
                .map(|(credential, leg)| order_key(credential, leg))
                .collect(),
            id_keys: self.ids.iter().map(|(credential, id)| id_key(credential, id)).collect(),
            withdrawn: self
                .withdrawn
                .iter()
                .map(|(venue, asset, amount)| Withdrawn {
                    venue: venue.clone(),
                    asset: asset.clone(),
                    amount: *amount,
                })
                .collect(),
        }
    }
}

/// All that a decision is made of.
#[derive(Clone, Debug)]
pub struct Case {
    pub document: ScopeDocument,
    pub client: Name,
    pub credential: Name,
    pub mode: Mode,
    pub address: IpAddr,
    pub client_networks: Vec<IpNet>,
    pub reading: Reading,
    pub halts: Vec<(HaltTarget, HaltLevel)>,
    pub instruments: Vec<Instrument>,
    pub prices: Vec<(Pair, Money)>,
    /// In order of time.
    pub past: Vec<Past>,
    /// How many of the orders that may rest have ended.
    pub ended: u64,
    pub now: Timestamp,
    pub steady_now: Timestamp,
    pub clock: ClockTime,
    pub country: Option<Country>,
    pub takes_signatures_once: bool,
}

impl Case {
    /// What the engine says.
    pub fn judge(&self) -> Decision {
        let mut market = Market::default();
        for instrument in &self.instruments {
            market.approve(instrument.clone());
        }
        for (pair, price) in &self.prices {
            market.set_price(pair.clone(), *price);
        }
        let mut halts = Halts::default();
        for (target, level) in &self.halts {
            let _ = halts.halt(target.clone(), *level);
        }
        let mut history = History::default();
        for past in &self.past {
            history.add(&past.spend());
        }
        history.ended(self.ended);
        judge(&Question {
            client: &self.client,
            credential: &self.credential,
            mode: self.mode,
            address: self.address,
            reading: &self.reading,
            scope: &Scope::compile(&self.document),
            client_networks: &self.client_networks,
            halts: &halts,
            market: &market,
            history: &history,
            withdrawn: &history,
            now: self.now,
            steady_now: self.steady_now,
            clock: self.clock,
            country: self.country,
            takes_signatures_once: self.takes_signatures_once,
        })
    }
}

impl fmt::Display for Case {
    /// Not all of it, but what differences are about.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.document.to_toml())?;
        writeln!(f, "{} from {} in {:?}", self.mode, self.address, self.country)?;
        let (now, steady) = (self.now.iso_millis(), self.steady_now.iso_millis());
        writeln!(f, "at {now}, steady {steady} ({})", self.clock.0)?;
        writeln!(f, "takes signatures once: {}", self.takes_signatures_once)?;
        writeln!(f, "halts {:?}", self.halts)?;
        for instrument in &self.instruments {
            writeln!(f, "instrument {} {}", instrument.symbol, instrument.product)?;
        }
        for (pair, price) in &self.prices {
            writeln!(f, "price {pair} {price}")?;
        }
        for past in &self.past {
            writeln!(f, "past {past:?}")?;
        }
        writeln!(f, "ended {}", self.ended)?;
        writeln!(f, "stated {:?}", self.reading.stated)?;
        for member in &self.reading.closure {
            writeln!(f, "member {member:?}")?;
        }
        Ok(())
    }
}
