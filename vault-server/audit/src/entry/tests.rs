use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use vault_model::{
    Class, Environment, Leg, Mode, OrderType, Product, Serial, Side, TimeInForce, Timestamp,
};

use super::{Approval, ENTRY_BYTES_MAX, Entry, EntryError, EntryKind, INTEGER_MAX, Outcome};
use crate::Hash;

/// The entry of a signed order, in short.
pub(crate) fn order(idx: u64) -> Entry {
    let ts = Timestamp(1_795_300_000_000_000 + idx as i64);
    let mut entry = Entry::new(EntryKind::Sign, idx, ts, "n1", 0, "test");
    entry.seq = Some(idx);
    entry.client = Some("mm-1".parse().expect("name"));
    entry.legs = vec![Leg {
        symbol: Some("BTC-USDT".to_owned()),
        price: Some("64000.5".to_owned()),
        ..Leg::default()
    }];
    entry
}

fn hash() -> impl Strategy<Value = Option<Hash>> {
    of(any::<Hash>())
}

fn text() -> impl Strategy<Value = Option<String>> {
    of(any::<String>())
}

fn map() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map(any::<String>(), any::<String>(), 0..4)
}

fn integer() -> impl Strategy<Value = Option<u64>> {
    of(0..=INTEGER_MAX)
}

fn leg() -> impl Strategy<Value = Leg> {
    let words = (
        of(proptest::sample::select(Product::ALL)),
        of(proptest::sample::select(Side::ALL)),
        of(proptest::sample::select(OrderType::ALL)),
        of(proptest::sample::select(TimeInForce::ALL)),
    );
    let texts = (text(), text(), text(), text(), text(), text());
    (words, texts, any::<Option<bool>>(), any::<Option<bool>>()).prop_map(
        |((product, side, order_type, tif), texts, reduce_only, post_only)| {
            let (symbol, quantity, quote_quantity, price, trigger_price, leverage) = texts;
            Leg {
                product,
                symbol,
                side,
                order_type,
                tif,
                quantity,
                quote_quantity,
                price,
                trigger_price,
                reduce_only,
                post_only,
                leverage,
                // Neither is written.
                margin_mode: None,
                amends: false,
                deadline: None,
            }
        },
    )
}

prop_compose! {
    fn request()(
        legs in vec(leg(), 0..4),
        assume in vec(any::<String>(), 0..3),
        prices in map(),
        limits_left in map(),
        class in of(proptest::sample::select(Class::ALL)),
        mode in of(proptest::sample::select(Mode::ALL)),
        environment in of(proptest::sample::select(Environment::ALL)),
        product in of(proptest::sample::select(Product::ALL)),
        (nonce, notional, operation, client_order_id) in (text(), text(), text(), text()),
        (closure_widest, venue) in (text(), text()),
        hashes in (hash(), hash(), hash(), hash()),
    ) -> Entry {
        let (catalog_hash, closure_hash, payload_mac, sig_sha256) = hashes;
        Entry {
            legs, assume, prices, limits_left, class, mode, environment, product, nonce,
            notional, operation, client_order_id, closure_widest, venue, catalog_hash,
            closure_hash, payload_mac, sig_sha256,
            ..Entry::new(EntryKind::Sign, 0, Timestamp(0), "", 0, "")
        }
    }
}

prop_compose! {
    fn entry()(
        request in request(),
        detail in map(),
        (idx, ts) in (0..=INTEGER_MAX, 0..=INTEGER_MAX as i64),
        (seq, scope_rev, state_rev) in (integer(), integer(), integer()),
        (epoch, mac_key, version) in any::<(u32, Option<u32>, Option<u32>)>(),
        (ip_via, change_id) in (text(), text()),
        (ip, serial) in any::<(Option<std::net::IpAddr>, Option<[u8; 16]>)>(),
        (client, request_id) in (of("[a-z0-9][a-z0-9._-]{0,62}"), of("[A-Za-z0-9_-]{1,64}")),
        reason in of("[A-Za-z0-9_.-]{1,64}"),
        (build, node) in any::<(String, String)>(),
        (hash_before, hash_after, state_root) in (hash(), hash(), hash()),
        (approver, method, sig_sha256) in ("[a-z]{1,9}", any::<String>(), hash()),
    ) -> Entry {
        let name = |text: &str| text.parse().expect("name");
        let client = client.as_deref().map(name);
        Entry {
            detail, idx, ts: Timestamp(ts), seq, scope_rev, state_rev, epoch, mac_key, version,
            ip_via, change_id, ip: ip.map(|ip| ip.to_canonical()), serial: serial.map(Serial), reason, build, node,
            hash_before, hash_after, state_root,
            scope: client.clone(),
            credential: client.clone(),
            client,
            request_id: request_id.map(|id| id.parse().expect("request id")),
            approvals: vec![Approval { approver: name(&approver), method, sig_sha256 }],
            outcome: Outcome::Error,
            ..request
        }
    }
}

proptest! {
    #[test]
    fn plain_serialisation_is_canonical(entry in entry()) {
        let canonical = serde_jcs::to_vec(&entry).expect("jcs");
        match entry.to_line() {
            Ok(line) => {
                prop_assert_eq!(
                    String::from_utf8_lossy(&line), String::from_utf8_lossy(&canonical)
                );
                prop_assert_eq!(&line, &serde_json::to_vec(&entry).expect("json"));
                prop_assert!(!line.contains(&b'\n'));
                let mut lines = b"before".to_vec();
                prop_assert_eq!(entry.put_line(&mut lines), Ok(()));
                prop_assert_eq!(&lines[6..], &line);
                prop_assert_eq!(Entry::from_line(&line), Ok(entry));
            }
            Err(error) => {
                prop_assert_eq!(error, EntryError::TooLong);
                let mut lines = b"before".to_vec();
                prop_assert_eq!(entry.put_line(&mut lines), Err(error));
                prop_assert_eq!(lines, b"before");
                prop_assert!(canonical.len() > ENTRY_BYTES_MAX);
            }
        }
    }

    #[test]
    fn reads_no_other_bytes(flip in 0usize..8000) {
        let line = order(3).to_line().expect("line");
        let mut bad = line.clone();
        bad[flip / 8 % line.len()] ^= 1 << (flip % 8);
        if let Ok(entry) = Entry::from_line(&bad) {
            prop_assert_eq!(entry.to_line().expect("line"), bad);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _ = Entry::from_line(&bytes);
    }
}

#[test]
fn sorts_names_beyond_the_basic_plane_by_utf16() {
    let mut entry = order(0);
    entry.prices.insert("\u{10000}".to_owned(), "1".to_owned());
    entry.prices.insert("\u{e000}".to_owned(), "2".to_owned());
    let line = entry.to_line().expect("line");

    assert_eq!(line, serde_jcs::to_vec(&entry).expect("jcs"));
    assert_eq!(Entry::from_line(&line), Ok(entry));
}

#[test]
fn refuses_integers_of_2_to_the_53() {
    let with = |change: fn(&mut Entry)| {
        let mut entry = order(0);
        change(&mut entry);
        entry.to_line().map(|_| ())
    };

    assert_eq!(with(|e| e.seq = Some(INTEGER_MAX)), Ok(()));
    assert_eq!(with(|e| e.seq = Some(INTEGER_MAX + 1)), Err(EntryError::Integer));
    assert_eq!(with(|e| e.state_rev = Some(u64::MAX)), Err(EntryError::Integer));
    assert_eq!(with(|e| e.idx = 1 << 53), Err(EntryError::Integer));
    assert_eq!(with(|e| e.ts = Timestamp(-1)), Err(EntryError::Integer));
}

#[test]
fn refuses_long_lines_and_free_text_reasons() {
    let mut entry = order(0);
    entry.nonce = Some("1".repeat(ENTRY_BYTES_MAX));
    assert_eq!(entry.to_line(), Err(EntryError::TooLong));

    let mut entry = order(0);
    entry.reason = Some("not a code".to_owned());
    assert_eq!(entry.to_line(), Err(EntryError::Reason));
}

#[test]
fn refuses_lines_that_are_not_canonical() {
    let line = String::from_utf8(order(0).to_line().expect("line")).expect("text");
    let read = |text: String| Entry::from_line(text.as_bytes()).map(|_| ());

    assert_eq!(read(line.clone()), Ok(()));
    assert_eq!(read(line.replace("\"v\":1", "\"v\": 1")), Err(EntryError::NotCanonical));
    assert_eq!(read(line.replace("\"v\":1", "\"v\":2")), Err(EntryError::Version));
    assert_eq!(read(line.replace("\"v\":1", "\"v\":1,\"x\":1")), Err(EntryError::NotEntry));
    assert_eq!(read(line.replace("\"v\":1", "\"v\":1,\"v\":1")), Err(EntryError::NotEntry));
    assert_eq!(read(line.replace("\"symbol\"", "\"symbal\"")), Err(EntryError::NotEntry));
    assert_eq!(read(format!("{line} ")), Err(EntryError::NotCanonical));
    assert_eq!(
        read(line.replace("\"v\":1", "\"v\":1,\"venue\":null")),
        Err(EntryError::NotCanonical)
    );
}

#[test]
fn writes_mapped_addresses_as_what_they_are() {
    let mut entry = order(0);
    entry.ip = Some("::ffff:192.0.2.1".parse().expect("ip"));
    let line = String::from_utf8(entry.to_line().expect("line")).expect("text");
    assert!(line.contains(r#""ip":"192.0.2.1""#), "{line}");

    let mapped = line.replace("192.0.2.1", "::ffff:192.0.2.1");
    assert_eq!(Entry::from_line(mapped.as_bytes()), Err(EntryError::NotCanonical));
}
