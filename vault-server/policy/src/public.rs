//! Judges requests to public endpoints, which take no credential: what a scope says of orders,
//! products and symbols does not concern them.

use std::net::IpAddr;

use ipnet::IpNet;
use vault_model::{Class, HaltLevel, HaltTarget, Member, Mode, Name};

use crate::denial::{Denial, Outside};
use crate::document::Country;
use crate::rule::country::admits_country;
use crate::rule::halt::Halts;
use crate::rule::network::admits;
use crate::scope::Scope;

/// All that a decision about a public endpoint is made of.
#[derive(Clone, Copy, Debug)]
pub struct PublicQuestion<'a> {
    /// Who asks.
    pub client: &'a Name,
    /// Where the client is.
    pub address: IpAddr,
    /// Whom it asks.
    pub venue: &'a str,
    /// The operation.
    pub member: &'a Member,
    /// What the client may do.
    pub scope: &'a Scope,
    /// The client's own networks; empty: its scope's alone count.
    pub client_networks: &'a [IpNet],
    /// The halts in force.
    pub halts: &'a Halts,
    /// The country of the address; absent: not known.
    pub country: Option<Country>,
}

/// Judges a request that the vault sends for a client, and that takes no credential. A weekly window
/// holds for what writes, so not for this.
///
/// # Errors
///
/// The [`Denial`]: a halt of everything for all, the venue or the client; networks and countries; a
/// scope without mode `execute` or class `public`; an operation of another class.
pub fn judge_public(question: &PublicQuestion<'_>) -> Result<(), Denial> {
    let PublicQuestion { client, venue, member, scope, .. } = *question;
    let is_halted = question.halts.iter().any(|(target, level)| {
        let concerned = match target {
            HaltTarget::All => true,
            HaltTarget::Client(name) => name == client,
            HaltTarget::Venue(name) => name.as_str() == venue,
            HaltTarget::Credential(_) | HaltTarget::Symbol { .. } => false,
        };
        concerned && level == HaltLevel::Nothing
    });
    if is_halted {
        return Err(Denial::HaltNothing);
    }
    admits(scope, question.client_networks, question.address)?;
    admits_country(scope, question.country)?;
    if !scope.modes.contains(&Mode::Execute) {
        return Err(Denial::ModeNotGranted);
    }
    if member.class != Class::Public || !scope.classes.contains(&Class::Public) {
        let operation = member.operation.to_string();
        let outside = Outside { operation, class: member.class, stated: true };
        return Err(Denial::ClassNotGranted(outside));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use vault_model::{Class, HaltLevel, Intent, Member, Mode, Name, Symbols};

    use super::{PublicQuestion, judge_public};
    use crate::document::{HoursDocument, ScopeDocument};
    use crate::rule::halt::Halts;
    use crate::scope::Scope;

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    fn document() -> ScopeDocument {
        let mut document = ScopeDocument::new(name("scope"));
        document.classes = BTreeSet::from([Class::Public]);
        document.modes = BTreeSet::from([Mode::Execute]);
        document.network.allow = BTreeSet::from(["10.0.0.0/8".parse().expect("a network")]);
        document
    }

    /// A question to be changed, and its answer.
    struct Case {
        document: ScopeDocument,
        class: Class,
        halts: Halts,
        address: &'static str,
        client_networks: Vec<ipnet::IpNet>,
        country: Option<&'static str>,
    }

    impl Case {
        fn new() -> Self {
            Self {
                document: document(),
                class: Class::Public,
                halts: Halts::default(),
                address: "10.0.0.1",
                client_networks: Vec::new(),
                country: None,
            }
        }

        fn halted(target: &str, level: HaltLevel) -> Self {
            let mut case = Self::new();
            case.halts.halt(target.parse().expect("a target"), level);
            case
        }

        fn answer(&self) -> &'static str {
            let member = Member {
                operation: "GET /time".into(),
                class: self.class,
                schema_sourced: true,
                intent: Intent {
                    products: Some(Vec::new()),
                    symbols: Symbols::Named(Vec::new()),
                    legs: Vec::new(),
                    client_order_id: None,
                    client_order_ids: Vec::new(),
                    transfers: Vec::new(),
                }
                .into(),
            };
            let decision = judge_public(&PublicQuestion {
                client: &name("bot"),
                address: self.address.parse().expect("an address"),
                venue: "okx",
                member: &member,
                scope: &Scope::compile(&self.document),
                client_networks: &self.client_networks,
                halts: &self.halts,
                country: self.country.map(|country| country.parse().expect("a country")),
            });
            decision.map_or_else(|denial| denial.code(), |()| "ALLOWED")
        }
    }

    #[test]
    fn class_and_mode_are_granted() {
        assert_eq!(Case::new().answer(), "ALLOWED");
        let mut case = Case::new();
        case.document.modes = BTreeSet::from([Mode::Sign]);
        assert_eq!(case.answer(), "MODE_NOT_GRANTED");
        let mut case = Case::new();
        case.document.classes = BTreeSet::from([Class::Read]);
        assert_eq!(case.answer(), "CLASS_NOT_GRANTED");
        // What is not public takes a credential, whatever else is granted.
        let mut case = Case::new();
        case.document.classes.insert(Class::Read);
        case.class = Class::Read;
        assert_eq!(case.answer(), "CLASS_NOT_GRANTED");
    }

    #[test]
    fn networks_and_countries_hold() {
        let mut case = Case::new();
        case.address = "192.0.2.1";
        assert_eq!(case.answer(), "NETWORK_NOT_ALLOWED");
        let mut case = Case::new();
        case.document.network.deny.insert("10.0.0.1/32".parse().expect("a network"));
        assert_eq!(case.answer(), "NETWORK_DENIED");
        let mut case = Case::new();
        case.client_networks = vec!["10.1.0.0/16".parse().expect("a network")];
        assert_eq!(case.answer(), "CLIENT_NETWORK_NOT_ALLOWED");
        let mut case = Case::new();
        case.document.network.countries = Some(BTreeSet::from(["DE".parse().expect("one")]));
        assert_ne!(case.answer(), "ALLOWED", "its country is not known");
        case.country = Some("DE");
        assert_eq!(case.answer(), "ALLOWED");
        case.country = Some("FR");
        assert_ne!(case.answer(), "ALLOWED");
    }

    #[test]
    fn only_a_halt_of_everything_that_concerns_it_holds() {
        for target in ["all", "venue:okx", "client:bot"] {
            assert_eq!(Case::halted(target, HaltLevel::Nothing).answer(), "HALT_NOTHING");
            assert_eq!(Case::halted(target, HaltLevel::NoNewRisk).answer(), "ALLOWED");
        }
        for target in ["venue:kraken", "client:other", "credential:main", "symbol:okx/BTC-USDT"] {
            assert_eq!(Case::halted(target, HaltLevel::Nothing).answer(), "ALLOWED");
        }
    }

    #[test]
    fn weekly_windows_are_for_what_writes() {
        let mut case = Case::new();
        case.document.hours = Some(HoursDocument {
            timezone: "UTC".parse().expect("a zone"),
            windows: BTreeSet::new(),
        });
        assert_eq!(case.answer(), "ALLOWED");
    }
}
