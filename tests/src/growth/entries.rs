//! The log of a stopped vault, grown by entries like those that its bots have left in it.

use std::sync::mpsc::{SyncSender, sync_channel};

use vault_audit::{Entry, EntryKind, Outcome};
use vault_model::{Class, Timestamp};

use super::rows::{Growth, name, now};
use super::{Error, Size};

/// What the log has.
#[derive(Default)]
pub(super) struct Written {
    size: u64,
    seq: u64,
    /// The largest time on the vault's own clock. Microseconds.
    clock: u64,
    /// Any entry, for node and build.
    first: Option<Entry>,
    /// A signature for an order.
    order: Option<Entry>,
}

impl Written {
    /// Takes an entry that is there.
    pub(super) fn read(&mut self, entry: Entry) {
        self.size = entry.idx + 1;
        self.seq = self.seq.max(entry.seq.unwrap_or(0));
        let clock = entry.detail.get("clock").and_then(|clock| clock.parse().ok());
        self.clock = self.clock.max(clock.unwrap_or(0));
        if entry.kind == EntryKind::Sign && self.order.is_none() {
            self.order = Some(entry.clone());
        }
        self.first.get_or_insert(entry);
    }

    /// The next entry, with what every entry has.
    pub(super) fn entry(&mut self, kind: EntryKind, now: Timestamp) -> Entry {
        let (node, epoch, build) = match &self.first {
            Some(first) => (first.node.clone(), first.epoch, first.build.clone()),
            None => (String::new(), 0, String::new()),
        };
        let mut entry = Entry::new(kind, self.size, now, node, epoch, build);
        (self.size, self.seq) = (self.size + 1, self.seq + 1);
        entry.seq = Some(self.seq);
        entry
    }

    /// Makes so many entries, batch by batch, until nobody takes them any more.
    fn make(
        &mut self,
        size: &Size,
        entries: u64,
        batches: &SyncSender<Vec<Vec<u8>>>,
    ) -> Result<(), Error> {
        let mut order = self.order.clone().ok_or("no bot has signed")?;
        if size.is_lean {
            make_lean(&mut order);
        }
        let span_us = size.days * 86_400_000_000;
        let step_us = (span_us / size.entries.max(1)).max(1);
        let begin = now().micros() - i64::try_from(step_us * entries)?;
        let mut random = Random(entries);
        let mut lines = Vec::with_capacity(BATCH);
        for nth in 0..entries {
            let wall = Timestamp(begin + i64::try_from(nth * step_us)?);
            self.clock += step_us;
            let mut entry = self.entry(EntryKind::Sign, wall);
            // Each of them once, then the more active the more often.
            let client = if nth < size.clients { nth } else { random.rank(size.clients) };
            fill(&mut entry, &order, size, client)?;
            vary(&mut entry, nth, self.clock);
            lines.push(entry.to_line()?);
            if lines.len() == BATCH || nth + 1 == entries {
                let batch = std::mem::replace(&mut lines, Vec::with_capacity(BATCH));
                if batches.send(batch).is_err() {
                    // The log says what is wrong.
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Leaves out what no start reads and no verifier needs: half as long again would be the whole.
fn make_lean(order: &mut Entry) {
    order.catalog_hash = None;
    order.closure_hash = None;
    order.mac_key = None;
    order.payload_mac = None;
}

impl Growth {
    /// Appends so many entries, and a checkpoint. `told` is called now and then with how many there are.
    ///
    /// # Errors
    ///
    /// If no bot has signed, or the log cannot be written.
    pub fn append(
        &mut self,
        size: &Size,
        entries: u64,
        told: &mut dyn FnMut(u64),
    ) -> Result<(), Error> {
        let Self { log, written, .. } = self;
        // Made on one processor, hashed and written on another.
        let (sender, batches) = sync_channel::<Vec<Vec<u8>>>(BATCHES_AHEAD);
        std::thread::scope(|scope| {
            let maker = scope.spawn(move || written.make(size, entries, &sender));
            let mut done = 0;
            for lines in batches {
                log.append(&lines)?;
                done += lines.len() as u64;
                told(done);
            }
            maker.join().map_err(|_| "the entries' maker panicked")?
        })?;
        self.log.checkpoint(&self.signer)?;
        Ok(())
    }

    /// Bytes that one more entry takes, about.
    ///
    /// # Errors
    ///
    /// If no bot has signed.
    pub fn entry_bytes(&self, size: &Size) -> Result<u64, Error> {
        let mut order = self.written.order.clone().ok_or("no bot has signed")?;
        if size.is_lean {
            make_lean(&mut order);
        }
        let mut bytes = 0;
        for nth in 0..MIX {
            let mut entry = Entry { idx: size.entries, seq: Some(size.entries), ..order.clone() };
            fill(&mut entry, &order, size, size.clients.saturating_sub(1))?;
            vary(&mut entry, nth, size.days * 86_400_000_000);
            // With its frame; a batch adds little to so many.
            bytes += entry.to_line()?.len() as u64 + FRAME_BYTES;
        }
        Ok(bytes.div_ceil(MIX))
    }
}

/// The order of another client, with another credential and id.
fn fill(entry: &mut Entry, order: &Entry, size: &Size, client: u64) -> Result<(), Error> {
    let (idx, seq, ts) = (entry.idx, entry.seq, entry.ts);
    *entry = Entry { idx, seq, ts, ..order.clone() };
    if size.clients > 0 {
        entry.client = Some(name("client", client)?);
    }
    if size.credentials > 0 {
        entry.credential = Some(name("credential", client % size.credentials)?);
    }
    if size.scopes > 0 {
        entry.scope = Some(name("scope", client % size.scopes)?);
    }
    entry.request_id = Some(format!("request-{idx:012}").parse()?);
    Ok(())
}

/// Of each 20 ten orders, seven cancels, two reads and a denial.
fn vary(entry: &mut Entry, nth: u64, clock: u64) {
    entry.detail.insert("clock".to_owned(), clock.to_string());
    let is_order = nth % MIX < 10;
    if is_order {
        entry.client_order_id = Some(format!("order{:012}", entry.idx));
        entry.notional = Some(format!("{}.{:02}", 10 + nth % 5_000, nth % 100));
        entry.detail.insert("resting".to_owned(), "1".to_owned());
        return;
    }
    entry.legs.clear();
    entry.notional = None;
    for name in ["resting", "until", "deadline", "amends", "orders"] {
        entry.detail.remove(name);
    }
    match nth % MIX {
        10..17 => {
            entry.class = Some(Class::Cancel);
            entry.operation = Some("POST /api/v5/trade/cancel-order".to_owned());
        }
        17 | 18 => {
            entry.class = Some(Class::Read);
            entry.operation = Some("GET /api/v5/account/balance".to_owned());
        }
        _ => {
            entry.kind = EntryKind::SignDenied;
            entry.outcome = Outcome::Denied;
            entry.reason = Some("SYMBOL_NOT_GRANTED".to_owned());
            entry.sig_sha256 = None;
        }
    }
}

/// Entries of which each kind has its share.
const MIX: u64 = 20;

/// Numbers that are the same in each run.
struct Random(u64);

impl Random {
    /// 0 to below `count`, each as often as its place among them says: 1 / (1 + place).
    fn rank(&mut self, count: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let part = (self.0 >> 11) as f64 / (1u64 << 53) as f64;
        let place = (count.max(1) as f64).powf(part) - 1.0;
        (place as u64).min(count.saturating_sub(1))
    }
}

/// Entries that are written and synced at once.
const BATCH: usize = 8_192;
/// Batches that are made while one is written.
const BATCHES_AHEAD: usize = 4;
/// What stands around a line in a segment, about.
const FRAME_BYTES: u64 = 16;
