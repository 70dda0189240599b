//! Asks every rule.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use vault_model::{Class, ClockTime, HaltLevel, Member, Mode, Name, Reading, Timestamp};

use crate::cost::{Cost, Worth};
use crate::denial::{Decision, Denial, Outside};
use crate::document::Country;
use crate::history::History;
use crate::market::Market;
use crate::rule::halt::Halts;
use crate::rule::{
    band, class, country, credential, cumulative, duplicate, halt, hours, leverage, logon, mode,
    network, notional, order, product, quantity, schema, symbol, withdrawal,
};
use crate::scope::Scope;

/// All that a decision is made of.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who asks.
    pub client: &'a Name,
    /// The credential that is to sign.
    pub credential: &'a Name,
    /// How the request is to reach the venue.
    pub mode: Mode,
    /// Where the client is.
    pub address: IpAddr,
    /// What the request is. It names the venue.
    pub reading: &'a Reading,
    /// What the client may do.
    pub scope: &'a Scope,
    /// The client's own networks; empty: its scope's alone count.
    pub client_networks: &'a [IpNet],
    /// The halts in force.
    pub halts: &'a Halts,
    /// Instruments and prices.
    pub market: &'a Market,
    /// What the client has been given.
    pub history: &'a History,
    /// What has left under the scope, whichever client it was: the amounts that a second admin
    /// approved are the scope's, and clients are invited by one admin alone.
    pub withdrawn: &'a History,
    /// The wall clock, for weekly windows and nothing else.
    pub now: Timestamp,
    /// The wall clock without what it was put forward since the vault started, for how long an order
    /// that the venue's clock ends can still happen.
    pub steady_now: Timestamp,
    /// The vault's own clock, for everything that is counted.
    pub clock: ClockTime,
    /// The country of the address, by the vault's database; absent: not known.
    pub country: Option<Country>,
    /// Whether the venue takes one signature once at most.
    pub takes_signatures_once: bool,
}

impl Question<'_> {
    /// The strictest halt that holds for it.
    pub(crate) fn halt_level(&self) -> Option<HaltLevel> {
        self.halts.level(self.client, self.credential, self.reading.venue)
    }

    /// What is judged. A bot that gets a signature can send whatever it authorises; what the
    /// vault sends itself is the stated operation and no other.
    pub(crate) fn members(&self) -> &[Member] {
        match self.mode {
            Mode::Execute => std::slice::from_ref(&self.reading.stated),
            Mode::Sign => &self.reading.closure,
        }
    }

    /// How a denial names one of its operations.
    pub(crate) fn outside(&self, member: &Member) -> Outside {
        Outside {
            operation: member.operation.to_string(),
            class: member.class,
            stated: member.operation == self.reading.stated.operation,
        }
    }
}

/// The rules, in the order in which they are asked.
///
/// A rule judges the request as a whole, each of its operations, or what it costs; some do two of
/// these. First all judge the request, then all judge each operation, then all judge the cost.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rule {
    /// `halt.rs`
    Halt,
    /// `network.rs`
    Network,
    /// `country.rs`
    Country,
    /// `credential.rs`
    Credential,
    /// `mode.rs`
    Mode,
    /// `class.rs`
    Class,
    /// `schema.rs`
    Schema,
    /// `product.rs`
    Product,
    /// `symbol.rs`
    Symbol,
    /// `hours.rs`
    Hours,
    /// `logon.rs`
    Logon,
    /// `order.rs`
    Order,
    /// `order.rs`
    OrderType,
    /// `order.rs`
    TimeInForce,
    /// `order.rs`
    ReduceOnly,
    /// `order.rs`
    PostOnly,
    /// `leverage.rs`
    Leverage,
    /// `leverage.rs`
    MarginMode,
    /// `quantity.rs`
    Quantity,
    /// `band.rs`
    Band,
    /// `notional.rs`
    Notional,
    /// `withdrawal.rs`
    Withdrawal,
    /// `cumulative.rs`
    Enforceable,
    /// `cumulative.rs`
    Cumulative,
    /// `duplicate.rs`
    Duplicate,
}

impl Rule {
    /// All of them, in the order in which they are asked.
    pub const ALL: &'static [Self] = &[
        Self::Halt,
        Self::Network,
        Self::Country,
        Self::Credential,
        Self::Mode,
        Self::Class,
        Self::Schema,
        Self::Product,
        Self::Symbol,
        Self::Hours,
        Self::Logon,
        Self::Order,
        Self::OrderType,
        Self::TimeInForce,
        Self::ReduceOnly,
        Self::PostOnly,
        Self::Leverage,
        Self::MarginMode,
        Self::Quantity,
        Self::Band,
        Self::Notional,
        Self::Withdrawal,
        Self::Enforceable,
        Self::Cumulative,
        Self::Duplicate,
    ];

    /// Judges what does not depend on the operation.
    fn judge(self, question: &Question<'_>) -> Result<(), Denial> {
        match self {
            Self::Country => country::judge(question),
            Self::Credential => credential::judge(question),
            Self::Halt => halt::judge(question),
            Self::Mode => mode::judge(question),
            Self::Network => network::judge(question),
            _ => Ok(()),
        }
    }

    /// Judges one operation.
    fn judge_member(
        self,
        question: &Question<'_>,
        member: &Member,
        worth: &Worth<'_>,
    ) -> Result<(), Denial> {
        match self {
            Self::Band => band::judge(question, member, worth),
            Self::Class => class::judge(question, member),
            Self::Halt => halt::judge_member(question, member),
            Self::Hours => hours::judge(question, member),
            Self::Leverage => leverage::judge(question, member),
            Self::Logon => logon::judge(question, member),
            Self::MarginMode => leverage::judge_margin_mode(question, member),
            Self::Notional => notional::judge(question, member, worth),
            Self::Order => order::judge_known(question, member),
            Self::OrderType => order::judge_type(question, member),
            Self::PostOnly => order::judge_post_only(question, member),
            Self::Product => product::judge(question, member),
            Self::Quantity => quantity::judge(question, member, worth),
            Self::ReduceOnly => order::judge_reduce_only(question, member),
            Self::Schema => schema::judge(question, member),
            Self::Symbol => symbol::judge(question, member),
            Self::TimeInForce => order::judge_time_in_force(question, member),
            Self::Withdrawal => withdrawal::judge_member(question, member),
            Self::Country
            | Self::Credential
            | Self::Cumulative
            | Self::Duplicate
            | Self::Enforceable
            | Self::Mode
            | Self::Network => Ok(()),
        }
    }

    /// Judges what the request costs, all that it could do taken together, and notes in it what is
    /// left.
    fn judge_cost(self, question: &Question<'_>, cost: &mut Cost) -> Result<(), Denial> {
        match self {
            Self::Cumulative => cumulative::judge(question, cost),
            Self::Duplicate => duplicate::judge(question, cost),
            Self::Enforceable => cumulative::judge_enforceable(question),
            Self::Withdrawal => withdrawal::judge(question, cost),
            _ => Ok(()),
        }
    }
}

/// Judges a request: every rule, about every operation that it would authorise. A denial is the
/// first rule's, and names the first operation, by name, that is outside.
pub fn judge(question: &Question<'_>) -> Decision {
    match decide(question, None) {
        Ok(cost) => Decision::Allow(cost),
        Err(denial) => Decision::Deny(denial),
    }
}

/// What a request would count for, whether it is allowed or not: best effort, since what a rule
/// would deny need not be measurable. Nothing is said of what is left.
pub fn cost(question: &Question<'_>) -> Cost {
    let mut cost = Cost::nothing();
    for member in question.members() {
        cost.widen(question, member, &worth(question, member));
    }
    cost.close(question);
    cost
}

/// Among how many operations before it one is looked for that would do the same.
const TWINS_AMONG: usize = 8;

/// Whether two operations differ in nothing but their names, and no rule asks for those: of class
/// `other` they are granted by name.
fn are_twins(one: &Member, other: &Member) -> bool {
    Arc::ptr_eq(&one.intent, &other.intent)
        && one.class == other.class
        && one.schema_sourced == other.schema_sourced
        && one.class != Class::Other
}

/// Asks every rule but one.
pub(crate) fn decide(question: &Question<'_>, but: Option<Rule>) -> Result<Cost, Denial> {
    let rules = || Rule::ALL.iter().filter(|rule| Some(**rule) != but);
    rules().try_for_each(|rule| rule.judge(question))?;
    // Authority over nothing is a reading gone wrong, and never granted.
    if question.members().is_empty() {
        return Err(Denial::ClassNotGranted(question.outside(&question.reading.stated)));
    }
    let mut cost = Cost::nothing();
    let members = question.members();
    for (at, member) in members.iter().enumerate() {
        // What passed as one operation passes as another, and costs no more.
        let before = members.get(at.saturating_sub(TWINS_AMONG)..at).unwrap_or_default();
        if before.iter().any(|other| are_twins(other, member)) {
            continue;
        }
        let worth = worth(question, member);
        rules().try_for_each(|rule| rule.judge_member(question, member, &worth))?;
        cost.widen(question, member, &worth);
    }
    cost.close(question);
    rules().try_for_each(|rule| rule.judge_cost(question, &mut cost))?;
    Ok(cost)
}

/// Why one operation is outside of what the client may do; `None` if it is inside. What does not
/// depend on the operation, or on more than the operation, is not asked.
pub fn judge_member(question: &Question<'_>, member: &Member) -> Option<Denial> {
    let worth = worth(question, member);
    Rule::ALL.iter().find_map(|rule| rule.judge_member(question, member, &worth).err())
}

fn worth<'q>(question: &Question<'q>, member: &Member) -> Worth<'q> {
    if member.class == Class::Trade { Worth::of(question, member) } else { Worth::nothing() }
}
