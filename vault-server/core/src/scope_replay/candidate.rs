//! Judges recorded requests by the candidate, in the order of the log.

use std::collections::{BTreeSet, HashMap};

use vault_model::{ClockTime, Name, Reading, Timestamp};
use vault_policy::{
    Cost, Decision, Dimension, Halts, Market, OrdersDocument, Question, Scope, ScopeDocument, Span,
    Spend,
};

use super::Plan;
use super::recorded::{Content, Recorded, Request};
use super::tally::{Becomes, Report, Tally};
use crate::clock::FIRST;
use crate::country::Countries;
use crate::history::{Histories, keys_asked};

/// The candidate, and what it has allowed so far.
pub struct Candidate<'p> {
    plan: &'p Plan,
    scope: Scope,
    /// How far back its windows look; absent: nowhere.
    reach: Option<Span>,
    countries: Countries,
    /// The instruments of today; the prices of the request that is judged.
    market: Market,
    halts: Halts,
    histories: Histories,
    /// Both clocks at the newest request that says the vault's own; absent before the first request.
    newest: Option<(Timestamp, ClockTime)>,
    /// How the candidate stands to each stored scope, by the scope's name.
    stored: HashMap<&'p Name, Standing>,
    tally: Tally,
}

/// How the candidate stands to a scope, as far as operations go: who, how and from where is in the
/// log, and needs no comparison.
struct Standing {
    revision: u64,
    narrows: bool,
    widens: bool,
}

/// What the candidate says.
enum Answer {
    Allow(Cost),
    Deny(&'static str),
    /// Nobody can tell without this.
    Unknown(&'static str),
}

impl<'p> Candidate<'p> {
    /// Compiles the candidate of a plan.
    pub fn new(plan: &'p Plan, countries: Countries) -> Self {
        let mut market = Market::default();
        for instrument in &plan.instruments {
            market.approve(instrument.clone());
        }
        let standing = |(revision, document): &'p (u64, ScopeDocument)| {
            let comparison = vault_policy::compare(document, &plan.candidate);
            let of_operations = |dimensions: &[Dimension]| {
                dimensions.iter().any(|dimension| !ASKED_OF_REQUESTS.contains(dimension))
            };
            let standing = Standing {
                revision: *revision,
                narrows: of_operations(&comparison.narrowed),
                widens: of_operations(&comparison.widened),
            };
            (&document.name, standing)
        };
        Self {
            plan,
            scope: Scope::compile(&plan.candidate),
            reach: reach(&plan.candidate),
            countries,
            market,
            halts: Halts::default(),
            histories: Histories::new(keys_asked(std::iter::once(
                plan.candidate.duplicates.clone(),
            ))),
            newest: None,
            stored: plan.stored.iter().map(standing).collect(),
            tally: Tally::default(),
        }
    }

    /// What was found so far.
    pub fn report(&self) -> Report {
        self.tally.report()
    }

    /// Takes the next requests of the log.
    pub fn take(&mut self, requests: Vec<Recorded>) {
        if self.newest.is_none() {
            self.newest = begin(&requests);
        }
        requests.into_iter().for_each(|recorded| self.take_one(recorded));
    }

    fn take_one(&mut self, mut recorded: Recorded) {
        let clock = self.clock(&recorded);
        let spent = recorded.spent.take().map(|spent| spent.moved_to(clock));
        if recorded.at < self.plan.since {
            self.count(&recorded.client, spent);
            return;
        }
        match &recorded.request {
            Content::Nothing => match self.unread(&recorded) {
                Some(missing) => self.tally.changed(Becomes::Unknown, missing, &recorded),
                None => self.tally.same(),
            },
            Content::Foreign(_) => {
                self.tally.changed(Becomes::Unknown, "OPERATION_NOT_KNOWN", &recorded);
                self.count(&recorded.client, spent);
            }
            Content::Request(request) => self.judge(&recorded, request, spent, clock),
        }
    }

    fn count(&mut self, client: &Name, spent: Option<Spend>) {
        if self.reach.is_some()
            && let Some(spent) = spent
        {
            self.histories.add(client, Some(&self.plan.candidate.name), &spent);
        }
    }

    /// The vault's own clock at a request. Where the entry does not say it, it is told from the wall
    /// clock's way since the last request that did: a step of the wall clock is forgotten at the next.
    fn clock(&mut self, recorded: &Recorded) -> ClockTime {
        let (at, clock) = self.newest.unwrap_or((recorded.at, FIRST));
        match recorded.clock {
            Some(stated) => {
                let clock = stated.max(clock);
                self.newest = Some((recorded.at, clock));
                clock
            }
            None => {
                let passed = recorded.at.micros().saturating_sub(at.micros());
                ClockTime(clock.0.saturating_add(u64::try_from(passed).unwrap_or(0)))
            }
        }
    }

    /// What is missing of a request that was refused before it was read, if the candidate could have
    /// let it come to that.
    fn unread(&self, recorded: &Recorded) -> Option<&'static str> {
        let may_pass = match recorded.reason.as_str() {
            "COUNTRY_NOT_ALLOWED"
            | "COUNTRY_UNKNOWN"
            | "NETWORK_DENIED"
            | "NETWORK_NOT_ALLOWED" => self.lets_in(recorded),
            // Of a credential that is not the client's to know nothing is recorded.
            "NOT_FOUND" => {
                let stored = |name: &Name| {
                    self.plan.stored.iter().find(|(_, document)| document.name == *name)
                };
                let known = recorded.scope.as_ref().and_then(|(name, _)| stored(name));
                let known = known.or_else(|| stored(&self.plan.candidate.name));
                let now = known.map(|(_, document)| &document.credentials);
                !self.plan.candidate.credentials.is_subset(now.unwrap_or(&BTreeSet::new()))
            }
            _ => false,
        };
        may_pass.then_some("REQUEST_NOT_RECORDED")
    }

    fn lets_in(&self, recorded: &Recorded) -> bool {
        let Some(address) = recorded.address else {
            return false;
        };
        let networks = self.plan.clients.get(&recorded.client).map_or(&[][..], Vec::as_slice);
        let country_fits = match &self.plan.candidate.network.countries {
            Some(countries) => {
                self.countries.of(address).is_some_and(|country| countries.contains(&country))
            }
            None => true,
        };
        country_fits && vault_policy::admits(&self.scope, networks, address).is_ok()
    }

    fn judge(
        &mut self,
        recorded: &Recorded,
        request: &Request,
        spent: Option<Spend>,
        clock: ClockTime,
    ) {
        // Signing itself failed, or a halt stood: no scope would have changed that.
        if !recorded.allowed && !is_of_scopes(&recorded.reason) {
            self.tally.same();
            return;
        }
        for (pair, price) in &request.prices {
            self.market.set_price(pair.clone(), *price);
        }
        let answer = self.answer(recorded, request, clock);
        for (pair, _) in &request.prices {
            self.market.forget_price(pair);
        }

        let spent_now = match (&answer, spent) {
            (Answer::Allow(cost), spent) => Some(most(cost.spend(clock), spent)),
            (Answer::Deny(_), _) => None,
            // What is unknown counts as it did.
            (Answer::Unknown(_), spent) => spent,
        };
        match answer {
            Answer::Allow(_) if recorded.allowed => self.tally.same(),
            Answer::Deny(_) if !recorded.allowed => self.tally.same(),
            Answer::Allow(_) => self.tally.changed(Becomes::Allowed, &recorded.reason, recorded),
            Answer::Deny(code) => self.tally.changed(Becomes::Denied, code, recorded),
            Answer::Unknown(_) if self.stays(recorded) => self.tally.same(),
            Answer::Unknown(missing) => self.tally.changed(Becomes::Unknown, missing, recorded),
        }
        self.count(&recorded.client, spent_now);
    }

    /// What the candidate says to what was recorded.
    fn answer(&self, recorded: &Recorded, request: &Request, clock: ClockTime) -> Answer {
        let Some(address) = recorded.address else {
            return Answer::Unknown("ADDRESS_NOT_RECORDED");
        };
        let networks = self.plan.clients.get(&recorded.client).map_or(&[][..], Vec::as_slice);
        let asks_country = self.plan.candidate.network.countries.is_some();
        let judge = |reading: &Reading| {
            vault_policy::judge(&Question {
                client: &recorded.client,
                credential: &request.credential,
                mode: request.mode,
                address,
                reading,
                scope: &self.scope,
                client_networks: networks,
                halts: &self.halts,
                market: &self.market,
                history: self.histories.of(&recorded.client),
                withdrawn: self.histories.withdrawn(&self.plan.candidate.name),
                now: recorded.at,
                steady_now: recorded.at,
                clock,
                country: asks_country.then(|| self.countries.of(address)).flatten(),
                takes_signatures_once: request.takes_signatures_once,
            })
        };

        let missing = &request.missing;
        let cost = match judge(&request.reading) {
            Decision::Allow(cost) => cost,
            Decision::Deny(denial) => return self.denied(denial.code(), request),
        };
        if missing.products {
            // A read of products that nobody knows.
            let mut reading = request.reading.clone();
            for member in std::iter::once(&mut reading.stated).chain(&mut reading.closure) {
                member.products = None;
            }
            if !judge(&reading).is_allowed() {
                return Answer::Unknown("PRODUCTS_NOT_RECORDED");
            }
        }
        let rules = &self.plan.candidate;
        if missing.orders && (rules.orders != OrdersDocument::default() || self.reach.is_some()) {
            return Answer::Unknown("ORDERS_NOT_RECORDED");
        }
        if missing.settings
            && (rules.orders.margin_modes.is_some() || rules.duplicates.client_order_id.is_some())
        {
            return Answer::Unknown("SETTINGS_NOT_RECORDED");
        }
        if missing.closure {
            if let Some((widest, product_known)) = &missing.widest
                && let Decision::Deny(denial) = judge(widest)
                && (is_of_classes(denial.code())
                    || (*product_known && denial.code() == "PRODUCT_NOT_GRANTED"))
            {
                return Answer::Deny(denial.code());
            }
            return Answer::Unknown("CLOSURE_NOT_RECORDED");
        }
        Answer::Allow(cost)
    }

    /// Whether a denial stands although the log does not say everything.
    fn denied(&self, code: &'static str, request: &Request) -> Answer {
        let missing = &request.missing;
        let of_withdrawals = |dimension: &Dimension| {
            matches!(dimension, Dimension::WithdrawalAddresses | Dimension::WithdrawalPerDay)
        };
        match code {
            "PRICE_STALE" => Answer::Unknown("PRICE_NOT_RECORDED"),
            // What became of orders is the venue's to say, and not in the log.
            "OPEN_ORDERS_REACHED" => Answer::Unknown("ENDS_NOT_RECORDED"),
            code if is_of_classes(code) => Answer::Deny(code),
            code if missing.addresses && Dimension::of_code(code).iter().any(of_withdrawals) => {
                Answer::Unknown("ADDRESSES_NOT_RECORDED")
            }
            code if missing.orders && !is_of_requests(code) => {
                Answer::Unknown("ORDERS_NOT_RECORDED")
            }
            code => Answer::Deny(code),
        }
    }

    /// Whether the answer stays, whatever is missing: the scope that gave it is known, and the candidate
    /// is at least as wide, or for a denial at most. A candidate that counts must then be neither: what
    /// else it has allowed before could leave less room, and what it has denied more.
    fn stays(&self, recorded: &Recorded) -> bool {
        let Some((name, revision)) = &recorded.scope else {
            return false;
        };
        let Some(standing) = self.stored.get(name).filter(|stored| stored.revision == *revision)
        else {
            return false;
        };
        if recorded.allowed {
            let counts_others = self.reach.is_some() && standing.widens;
            !standing.narrows && !counts_others
        } else {
            !standing.widens && !is_of_windows(&recorded.reason)
        }
    }
}

/// Both clocks at the first request, as far as one of these says the vault's own.
fn begin(requests: &[Recorded]) -> Option<(Timestamp, ClockTime)> {
    let first = requests.first()?;
    let said = requests.iter().find_map(|recorded| Some((recorded.at, recorded.clock?)));
    let clock = said.map_or(FIRST, |(at, clock)| {
        let passed = at.micros().saturating_sub(first.at.micros());
        ClockTime(clock.0.saturating_sub(u64::try_from(passed).unwrap_or(0)))
    });
    Some((first.at, clock))
}

/// What is judged of a request as a whole: all of it is recorded.
const ASKED_OF_REQUESTS: &[Dimension] =
    &[Dimension::Credentials, Dimension::Modes, Dimension::Network, Dimension::NetworkCountries];

/// Whether a scope decides on it.
fn is_of_scopes(code: &str) -> bool {
    !Dimension::of_code(code).is_empty()
}

fn is_of_requests(code: &str) -> bool {
    Dimension::of_code(code).iter().all(|dimension| ASKED_OF_REQUESTS.contains(dimension))
}

/// Whether it is denied for its class alone, or as an operation, whatever its parameters are.
fn is_of_classes(code: &str) -> bool {
    matches!(
        code,
        "CLASS_NOT_GRANTABLE"
            | "CLASS_NOT_GRANTED"
            | "HOURS_CLOSED"
            | "LOGON_BYPASSES_CAPS"
            | "OPERATION_NOT_GRANTED"
            | "SCHEMA_NOT_SOURCED"
    )
}

/// Whether it depends on what was allowed before.
fn is_of_windows(code: &str) -> bool {
    matches!(
        code,
        "AMOUNT_CAP_REACHED"
            | "DUPLICATE_CLIENT_ORDER_ID"
            | "DUPLICATE_ORDER"
            | "NOTIONAL_CAP_REACHED"
            | "OPEN_ORDERS_REACHED"
            | "ORDER_RATE_REACHED"
    )
}

/// What the candidate counts, or what was counted, where that is more: of a signature that is good for
/// more than what it states.
fn most(mut now: Spend, then: Option<Spend>) -> Spend {
    if let Some(then) = then {
        now.orders = now.orders.max(then.orders);
        now.resting = now.resting.max(then.resting);
        now.until = now.until.max(then.until);
        now.notional_usd = now.notional_usd.or(then.notional_usd);
    }
    now
}

/// How far back a scope looks.
fn reach(document: &ScopeDocument) -> Option<Span> {
    let caps = &document.cumulative;
    let duplicates = &document.duplicates;
    let spans = caps.notional_usd.iter().map(|cap| cap.per);
    let spans = spans.chain(caps.orders.iter().map(|cap| cap.per));
    let spans = spans.chain(duplicates.client_order_id).chain(duplicates.order);
    let day = document.withdrawal.as_ref().and_then(|_| Span::seconds(86_400));
    // What rests, rests for as long as it wants to.
    let resting = caps.open_orders.map(|_| Span::MAX);
    spans.chain(day).chain(resting).max()
}

impl Plan {
    /// From when on entries are read: those before `since` count, and are not judged.
    pub(super) fn begin(&self) -> Timestamp {
        // A signature may count for a little longer than its window.
        let reach = reach(&self.candidate)
            .map(|span| std::time::Duration::from_secs(u64::from(span.as_seconds()) + MARGIN_S));
        reach.map_or(self.since, |reach| self.since.minus(reach))
    }

    /// Whether the candidate asks what was counted.
    pub(super) fn counts(&self) -> bool {
        reach(&self.candidate).is_some()
    }
}

/// Seconds.
const MARGIN_S: u64 = 3_600;
