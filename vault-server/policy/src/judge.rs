//! Asks every rule.

use std::net::IpAddr;

use ipnet::IpNet;
use vault_model::{HaltLevel, Member, Mode, Name, Reading};

use crate::denial::{Decision, Denial, Outside};
use crate::rule::halt::Halts;
use crate::rule::{class, credential, halt, mode, network, product, schema, symbol};
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
}

impl Question<'_> {
    /// The strictest halt that holds for it.
    pub(crate) fn halt_level(&self) -> Option<HaltLevel> {
        self.halts.level(self.client, self.credential, self.reading.venue)
    }

    /// What is judged. A bot that gets a signature can send whatever it authorises; what the
    /// vault sends itself is the stated operation and no other.
    fn members(&self) -> &[Member] {
        match self.mode {
            Mode::Execute => std::slice::from_ref(&self.reading.stated),
            Mode::Sign => &self.reading.closure,
        }
    }
}

/// The rules, in the order in which they are asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rule {
    /// `halt.rs`
    Halt,
    /// `network.rs`
    Network,
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
}

impl Rule {
    /// All of them, in the order in which they are asked.
    pub const ALL: &'static [Self] = &[
        Self::Halt,
        Self::Network,
        Self::Credential,
        Self::Mode,
        Self::Class,
        Self::Schema,
        Self::Product,
        Self::Symbol,
    ];

    /// Judges what does not depend on the operation.
    pub(crate) fn judge(self, question: &Question<'_>) -> Result<(), Denial> {
        match self {
            Self::Credential => credential::judge(question),
            Self::Halt => halt::judge(question),
            Self::Mode => mode::judge(question),
            Self::Network => network::judge(question),
            Self::Class | Self::Product | Self::Schema | Self::Symbol => Ok(()),
        }
    }

    /// Judges one operation.
    pub(crate) fn judge_member(
        self,
        question: &Question<'_>,
        member: &Member,
    ) -> Result<(), fn(Outside) -> Denial> {
        match self {
            Self::Class => class::judge(question, member),
            Self::Halt => halt::judge_member(question, member),
            Self::Product => product::judge(question, member),
            Self::Schema => schema::judge(member),
            Self::Symbol => symbol::judge(question, member),
            Self::Credential | Self::Mode | Self::Network => Ok(()),
        }
    }
}

/// Judges a request: every rule, about every operation that it would authorise. A denial is the
/// first rule's, and names the first operation, by name, that is outside.
pub fn judge(question: &Question<'_>) -> Decision {
    for rule in Rule::ALL {
        if let Err(denial) = rule.judge(question) {
            return Decision::Deny(denial);
        }
    }
    // Authority over nothing is a reading gone wrong, and never granted.
    if question.members().is_empty() {
        return Decision::Deny(Denial::ClassNotGranted(outside(
            question,
            &question.reading.stated,
        )));
    }
    match question.members().iter().find_map(|member| judge_member(question, member)) {
        Some(denial) => Decision::Deny(denial),
        None => Decision::Allow,
    }
}

/// Why one operation is outside of what the client may do; `None` if it is inside. What does not
/// depend on the operation is not asked.
pub fn judge_member(question: &Question<'_>, member: &Member) -> Option<Denial> {
    let denials = Rule::ALL.iter().map(|rule| rule.judge_member(question, member));
    denials.filter_map(Result::err).next().map(|denial| denial(outside(question, member)))
}

fn outside(question: &Question<'_>, member: &Member) -> Outside {
    Outside {
        operation: member.operation.to_string(),
        class: member.class,
        stated: member.operation == question.reading.stated.operation,
    }
}
