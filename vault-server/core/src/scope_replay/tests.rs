use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use vault_audit::{Entry, EntryKind, Log, Origin, Outcome, SEGMENT_BYTES_MIN};
use vault_model::{Class, Instrument, Leg, Mode, Name, OrderType, Product, Side, Timestamp};
use vault_policy::ScopeDocument;
use vault_venue::Registry;

use super::run::replay_by;
use super::{Becomes, Plan, Progress, ReplayError, Replays, Report, Running, WAITED_FOR, replay};

/// A Monday, 00:00 UTC.
const MONDAY: Timestamp = Timestamp(1_762_732_800_000_000);
const ORDER: &str = "POST /api/v5/trade/order";

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| Registry::bundled().expect("sound catalogues"))
}

fn after(seconds: u64) -> Timestamp {
    MONDAY.plus(Duration::from_secs(seconds))
}

fn closure_hash(operations: &[&str]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    operations.iter().for_each(|operation| hasher.update(format!("{operation}\n")));
    hasher.finalize().into()
}

/// A log in the making.
struct Written {
    folder: tempfile::TempDir,
    log: Log,
    entries: Vec<Entry>,
}

impl Written {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let origin = Origin::new("example.org", "n1", 1).expect("an origin");
        let opened = Log::open(
            folder.path(),
            &origin,
            SEGMENT_BYTES_MIN,
            Timestamp::default(),
            None,
            &mut |_, _| Ok(()),
        );
        Self { log: opened.expect("a log").log, folder, entries: Vec::new() }
    }

    fn entry(&mut self, kind: EntryKind, at: Timestamp) -> &mut Entry {
        let index = self.entries.len() as u64;
        self.entries.push(Entry::new(kind, index, at, "n1", 1, "test"));
        self.entries.last_mut().expect("one")
    }

    /// A signature for an order at OKX.
    fn order(&mut self, at: Timestamp, symbol: &str, price: &str) -> &mut Entry {
        let clock = (at.micros() - MONDAY.micros() + 40 * 86_400_000_000).to_string();
        let entry = self.entry(EntryKind::Sign, at);
        entry.client = Some(name("mm"));
        entry.credential = Some(name("okx-main"));
        entry.venue = Some("okx".to_owned());
        entry.mode = Some(Mode::Sign);
        entry.operation = Some(ORDER.to_owned());
        entry.class = Some(Class::Trade);
        entry.product = Some(Product::Spot);
        entry.closure_hash = Some(closure_hash(&[ORDER]));
        entry.closure_widest = Some(ORDER.to_owned());
        entry.ip = Some("10.0.0.1".parse().expect("an address"));
        entry.scope = Some(name("mm"));
        entry.scope_rev = Some(3);
        entry.legs = vec![Leg {
            product: Some(Product::Spot),
            symbol: Some(symbol.to_owned()),
            side: Some(Side::Buy),
            order_type: Some(OrderType::Limit),
            quantity: Some("0.5".to_owned()),
            price: Some(price.to_owned()),
            ..Leg::default()
        }];
        entry.detail.insert("clock".to_owned(), clock);
        entry
    }

    /// The same at Kraken, where one signature is taken once.
    fn order_at_kraken(&mut self, at: Timestamp, price: &str) -> &mut Entry {
        let operation = "POST /0/private/AddOrder";
        let entry = self.order(at, "XBTUSD", price);
        entry.credential = Some(name("kraken-main"));
        entry.venue = Some("kraken".to_owned());
        entry.operation = Some(operation.to_owned());
        entry.closure_hash = Some(closure_hash(&[operation]));
        entry.closure_widest = Some(operation.to_owned());
        entry
    }

    /// The same, and it has to be there within so many seconds.
    fn brief_order_at_kraken(&mut self, at: Timestamp, seconds: u64) -> &mut Entry {
        let entry = self.order_at_kraken(at, "60000");
        let lasts = Duration::from_secs(seconds);
        let clock: u64 = entry.detail["clock"].parse().expect("a number");
        let until = clock + u64::try_from(lasts.as_micros()).expect("small");
        entry.detail.insert("until".to_owned(), until.to_string());
        entry.detail.insert("deadline".to_owned(), at.plus(lasts).micros().to_string());
        entry
    }

    fn refused(entry: &mut Entry, reason: &str) {
        entry.kind = EntryKind::SignDenied;
        entry.outcome = Outcome::Denied;
        entry.reason = Some(reason.to_owned());
        entry.detail.retain(|key, _| key == "amends" || key == "deadline");
    }

    /// Writes the log, and makes the plan of a replay that judges all of it.
    fn plan(&mut self, candidate: &str) -> Plan {
        let lines: Vec<_> =
            self.entries.iter().map(|entry| entry.to_line().expect("an entry")).collect();
        // Batches of a few, so that there are several segments.
        for batch in lines.chunks(50) {
            self.log.append(batch).expect("appends");
        }
        plan(self.folder.path(), lines.len() as u64, candidate)
    }

    /// Replays all of it.
    fn replay(mut self, candidate: &str) -> Report {
        run(&self.plan(candidate))
    }
}

fn plan(audit: &Path, size: u64, candidate: &str) -> Plan {
    Plan {
        audit: audit.to_owned(),
        size,
        since: MONDAY,
        candidate: ScopeDocument::from_toml(candidate).expect("a scope"),
        clients: BTreeMap::from([(name("mm"), Vec::new())]),
        stored: Vec::new(),
        instruments: Vec::new(),
        geoip: None,
        catalog_additions: Vec::new(),
    }
}

fn run(plan: &Plan) -> Report {
    let progress = Progress::default();
    replay_by(registry(), plan, &progress).expect("a replay");
    let (read, entries) = progress.entries();
    assert_eq!(read, entries);
    let report = Report::clone(&progress.report());
    assert_eq!(
        report.judged,
        report.same + report.now_denied + report.now_allowed + report.unknown
    );
    report
}

/// What became of how many, and why.
fn changes(report: &Report) -> Vec<(Becomes, &str, u64)> {
    let changes = report.changes.iter();
    changes.map(|change| (change.becomes, change.reason.as_str(), change.count)).collect()
}

const SCOPE: &str = r#"
name = "mm"
credentials = ["bybit-main", "okx-main", "kraken-main"]
classes = ["read", "trade", "cancel"]
modes = ["sign"]
products = ["spot"]
symbols = { okx = ["BTC-USDT", "ETH-USDT"], kraken = ["XBTUSD"] }
network = { allow = ["10.0.0.0/8"] }
"#;

fn with(rules: &str) -> String {
    format!("{SCOPE}{rules}")
}

fn instrument(venue: &str, symbol: &str) -> Instrument {
    serde_json::from_value(serde_json::json!({
        "base": "BTC", "quote": "USD", "contract_size": "1", "product": "spot",
        "reference": "BTC/USD", "size_unit": "base", "symbol": symbol, "venue": venue,
    }))
    .expect("an instrument")
}

#[test]
fn a_narrower_list_of_symbols_denies_and_the_first_is_shown() {
    let mut log = Written::new();
    log.entry(EntryKind::LogStarted, after(0));
    log.order(after(1), "BTC-USDT", "60000");
    log.order(after(2), "ETH-USDT", "3000");
    log.order(after(3), "ETH-USDT", "3001");
    log.order(after(4), "ETH-USDT", "3002").client = Some(name("other"));
    let report = log.replay(&SCOPE.replace(", \"ETH-USDT\"", ""));

    assert_eq!((report.judged, report.same), (3, 1));
    assert_eq!(changes(&report), [(Becomes::Denied, "SYMBOL_NOT_GRANTED", 2)]);
    let first = &report.changes[0];
    assert_eq!((first.first_index, first.first_client.as_str()), (2, "mm"));
    assert_eq!(
        first.first_words,
        "buy 0.5 ETH-USDT limit 3000, okx-main, 2025-11-10T00:00:02.000Z"
    );
    assert_eq!((first.operation.as_str(), first.first_at), (ORDER, after(2)));
}

#[test]
fn what_the_same_scope_judged_stays_as_it_was() {
    let mut log = Written::new();
    for second in 0..400 {
        log.order(after(second), "BTC-USDT", "60000");
        Written::refused(log.order(after(second), "XRP-USDT", "1"), "SYMBOL_NOT_GRANTED");
    }
    let report = log.replay(SCOPE);
    assert_eq!((report.judged, report.same), (800, 800));
    assert!(report.changes.is_empty());
}

#[test]
fn a_lower_cap_denies_what_costs_more_at_the_recorded_price() {
    let mut log = Written::new();
    for price in ["60000", "60001"] {
        let entry = log.order(after(1), "BTC-USDT", price);
        entry.prices = BTreeMap::from([("BTC/USD".to_owned(), "60000".to_owned())]);
    }
    let mut plan = log.plan(&with("[orders]\nmax_notional_usd = \"30000\""));
    plan.instruments = vec![instrument("okx", "BTC-USDT")];
    assert_eq!(changes(&run(&plan)), [(Becomes::Denied, "NOTIONAL_TOO_LARGE", 1)]);
}

#[test]
fn without_a_recorded_price_a_rule_that_needs_one_is_unknown() {
    let mut log = Written::new();
    log.order(after(1), "BTC-USDT", "60000").legs[0].order_type = Some(OrderType::Market);
    let mut plan = log.plan(&with("[orders]\nmax_notional_usd = \"30000\""));
    plan.instruments = vec![instrument("okx", "BTC-USDT")];
    assert_eq!(changes(&run(&plan)), [(Becomes::Unknown, "PRICE_NOT_RECORDED", 1)]);
}

#[test]
fn a_wider_cap_allows_what_was_refused_at_the_recorded_price() {
    let mut log = Written::new();
    let order = log.order(after(1), "BTC-USDT", "60000");
    order.prices = BTreeMap::from([("BTC/USD".to_owned(), "60000".to_owned())]);
    order.legs[0].order_type = Some(OrderType::Market);
    order.legs[0].price = None;
    Written::refused(order, "NOTIONAL_TOO_LARGE");
    let capped = |cap: &str| {
        let rules = format!("[orders]\nmax_notional_usd = \"{cap}\"");
        ScopeDocument::from_toml(&with(&rules)).expect("a scope")
    };
    let mut plan = log.plan(SCOPE);
    plan.instruments = vec![instrument("okx", "BTC-USDT")];
    plan.candidate = capped("20000");
    assert_eq!(run(&plan).same, 1);
    plan.candidate = capped("100000");
    assert_eq!(changes(&run(&plan)), [(Becomes::Allowed, "NOTIONAL_TOO_LARGE", 1)]);
}

#[test]
fn what_an_order_amends_is_what_the_entry_says() {
    let amend = "POST /api/v5/trade/amend-order";
    let mut log = Written::new();
    for amends in [Some("yes"), Some("no"), None, Some("perhaps")] {
        let entry = log.order(after(1), "BTC-USDT", "60000");
        entry.operation = Some(amend.to_owned());
        entry.closure_hash = Some(closure_hash(&[amend]));
        entry.legs[0].order_type = None;
        entry.detail.extend(amends.map(|word| ("amends".to_owned(), word.to_owned())));
    }
    // An order that states no type passes a list of types only where it changes one that is there.
    let limits = with("[orders]\ntypes = [\"LIMIT\"]");
    let report = log.replay(&limits);
    assert_eq!(report.same, 1);
    assert_eq!(
        changes(&report),
        [
            (Becomes::Denied, "ORDER_TYPE_NOT_ALLOWED", 2),
            (Becomes::Unknown, "OPERATION_NOT_KNOWN", 1)
        ]
    );
    assert_eq!(report.changes[0].first_index, 1);
}

#[test]
fn words_of_another_build_are_unknown_and_do_not_vanish() {
    let mut log = Written::new();
    for second in 0..6 {
        log.order(after(second), "BTC-USDT", "60000");
    }
    Written::refused(&mut log.entries[5], "SYMBOL_NOT_GRANTED");
    let mut lines: Vec<_> =
        log.entries.iter().map(|entry| entry.to_line().expect("an entry")).collect();
    for (line, (old, new)) in lines.iter_mut().zip([
        (r#""class":"trade""#, r#""class":"magic""#),
        (r#""mode":"sign""#, r#""mode":"telepathy""#),
        (r#""product":"spot","scope""#, r#""product":"art","scope""#),
        (r#""type":"LIMIT""#, r#""type":"UNLIMITED""#),
        (r#""scope_rev":3"#, r#""scope_rev":"three""#),
        (r#""class":"trade""#, r#""class":7"#),
    ]) {
        let text = String::from_utf8(line.clone()).expect("a text");
        assert!(text.contains(old), "{text}");
        *line = text.replace(old, new).into_bytes();
    }
    log.log.append(&lines).expect("appends");
    let report = run(&plan(log.folder.path(), 6, SCOPE));
    assert_eq!(changes(&report), [(Becomes::Unknown, "OPERATION_NOT_KNOWN", 6)]);
    assert_eq!((report.judged, report.changes[0].operation.as_str()), (6, ORDER));
}

#[test]
fn hours_are_those_of_the_entry() {
    let mut log = Written::new();
    log.order(after(9 * 3_600), "BTC-USDT", "60000");
    log.order(after(18 * 3_600), "BTC-USDT", "60000");
    log.order(after(5 * 86_400 + 9 * 3_600), "BTC-USDT", "60000");
    let hours = "[hours]\ntimezone = \"UTC\"\nwindows = [\"mon-fri 08:00-17:00\"]";
    let report = log.replay(&with(hours));
    assert_eq!(report.same, 1);
    assert_eq!(changes(&report), [(Becomes::Denied, "HOURS_CLOSED", 2)]);
}

#[test]
fn a_wider_candidate_allows_what_was_denied() {
    let mut log = Written::new();
    Written::refused(log.order(after(1), "XRP-USDT", "2"), "SYMBOL_NOT_GRANTED");
    // No scope would have changed these.
    Written::refused(log.order(after(2), "XRP-USDT", "2"), "HALT_NOTHING");
    Written::refused(log.order(after(3), "XRP-USDT", "2"), "PASSPHRASE_NOT_DISCLOSED");
    Written::refused(log.order(after(4), "XRP-USDT", "2"), "CLIENT_NETWORK_NOT_ALLOWED");
    let report = log.replay(&SCOPE.replace("\"BTC-USDT\"", "\"BTC-USDT\", \"XRP-USDT\""));
    assert_eq!(report.same, 3);
    assert_eq!(changes(&report), [(Becomes::Allowed, "SYMBOL_NOT_GRANTED", 1)]);
    assert_eq!(report.changes[0].first_index, 0);
}

#[test]
fn a_closure_that_is_not_recorded_is_judged_as_far_as_it_is_known() {
    let read = "GET /api/v5/account/balance";
    let log = |widest: &str| {
        let mut log = Written::new();
        let entry = log.order(after(1), "BTC-USDT", "60000");
        entry.operation = Some(read.to_owned());
        entry.class = Some(Class::Read);
        entry.product = None;
        entry.legs = Vec::new();
        entry.closure_hash = Some(closure_hash(&[read, widest]));
        entry.closure_widest = Some(widest.to_owned());
        log
    };
    let every = SCOPE.replace("[\"spot\"]", "[\"*\"]");
    // An order is what the signature was good for, and the candidate grants no orders.
    let narrow = every.replace("\"trade\", ", "");
    assert_eq!(changes(&log(ORDER).replay(&narrow)), [(Becomes::Denied, "CLASS_NOT_GRANTED", 1)]);
    assert_eq!(
        changes(&log(ORDER).replay(&every)),
        [(Becomes::Unknown, "CLOSURE_NOT_RECORDED", 1)]
    );
    // In mode execute the stated operation is all there is.
    let mut execute = log(ORDER);
    execute.entries[0].mode = Some(Mode::Execute);
    let report = execute.replay(&narrow.replace("\"sign\"", "\"execute\""));
    assert_eq!((report.same, report.judged), (1, 1));

    // The scope that allowed it is known, and the candidate is no narrower.
    let mut known = log(ORDER);
    let mut plan = known.plan(&every);
    let stored = |text: &str| ScopeDocument::from_toml(text).expect("a scope");
    plan.stored = vec![(3, stored(&every))];
    assert_eq!(run(&plan).same, 1);
    plan.stored = vec![(4, stored(&every))];
    assert_eq!(run(&plan).unknown, 1);
    plan.stored = vec![(3, stored(&every.replace("\"ETH-USDT\"", "\"XRP-USDT\"")))];
    assert_eq!(run(&plan).unknown, 1);
    // Where it comes from is recorded: that needs no comparison.
    plan.stored = vec![(3, stored(&every.replace("10.0.0.0/8", "10.0.0.0/7")))];
    assert_eq!(run(&plan).same, 1);

    // What else a wider candidate has allowed may be in the way of this.
    let counts = format!("{every}[duplicates]\norder = \"1h\"\n");
    plan.candidate = stored(&counts);
    plan.stored = vec![(3, stored(&counts))];
    assert_eq!(run(&plan).same, 1);
    plan.stored = vec![(3, stored(&counts.replace(", \"ETH-USDT\"", "")))];
    assert_eq!(run(&plan).unknown, 1);
}

#[test]
fn products_of_a_read_that_are_not_recorded_matter_where_not_all_are_granted() {
    let read = "GET /v5/order/realtime";
    let mut log = Written::new();
    let entry = log.order(after(1), "BTC-USDT", "60000");
    entry.credential = Some(name("bybit-main"));
    entry.venue = Some("bybit".to_owned());
    entry.operation = Some(read.to_owned());
    entry.class = Some(Class::Read);
    entry.product = None;
    entry.legs = Vec::new();
    entry.closure_hash = Some(closure_hash(&[read]));
    let mut plan = log.plan(SCOPE);
    assert_eq!(changes(&run(&plan)), [(Becomes::Unknown, "PRODUCTS_NOT_RECORDED", 1)]);
    plan.candidate =
        ScopeDocument::from_toml(&SCOPE.replace("[\"spot\"]", "[\"*\"]")).expect("a scope");
    assert_eq!(run(&plan).same, 1);
    plan.candidate = ScopeDocument::from_toml(&SCOPE.replace("\"read\", ", "")).expect("a scope");
    assert_eq!(changes(&run(&plan)), [(Becomes::Denied, "CLASS_NOT_GRANTED", 1)]);
}

#[test]
fn what_was_refused_unread_changes_nothing_unless_it_might_have_come_further() {
    let log = |reason: &str| {
        let mut log = Written::new();
        let entry = log.entry(EntryKind::SignDenied, after(1));
        entry.client = Some(name("mm"));
        entry.ip = Some("192.0.2.1".parse().expect("an address"));
        entry.mode = Some(Mode::Sign);
        Written::refused(entry, reason);
        log
    };
    for reason in ["REQUEST_ID_REUSED", "OUTCOME_UNKNOWN", "OPERATION_UNKNOWN", "DISK_FULL"] {
        assert_eq!(log(reason).replay(SCOPE).same, 1, "{reason}");
    }
    assert_eq!(log("NETWORK_NOT_ALLOWED").replay(SCOPE).same, 1);
    let wider = SCOPE.replace("[\"10.0.0.0/8\"]", "[\"192.0.2.0/24\"]");
    assert_eq!(
        changes(&log("NETWORK_NOT_ALLOWED").replay(&wider)),
        [(Becomes::Unknown, "REQUEST_NOT_RECORDED", 1)]
    );
    let mut credential = log("NOT_FOUND");
    let mut plan = credential.plan(SCOPE);
    assert_eq!(run(&plan).unknown, 1);
    plan.stored = vec![(1, plan.candidate.clone())];
    assert_eq!(run(&plan).same, 1);
}

#[test]
fn windows_count_what_the_candidate_allows_and_what_was_there_before() {
    let rate = with("[cumulative]\norders = [{ per = \"1m\", at_most = 2 }]");
    let mut log = Written::new();
    for second in [0, 10, 20, 62, 66, 76] {
        log.brief_order_at_kraken(after(second), 1);
    }
    // The third is one too many and is not counted, so that the fourth and the last have room; the
    // fifth has none.
    let mut plan = log.plan(&rate);
    let report = run(&plan);
    assert_eq!(changes(&report), [(Becomes::Denied, "ORDER_RATE_REACHED", 2)]);
    assert_eq!(report.changes[0].first_index, 2);

    // From the second on: the first counts, as it was signed.
    plan.since = after(5);
    let report = run(&plan);
    assert_eq!((report.judged, report.now_denied), (5, 2));
    // What this build does not know was signed nevertheless.
    let mut log = Written::new();
    for (second, operation) in [(0, "POST /not/there"), (1, ""), (2, "")] {
        let entry = log.brief_order_at_kraken(after(second), 1);
        if !operation.is_empty() {
            entry.operation = Some(operation.to_owned());
        }
    }
    assert_eq!(
        changes(&log.replay(&rate)),
        [(Becomes::Denied, "ORDER_RATE_REACHED", 1), (Becomes::Unknown, "OPERATION_NOT_KNOWN", 1)]
    );
}

#[test]
fn a_cap_holds_only_over_orders_that_end_soon() {
    let rate = with("[cumulative]\norders = [{ per = \"1m\", at_most = 9 }]");
    let mut log = Written::new();
    log.brief_order_at_kraken(after(1), 60);
    log.brief_order_at_kraken(after(2), 61);
    log.order_at_kraken(after(3), "60000");
    // Where signatures are taken again, such a cap does not hold.
    log.order(after(4), "BTC-USDT", "60000");
    // Of a refusal it is recorded too.
    Written::refused(log.brief_order_at_kraken(after(5), 5), "ORDER_RATE_REACHED");
    let report = log.replay(&rate);
    assert_eq!(
        changes(&report),
        [
            (Becomes::Denied, "CAP_NOT_ENFORCEABLE", 2),
            (Becomes::Denied, "CAP_NOT_ENFORCEABLE", 1),
            (Becomes::Allowed, "ORDER_RATE_REACHED", 1),
        ]
    );
    assert_eq!((report.same, report.changes[0].first_index), (1, 1));
}

#[test]
fn a_refusal_has_the_time_that_has_passed_since_what_was_signed() {
    let rate = with("[cumulative]\norders = [{ per = \"1m\", at_most = 1 }]");
    let refused = |log: &mut Written, second| {
        Written::refused(log.brief_order_at_kraken(after(second), 1), "ORDER_RATE_REACHED");
    };
    // The first stands before any request that says the vault's time, and is allowed now.
    let mut log = Written::new();
    refused(&mut log, 0);
    log.brief_order_at_kraken(after(30), 1);
    log.brief_order_at_kraken(after(62), 1);
    refused(&mut log, 63);
    let report = log.replay(&rate);
    assert_eq!((report.now_allowed, report.now_denied, report.same), (1, 1, 2));
    assert_eq!(report.changes[0].first_index, 1);

    // The wall clock is put forward by an hour at a refusal, and back again.
    let mut log = Written::new();
    log.brief_order_at_kraken(after(0), 1);
    refused(&mut log, 3_600);
    log.brief_order_at_kraken(after(30), 1);
    log.brief_order_at_kraken(after(65), 1);
    let report = log.replay(&rate);
    assert_eq!((report.now_allowed, report.now_denied, report.same), (1, 2, 1));
}

#[test]
fn where_a_withdrawal_went_is_not_recorded() {
    let operation = "POST /0/private/Withdraw";
    let mut log = Written::new();
    let entry = log.order_at_kraken(after(1), "1");
    entry.operation = Some(operation.to_owned());
    entry.class = Some(Class::Withdraw);
    entry.product = None;
    entry.legs = Vec::new();
    entry.closure_hash = Some(closure_hash(&[operation]));
    entry.detail.insert("withdrawn".to_owned(), "kraken:XBT:0.5".to_owned());
    let pays = format!(
        "{}{}",
        SCOPE
            .replace("\"cancel\"", "\"cancel\", \"withdraw\"")
            .replace("[\"spot\"]", "[\"*\"]")
            .replace("[\"XBTUSD\"]", "[\"*\"]"),
        "[withdrawal]\n\
         addresses = [{ venue = \"kraken\", asset = \"XBT\", address = \"cold\" }]\n\
         per_day = [{ venue = \"kraken\", asset = \"XBT\", at_most = \"1\" }]"
    );
    let mut plan = log.plan(&pays);
    assert_eq!(changes(&run(&plan)), [(Becomes::Unknown, "ADDRESSES_NOT_RECORDED", 1)]);
    plan.stored = vec![(3, plan.candidate.clone())];
    assert_eq!(run(&plan).same, 1);
    plan.candidate = ScopeDocument::from_toml(SCOPE).expect("a scope");
    assert_eq!(changes(&run(&plan)), [(Becomes::Denied, "CLASS_NOT_GRANTABLE", 1)]);
}

#[test]
fn what_is_unknown_of_a_refusal_stays_one_under_a_candidate_that_is_no_wider() {
    let mut log = Written::new();
    let refused = log.order(after(1), "BTC-USDT", "60000");
    refused.closure_hash = Some(closure_hash(&["GET /other", ORDER]));
    Written::refused(refused, "QUANTITY_TOO_LARGE");
    let mut plan = log.plan(SCOPE);
    assert_eq!(changes(&run(&plan)), [(Becomes::Unknown, "CLOSURE_NOT_RECORDED", 1)]);
    let stored = |text: &str| ScopeDocument::from_toml(text).expect("a scope");
    plan.stored = vec![(3, stored(SCOPE))];
    assert_eq!(run(&plan).same, 1);
    plan.stored = vec![(3, stored(&SCOPE.replace("\"trade\", ", "")))];
    assert_eq!(run(&plan).unknown, 1);
    // What a cap refused may have room once less was allowed before it.
    let mut log = Written::new();
    let refused = log.order(after(1), "BTC-USDT", "60000");
    refused.closure_hash = Some(closure_hash(&["GET /other", ORDER]));
    Written::refused(refused, "ORDER_RATE_REACHED");
    let mut plan = log.plan(SCOPE);
    plan.stored = vec![(3, stored(SCOPE))];
    assert_eq!(run(&plan).unknown, 1);
}

#[test]
fn settings_of_a_refusal_are_not_recorded_and_those_of_a_signature_are() {
    let cash = with("[orders]\nmargin_modes = [\"cash\"]");
    let mut log = Written::new();
    for modes in ["cash", "cross"] {
        let entry = log.order(after(1), "BTC-USDT", "60000");
        entry.detail.insert("margin_modes".to_owned(), modes.to_owned());
    }
    Written::refused(log.order(after(2), "BTC-USDT", "60000"), "SYMBOL_NOT_GRANTED");
    assert_eq!(
        changes(&log.replay(&cash)),
        [
            (Becomes::Denied, "MARGIN_MODE_NOT_ALLOWED", 1),
            (Becomes::Unknown, "SETTINGS_NOT_RECORDED", 1)
        ]
    );
}

#[test]
fn an_operation_of_another_build_is_unknown() {
    let mut log = Written::new();
    log.order(after(1), "BTC-USDT", "60000").operation = Some("POST /not/there".to_owned());
    log.order(after(2), "BTC-USDT", "60000").venue = Some("elsewhere".to_owned());
    let report = log.replay(SCOPE);
    let unknown = (Becomes::Unknown, "OPERATION_NOT_KNOWN", 1);
    assert_eq!(changes(&report), [unknown, unknown]);
    assert_eq!(report.changes[0].operation, "POST /not/there");
    assert_eq!(report.changes[1].operation, ORDER);
}

#[test]
fn nothing_is_read_of_the_future_and_what_was_before_is_left_out() {
    let mut log = Written::new();
    for second in 0..300 {
        log.order(after(second), "ETH-USDT", "3000");
    }
    let mut plan = log.plan(&SCOPE.replace(", \"ETH-USDT\"", ""));
    plan.since = after(1_000);
    let progress = Progress::default();
    replay_by(registry(), &plan, &progress).expect("a replay");
    assert_eq!(progress.entries(), (0, 0));
    assert_eq!(*progress.report(), Report::default());

    plan.since = after(290);
    assert_eq!(run(&plan).now_denied, 10);
    plan.size = 295;
    assert_eq!(run(&plan).now_denied, 5);
    plan.size = 0;
    assert_eq!(run(&plan).judged, 0);
}

#[test]
fn groups_beyond_the_limit_are_counted_without_being_listed() {
    let okx = registry().venue("okx").expect("a venue");
    let operations = okx.catalog.operations.iter().map(|operation| operation.name.to_string());
    let operations: Vec<_> = operations.take(super::CHANGES_MAX + 5).collect();
    let mut log = Written::new();
    for operation in &operations {
        log.order(after(1), "BTC-USDT", "60000").operation = Some(operation.clone());
    }
    let report = log.replay(&SCOPE.replace("[\"sign\"]", "[\"execute\"]"));
    assert_eq!(report.now_denied, super::CHANGES_MAX as u64 + 5);
    assert_eq!(report.changes.len(), super::CHANGES_MAX);
}

#[test]
fn a_replay_is_asked_for_while_it_runs_and_another_takes_its_place() {
    let mut log = Written::new();
    for second in 0..3_000 {
        log.order(after(second), "ETH-USDT", "3000");
    }
    let plan = log.plan(&SCOPE.replace(", \"ETH-USDT\"", ""));
    let mut replays = Replays::default();
    assert!(replays.look(0).is_none() && replays.look(1).is_none());
    let first = replays.start(plan.clone()).expect("starts");
    let running = replays.look(first).expect("is known");
    assert!(!super::answer(&running).finished || running.entries().1 == 3_000);

    let second = replays.start(plan).expect("starts");
    assert!(first != second && replays.look(first).is_none());
    let began = Instant::now();
    let found = loop {
        let found = super::answer(&replays.look(second).expect("is known"));
        if found.finished {
            break found;
        }
        assert!(found.read <= 3_000 && began.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!((found.read, found.entries, found.now_denied), (3_000, 3_000, 3_000));
    assert_eq!(found.error, "");
    assert_eq!(found.changes[0].becomes, "denied");
}

#[test]
fn a_replay_ends_when_it_is_cancelled_and_when_nobody_asks_for_it() {
    let mut log = Written::new();
    for second in 0..100 {
        log.order(after(second), "BTC-USDT", "60000");
    }
    let plan = log.plan(SCOPE);
    let progress = Progress::watched();
    assert!(replay_by(registry(), &plan, &progress).is_ok());
    progress.cancel();
    assert!(matches!(replay_by(registry(), &plan, &progress), Err(ReplayError::Cancelled)));
    assert!(matches!(replay(&plan, &progress), Err(ReplayError::Cancelled)));

    let Some(long_ago) = Instant::now().checked_sub(WAITED_FOR) else {
        return;
    };
    let progress = Progress::watched();
    *progress.asked_at.lock().expect("sound") = Some(long_ago);
    assert!(matches!(replay_by(registry(), &plan, &progress), Err(ReplayError::Cancelled)));
    assert_eq!(progress.report().judged, 0);
    progress.asked();
    assert!(replay_by(registry(), &plan, &progress).is_ok());
}

#[test]
fn a_thread_that_stops_is_said_so() {
    let mut replays = Replays { number: 1, last: None };
    let thread = std::thread::spawn(|| ());
    while !thread.is_finished() {
        std::thread::yield_now();
    }
    replays.last = Some(Running { progress: Arc::new(Progress::watched()), thread });
    let found = super::answer(&replays.look(1).expect("is known"));
    assert_eq!((found.finished, found.error.as_str()), (true, "it has stopped"));
}

#[test]
fn a_log_that_cannot_be_read_is_said_so() {
    let mut log = Written::new();
    for second in 0..2_000 {
        log.order(after(second), "BTC-USDT", "60000");
    }
    let plan = log.plan(SCOPE);
    let mut segments: Vec<_> = std::fs::read_dir(log.folder.path())
        .expect("a folder")
        .filter_map(|file| file.ok().map(|file| file.path()))
        .filter(|path| path.extension().is_some_and(|end| end == "seg"))
        .filter(|path| path.file_name().is_some_and(|name| name != "next.seg"))
        .collect();
    segments.sort();
    assert!(segments.len() > 3);
    std::fs::remove_file(&segments[2]).expect("removes");
    let progress = Progress::default();
    assert!(replay(&plan, &progress).is_err());
    assert!(progress.report().judged < 2_000);
}
