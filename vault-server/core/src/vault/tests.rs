//! What decisions read, compiled act by act and all at once.

use std::collections::BTreeMap;

use proptest::prelude::*;
use vault_model::{
    Asset, HaltLevel, HaltTarget, Instrument, Money, Name, Pair, Product, SizeUnit, Timestamp,
};
use vault_policy::{Market, ScopeDocument};

use super::Open;
use crate::execute::tests::bench::Bench;
use crate::storage::{Changes, FeedRow, HaltRow, InstrumentRow, Row, RowKey, ScopeRow};

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

fn scope(number: u8, content: u8) -> ScopeRow {
    let mut document = ScopeDocument::new(name(&format!("scope-{number}")));
    document.credentials.insert(name(&format!("credential-{content}")));
    let text = format!(
        "name = \"x\"\n[duplicates]\norder = \"{}s\"\n",
        1 + u32::from(content) * u32::from(number)
    );
    document.duplicates = ScopeDocument::from_toml(&text).expect("a scope").duplicates;
    ScopeRow {
        document: serde_json::to_value(&document).expect("JSON"),
        name: document.name,
        revision: u64::from(content) + 1,
        updated_at: Timestamp(0),
    }
}

fn pair(number: u8) -> Pair {
    format!("A{number}/USD").parse().expect("a pair")
}

fn row(kind: u8, number: u8, content: u8) -> Row {
    let number = number % 4;
    match kind % 4 {
        0 => scope(number, content).into(),
        1 => HaltRow {
            at: Timestamp(0),
            by: "admin".to_owned(),
            level: if content.is_multiple_of(2) {
                HaltLevel::NoNewRisk
            } else {
                HaltLevel::Nothing
            },
            reason: String::new(),
            target: HaltTarget::Client(name(&format!("client-{number}"))),
        }
        .into(),
        2 => InstrumentRow {
            instrument: Instrument {
                venue: name("okx"),
                product: if number.is_multiple_of(2) { Product::Spot } else { Product::Linear },
                symbol: format!("S{}", number / 2),
                base: "BTC".parse::<Asset>().expect("an asset"),
                quote: Asset::usd(),
                contract_size: Money::whole(u64::from(content) + 1),
                size_unit: SizeUnit::Base,
                reference: pair(0),
                price_tick: None,
                quantity_step: None,
            },
            updated_at: Timestamp(0),
        }
        .into(),
        _ => FeedRow {
            document: serde_json::json!({
                "pair": pair(number).to_string(), "pricers": ["pricer"],
                "max_age": format!("{}s", u32::from(content) + 1),
                "anchor": "100", "max_step": "0.5",
            }),
            pair: pair(number),
            revision: u64::from(content),
            updated_at: Timestamp(0),
        }
        .into(),
    }
}

/// All that a market says of what these tests put there.
fn said(market: &Market) -> Vec<(Option<&Instrument>, bool)> {
    let mut all = Vec::new();
    for symbol in ["S0", "S1"] {
        for product in [Product::Spot, Product::Linear] {
            all.push((market.instrument("okx", symbol, product), market.knows("okx", symbol)));
        }
    }
    all
}

fn compiled(open: &Open) -> BTreeMap<&Name, (&ScopeDocument, u64)> {
    open.scopes.iter().map(|(name, it)| (name, (&it.document, it.revision))).collect()
}

fn acts() -> impl Strategy<Value = Vec<Vec<(u8, u8, u8, bool)>>> {
    let change = (any::<u8>(), any::<u8>(), 0..6u8, any::<bool>());
    prop::collection::vec(prop::collection::vec(change, 1..6), 1..12)
}

proptest! {
    // Each case makes two vaults.
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn act_by_act_comes_to_the_same_as_all_at_once(acts in acts()) {
        let (mut bench, mut there) = (Bench::new(), BTreeMap::<RowKey, Row>::new());
        for act in acts {
            let mut wanted = BTreeMap::new();
            for (kind, number, content, deletes) in act {
                let row = row(kind, number, content);
                wanted.insert(row.key(), (!deletes).then_some(row));
            }
            let mut changes = Changes::new();
            for (key, row) in wanted {
                if let Some(row) = row {
                    changes.put(row.clone());
                    there.insert(key, row);
                } else if there.remove(&key).is_some() {
                    changes.delete(key);
                }
            }
            bench.change(&changes);
        }
        let mut other = Bench::new();
        let mut changes = Changes::new();
        for row in there.into_values() {
            changes.put(row);
        }
        other.change(&changes);

        let one = bench.vault.open.as_ref().expect("open");
        let other = other.vault.open.as_ref().expect("open");
        prop_assert_eq!(compiled(one), compiled(other));
        prop_assert_eq!(&one.halts, &other.halts);
        prop_assert_eq!(one.keys_asked, other.keys_asked);
        prop_assert_eq!(said(&one.market), said(&other.market));
        for number in 0..4 {
            prop_assert_eq!(one.market.price(&pair(number)), other.market.price(&pair(number)));
        }
    }
}
