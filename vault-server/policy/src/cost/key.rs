//! Numbers that name orders and client order ids, for finding those that come again.
//!
//! SipHash with the standard library's fixed key: the same in every process of one build, and so
//! rebuilt from the log, never stored. Whoever makes two orders collide has one of his own denied.

use std::hash::{DefaultHasher, Hash, Hasher};

use vault_model::{Leg, Money, Name};

use crate::rule::order::stay;

/// Names an order: by the credential and what it says, whether it comes alone or in a batch. Margin
/// modes are left out, as the log keeps them apart from the orders; client order ids and deadlines
/// are no part of an order.
pub fn order_key(credential: &Name, leg: &Leg) -> u64 {
    let mut said = Said::by(credential);
    // By name, so that a new field asks here whether it is part of an order.
    let Leg {
        product,
        symbol,
        side,
        order_type,
        tif: _,
        quantity,
        quote_quantity,
        price,
        trigger_price,
        reduce_only,
        post_only,
        leverage,
        margin_mode: _,
        amends: _,
        deadline: _,
    } = leg;
    (symbol, product, side, order_type, reduce_only, post_only).hash(&mut said);
    stay(leg).hash(&mut said);
    for text in [quantity, quote_quantity, price, trigger_price, leverage] {
        // As a number where it is one: 0.10 is 0.1.
        match text.as_deref().map(str::parse::<Money>) {
            Some(Ok(number)) => number.hash(&mut said),
            _ => text.hash(&mut said),
        }
    }
    said.finish()
}

/// Names a client order id.
pub fn id_key(credential: &Name, id: &str) -> u64 {
    let mut said = Said::by(credential);
    id.hash(&mut said);
    said.finish()
}

/// All that a key is made of, one after the other, to be hashed at once: many short pieces take
/// longer.
struct Said(Vec<u8>);

/// Bytes that nearly every order says at most.
const USUAL_BYTES: usize = 256;

impl Said {
    fn by(credential: &Name) -> Self {
        let mut said = Self(Vec::with_capacity(USUAL_BYTES));
        credential.as_str().hash(&mut said);
        said
    }
}

impl Hasher for Said {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.0);
        hasher.finish()
    }
}
