//! Logs of everything that a start takes something from.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;
use vault_audit::{Entry, EntryKind};
use vault_model::{Leg, Name, Timestamp};

/// One entry, and how long after the one before.
#[derive(Clone, Debug)]
pub struct Event {
    after_us: u64,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Aborted,
    Applied { follows: bool },
    Check { credential: u8, imported_at: i64, drifted: bool, answered: bool },
    Command { nonce: u8 },
    Intent { follows: bool },
    Price { pair: &'static str, price: u32, window: bool },
    Seal { operator: u8 },
    Signed(Box<Signed>),
    Started { boot: u8, clock: bool },
    Unseal { operator: Option<u8> },
    UnsealDenied { operator: Option<u8>, guess: bool },
}

#[derive(Clone, Debug, Default)]
struct Signed {
    sent: bool,
    client: u8,
    credential: u8,
    dated: bool,
    id: Option<u8>,
    nonce: bool,
    notional: Option<u32>,
    order_id: Option<u8>,
    orders: u8,
    resting: u8,
    scope: Option<u8>,
    until_us: u64,
    withdrawn: Option<u8>,
}

impl Event {
    /// An event of each kind that leaves something behind.
    pub fn one_of_each() -> Vec<Self> {
        let signed = Signed { dated: true, orders: 1, resting: 1, ..Signed::default() };
        let whats = [
            What::Applied { follows: true },
            What::Check { credential: 0, imported_at: 5, drifted: true, answered: true },
            What::Command { nonce: 7 },
            What::Intent { follows: true },
            What::Price { pair: "BTC/USD", price: 5, window: true },
            What::Seal { operator: 0 },
            What::Signed(Box::new(signed)),
            What::Started { boot: 1, clock: true },
            What::UnsealDenied { operator: None, guess: true },
        ];
        whats.into_iter().map(|what| Self { after_us: 1, what }).collect()
    }
}

prop_compose! {
    fn signed()(
        (sent, dated, nonce) in (any::<bool>(), prop::bool::weighted(0.9), any::<bool>()),
        (client, credential) in (0u8..5, 0u8..3),
        (id, order_id, scope) in (
            prop::option::of(0u8..20), prop::option::of(0u8..9), prop::option::of(0u8..2),
        ),
        notional in prop::option::of(0u32..1_000_000),
        (orders, resting) in (0u8..3, 0u8..3),
        until_us in select(vec![0u64, 60_000_000]),
        withdrawn in prop::option::weighted(0.2, 1u8..9),
    ) -> Signed {
        Signed {
            sent, client, credential, dated, id, nonce, notional, order_id, orders, resting, scope,
            until_us, withdrawn,
        }
    }
}

fn what() -> impl Strategy<Value = What> {
    let operator = || prop::option::of(0u8..3);
    let follows = || prop::bool::weighted(0.9);
    prop_oneof![
        12 => signed().prop_map(|signed| What::Signed(Box::new(signed))),
        1 => Just(What::Aborted),
        2 => follows().prop_map(|follows| What::Applied { follows }),
        2 => follows().prop_map(|follows| What::Intent { follows }),
        2 => (0u8..3, 0i64..3, any::<bool>(), any::<bool>()).prop_map(
            |(credential, imported_at, drifted, answered)| {
                What::Check { credential, imported_at, drifted, answered }
            }
        ),
        1 => any::<u8>().prop_map(|nonce| What::Command { nonce }),
        2 => (select(vec!["BTC/USD", "ETH/USD"]), 1u32..99, any::<bool>())
            .prop_map(|(pair, price, window)| What::Price { pair, price, window }),
        1 => (0u8..3).prop_map(|operator| What::Seal { operator }),
        1 => (0u8..3, prop::bool::weighted(0.8))
            .prop_map(|(boot, clock)| What::Started { boot, clock }),
        1 => operator().prop_map(|operator| What::Unseal { operator }),
        1 => (operator(), any::<bool>())
            .prop_map(|(operator, guess)| What::UnsealDenied { operator, guess }),
    ]
}

prop_compose! {
    /// Any entry that a start takes something from.
    pub fn event()(
        after_us in select(vec![0u64, 1, 900_000, 61_000_000, 3_700_000_000, 90_000_000_000]),
        what in what(),
    ) -> Event {
        Event { after_us, what }
    }
}

fn name(prefix: &str, number: u8) -> Name {
    format!("{prefix}-{number}").parse().expect("a name")
}

/// The log so far: its clock, and the newest state of the database.
struct Writer {
    clock: u64,
    rev: u64,
    root: [u8; 32],
}

/// The entries of a log, as the vault writes them.
pub fn lines(events: &[Event]) -> Vec<Vec<u8>> {
    let mut writer = Writer { clock: 31 * 86_400_000_000, rev: 0, root: [0; 32] };
    let line = |(index, event): (usize, &Event)| {
        writer.clock += event.after_us;
        let wall = Timestamp(1_800_000_000_000_000).plus(Duration::from_micros(writer.clock));
        let mut entry = Entry::new(EntryKind::Sign, index as u64, wall, "n1", 0, "test");
        entry.seq = Some(index as u64 + 1);
        let mut detail = BTreeMap::new();
        writer.write(&mut entry, &event.what, &mut |name, value| {
            detail.insert(name.to_owned(), value);
        });
        entry.detail = detail;
        entry.to_line().expect("short enough")
    };
    events.iter().enumerate().map(line).collect()
}

impl Writer {
    fn write(&mut self, entry: &mut Entry, what: &What, say: &mut impl FnMut(&str, String)) {
        let (clock, root) = (self.clock, self.root);
        match what {
            What::Aborted => entry.kind = EntryKind::AdminAborted,
            What::Applied { follows } => {
                entry.kind = EntryKind::AdminApplied;
                self.rev += if *follows { 1 } else { 2 };
                self.root[0] = root[0].wrapping_add(1);
                entry.hash_before = Some(root);
                (entry.state_rev, entry.state_root) = (Some(self.rev), Some(self.root));
            }
            What::Intent { follows } => {
                entry.kind = EntryKind::AdminIntent;
                entry.change_id = Some(format!("0-{}", entry.idx));
                entry.operation = Some("ScopeService/Put".to_owned());
                entry.state_rev = Some(self.rev + 1);
                entry.hash_before = follows.then_some(root);
                entry.hash_after = Some([9; 32]);
            }
            What::Check { credential, imported_at, drifted, answered } => {
                entry.kind = EntryKind::CredentialCheck;
                entry.credential = Some(name("key", *credential));
                say("imported_at", imported_at.to_string());
                say("drifted", if *drifted { "yes" } else { "no" }.to_owned());
                if *answered {
                    say("answered", "yes".to_owned());
                    say("rights", "enableReading,enableFutures".to_owned());
                    say("ip_bound", "no".to_owned());
                    say("expires_at", clock.to_string());
                } else {
                    entry.reason = Some("TIMEOUT".to_owned());
                }
            }
            What::Command { nonce } => {
                entry.kind = EntryKind::Export;
                say("command", format!("{nonce:02x}00ff"));
                say("expires_at", clock.to_string());
            }
            What::Price { pair, price, window } => {
                entry.kind = EntryKind::PriceAccepted;
                say("pair", (*pair).to_owned());
                say("price", price.to_string());
                say("clock", clock.to_string());
                say("revision", "3".to_owned());
                if *window {
                    say("window", "0:2:2:2:0,8:3:3:3:8".to_owned());
                }
            }
            What::Seal { operator } => {
                entry.kind = EntryKind::Seal;
                entry.client = Some(name("operator", *operator));
            }
            What::Signed(signed) => sign(entry, signed, clock, say),
            What::Started { boot, clock: has_clock } => {
                entry.kind = EntryKind::LogStarted;
                if *has_clock {
                    say("clock", clock.to_string());
                    say("boottime", (clock / 2).to_string());
                    say("boot", format!("boot-{boot}"));
                }
            }
            What::Unseal { operator } => {
                entry.kind = EntryKind::Unseal;
                entry.client = operator.map(|operator| name("operator", operator));
            }
            What::UnsealDenied { operator, guess } => {
                entry.kind = EntryKind::UnsealDenied;
                entry.client = operator.map(|operator| name("operator", operator));
                let reason = if *guess { "WRONG_PASSPHRASE" } else { "STATE_REFUSED" };
                entry.reason = Some(reason.to_owned());
            }
        }
    }
}

fn sign(entry: &mut Entry, signed: &Signed, clock: u64, say: &mut impl FnMut(&str, String)) {
    entry.kind = if signed.sent { EntryKind::ExecuteIntent } else { EntryKind::Sign };
    entry.client = Some(name("bot", signed.client));
    entry.credential = Some(name("key", signed.credential));
    entry.venue = Some("kraken".to_owned());
    entry.scope = signed.scope.map(|scope| name("scope", scope));
    entry.request_id = signed.id.map(|id| format!("request-{id}").parse().expect("an id"));
    entry.nonce = signed.nonce.then(|| (clock + u64::from(signed.client)).to_string());
    entry.notional = signed.notional.map(|cents| format!("{}.{:02}", cents / 100, cents % 100));
    entry.client_order_id = signed.order_id.map(|id| format!("order-{id}"));
    let leg = |leg: u8| Leg {
        symbol: Some(format!("SYMBOL{leg}")),
        quantity: Some("0.5".to_owned()),
        ..Leg::default()
    };
    entry.legs = (0..signed.orders).map(leg).collect();
    if signed.dated {
        say("clock", clock.to_string());
        if signed.until_us > 0 {
            say("until", (clock + signed.until_us).to_string());
        }
    }
    if signed.resting > 0 {
        say("resting", signed.resting.to_string());
    }
    if let Some(amount) = signed.withdrawn {
        say("withdrawn", format!("kraken:BTC:{amount}.25"));
    }
}
