//! The past as bytes, for a snapshot: every field, so that what is read is what was written.

use std::fmt::Display;
use std::str::FromStr;

use vault_model::{Name, NotPacked, Pack, Pair, Unpack};
use vault_policy::{Span, Spend};

use super::{Intent, Past};
use crate::checked::Checks;
use crate::clock::{Machine, PastClock};
use crate::history::Histories;
use crate::nonce::NonceCounters;
use crate::price::LoggedPrice;
use crate::replay::Replay;
use crate::seal::Guesses;
use crate::snapshot::{pack_map, unpack_map};

impl Past {
    /// Whether a start that asks for orders and client order ids for this long finds in it all that
    /// the log has of them.
    pub(crate) fn remembers(&self, keys: Span) -> bool {
        self.histories.remembers(keys, self.clock.newest.unwrap_or_default())
    }

    /// For how long orders and client order ids are asked for from now on.
    pub(crate) fn set_keys(&mut self, keys: Span) {
        self.histories.set_keys(keys);
    }

    /// Forgets what is old, as a log does that is long.
    #[cfg(test)]
    pub(crate) fn tidy(&mut self) {
        self.histories.tidy(self.clock.newest.unwrap_or_default());
    }

    /// Writes all of it.
    pub(crate) fn pack(&self, pack: &mut Pack<'_>) {
        let Self {
            last_seq,
            nonces,
            replay,
            state,
            intent,
            guesses,
            signed,
            held,
            checks,
            clock,
            commands,
            histories,
            undated,
            prices,
            sealed_by_hand,
            seals,
            out_of_order,
        } = self;
        pack.number(*last_seq);
        nonces.pack(pack);
        replay.pack(pack);
        pack.option(state.as_ref(), |pack, (rev, root)| {
            pack.number(*rev);
            pack.bytes(root);
        });
        pack.option(intent.as_ref(), |pack, intent| intent.pack(pack));
        guesses.pack(pack);
        let pair = |pack: &mut Pack<'_>, (client, credential): &(Name, Name)| {
            pack.text(client.as_str());
            pack.text(credential.as_str());
        };
        pack_map(signed, pack, pair, |pack, (venue, at)| {
            pack.text(venue);
            pack.clock(*at);
        });
        pack_map(held, pack, pack_name, |pack, (client, at)| {
            pack.text(client.as_str());
            pack.clock(*at);
        });
        checks.pack(pack);
        pack_clock(clock, pack);
        pack.len(commands.len());
        for (nonce, end) in commands {
            pack.blob(nonce);
            pack.timestamp(*end);
        }
        histories.pack(pack);
        pack.len(undated.len());
        for (client, scope, spend) in undated {
            pack.text(client.as_str());
            pack.option(scope.as_ref(), pack_name);
            spend.pack(pack);
        }
        let pair = |pack: &mut Pack<'_>, pair: &Pair| pack.text(&pair.to_string());
        pack_map(prices, pack, pair, pack_price);
        pack.flag(*sealed_by_hand);
        pack_map(seals, pack, pack_name, |pack, at| pack.timestamp(*at));
        pack.option(*out_of_order, Pack::number);
    }

    /// Reads what [`Past::pack`] wrote.
    ///
    /// # Errors
    ///
    /// [`NotPacked`].
    pub(crate) fn unpack(unpack: &mut Unpack<'_>) -> Result<Self, NotPacked> {
        Ok(Self {
            last_seq: unpack.number()?,
            nonces: NonceCounters::unpack(unpack)?,
            replay: Replay::unpack(unpack)?,
            state: unpack.option(|unpack| Ok((unpack.number()?, unpack.bytes()?)))?,
            intent: unpack.option(Intent::unpack)?,
            guesses: Guesses::unpack(unpack)?,
            signed: unpack_map(
                unpack,
                |unpack| Ok((unpack.name()?, unpack.name()?)),
                |unpack| Ok((unpack.text()?.to_owned(), unpack.clock()?)),
            )?,
            held: unpack_map(unpack, Unpack::name, |unpack| Ok((unpack.name()?, unpack.clock()?)))?,
            checks: Checks::unpack(unpack)?,
            clock: unpack_clock(unpack)?,
            commands: list(unpack, |unpack| Ok((unpack.blob()?.to_vec(), unpack.timestamp()?)))?,
            histories: Histories::unpack(unpack)?,
            undated: list(unpack, |unpack| {
                Ok((unpack.name()?, unpack.option(Unpack::name)?, Spend::unpack(unpack)?))
            })?,
            prices: unpack_map(unpack, written::<Pair>, unpack_price)?,
            sealed_by_hand: unpack.flag()?,
            seals: unpack_map(unpack, Unpack::name, Unpack::timestamp)?,
            out_of_order: unpack.option(Unpack::number)?,
        })
    }
}

impl Intent {
    fn pack(&self, pack: &mut Pack<'_>) {
        let Self { change_id, hash_before, state_rev, state_root, operation } = self;
        pack.text(change_id);
        pack.option(hash_before.as_ref(), |pack, hash| pack.bytes(hash));
        pack.number(*state_rev);
        pack.bytes(state_root);
        pack.option(operation.as_deref(), Pack::text);
    }

    fn unpack(unpack: &mut Unpack<'_>) -> Result<Self, NotPacked> {
        Ok(Self {
            change_id: unpack.text()?.to_owned(),
            hash_before: unpack.option(Unpack::bytes)?,
            state_rev: unpack.number()?,
            state_root: unpack.bytes()?,
            operation: unpack.option(|unpack| unpack.text().map(str::to_owned))?,
        })
    }
}

fn pack_clock(clock: &PastClock, pack: &mut Pack<'_>) {
    let PastClock { newest, started } = clock;
    pack.option(*newest, Pack::clock);
    pack.option(started.as_ref(), |pack, (machine, at)| {
        let Machine { boot, boottime_us } = machine;
        pack.option(boot.as_deref(), Pack::text);
        pack.number(*boottime_us);
        pack.clock(*at);
    });
}

fn unpack_clock(unpack: &mut Unpack<'_>) -> Result<PastClock, NotPacked> {
    let newest = unpack.option(Unpack::clock)?;
    let started = unpack.option(|unpack| {
        let boot = unpack.option(|unpack| unpack.text().map(str::to_owned))?;
        Ok((Machine { boot, boottime_us: unpack.number()? }, unpack.clock()?))
    })?;
    Ok(PastClock { newest, started })
}

fn pack_price(pack: &mut Pack<'_>, logged: &LoggedPrice) {
    let LoggedPrice { at, jumps, price, revision, window } = logged;
    pack.clock(*at);
    pack.number(*jumps);
    pack.money(*price);
    pack.number(*revision);
    // As the log has it.
    pack.option(window.as_ref(), |pack, window| pack.text(&window.to_string()));
}

fn unpack_price(unpack: &mut Unpack<'_>) -> Result<LoggedPrice, NotPacked> {
    Ok(LoggedPrice {
        at: unpack.clock()?,
        jumps: unpack.number()?,
        price: unpack.money()?,
        revision: unpack.number()?,
        window: unpack.option(written)?,
    })
}

/// What is written as a text, and in one way.
fn written<T: FromStr + Display>(unpack: &mut Unpack<'_>) -> Result<T, NotPacked> {
    let text = unpack.text()?;
    let value: T = text.parse().map_err(|_| NotPacked)?;
    if value.to_string() == text { Ok(value) } else { Err(NotPacked) }
}

fn pack_name(pack: &mut Pack<'_>, name: &Name) {
    pack.text(name.as_str());
}

fn list<'b, T>(
    unpack: &mut Unpack<'b>,
    read: impl Fn(&mut Unpack<'b>) -> Result<T, NotPacked>,
) -> Result<Vec<T>, NotPacked> {
    let length = unpack.len(1)?;
    (0..length).map(|_| read(unpack)).collect()
}
