//! Instruments: what an order's quantity is worth. An admin approves them; nothing else makes them.

use std::collections::BTreeSet;

use prost::Message;
use vault_ipc::proto::v1;
use vault_model::{Instrument, Money, Name, Product, SizeUnit, Timestamp};
use vault_policy::Symbol;

use crate::act::{Asker, Plan};
use crate::command::{self, Method};
use crate::error::{Conflict, VaultError};
use crate::storage::{Changes, InstrumentRow, RowKey};
use crate::vault::{Vault, detail};

impl Vault {
    /// Adds or replaces instruments, all or none. Those that are there as they are stay untouched.
    ///
    /// # Errors
    ///
    /// [`VaultError::Field`] with what is wrong with one; [`VaultError::Conflict`] if there is
    /// nothing to do.
    pub(crate) fn import_instruments(
        &mut self,
        command: &v1::SignedCommand,
        asker: Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let command: v1::ImportInstrumentsCommand = command::body(command)?;
        if !(1..=IMPORT_MAX).contains(&command.instruments.len()) {
            return Err(VaultError::Field("instruments are 1 to 2000"));
        }
        let mut seen = BTreeSet::new();
        let (mut added, mut changed, mut same) = (Vec::new(), Vec::new(), 0u32);
        let mut plan_changes = Changes::new();
        for wire in &command.instruments {
            let instrument = model_instrument(wire)?;
            if self.registry.venue(instrument.venue.as_str()).is_none() {
                return Err(VaultError::Field(
                    "an instrument is of a venue that the vault does not know",
                ));
            }
            let row = InstrumentRow { instrument, updated_at: now };
            let key = row.key();
            if !seen.insert(key.clone()) {
                return Err(VaultError::Field("an instrument stands there twice"));
            }
            match self.tables().instruments.get(&table_key(&row.instrument)) {
                Some(known) if known.instrument == row.instrument => {
                    same += 1;
                    continue;
                }
                Some(_) => changed.push(key),
                None => added.push(key),
            }
            plan_changes.put(row);
        }
        if plan_changes.is_empty() {
            return Err(VaultError::Conflict(Conflict::AlreadySo));
        }
        self.check_room(&added)?;

        let count = |keys: &[RowKey]| u32::try_from(keys.len()).unwrap_or(u32::MAX);
        let (added_count, changed_count) = (count(&added), count(&changed));
        let respond = move |_: &Vault, change| {
            v1::ImportInstrumentsResponse {
                change: Some(change),
                added: added_count,
                changed: changed_count,
                same,
            }
            .encode_to_vec()
        };
        let mut plan = Plan::new(Method::InstrumentImport.name(), plan_changes, respond);
        plan.detail = detail([
            ("added", added_count.to_string()),
            ("added_first", first_keys(&added)),
            ("changed", changed_count.to_string()),
            ("changed_first", first_keys(&changed)),
            ("same", same.to_string()),
        ]);
        plan.detail.retain(|_, value| !value.is_empty());
        // With another size, what was allowed may be forbidden.
        plan.barrier = (!changed.is_empty()).then(Vec::new);
        self.begin_act(plan, asker, now)
    }

    /// Deletes instruments, all or none.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotFound`] if one is not there.
    pub(crate) fn delete_instruments(
        &mut self,
        command: &v1::SignedCommand,
        asker: Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let command: v1::DeleteInstrumentsCommand = command::body(command)?;
        if !(1..=IMPORT_MAX).contains(&command.keys.len()) {
            return Err(VaultError::Field("keys are 1 to 2000"));
        }
        let not_found = || VaultError::NotFound("instrument");
        let mut changes = Changes::new();
        let mut deleted = Vec::new();
        for key in command.keys {
            let venue: Name = key.venue.parse().map_err(|_| not_found())?;
            let product: Product = key.product.parse().map_err(|_| not_found())?;
            let key = (venue, product, key.symbol);
            if !self.opened()?.state.tables().instruments.contains_key(&key) {
                return Err(not_found());
            }
            let key = RowKey::Instrument(key.0, key.1, key.2);
            deleted.push(key.clone());
            changes.delete(key);
        }
        let mut plan = Plan::new(Method::InstrumentDelete.name(), changes, |_, change| {
            v1::DeleteInstrumentsResponse { change: Some(change) }.encode_to_vec()
        });
        plan.detail = detail([
            ("deleted", deleted.len().to_string()),
            ("deleted_first", first_keys(&deleted)),
        ]);
        plan.barrier = Some(Vec::new());
        self.begin_act(plan, asker, now)
    }

    /// The instruments of a venue, or of all, by venue, product and symbol.
    ///
    /// # Errors
    ///
    /// [`VaultError::Sealed`].
    pub(crate) fn list_instruments(
        &self,
        venue: &str,
    ) -> Result<v1::ListInstrumentsResponse, VaultError> {
        let rows = self.opened()?.state.tables().instruments.values();
        let instruments = rows
            .map(|row| &row.instrument)
            .filter(|instrument| venue.is_empty() || instrument.venue.as_str() == venue)
            .map(wire_instrument)
            .collect();
        Ok(v1::ListInstrumentsResponse { instruments })
    }

    /// An answer of `List` must fit into one frame, so a venue has so many at most.
    fn check_room(&self, added: &[RowKey]) -> Result<(), VaultError> {
        let venues: BTreeSet<&Name> = added.iter().filter_map(venue_of).collect();
        let is_full = venues.into_iter().any(|venue| {
            let known = self.tables().instruments.keys().filter(|key| key.0 == *venue).count();
            let more = added.iter().filter(|key| venue_of(key) == Some(venue)).count();
            known + more > OF_VENUE_MAX
        });
        match is_full {
            true => {
                Err(VaultError::Field("a venue has at most 4000 instruments: delete some first"))
            }
            false => Ok(()),
        }
    }
}

fn venue_of(key: &RowKey) -> Option<&Name> {
    match key {
        RowKey::Instrument(venue, ..) => Some(venue),
        _ => None,
    }
}

fn table_key(instrument: &Instrument) -> (Name, Product, String) {
    (instrument.venue.clone(), instrument.product, instrument.symbol.clone())
}

/// A few keys for the log, whose entries are short; the state root vouches for all.
fn first_keys(keys: &[RowKey]) -> String {
    let texts: Vec<String> = keys.iter().take(KEYS_LOGGED_MAX).map(RowKey::text).collect();
    texts.join(",")
}

fn model_instrument(wire: &v1::Instrument) -> Result<Instrument, VaultError> {
    let field = VaultError::Field;
    let above_zero = |text: &str| text.parse().ok().filter(|size: &Money| *size > Money::ZERO);
    let step = |text: &str| match text {
        "" => Ok(None),
        text => above_zero(text)
            .map(Some)
            .ok_or(field("price_tick and quantity_step are decimals above 0, or empty")),
    };
    let asset =
        |text: &str| text.parse().map_err(|_| field("base and quote are assets, such as BTC"));
    let product: Product = wire
        .product
        .parse()
        .ok()
        .filter(|product| *product != Product::Margin)
        .ok_or(field("product is spot, linear, inverse, option or spread"))?;
    let size_unit = match wire.size_unit.as_str() {
        "base" => SizeUnit::Base,
        "quote" if product == Product::Inverse => SizeUnit::Quote,
        "quote" => return Err(field("only inverse contracts have their size in the quote asset")),
        _ => return Err(field("size_unit is base or quote")),
    };
    let instrument = Instrument {
        base: asset(&wire.base)?,
        contract_size: above_zero(&wire.contract_size)
            .ok_or(field("contract_size is a decimal above 0"))?,
        price_tick: step(&wire.price_tick)?,
        product,
        quantity_step: step(&wire.quantity_step)?,
        quote: asset(&wire.quote)?,
        reference: wire
            .reference
            .parse()
            .map_err(|_| field("reference is BASE/QUOTE, such as BTC/USD"))?,
        size_unit,
        symbol: wire
            .symbol
            .parse::<Symbol>()
            .map_err(|_| field("symbol is 1 to 40 of letters, digits, '-', '/', '_' and '.'"))?
            .to_string(),
        venue: wire.venue.parse().map_err(|_| field("venue is the name of one"))?,
    };
    Ok(instrument)
}

fn wire_instrument(instrument: &Instrument) -> v1::Instrument {
    let text = |step: Option<Money>| step.map(|step| step.to_string()).unwrap_or_default();
    v1::Instrument {
        venue: instrument.venue.to_string(),
        product: instrument.product.to_string(),
        symbol: instrument.symbol.clone(),
        base: instrument.base.to_string(),
        quote: instrument.quote.to_string(),
        contract_size: instrument.contract_size.to_string(),
        size_unit: match instrument.size_unit {
            SizeUnit::Base => "base",
            SizeUnit::Quote => "quote",
        }
        .to_owned(),
        reference: instrument.reference.to_string(),
        price_tick: text(instrument.price_tick),
        quantity_step: text(instrument.quantity_step),
    }
}

const IMPORT_MAX: usize = 2_000;
const KEYS_LOGGED_MAX: usize = 20;
const OF_VENUE_MAX: usize = 4_000;

#[cfg(test)]
mod tests {
    use vault_ipc::proto::v1;
    use vault_model::{Product, SizeUnit};

    use super::{model_instrument, wire_instrument};

    fn swap() -> v1::Instrument {
        v1::Instrument {
            venue: "okx".to_owned(),
            product: "linear".to_owned(),
            symbol: "BTC-USDT-SWAP".to_owned(),
            base: "BTC".to_owned(),
            quote: "USDT".to_owned(),
            contract_size: "0.01".to_owned(),
            size_unit: "base".to_owned(),
            reference: "BTC/USDT".to_owned(),
            price_tick: "0.1".to_owned(),
            quantity_step: String::new(),
        }
    }

    #[test]
    fn instruments_cross_the_wire_unchanged() {
        let inverse = v1::Instrument {
            product: "inverse".to_owned(),
            size_unit: "quote".to_owned(),
            contract_size: "100".to_owned(),
            ..swap()
        };
        for wire in [swap(), inverse] {
            let instrument = model_instrument(&wire).expect("an instrument");
            assert_eq!(wire_instrument(&instrument), wire);
        }
        let instrument = model_instrument(&swap()).expect("an instrument");
        assert_eq!((instrument.product, instrument.size_unit), (Product::Linear, SizeUnit::Base));
    }

    #[test]
    fn what_is_no_instrument_is_refused() {
        let spoiled: &[(&str, fn(&mut v1::Instrument))] = &[
            ("size", |wire| wire.contract_size = "0".to_owned()),
            ("size", |wire| wire.contract_size = "-1".to_owned()),
            ("size", |wire| wire.contract_size = String::new()),
            ("size", |wire| wire.contract_size = "1e3".to_owned()),
            ("unit", |wire| wire.size_unit = "quote".to_owned()),
            ("unit", |wire| wire.size_unit = String::new()),
            ("tick", |wire| wire.price_tick = "0".to_owned()),
            ("step", |wire| wire.quantity_step = "x".to_owned()),
            ("product", |wire| wire.product = "margin".to_owned()),
            ("product", |wire| wire.product = String::new()),
            ("symbol", |wire| wire.symbol = "BTC USDT".to_owned()),
            ("symbol", |wire| wire.symbol = "B".repeat(41)),
            ("base", |wire| wire.base = String::new()),
            ("quote", |wire| wire.quote = "a/b".to_owned()),
            ("reference", |wire| wire.reference = "BTC".to_owned()),
            ("venue", |wire| wire.venue = "O K X".to_owned()),
        ];
        for (what, spoil) in spoiled {
            let mut wire = swap();
            spoil(&mut wire);
            assert!(model_instrument(&wire).is_err(), "{what}");
        }
    }
}
