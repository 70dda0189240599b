//! The parts of an entry whose plain serialisation would not be canonical.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use vault_model::{Leg, OrderType, Product, Side, TimeInForce};

/// A [`Leg`] with its fields in canonical order, and none but these.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct LegLine<'l> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leverage: Option<Cow<'l, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    post_only: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    price: Option<Cow<'l, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    product: Option<Product>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quantity: Option<Cow<'l, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quote_quantity: Option<Cow<'l, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reduce_only: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    side: Option<Side>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    symbol: Option<Cow<'l, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tif: Option<TimeInForce>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trigger_price: Option<Cow<'l, str>>,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    order_type: Option<OrderType>,
}

impl<'l> From<&'l Leg> for LegLine<'l> {
    fn from(leg: &'l Leg) -> Self {
        // Every field by name: a new one does not compile until the format has its place.
        let Leg {
            leverage,
            // These three are in the entry's `detail`.
            margin_mode: _,
            amends: _,
            deadline: _,
            post_only,
            price,
            product,
            quantity,
            quote_quantity,
            reduce_only,
            side,
            symbol,
            tif,
            trigger_price,
            order_type,
        } = leg;
        let text = |text: &'l Option<String>| text.as_deref().map(Cow::Borrowed);
        Self {
            leverage: text(leverage),
            post_only: *post_only,
            price: text(price),
            product: *product,
            quantity: text(quantity),
            quote_quantity: text(quote_quantity),
            reduce_only: *reduce_only,
            side: *side,
            symbol: text(symbol),
            tif: *tif,
            trigger_price: text(trigger_price),
            order_type: *order_type,
        }
    }
}

impl From<LegLine<'_>> for Leg {
    fn from(line: LegLine<'_>) -> Self {
        let LegLine {
            leverage,
            post_only,
            price,
            product,
            quantity,
            quote_quantity,
            reduce_only,
            side,
            symbol,
            tif,
            trigger_price,
            order_type,
        } = line;
        Self {
            leverage: leverage.map(Cow::into_owned),
            margin_mode: None,
            amends: false,
            deadline: None,
            post_only,
            price: price.map(Cow::into_owned),
            product,
            quantity: quantity.map(Cow::into_owned),
            quote_quantity: quote_quantity.map(Cow::into_owned),
            reduce_only,
            side,
            symbol: symbol.map(Cow::into_owned),
            tif,
            trigger_price: trigger_price.map(Cow::into_owned),
            order_type,
        }
    }
}

pub(super) fn legs_in_order<S: Serializer>(legs: &[Leg], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(legs.iter().map(LegLine::from))
}

pub(super) fn legs_of_known_fields<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Leg>, D::Error> {
    let lines = Vec::<LegLine<'_>>::deserialize(deserializer)?;
    Ok(lines.into_iter().map(Leg::from).collect())
}

/// Writes a map in the order of RFC 8785: by UTF-16 code units, which is the map's own order (by
/// bytes) unless a name has characters beyond U+FFFF.
pub(super) fn sorted<S: Serializer>(
    map: &BTreeMap<String, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    if map.keys().all(|name| name.chars().all(|c| c <= '\u{ffff}')) {
        return serializer.collect_map(map);
    }
    let mut pairs: Vec<_> = map.iter().collect();
    pairs.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
    serializer.collect_map(pairs)
}

/// Writes an address; an IPv4 address in IPv6 clothes as what it is.
pub(super) fn plain_ip<S: Serializer>(ip: &Option<IpAddr>, to: S) -> Result<S::Ok, S::Error> {
    ip.map(|ip| ip.to_canonical()).serialize(to)
}

/// 32 bytes as 64 lower-case hex digits.
pub(crate) mod hex32 {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::Hash;

    pub(crate) fn serialize<S: Serializer>(hash: &Hash, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = [0; 64];
        hex::encode_to_slice(hash, &mut text).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(std::str::from_utf8(&text).map_err(serde::ser::Error::custom)?)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Hash, D::Error> {
        let text = String::deserialize(from)?;
        let mut hash = [0; 32];
        match hex::decode_to_slice(&text, &mut hash) {
            Ok(()) if !text.bytes().any(|b| b.is_ascii_uppercase()) => Ok(hash),
            _ => Err(D::Error::custom("not 64 lower-case hex digits")),
        }
    }
}

/// [`hex32`] for a value that may be absent.
pub(super) mod hex32_option {
    use serde::{Deserializer, Serializer};

    use super::hex32;
    use crate::Hash;

    pub(crate) fn serialize<S: Serializer>(
        hash: &Option<Hash>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match hash {
            Some(hash) => hex32::serialize(hash, serializer),
            None => serializer.serialize_none(),
        }
    }

    // `null` is no form of "absent" here: the field is left out.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Hash>, D::Error> {
        hex32::deserialize(from).map(Some)
    }
}
