//! Rules as functions of values, on readings made by hand.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use vault_model::{
    Class, ClockTime, HaltLevel, HaltTarget, Intent, Leg, Member, Mode, Name, Product, Reading,
    Symbols, Timestamp,
};
use vault_policy::{
    Decision, Denial, Grant, Halts, History, Market, Question, Remedy, Scope, ScopeDocument,
    execute_remedy, hint, judge, judge_member,
};

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn member(class: Class) -> Member {
    Member {
        operation: format!("POST /{class}").into(),
        class,
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
    }
}

fn order(symbols: &[&str]) -> Member {
    let leg = |&symbol: &&str| Leg {
        product: Some(Product::Spot),
        symbol: Some(symbol.to_owned()),
        ..Leg::default()
    };
    with(member(Class::Trade), |intent| {
        intent.products = Some(vec![Product::Spot]);
        intent.symbols = Symbols::Named(symbols.iter().map(|&symbol| symbol.to_owned()).collect());
        intent.legs = symbols.iter().map(leg).collect();
    })
}

/// The member after a change to what it would do.
fn with(mut member: Member, change: impl FnOnce(&mut Intent)) -> Member {
    change(&mut member);
    member
}

fn reading(closure: Vec<Member>) -> Reading {
    Reading {
        venue: "okx",
        stated: closure[0].clone(),
        closure,
        closure_hash: [0; 32],
        catalog_hash: [0; 32],
    }
}

fn document() -> ScopeDocument {
    let mut scope = ScopeDocument::new(name("scope"));
    scope.credentials = BTreeSet::from([name("okx-main")]);
    scope.classes = BTreeSet::from([Class::Cancel, Class::Read, Class::Trade]);
    scope.modes = BTreeSet::from([Mode::Sign]);
    scope.products = Grant::only([Product::Spot]);
    scope.symbols.insert(name("okx"), Grant::only(["BTC-USDT".parse().expect("a symbol")]));
    scope.network.allow = BTreeSet::from(["10.0.0.0/8".parse().expect("a network")]);
    scope
}

#[derive(Clone)]
struct Case {
    document: ScopeDocument,
    client: &'static str,
    credential: &'static str,
    mode: Mode,
    address: &'static str,
    networks: Vec<IpNet>,
    halts: Halts,
}

fn case() -> Case {
    Case {
        document: document(),
        client: "mm-1",
        credential: "okx-main",
        mode: Mode::Sign,
        address: "10.1.2.3",
        networks: Vec::new(),
        halts: Halts::default(),
    }
}

impl Case {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn ask<T>(&self, closure: Vec<Member>, ask: impl FnOnce(&Question<'_>) -> T) -> T {
        ask(&Question {
            client: &name(self.client),
            credential: &name(self.credential),
            mode: self.mode,
            address: self.address.parse::<IpAddr>().expect("an address"),
            reading: &reading(closure),
            scope: &Scope::compile(&self.document),
            client_networks: &self.networks,
            halts: &self.halts,
            market: &Market::default(),
            history: &History::default(),
            withdrawn: &History::default(),
            now: Timestamp(0),
            steady_now: Timestamp(0),
            clock: ClockTime(0),
            country: None,
            takes_signatures_once: false,
        })
    }

    fn judge(&self, closure: Vec<Member>) -> Decision {
        self.ask(closure, judge)
    }

    fn code(&self, closure: Vec<Member>) -> &'static str {
        match self.judge(closure) {
            Decision::Allow(_) => "ALLOW",
            Decision::Deny(denial) => denial.code(),
        }
    }
}

#[test]
fn allows_what_is_granted_and_nothing_else() {
    assert_eq!(case().code(vec![order(&["BTC-USDT"])]), "ALLOW");
    assert_eq!(case().code(vec![member(Class::Read)]), "ALLOW");
    assert_eq!(case().code(vec![member(Class::Account)]), "CLASS_NOT_GRANTED");
    let nothing = case().with(|case| {
        case.document = ScopeDocument {
            credentials: case.document.credentials.clone(),
            modes: case.document.modes.clone(),
            network: case.document.network.clone(),
            ..ScopeDocument::new(name("scope"))
        };
    });
    for class in Class::ALL {
        assert_ne!(nothing.code(vec![member(*class)]), "ALLOW", "{class}");
    }
}

#[test]
fn empty_lists_grant_nothing() {
    let order = || vec![order(&["BTC-USDT"])];
    let code = |change: fn(&mut ScopeDocument)| {
        case().with(|case| change(&mut case.document)).code(order())
    };
    assert_eq!(code(|scope| scope.credentials.clear()), "CREDENTIAL_NOT_GRANTED");
    assert_eq!(code(|scope| scope.classes.clear()), "CLASS_NOT_GRANTED");
    assert_eq!(code(|scope| scope.modes.clear()), "MODE_NOT_GRANTED");
    assert_eq!(code(|scope| scope.products = Grant::default()), "PRODUCT_NOT_GRANTED");
    assert_eq!(code(|scope| scope.symbols.clear()), "SYMBOL_NOT_GRANTED");
    assert_eq!(code(|scope| scope.network.allow.clear()), "NETWORK_NOT_ALLOWED");
}

#[test]
fn every_member_of_the_closure_is_judged() {
    let read = Member { operation: "GET /openOrders".into(), ..member(Class::Read) };
    let cancel = Member { operation: "DELETE /openOrders".into(), ..order(&["BTC-USDT"]) };
    let cancel = Member { class: Class::Cancel, ..cancel };
    let closure = || vec![read.clone(), cancel.clone()];
    let read_only = case().with(|case| case.document.classes = BTreeSet::from([Class::Read]));

    assert_eq!(case().code(closure()), "ALLOW");
    let Decision::Deny(denial) = read_only.judge(closure()) else { panic!("denied") };
    assert_eq!(denial.operation(), Some("DELETE /openOrders"));
    assert!(denial.hint().contains("Execute"), "{}", denial.hint());
    assert_eq!(denial.outside().map(|outside| outside.class), Some(Class::Cancel));

    // Sent by the vault itself, the read is a read.
    let execute = read_only.with(|case| {
        case.mode = Mode::Execute;
        case.document.modes = BTreeSet::from([Mode::Execute]);
    });
    assert_eq!(execute.code(closure()), "ALLOW");
    assert_eq!(execute.code(vec![cancel.clone(), read.clone()]), "CLASS_NOT_GRANTED");
}

#[test]
fn the_first_operation_outside_is_named() {
    let outside =
        |operation: &str| Member { operation: operation.into(), ..member(Class::Account) };
    let closure = vec![member(Class::Read), outside("POST /a"), outside("POST /b")];

    let Decision::Deny(denial) = case().judge(closure) else { panic!("denied") };

    assert_eq!(denial.operation(), Some("POST /a"));
    assert!(matches!(denial, Denial::ClassNotGranted(outside) if !outside.stated));
}

/// What would do the same is judged once, but for what a rule asks besides.
#[test]
fn operations_that_would_do_the_same_are_told_apart() {
    let other = Member { operation: "POST /a".into(), ..member(Class::Other) };
    let unlisted = Member { operation: "POST /b".into(), ..other.clone() };
    let listed = case().with(|case| {
        case.document.operations = BTreeSet::from(["POST /a".to_owned()]);
        case.document.symbols.insert(name("okx"), Grant::Every);
    });
    assert_eq!(listed.code(vec![other.clone(), other.clone()]), "ALLOW");
    assert_eq!(listed.code(vec![other, unlisted]), "OPERATION_NOT_GRANTED");

    let known = order(&["BTC-USDT"]);
    let twin = |change: fn(&mut Member)| {
        let mut twin = known.clone();
        change(&mut twin);
        case().code(vec![known.clone(), twin])
    };
    assert_eq!(twin(|twin| twin.operation = "POST /twin".into()), "ALLOW");
    assert_eq!(twin(|twin| twin.class = Class::Account), "CLASS_NOT_GRANTED");
    assert_eq!(twin(|twin| twin.schema_sourced = false), "SCHEMA_NOT_SOURCED");
    assert_eq!(twin(|twin| twin.products = None), "EVERY_PRODUCT_NOT_GRANTED");
}

#[test]
fn every_operation_has_its_own_verdict() {
    let closure = || vec![order(&["BTC-USDT"]), member(Class::Account), order(&["DOGE-USDT"])];
    let verdicts = case().ask(closure(), |question| {
        let members = question.reading.closure.iter();
        members
            .map(|member| judge_member(question, member).map(|denial| denial.code()))
            .collect::<Vec<_>>()
    });
    assert_eq!(verdicts, [None, Some("CLASS_NOT_GRANTED"), Some("SYMBOL_NOT_GRANTED")]);
}

#[test]
fn execute_is_a_remedy_where_the_stated_operation_alone_passes() {
    let read = Member { operation: "GET /openOrders".into(), ..member(Class::Read) };
    let closure = || vec![read.clone(), member(Class::Account)];
    let remedy = |case: &Case, closure| case.ask(closure, execute_remedy);

    assert_eq!(remedy(&case(), closure()), Some(Remedy::Execute { granted: false }));
    let granted = case().with(|case| {
        case.document.modes.insert(Mode::Execute);
    });
    assert_eq!(remedy(&granted, closure()), Some(Remedy::Execute { granted: true }));
    // What the client may not do at all, nobody does for it.
    let swapped = || vec![member(Class::Account), read.clone()];
    assert_eq!(remedy(&case(), swapped()), None);
    for change in [
        (|case| case.address = "11.0.0.1") as fn(&mut Case),
        |case| case.credential = "okx-other",
        |case| {
            case.halts.halt(HaltTarget::All, HaltLevel::Nothing);
        },
    ] {
        assert_eq!(remedy(&granted.clone().with(change), closure()), None);
    }
    // A halt that lets reads pass lets a read pass that the vault sends.
    let halted = granted.with(|case| {
        case.halts.halt(HaltTarget::All, HaltLevel::NoNewRisk);
    });
    assert_eq!(remedy(&halted, closure()), Some(Remedy::Execute { granted: true }));
}

#[test]
fn a_hint_names_every_remedy_that_was_found() {
    let read = Member { operation: "GET /openOrders".into(), ..member(Class::Read) };
    let Decision::Deny(other) = case().judge(vec![read, member(Class::Account)]) else {
        panic!("denied")
    };
    let rights = Remedy::Rights(vec!["enableReading".to_owned(), "enableFutures".to_owned()]);
    let remedies = [Remedy::Execute { granted: false }, Remedy::VenueChecks, rights];

    let words: Vec<String> = remedies.iter().map(ToString::to_string).collect();
    assert_eq!(words, ["execute", "assume=venue_checks", "rights=enableReading,enableFutures"]);
    let all = hint(&other, &remedies);
    for part in ["this operation too", "mode execute", "venue_checks", "enableReading, enableFut"] {
        assert!(all.contains(part), "{all}");
    }
    let granted = hint(&other, &[Remedy::Execute { granted: true }]);
    assert!(granted.contains("Execute") && !granted.contains("scope"), "{granted}");
    assert!(!hint(&other, &[]).contains("Execute"), "{}", hint(&other, &[]));

    // Where the stated operation is what is outside, the rule's own words stay.
    let Decision::Deny(own) = case().judge(vec![member(Class::Account)]) else { panic!("denied") };
    assert_eq!(hint(&own, &[]), own.hint());
}

#[test]
fn withdrawals_without_a_table_and_keys_are_never_granted() {
    let every = case().with(|case| {
        case.document.classes = Class::ALL.iter().copied().collect();
        case.document.products = Grant::Every;
        case.document.symbols.insert(name("okx"), Grant::Every);
        case.document.operations =
            BTreeSet::from(["POST /withdraw".to_owned(), "POST /keys".to_owned()]);
    });
    assert_eq!(every.code(vec![member(Class::Withdraw)]), "CLASS_NOT_GRANTABLE");
    assert_eq!(every.code(vec![member(Class::Keys)]), "CLASS_NOT_GRANTABLE");
    // Class `other` by its own name, never by its class.
    assert_eq!(every.code(vec![member(Class::Other)]), "OPERATION_NOT_GRANTED");
    let named = every.with(|case| {
        case.document.operations = BTreeSet::from(["POST /other".to_owned()]);
    });
    assert_eq!(named.code(vec![member(Class::Other)]), "ALLOW");
}

#[test]
fn names_grant_only_operations_of_class_other() {
    let named = case().with(|case| {
        case.document.operations = BTreeSet::from(["POST /account".to_owned()]);
    });
    assert_eq!(named.code(vec![member(Class::Account)]), "CLASS_NOT_GRANTED");
}

#[test]
fn every_symbol_of_every_leg_counts() {
    assert_eq!(case().code(vec![order(&["BTC-USDT", "DOGE-USDT"])]), "SYMBOL_NOT_GRANTED");
    // A leg that the list of symbols forgot.
    let mut hidden = order(&["BTC-USDT", "DOGE-USDT"]);
    hidden.symbols = Symbols::Named(vec!["BTC-USDT".to_owned()]);
    assert_eq!(case().code(vec![hidden]), "SYMBOL_NOT_GRANTED");
    // Exactly as written.
    assert_eq!(case().code(vec![order(&["btc-usdt"])]), "SYMBOL_NOT_GRANTED");
}

#[test]
fn symbols_restrict_writes_and_cancels_only() {
    let mut member = order(&["DOGE-USDT"]);
    for (class, code) in [
        (Class::Trade, "SYMBOL_NOT_GRANTED"),
        (Class::Cancel, "SYMBOL_NOT_GRANTED"),
        (Class::Read, "ALLOW"),
    ] {
        member.class = class;
        assert_eq!(case().code(vec![member.clone()]), code);
    }
}

#[test]
fn a_write_without_a_symbol_wants_every_symbol() {
    let every = case().with(|case| {
        case.document.symbols.insert(name("okx"), Grant::Every);
    });
    let elsewhere = case().with(|case| {
        case.document.symbols.insert(name("kraken"), Grant::Every);
    });
    for symbols in [Symbols::Every, Symbols::Named(Vec::new())] {
        let cancel = with(member(Class::Cancel), |intent| intent.symbols = symbols);
        assert_eq!(case().code(vec![cancel.clone()]), "EVERY_SYMBOL_NOT_GRANTED");
        assert_eq!(elsewhere.code(vec![cancel.clone()]), "EVERY_SYMBOL_NOT_GRANTED");
        assert_eq!(every.code(vec![cancel]), "ALLOW");
    }
}

#[test]
fn unknown_products_want_every_product() {
    let every = case().with(|case| case.document.products = Grant::Every);
    let unknown = with(order(&["BTC-USDT"]), |intent| intent.products = None);
    assert_eq!(case().code(vec![unknown.clone()]), "EVERY_PRODUCT_NOT_GRANTED");
    assert_eq!(every.code(vec![unknown]), "ALLOW");

    let margin = with(order(&["BTC-USDT"]), |intent| {
        intent.products = Some(vec![Product::Margin]);
    });
    assert_eq!(case().code(vec![margin]), "PRODUCT_NOT_GRANTED");
    let mut hidden = order(&["BTC-USDT"]);
    hidden.legs[0].product = Some(Product::Margin);
    assert_eq!(case().code(vec![hidden]), "PRODUCT_NOT_GRANTED");
}

#[test]
fn writes_want_a_sourced_schema() {
    let unsourced = Member { schema_sourced: false, ..order(&["BTC-USDT"]) };
    assert_eq!(case().code(vec![unsourced]), "SCHEMA_NOT_SOURCED");
    let read = Member { schema_sourced: false, ..member(Class::Read) };
    assert_eq!(case().code(vec![read]), "ALLOW");
}

#[test]
fn denied_networks_win_and_clients_narrow_further() {
    let read = || vec![member(Class::Read)];
    let from = |address| case().with(|case| case.address = address);

    assert_eq!(from("11.0.0.1").code(read()), "NETWORK_NOT_ALLOWED");
    assert_eq!(from("::1").code(read()), "NETWORK_NOT_ALLOWED");
    // How a dual-stack listener sees an IPv4 peer.
    assert_eq!(from("::ffff:10.1.2.3").code(read()), "ALLOW");
    let denied = from("10.1.2.3").with(|case| {
        case.document.network.deny = BTreeSet::from(["10.1.0.0/16".parse().expect("a network")]);
    });
    assert_eq!(denied.code(read()), "NETWORK_DENIED");
    assert_eq!(
        denied.clone().with(|case| case.address = "::ffff:10.1.9.9").code(read()),
        "NETWORK_DENIED"
    );
    let own = from("10.1.2.3").with(|case| {
        case.networks = vec!["10.2.0.0/16".parse().expect("a network")];
    });
    assert_eq!(own.code(read()), "CLIENT_NETWORK_NOT_ALLOWED");
    let wider = from("11.0.0.1").with(|case| {
        case.networks = vec!["0.0.0.0/0".parse().expect("a network")];
    });
    assert_eq!(wider.code(read()), "NETWORK_NOT_ALLOWED");
}

#[test]
fn halts_pass_reads_and_cancels_or_nothing() {
    let halted = |target: &str, level| {
        case().with(|case| {
            case.halts.halt(target.parse().expect("a target"), level);
        })
    };
    let cancel = || vec![Member { class: Class::Cancel, ..order(&["BTC-USDT"]) }];
    let trade = || vec![order(&["BTC-USDT"])];

    for target in ["all", "venue:okx", "credential:okx-main", "client:mm-1"] {
        let no_new_risk = halted(target, HaltLevel::NoNewRisk);
        assert_eq!(no_new_risk.code(trade()), "HALT_NO_NEW_RISK", "{target}");
        assert_eq!(no_new_risk.code(cancel()), "ALLOW", "{target}");
        assert_eq!(no_new_risk.code(vec![member(Class::Read)]), "ALLOW", "{target}");
        let nothing = halted(target, HaltLevel::Nothing);
        assert_eq!(nothing.code(cancel()), "HALT_NOTHING", "{target}");
        assert_eq!(nothing.code(vec![member(Class::Read)]), "HALT_NOTHING", "{target}");
    }
    for target in ["venue:kraken", "credential:okx-other", "client:mm-2"] {
        assert_eq!(halted(target, HaltLevel::Nothing).code(trade()), "ALLOW", "{target}");
    }
    // A cancel whose signature would also place an order is no cancel.
    let both = [cancel(), trade()].concat();
    assert_eq!(halted("all", HaltLevel::NoNewRisk).code(both), "HALT_NO_NEW_RISK");
}

#[test]
fn the_strictest_halt_holds_and_ends_by_resume() {
    let mut halts: Halts = [
        (HaltTarget::All, HaltLevel::NoNewRisk),
        (HaltTarget::Venue(name("okx")), HaltLevel::Nothing),
    ]
    .into_iter()
    .collect();
    let level = |halts: &Halts| halts.level(&name("mm-1"), &name("okx-main"), "okx");

    assert_eq!(level(&halts), Some(HaltLevel::Nothing));
    halts.resume(&HaltTarget::Venue(name("okx")));
    assert_eq!(level(&halts), Some(HaltLevel::NoNewRisk));
    halts.resume(&HaltTarget::All);
    assert_eq!(level(&halts), None);
}

/// Denials name operations of the catalogue and nothing that a caller sent.
#[test]
fn denials_echo_no_input() {
    let Decision::Deny(denial) = case().judge(vec![order(&["CANARY-USDT"])]) else {
        panic!("denied")
    };
    assert!(!format!("{denial:?}{}", denial.hint()).contains("CANARY"));
}
