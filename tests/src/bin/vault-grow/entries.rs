//! The log of a stopped vault, grown by entries like those that its bots have left in it.

use vault_audit::{Entry, EntryKind, Outcome};
use vault_model::{Class, Timestamp};

use crate::rows::{Growth, name, now};
use crate::{Arguments, Error};

/// What the log has.
#[derive(Default)]
pub(crate) struct Written {
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
    pub(crate) fn read(&mut self, entry: Entry) {
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
    pub(crate) fn entry(&mut self, kind: EntryKind, now: Timestamp) -> Entry {
        let (node, epoch, build) = match &self.first {
            Some(first) => (first.node.clone(), first.epoch, first.build.clone()),
            None => (String::new(), 0, String::new()),
        };
        let mut entry = Entry::new(kind, self.size, now, node, epoch, build);
        (self.size, self.seq) = (self.size + 1, self.seq + 1);
        entry.seq = Some(self.seq);
        entry
    }
}

impl Growth {
    /// Appends so many entries, and a checkpoint.
    pub(crate) fn append(&mut self, arguments: &Arguments, entries: u64) -> Result<(), Error> {
        let order = self.written.order.clone().ok_or("no bot has signed")?;
        let span_us = arguments.days * 86_400_000_000;
        let step_us = (span_us / arguments.entries.max(1)).max(1);
        let begin = now().micros() - i64::try_from(step_us * entries)?;
        let mut random = Random(entries);
        let mut lines = Vec::with_capacity(BATCH);
        for nth in 0..entries {
            let wall = Timestamp(begin + i64::try_from(nth * step_us)?);
            self.written.clock += step_us;
            let mut entry = self.written.entry(EntryKind::Sign, wall);
            let client = random.rank(arguments.clients);
            fill(&mut entry, &order, arguments, client)?;
            vary(&mut entry, nth, self.written.clock);
            lines.push(entry.to_line()?);
            if lines.len() == BATCH || nth + 1 == entries {
                self.log.append(&lines)?;
                lines.clear();
            }
            if nth % 5_000_000 == 4_999_999 {
                crate::say(&format!("{} entries written", nth + 1));
            }
        }
        self.log.checkpoint(&self.signer)?;
        Ok(())
    }
}

/// The order of another client, with another credential and id.
fn fill(entry: &mut Entry, order: &Entry, arguments: &Arguments, client: u64) -> Result<(), Error> {
    let (idx, seq, ts) = (entry.idx, entry.seq, entry.ts);
    *entry = Entry { idx, seq, ts, ..order.clone() };
    if arguments.clients > 0 {
        entry.client = Some(name("client", client)?);
    }
    if arguments.credentials > 0 {
        entry.credential = Some(name("credential", client % arguments.credentials)?);
    }
    if arguments.scopes > 0 {
        entry.scope = Some(name("scope", client % arguments.scopes)?);
    }
    entry.request_id = Some(format!("request-{idx:012}").parse()?);
    Ok(())
}

/// Of each 20 ten orders, seven cancels, two reads and a denial.
fn vary(entry: &mut Entry, nth: u64, clock: u64) {
    entry.detail.insert("clock".to_owned(), clock.to_string());
    let is_order = nth % 20 < 10;
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
    match nth % 20 {
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
const BATCH: usize = 4_096;
