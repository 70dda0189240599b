//! A history as bytes, and read from them again: the same to the last bit, so that what is decided
//! by it is the same too.

use std::collections::{BTreeMap, HashMap, VecDeque};

use vault_model::{ClockTime, Money, NotPacked, Pack, Unpack};

use super::{Amount, History, Point, Seen, Series, Spend, Withdrawn};

impl History {
    /// Writes all of it.
    pub fn pack(&self, pack: &mut Pack<'_>) {
        let Self { orders, notional, withdrawn, order_keys, id_keys, resting } = self;
        orders.pack(pack);
        notional.pack(pack);
        pack.len(withdrawn.len());
        let mut venues: Vec<_> = withdrawn.iter().collect();
        venues.sort_unstable_by_key(|(venue, _)| *venue);
        for (venue, assets) in venues {
            pack.text(venue.as_str());
            pack.len(assets.len());
            let mut assets: Vec<_> = assets.iter().collect();
            assets.sort_unstable_by_key(|(asset, _)| *asset);
            for (asset, series) in assets {
                pack.text(asset);
                series.pack(pack);
            }
        }
        order_keys.pack(pack);
        id_keys.pack(pack);
        pack.number(*resting);
    }

    /// Reads what [`History::pack`] wrote.
    ///
    /// # Errors
    ///
    /// [`NotPacked`].
    pub fn unpack(unpack: &mut Unpack<'_>) -> Result<Self, NotPacked> {
        let (orders, notional) = (Series::unpack(unpack)?, Series::unpack(unpack)?);
        let mut withdrawn = HashMap::new();
        let mut last_venue = None;
        for _ in 0..unpack.len(2)? {
            let venue = unpack.name()?;
            let mut assets = HashMap::new();
            let mut last_asset = None;
            for _ in 0..unpack.len(2)? {
                let asset = unpack.text()?;
                // Sorted, each once: there is one way to write it.
                if last_asset >= Some(asset) {
                    return Err(NotPacked);
                }
                last_asset = Some(asset);
                assets.insert(asset.to_owned(), Series::unpack(unpack)?);
            }
            if last_venue.as_ref() >= Some(&venue) {
                return Err(NotPacked);
            }
            last_venue = Some(venue.clone());
            withdrawn.insert(venue, assets);
        }
        let (order_keys, id_keys) = (Seen::unpack(unpack)?, Seen::unpack(unpack)?);
        let resting = unpack.number()?;
        Ok(Self { orders, notional, withdrawn, order_keys, id_keys, resting })
    }
}

impl Spend {
    /// Writes all of it.
    pub fn pack(&self, pack: &mut Pack<'_>) {
        let Self { at, until, orders, resting, notional_usd, order_keys, id_keys, withdrawn } =
            self;
        pack.clock(*at);
        pack.clock(*until);
        pack.number(*orders);
        pack.number(*resting);
        pack.option(*notional_usd, Pack::money);
        for keys in [order_keys, id_keys] {
            pack.len(keys.len());
            keys.iter().for_each(|key| pack.bytes(&key.to_le_bytes()));
        }
        pack.len(withdrawn.len());
        for Withdrawn { venue, asset, amount } in withdrawn {
            pack.text(venue.as_str());
            pack.text(asset);
            pack.money(*amount);
        }
    }

    /// Reads what [`Spend::pack`] wrote.
    ///
    /// # Errors
    ///
    /// [`NotPacked`].
    pub fn unpack(unpack: &mut Unpack<'_>) -> Result<Self, NotPacked> {
        let keys = |unpack: &mut Unpack<'_>| -> Result<Vec<u64>, NotPacked> {
            let length = unpack.len(KEY_BYTES)?;
            (0..length).map(|_| unpack.bytes().map(u64::from_le_bytes)).collect()
        };
        let out = |unpack: &mut Unpack<'_>| {
            let (venue, asset) = (unpack.name()?, unpack.text()?.to_owned());
            Ok(Withdrawn { venue, asset, amount: unpack.money()? })
        };
        Ok(Self {
            at: unpack.clock()?,
            until: unpack.clock()?,
            orders: unpack.number()?,
            resting: unpack.number()?,
            notional_usd: unpack.option(Unpack::money)?,
            order_keys: keys(unpack)?,
            id_keys: keys(unpack)?,
            withdrawn: {
                let length = unpack.len(1)?;
                (0..length).map(|_| out(unpack)).collect::<Result<_, NotPacked>>()?
            },
        })
    }
}

/// An amount among others of a running sum.
pub(super) trait PackedAmount: Amount {
    fn pack(self, pack: &mut Pack<'_>);
    fn unpack(unpack: &mut Unpack<'_>) -> Result<Self, NotPacked>;
}

impl PackedAmount for u64 {
    fn pack(self, pack: &mut Pack<'_>) {
        pack.number(self);
    }

    fn unpack(unpack: &mut Unpack<'_>) -> Result<Self, NotPacked> {
        unpack.number()
    }
}

impl PackedAmount for Money {
    fn pack(self, pack: &mut Pack<'_>) {
        pack.money(self);
    }

    fn unpack(unpack: &mut Unpack<'_>) -> Result<Self, NotPacked> {
        unpack.money()
    }
}

impl<T: PackedAmount> Series<T> {
    /// Times as what lies between them. Sums by what was added, within an epoch: that is short.
    fn pack(&self, pack: &mut Pack<'_>) {
        let Self { levels, total, epoch } = self;
        levels.iter().for_each(|points| pack.len(points.len()));
        total.pack(pack);
        pack.number(u64::from(*epoch));
        let mut last = Point { at: ClockTime(0), before: T::default(), epoch: *epoch };
        for point in levels.iter().flatten() {
            let Point { at, before, epoch } = *point;
            pack.number(at.0.wrapping_sub(last.at.0));
            let added = before.minus(last.before).filter(|_| epoch == last.epoch);
            pack.flag(added.is_some());
            match added {
                Some(added) => added.pack(pack),
                None => {
                    pack.number(u64::from(epoch));
                    before.pack(pack);
                }
            }
            last = *point;
        }
    }

    fn unpack(unpack: &mut Unpack<'_>) -> Result<Self, NotPacked> {
        let lengths =
            [unpack.len(POINT_BYTES)?, unpack.len(POINT_BYTES)?, unpack.len(POINT_BYTES)?];
        let total = T::unpack(unpack)?;
        let epoch = u32::try_from(unpack.number()?).map_err(|_| NotPacked)?;
        let mut levels = [const { VecDeque::new() }; 3];
        let mut last = Point { at: ClockTime(0), before: T::default(), epoch };
        for (points, length) in levels.iter_mut().zip(lengths) {
            points.reserve_exact(length);
            for _ in 0..length {
                let at = ClockTime(last.at.0.wrapping_add(unpack.number()?));
                let (epoch, before) = if unpack.flag()? {
                    let before = last.before.plus(T::unpack(unpack)?).ok_or(NotPacked)?;
                    (last.epoch, before)
                } else {
                    let epoch = u32::try_from(unpack.number()?).map_err(|_| NotPacked)?;
                    let before = T::unpack(unpack)?;
                    if epoch == last.epoch && before.minus(last.before).is_some() {
                        return Err(NotPacked);
                    }
                    (epoch, before)
                };
                last = Point { at, before, epoch };
                points.push_back(last);
            }
        }
        Ok(Self { levels, total, epoch })
    }
}

impl Seen {
    /// Every sight; when a key was seen last follows from them.
    fn pack(&self, pack: &mut Pack<'_>) {
        let Self { last: _, sights } = self;
        pack.len(sights.len());
        let mut last_at = 0u64;
        for (at, key) in sights {
            pack.number(at.0.wrapping_sub(last_at));
            pack.bytes(&key.to_le_bytes());
            last_at = at.0;
        }
    }

    fn unpack(unpack: &mut Unpack<'_>) -> Result<Self, NotPacked> {
        let length = unpack.len(SIGHT_BYTES)?;
        let mut seen = Self { last: BTreeMap::new(), sights: VecDeque::with_capacity(length) };
        let mut last_at = 0u64;
        for _ in 0..length {
            last_at = last_at.wrapping_add(unpack.number()?);
            let (at, key) = (ClockTime(last_at), u64::from_le_bytes(unpack.bytes()?));
            seen.last.insert(key, at);
            seen.sights.push_back((at, key));
        }
        Ok(seen)
    }
}

/// A point has its time, a flag and an amount.
const POINT_BYTES: usize = 3;
/// A sight has its time and a key.
const SIGHT_BYTES: usize = 1 + KEY_BYTES;
const KEY_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option::of;
    use proptest::prelude::*;
    use proptest::sample::select;
    use vault_model::{ClockTime, Money, Pack, Unpack};

    use super::History;
    use crate::document::Span;
    use crate::{Spend, Withdrawn};

    fn packed(history: &History) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut pack = Pack::new(&mut bytes);
        history.pack(&mut pack);
        pack.finish().expect("memory takes it");
        bytes
    }

    fn read(bytes: &[u8]) -> History {
        let mut unpack = Unpack::new(bytes);
        let history = History::unpack(&mut unpack).expect("as it was written");
        assert_eq!(unpack.left(), 0);
        history
    }

    prop_compose! {
        fn spend()(
            after_us in select(vec![0u64, 1, 700_000, 60_000_000, 5_000_000_000, 90_000_000_000]),
            lasts_us in select(vec![0u64, 60_000_000]),
            orders in select(vec![0u64, 1, 3, u64::MAX]),
            resting in 0u64..4,
            notional in of((0u64..1 << 40, 0u64..1_000)),
            huge in any::<bool>(),
            keys in vec(0u64..8, 0..3),
            withdrawn in vec((select(vec!["okx", "kraken"]), select(vec!["BTC", "ETH"])), 0..3),
        ) -> (u64, u64, Spend) {
            let notional_usd = notional.map(|(whole, part)| {
                let sum: Money = format!("{whole}.{part:03}").parse().expect("an amount");
                // Sums beyond counting begin a new epoch.
                if huge { Money::whole(u64::MAX) } else { sum }
            });
            let out = |(venue, asset): (&str, &str)| Withdrawn {
                venue: venue.parse().expect("a name"),
                asset: asset.to_owned(),
                amount: Money::whole(3),
            };
            let spend = Spend {
                orders,
                resting,
                notional_usd,
                order_keys: keys.clone(),
                id_keys: keys,
                withdrawn: withdrawn.into_iter().map(out).collect(),
                ..Spend::default()
            };
            (after_us, lasts_us, spend)
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written_and_goes_on_the_same(
            spends in vec(spend(), 0..40), cut in 0usize..40, tidy_every in 1usize..9,
        ) {
            let begin = 31 * 86_400_000_000u64;
            let mut at = begin;
            let (mut history, mut reread) = (History::default(), History::default());
            for (index, (after_us, lasts_us, spend)) in spends.into_iter().enumerate() {
                at += after_us;
                let (at, until) = (ClockTime(at), ClockTime(at + lasts_us));
                let spend = Spend { at, until, ..spend };
                for one in [&mut history, &mut reread] {
                    one.add(&spend);
                    if index % tidy_every == 0 {
                        one.tidy(at, Span::DAY);
                    }
                }
                if index == cut {
                    let bytes = packed(&reread);
                    reread = read(&bytes);
                    prop_assert_eq!(packed(&reread), bytes);
                    let mut bytes = Vec::new();
                    let mut pack = Pack::new(&mut bytes);
                    spend.pack(&mut pack);
                    pack.finish().expect("memory takes it");
                    prop_assert_eq!(Spend::unpack(&mut Unpack::new(&bytes)), Ok(spend));
                }
                prop_assert_eq!(&reread, &history);
            }
        }

        #[test]
        fn any_bytes_are_refused_or_have_one_form(bytes in vec(select(vec![0u8, 1, 2, 9]), 0..40)) {
            let mut unpack = Unpack::new(&bytes);
            if let Ok(history) = History::unpack(&mut unpack) {
                let read = bytes.len() - unpack.left();
                prop_assert_eq!(packed(&history), &bytes[..read]);
            }
        }
    }
}
