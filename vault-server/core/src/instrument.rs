//! Instruments: what an order's quantity is worth. An admin approves them; nothing else makes them.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Included, Unbounded};

use prost::Message;
use vault_ipc::proto::v1;
use vault_model::{Instrument, Name, Product, Timestamp};
use vault_wire::{instrument_from_wire, instrument_to_wire};

use crate::act::{Asker, Plan};
use crate::command::{self, Method};
use crate::error::{Conflict, VaultError};
use crate::page::{Listed, Page};
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
            let instrument =
                instrument_from_wire(wire).map_err(|error| VaultError::Field(error.words()))?;
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

    /// A page of the instruments of a venue, or of all, by venue, product and symbol.
    ///
    /// # Errors
    ///
    /// [`VaultError::Sealed`], [`VaultError::Field`] for a token that is none.
    pub(crate) fn list_instruments(
        &self,
        command: &v1::ListInstrumentsCommand,
    ) -> Result<v1::ListInstrumentsResponse, VaultError> {
        let tables = self.opened()?.state.tables();
        let v1::ListInstrumentsCommand { venue, page_size, page_token } = command;
        let page = Page::new(Method::InstrumentList, venue, *page_size, page_token)?;
        let from = match (page.after(read_key)?, venue.parse().ok()) {
            (Some(key), _) => Excluded(key),
            (None, Some(venue)) => Included(first_key(venue)),
            (None, None) => Unbounded,
        };
        let rows = tables.instruments.range((from, Unbounded));
        let of_venue = rows.take_while(|(key, _)| venue.is_empty() || key.0.as_str() == venue);
        let (instruments, next_page_token) =
            page.fill(of_venue.map(|((name, product, symbol), row)| {
                let key = format!("{name}/{product}/{symbol}");
                Ok(Listed::row(key, instrument_to_wire(&row.instrument)))
            }))?;
        Ok(v1::ListInstrumentsResponse { instruments, next_page_token })
    }

    /// A venue has so many at most.
    fn check_room(&self, added: &[RowKey]) -> Result<(), VaultError> {
        let venues: BTreeSet<&Name> = added.iter().filter_map(venue_of).collect();
        let is_full = venues.into_iter().any(|venue| {
            let from = self.tables().instruments.range(first_key(venue.clone())..);
            let known = from.take_while(|(key, _)| key.0 == *venue).count();
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

/// By venue, product and symbol.
type TableKey = (Name, Product, String);

fn venue_of(key: &RowKey) -> Option<&Name> {
    match key {
        RowKey::Instrument(venue, ..) => Some(venue),
        _ => None,
    }
}

/// The least key that a venue can have.
fn first_key(venue: Name) -> TableKey {
    (venue, Product::ALL[0], String::new())
}

/// Reads a key as [`RowKey::text`] writes it.
fn read_key(text: &str) -> Option<TableKey> {
    let (venue, rest) = text.split_once('/')?;
    let (product, symbol) = rest.split_once('/')?;
    Some((venue.parse().ok()?, product.parse().ok()?, symbol.to_owned()))
}

fn table_key(instrument: &Instrument) -> TableKey {
    (instrument.venue.clone(), instrument.product, instrument.symbol.clone())
}

/// A few keys for the log, whose entries are short; the state root vouches for all.
fn first_keys(keys: &[RowKey]) -> String {
    let texts: Vec<String> = keys.iter().take(KEYS_LOGGED_MAX).map(RowKey::text).collect();
    texts.join(",")
}

const IMPORT_MAX: usize = 2_000;
const KEYS_LOGGED_MAX: usize = 20;
const OF_VENUE_MAX: usize = 4_000;
