//! What a request would cost at worst.

mod key;
mod worth;

use std::collections::BTreeMap;
use std::time::Duration;

use vault_model::{Class, ClockTime, Member, Mode, Money, Pair, Timestamp};

pub use key::{id_key, order_key};
pub(crate) use worth::{Look, Pricer, Unpriced, Worth, exact, positive};

use crate::history::{Spend, Withdrawn};
use crate::judge::Question;

/// What a request that is allowed counts for: of a signature that is good for one of several
/// operations, the most of each.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cost {
    /// Orders; every order of a batch counts.
    pub orders: u64,
    /// Those of them that may rest at the venue.
    pub resting: u64,
    /// At the worst price, in USD; absent if it has orders that cannot be priced.
    pub notional_usd: Option<Money>,
    /// The reference prices of its orders' instruments, as far as they are fresh.
    pub prices: BTreeMap<Pair, Money>,
    /// What is left under each cap after this, by the cap's name: decimals as text. Names are
    /// `notional_usd/SPAN`, `orders/SPAN`, `open_orders` and `withdrawal/VENUE/ASSET`.
    pub limits_left: BTreeMap<String, String>,
    /// Names each order that the request states, among others of the same client. What amends an
    /// order is none.
    pub order_keys: Vec<u64>,
    /// The same for its client order ids.
    pub id_keys: Vec<u64>,
    /// What it moves out.
    pub withdrawn: Vec<Withdrawn>,
    /// How long after it is signed it can still happen, as far as its orders state an end that is
    /// near; nothing for what the vault sends itself.
    pub lasts: Duration,
}

impl Cost {
    /// What the history keeps of it.
    pub fn spend(&self, at: ClockTime) -> Spend {
        let lasts = u64::try_from(self.lasts.as_micros()).unwrap_or(u64::MAX);
        Spend {
            at,
            until: ClockTime(at.0.saturating_add(lasts)),
            orders: self.orders,
            resting: self.resting,
            notional_usd: self.notional_usd.filter(|_| self.orders > 0),
            order_keys: self.order_keys.clone(),
            id_keys: self.id_keys.clone(),
            withdrawn: self.withdrawn.clone(),
        }
    }

    /// Nothing, to begin with.
    pub(crate) fn nothing() -> Self {
        Self { notional_usd: Some(Money::ZERO), ..Self::default() }
    }

    /// Adds one of the operations that the signature is good for: one of them can happen, so the
    /// most of each counts.
    pub(crate) fn widen(&mut self, question: &Question<'_>, member: &Member, worth: &Worth<'_>) {
        match member.class {
            Class::Trade => {
                self.orders = self.orders.max(worth.orders);
                self.resting = self.resting.max(worth.resting);
                self.notional_usd = match (self.notional_usd, &worth.notional) {
                    (Some(most), Ok(notional)) => Some(most.max(*notional)),
                    _ => None,
                };
                let pricer = Pricer::of(question);
                worth.looks.iter().for_each(|look| pricer.see(look, &mut self.prices));
                if question.mode == Mode::Sign {
                    let ends = member.legs.iter().filter_map(|leg| leg.deadline);
                    let lasts = ends.map(|end| until(question.steady_now, end));
                    let lasts = lasts.filter(|lasts| *lasts <= LASTS_MAX).max();
                    self.lasts = self.lasts.max(lasts.unwrap_or_default());
                }
            }
            Class::Withdraw => self.withdraw(question, member),
            _ => {}
        }
        for id in &member.client_order_ids {
            let key = id_key(question.credential, id);
            if !self.id_keys.contains(&key) {
                self.id_keys.push(key);
            }
        }
    }

    /// Closes the sum: names the orders.
    pub(crate) fn close(&mut self, question: &Question<'_>) {
        let stated = &question.reading.stated;
        if self.orders > 0 {
            let orders = stated.legs.iter().filter(|leg| !leg.amends);
            self.order_keys = orders.map(|leg| order_key(question.credential, leg)).collect();
        }
    }

    fn withdraw(&mut self, question: &Question<'_>, member: &Member) {
        let Ok(venue) = question.reading.venue.parse() else {
            return;
        };
        // The vault sends one operation; over signatures no withdrawal is allowed.
        self.withdrawn = withdrawn(&venue, member);
    }
}

/// How far ahead the end of an order may be where it counts. Kraken takes no later one ("max now() +
/// 60 seconds": its specification, see the catalogue).
pub(crate) const LASTS_MAX: Duration = Duration::from_secs(60);

/// How long it is from one moment to another; nothing if that is over.
pub(crate) fn until(now: Timestamp, end: Timestamp) -> Duration {
    let micros = end.micros().saturating_sub(now.micros());
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// What one operation moves out, summed by asset. What does not say what and how much is left out:
/// its own rule denies it.
fn withdrawn(venue: &vault_model::Name, member: &Member) -> Vec<Withdrawn> {
    let mut sums: Vec<Withdrawn> = Vec::new();
    for transfer in &member.transfers {
        let amount = positive(transfer.amount.as_deref()).ok().flatten();
        let (Some(asset), Some(amount)) = (&transfer.asset, amount) else {
            continue;
        };
        match sums.iter_mut().find(|sum| sum.asset == *asset) {
            // A sum that does not fit is more than any cap.
            Some(sum) => {
                sum.amount = sum.amount.checked_add(amount).unwrap_or(Money::whole(u64::MAX));
            }
            None => {
                sums.push(Withdrawn { venue: venue.clone(), asset: asset.clone(), amount });
            }
        }
    }
    sums
}
