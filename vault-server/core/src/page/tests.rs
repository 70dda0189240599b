//! Lists, page by page: what is on them, and what changes between two pages.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use proptest::prelude::*;
use prost::Message;
use vault_ipc::proto::v1;
use vault_model::{Asset, HaltLevel, HaltTarget, Instrument, Money, Name, Product, Role, Serial};
use vault_model::{SizeUnit, Timestamp};
use vault_policy::ScopeDocument;

use crate::command::Method;
use crate::error::VaultError;
use crate::execute::tests::bench::Bench;
use crate::storage::{
    CertificateRow, CertificateState, Changes, ClientRow, FeedRow, HaltRow, Hex, HexBytes, Holder,
    HolderState, InstrumentRow, InviteRow, RowKey, ScopeRow,
};

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn client(text: &str) -> ClientRow {
    ClientRow {
        created_at: Timestamp(0),
        name: name(text),
        networks: Vec::new(),
        revoke_reason: None,
        revoked_at: None,
        role: Role::Bot,
        scope: None,
        state: HolderState::Active,
    }
}

fn invite(text: &str, role: Role, expires_at: Timestamp) -> InviteRow {
    let mut token_id = [0; 16];
    token_id[..text.len()].copy_from_slice(text.as_bytes());
    token_id[15] = u8::from(role.is_operator());
    InviteRow {
        certificate: None,
        created_by: "admin".to_owned(),
        expires_at,
        name: name(text),
        networks: Vec::new(),
        public_key: Hex([1; 32]),
        role,
        scope: None,
        token_id: Hex(token_id),
        used_at: None,
        used_key: None,
    }
}

fn certificate(of: &str, number: u8) -> CertificateRow {
    let mut serial = [number; 16];
    serial[..of.len()].copy_from_slice(of.as_bytes());
    CertificateRow {
        fingerprint: Hex([2; 32]),
        holder: Holder::Client(name(of)),
        issued_at: Timestamp(0),
        not_after: Timestamp(0),
        parent: None,
        public_key: HexBytes(Vec::new()),
        serial: Serial(serial),
        state: CertificateState::Active,
    }
}

fn instrument(venue: &str, product: Product, symbol: &str) -> InstrumentRow {
    let instrument = Instrument {
        venue: name(venue),
        product,
        symbol: symbol.to_owned(),
        base: "BTC".parse::<Asset>().expect("an asset"),
        quote: Asset::usd(),
        contract_size: Money::whole(1),
        size_unit: SizeUnit::Base,
        reference: "BTC/USD".parse().expect("a pair"),
        price_tick: None,
        quantity_step: None,
    };
    InstrumentRow { instrument, updated_at: Timestamp(0) }
}

/// A vault with two clients, and what else a test wants.
fn bench(fill: impl FnOnce(&mut Changes)) -> Bench {
    let mut bench = Bench::new();
    let mut changes = Changes::new();
    fill(&mut changes);
    bench.change(&changes);
    bench
}

impl Bench {
    fn clients(
        &self,
        page_size: u32,
        page_token: &str,
    ) -> Result<v1::ListClientsResponse, VaultError> {
        let page_token = page_token.to_owned();
        let command = v1::ListClientsCommand { page_size, page_token, ..Default::default() };
        self.vault.list_clients(&command, self.now)
    }

    /// The names on all pages; `between` has its way after each.
    fn walk(&mut self, page_size: u32, mut between: impl FnMut(&mut Self, usize)) -> Vec<String> {
        let (mut names, mut token) = (Vec::new(), String::new());
        for pages in 1.. {
            let page = self.clients(page_size, &token).expect("a page");
            assert!(page.clients.len() <= page_size as usize);
            names.extend(page.clients.into_iter().map(|client| client.name));
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
            between(self, pages);
        }
        names
    }
}

fn names(page: &v1::ListClientsResponse) -> Vec<&str> {
    page.clients.iter().map(|client| client.name.as_str()).collect()
}

#[test]
fn a_page_has_as_many_rows_as_it_is_asked_for_and_never_more_than_a_thousand() {
    let bench = bench(|changes| {
        for number in 0..1_200 {
            changes.put(client(&format!("a{number:04}")));
        }
    });
    for (asked, got) in [(0, 1_000), (1, 1), (999, 999), (1_000, 1_000), (1_001, 1_000)] {
        let page = bench.clients(asked, "").expect("a page");
        assert_eq!(page.clients.len(), got, "{asked}");
        assert!(!page.next_page_token.is_empty());
    }
    assert_eq!(bench.clients(u32::MAX, "").expect("a page").clients.len(), 1_000);
    let first = bench.clients(0, "").expect("a page");
    let rest = bench.clients(0, &first.next_page_token).expect("the rest");
    assert_eq!(names(&rest)[0], "a1000");
    assert_eq!((rest.clients.len(), rest.next_page_token.as_str()), (202, ""));
}

#[test]
fn a_list_that_ends_with_a_page_has_no_page_after_it() {
    let bench = bench(|_| ());
    let page = bench.clients(2, "").expect("a page");
    assert_eq!(names(&page), ["one", "other"]);
    assert_eq!(page.next_page_token, "");
}

#[test]
fn what_is_read_beside_a_row_makes_pages_shorter() {
    let bench = bench(|changes| {
        for number in 0..20 {
            let of = format!("a{number:02}");
            changes.put(client(&of));
            for certificates in 0..99 {
                changes.put(certificate(&of, certificates));
            }
        }
    });
    let page = bench.clients(0, "").expect("a page");
    assert_eq!(page.clients.len(), 10, "a hundred rows each");
    assert!(page.clients.iter().all(|client| client.certificates.len() == 8));
}

#[test]
fn rows_that_are_not_on_the_list_are_passed_over_page_by_page() {
    let mut bench = Bench::new();
    let mut changes = Changes::new();
    for number in 0..1_100 {
        // Of operators, which no list of clients has.
        let expires_at = bench.now.plus(Duration::from_secs(60));
        changes.put(invite(&format!("b{number:04}"), Role::Guard, expires_at));
    }
    bench.change(&changes);
    let page = bench.clients(0, "").expect("a page");
    assert!(page.clients.is_empty() && !page.next_page_token.is_empty());
    let page = bench.clients(0, &page.next_page_token).expect("a page");
    assert_eq!(names(&page), ["one", "other"]);
}

#[test]
fn long_rows_are_on_pages_that_fit_into_a_frame() {
    let bench = bench(|changes| {
        for number in 0..4 {
            let mut row = client(&format!("a{number}"));
            row.networks = (0..20_000_u32)
                .map(|address| ipnet::Ipv4Net::new(address.into(), 32).expect("a network").into())
                .collect();
            changes.put(row);
        }
    });
    let mut token = String::new();
    for expected in [&["a0"][..], &["a1"], &["a2"], &["a3", "one", "other"]] {
        let page = bench.clients(0, &token).expect("a page");
        assert_eq!(names(&page), expected);
        let reply = vault_ipc::Reply { response: page.encode_to_vec(), ..Default::default() };
        let mut frame = Vec::new();
        vault_ipc::encode(vault_ipc::Kind::Reply, 1, &reply, &mut frame).expect("fits");
        token = page.next_page_token;
    }
    assert_eq!(token, "");
}

#[test]
fn a_list_goes_on_behind_a_row_that_is_gone() {
    let mut bench = bench(|changes| {
        for number in 0..6 {
            changes.put(client(&format!("a{number}")));
        }
    });
    let page = bench.clients(3, "").expect("a page");
    assert_eq!(names(&page), ["a0", "a1", "a2"]);
    let mut changes = Changes::new();
    changes.delete(RowKey::Client(name("a2"))).delete(RowKey::Client(name("a3")));
    bench.change(&changes);
    let page = bench.clients(3, &page.next_page_token).expect("a page");
    assert_eq!(names(&page), ["a4", "a5", "one"]);
}

#[test]
fn a_token_is_good_for_the_list_that_it_was_given_for() {
    let bench = bench(|changes| {
        for venue in ["kraken", "okx"] {
            for symbol in ["A", "B", "C/D"] {
                changes.put(instrument(venue, Product::Spot, symbol));
            }
        }
        changes.put(ClientRow { scope: Some(name("scope")), ..client("a") });
    });
    let (vault, now) = (&bench.vault, bench.now);
    let clients = bench.clients(1, "").expect("a page").next_page_token;
    let of_scope =
        v1::ListClientsCommand { page_size: 1, scope: "scope".to_owned(), ..Default::default() };
    let of_scope = vault.list_clients(&of_scope, now).expect("a page").next_page_token;
    let okx =
        v1::ListInstrumentsCommand { page_size: 1, venue: "okx".to_owned(), ..Default::default() };
    let okx = vault.list_instruments(&okx).expect("a page").next_page_token;
    assert!(![&clients, &of_scope, &okx].iter().any(|token| token.is_empty()));

    let page = |page_token: &str, scope: &str| {
        let (page_token, scope) = (page_token.to_owned(), scope.to_owned());
        let command = v1::ListClientsCommand { page_token, scope, ..Default::default() };
        vault.list_clients(&command, now).map(drop)
    };
    let instruments = |page_token: &str, venue: &str| {
        let (page_token, venue) = (page_token.to_owned(), venue.to_owned());
        let command = v1::ListInstrumentsCommand { page_token, venue, ..Default::default() };
        vault.list_instruments(&command).map(drop)
    };
    page(&clients, "").expect("its own");
    page(&of_scope, "scope").expect("its own");
    instruments(&okx, "okx").expect("its own");

    let credentials = v1::ListCredentialsCommand { page_token: clients.clone(), page_size: 0 };
    let halts = v1::HaltStatusCommand { page_token: okx.clone(), page_size: 0 };
    let operators = v1::ListOperatorsCommand { page_token: clients.clone(), page_size: 0 };
    let prices = v1::ListPricesCommand { page_token: clients.clone(), page_size: 0 };
    let scopes = v1::ListScopesCommand { page_token: clients.clone(), page_size: 0 };
    for refused in [
        page("x", ""),
        page("AAAA", ""),
        page(&"A".repeat(70_000), ""),
        page(&format!("{clients}="), ""),
        page(&clients[..clients.len() - 2], "no"),
        page(&clients, "scope"),
        page(&of_scope, ""),
        page(&of_scope, "other"),
        page(&okx, ""),
        instruments(&okx, ""),
        instruments(&okx, "kraken"),
        vault.list_credentials(&credentials, now).map(drop),
        vault.list_operators(&operators, now).map(drop),
        vault.list_prices(&prices).map(drop),
        vault.list_scopes(&scopes).map(drop),
        vault.halt_status(&halts).map(drop),
    ] {
        assert_eq!(refused.expect_err("refused").reason(), "BAD_FIELD");
    }
}

#[test]
fn every_list_joined_from_pages_of_one_row_is_the_list() {
    let bench = bench(|changes| {
        for target in
            ["all", "client:one", "credential:okx-main", "symbol:okx/BTC/USD", "venue:okx"]
        {
            changes.put(HaltRow {
                at: Timestamp(0),
                by: "admin".to_owned(),
                level: HaltLevel::Nothing,
                reason: String::new(),
                target: target.parse::<HaltTarget>().expect("a target"),
            });
        }
        for venue in ["kraken", "okx"] {
            for (product, symbol) in
                [(Product::Inverse, "X"), (Product::Spot, "A/B"), (Product::Spot, "A")]
            {
                changes.put(instrument(venue, product, symbol));
            }
        }
        for pair in ["A/USD", "B/USD", "C/USD"] {
            changes.put(FeedRow {
                document: serde_json::json!({
                    "pair": pair, "pricers": ["pricer"], "max_age": "10s",
                    "anchor": "100", "max_step": "0.5",
                }),
                pair: pair.parse().expect("a pair"),
                revision: 1,
                updated_at: Timestamp(0),
            });
        }
        for scope in ["a", "z"] {
            let document = ScopeDocument::new(name(scope));
            changes.put(ScopeRow {
                document: serde_json::to_value(&document).expect("a document"),
                name: document.name,
                revision: 1,
                updated_at: Timestamp(0),
            });
        }
    });
    let (vault, now) = (&bench.vault, bench.now);

    macro_rules! joined {
        ($($command:ident $field:ident $(of $filter:ident $of:literal)?: $count:literal by $list:expr;)+) => {$({
            let command = v1::$command { $($filter: $of.to_owned(),)? ..Default::default() };
            let whole = ($list)(&command).expect("the list");
            assert_eq!(whole.next_page_token, "");
            assert_eq!(whole.$field.len(), $count, stringify!($command));
            let mut joined = Vec::new();
            let mut command = v1::$command { page_size: 1, ..command };
            loop {
                let page = ($list)(&command).expect("a page");
                joined.extend(page.$field);
                if page.next_page_token.is_empty() {
                    break;
                }
                command.page_token = page.next_page_token;
            }
            assert_eq!(joined, whole.$field);
        })+};
    }
    joined! {
        ListClientsCommand clients: 2 by |command: &_| vault.list_clients(command, now);
        ListClientsCommand clients of scope "scope": 2
            by |command: &_| vault.list_clients(command, now);
        ListClientsCommand clients of scope "No Name": 0
            by |command: &_| vault.list_clients(command, now);
        ListCredentialsCommand credentials: 3
            by |command: &_| vault.list_credentials(command, now);
        HaltStatusCommand halts: 5 by |command: &_| vault.halt_status(command);
        ListInstrumentsCommand instruments: 6 by |command: &_| vault.list_instruments(command);
        ListInstrumentsCommand instruments of venue "kraken": 3
            by |command: &_| vault.list_instruments(command);
        ListInstrumentsCommand instruments of venue "l": 0
            by |command: &_| vault.list_instruments(command);
        ListInstrumentsCommand instruments of venue "No Name": 0
            by |command: &_| vault.list_instruments(command);
        // Who makes a vault is invited.
        ListOperatorsCommand operators: 2 by |command: &_| vault.list_operators(command, now);
        ListPricesCommand feeds: 3 by |command: &_| vault.list_prices(command);
        ListScopesCommand scopes: 3 by |command: &_| vault.list_scopes(command);
    }
}

#[test]
fn a_scope_names_a_hundred_of_its_clients_and_says_how_many_there_are() {
    let bench = bench(|changes| {
        for number in 0..150 {
            changes
                .put(ClientRow { scope: Some(name("scope")), ..client(&format!("a{number:04}")) });
        }
        for (gone, scope) in [("gone", Some(name("scope"))), ("stranger", None)] {
            let state = if scope.is_some() { HolderState::Revoked } else { HolderState::Active };
            changes.put(ClientRow { scope, state, ..client(gone) });
        }
    });
    let info = bench.vault.get_scope("scope").expect("there").scope.expect("said");
    assert_eq!((info.clients.len(), info.client_count), (100, 152));
    assert_eq!(info.clients[99], "a0099");
    let command = v1::ListClientsCommand { scope: "scope".to_owned(), ..Default::default() };
    let all = bench.vault.list_clients(&command, bench.now).expect("a page");
    assert_eq!(all.clients.len(), 152);
    assert_eq!(names(&all)[..100], info.clients);
}

#[test]
fn a_credential_names_a_thousand_of_its_scopes_in_order_and_says_how_many_there_are() {
    let bench = bench(|changes| {
        for number in 0..1_010 {
            let mut document = ScopeDocument::new(name(&format!("a{number:04}")));
            document.credentials.extend((number < 1_005).then(|| name("okx-main")));
            changes.put(ScopeRow {
                document: serde_json::to_value(&document).expect("a document"),
                name: document.name,
                revision: 1,
                updated_at: Timestamp(0),
            });
        }
    });
    let described = bench.vault.describe_credential("okx-main", bench.now).expect("there");
    // The bench's own scope is one of them.
    assert_eq!((described.scopes.len(), described.scope_count), (1_000, 1_006));
    let expected: Vec<String> = (0..1_000).map(|number| format!("a{number:04}")).collect();
    assert_eq!(described.scopes, expected);
}

#[test]
fn a_token_that_somebody_makes_up_is_refused_or_begins_somewhere() {
    let bench = bench(|changes| {
        changes.put(instrument("okx", Product::Spot, "A"));
    });
    let (vault, now) = (&bench.vault, bench.now);
    let long = "a".repeat(64);
    let keys =
        ["", "a", "A", "z\0", "all", "client:", "okx/spot/", "okx/spot", "/", "A/USD", &long];
    let mut begun = 0;
    for key in keys {
        let token =
            |method: Method| BASE64_URL_SAFE_NO_PAD.encode(format!("{}\0\0{key}", method.name()));
        macro_rules! begins {
            ($($command:ident $method:ident by $list:expr;)+) => {$(
                let page_token = token(Method::$method);
                match ($list)(&v1::$command { page_token, ..Default::default() }) {
                    Ok(_) => begun += 1,
                    Err(error) => assert_eq!(error.reason(), "BAD_FIELD", "{key:?}"),
                }
            )+};
        }
        begins! {
            ListClientsCommand ClientList by |command: &_| vault.list_clients(command, now);
            ListCredentialsCommand CredentialList
                by |command: &_| vault.list_credentials(command, now);
            HaltStatusCommand HaltStatus by |command: &_| vault.halt_status(command);
            ListInstrumentsCommand InstrumentList
                by |command: &_| vault.list_instruments(command);
            ListOperatorsCommand OperatorList by |command: &_| vault.list_operators(command, now);
            ListPricesCommand PriceList by |command: &_| vault.list_prices(command);
            ListScopesCommand ScopeList by |command: &_| vault.list_scopes(command);
        }
    }
    // "a" and "all" of the four lists by name; "all" of halts, "okx/spot/" of instruments, "okx/spot" and
    // "A/USD" of pairs.
    assert_eq!(begun, 2 * 4 + 4);
}

/// What happens to one of a few names, known or invited.
fn happens(changes: &mut Changes, bench: &Bench, (kind, number): (u8, u8)) {
    let text = format!("n{:02}", number % 24);
    let is_known = bench.vault.tables().clients.contains_key(text.as_str());
    let soon = bench.now.plus(Duration::from_secs(60));
    match kind % 5 {
        0 => drop(changes.put(client(&text))),
        1 if is_known => drop(changes.delete(RowKey::Client(name(&text)))),
        2 => drop(changes.put(invite(&text, Role::Bot, soon))),
        3 => drop(changes.put(invite(&text, Role::Bot, bench.now))),
        4 => drop(changes.put(invite(&text, Role::Guard, soon))),
        _ => {}
    }
}

proptest! {
    // Each case makes a vault.
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn who_is_there_all_the_time_is_told_once_and_nobody_twice(
        before in prop::collection::vec(any::<(u8, u8)>(), 0..60),
        between in prop::collection::vec(any::<(u8, u8)>(), 1..40),
        page_size in 1..6_u32,
    ) {
        let mut bench = Bench::new();
        for what in before {
            let mut changes = Changes::new();
            happens(&mut changes, &bench, what);
            bench.change(&changes);
        }
        let there = |bench: &Bench| -> BTreeSet<String> {
            let whole = bench.clients(0, "").expect("the list");
            whole.clients.into_iter().map(|client| client.name).collect()
        };
        let mut always = there(&bench);
        let mut ever = always.clone();
        let told = bench.walk(page_size, |bench, pages| {
            let mut changes = Changes::new();
            happens(&mut changes, bench, between[pages % between.len()]);
            bench.change(&changes);
            let now_there = there(bench);
            always = always.intersection(&now_there).cloned().collect();
            ever.extend(now_there);
        });
        let once: BTreeSet<String> = told.iter().cloned().collect();
        prop_assert_eq!(once.len(), told.len());
        prop_assert!(told.is_sorted());
        prop_assert!(once.is_superset(&always), "{:?} of {:?}", told, always);
        prop_assert!(ever.is_superset(&once));
    }
}
