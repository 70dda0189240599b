//! Rows and keys for the tests of this module.

use ring::rand::SystemRandom;
use serde::Deserialize;
use vault_model::{SecretBytes, Timestamp};

use super::{Genesis, Head, Hex, HexBytes, Instance, Row, Stamp, StoredRow, Table, state};
use crate::crypto::mac::StateMac;
use crate::seal::slot::{SlotPlace, generate_key_file};
use crate::seal::{Keyring, RootKey, SlotRecord};

pub const INSTANCE: &str = "00112233445566778899aabbccddeeff";
pub const NOW: Timestamp = Timestamp(1_760_000_000_000_000);

#[derive(Deserialize)]
struct GoldenMacs {
    key: String,
    rows: Vec<GoldenRow>,
}

#[derive(Deserialize)]
struct GoldenRow {
    table: String,
    key: String,
    doc: String,
    mac: String,
}

fn golden() -> GoldenMacs {
    serde_json::from_str(include_str!("../../../../tests/vectors/golden/envelope/mac.json"))
        .expect("golden file")
}

/// The golden rows: one or more of every table.
pub fn stored_rows() -> Vec<StoredRow> {
    let stored = |row: GoldenRow| StoredRow {
        doc: row.doc,
        key: row.key,
        mac: hex::decode(row.mac).expect("hex"),
        table: *Table::ALL.iter().find(|table| table.as_str() == row.table).expect("a table"),
    };
    golden().rows.into_iter().map(stored).collect()
}

/// The golden rows, read.
pub fn rows() -> Vec<Row> {
    stored_rows().iter().map(|row| Row::parse(row.table, &row.doc).expect("a row")).collect()
}

/// The key of the golden MACs.
pub fn state_mac() -> StateMac {
    StateMac::new(SecretBytes::new(hex::decode(golden().key).expect("hex")), INSTANCE)
}

pub fn instance() -> Instance {
    Instance {
        ca_certificate: HexBytes(vec![0x30, 0x82]),
        core_identity_public: Hex([7; 32]),
        created_at: NOW,
        development: true,
        epoch: 1,
        instance_id: INSTANCE.parse().expect("an id"),
        node: "node-1".parse().expect("a name"),
        trust_domain: "example.test".to_owned(),
    }
}

pub fn head() -> Head {
    Head {
        audit_root: state::empty_root(),
        audit_size: 0,
        change_id: None,
        state_rev: 0,
        state_root: state::empty_root(),
    }
}

pub fn stamp() -> Stamp {
    Stamp {
        at: NOW,
        audit_root: Hex([9; 32]),
        audit_size: 12,
        change_id: Some("chg-1".to_owned()),
        nonces: Vec::new(),
    }
}

pub fn slot(id: u32) -> SlotRecord {
    let rng = SystemRandom::new();
    let root_key = RootKey::generate(&rng).expect("random numbers");
    let place = SlotPlace { instance_id: INSTANCE, id, created_at: NOW };
    let content = generate_key_file(&rng).expect("random numbers");
    SlotRecord::with_key_file(place, &root_key, &content, &rng).expect("a slot")
}

pub fn genesis() -> Genesis {
    let rng = SystemRandom::new();
    let root_key = RootKey::generate(&rng).expect("random numbers");
    let keyring = Keyring::create(NOW, &rng).expect("keys");
    Genesis {
        head: head().seal(&state_mac()).expect("canonical"),
        instance: instance().seal(&state_mac()).expect("canonical"),
        keyring: keyring.wrap(INSTANCE, &root_key, &rng).expect("wraps"),
        slots: vec![slot(1)],
    }
}
