//! Frames made of frames that were recorded: their messages are taken apart into fields, as deep as
//! they go, and put together otherwise, so that most of them still decode.

use prost::encoding::{decode_varint, encode_varint};

/// Random numbers that can be repeated (splitmix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`; 0 where `end` is.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).unwrap_or(0)
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub fn pick<'t, T>(&mut self, among: &'t [T]) -> Option<&'t T> {
        among.get(self.below(among.len()))
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

#[derive(Clone, Debug)]
struct Field {
    number: u64,
    value: Value,
}

#[derive(Clone, Debug)]
enum Value {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(Vec<u8>),
    Fixed32([u8; 4]),
}

/// The fields of a message; `None` if it is none.
fn read(mut bytes: &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = decode_varint(&mut bytes).ok()?;
        let value = match key & 7 {
            0 => Value::Varint(decode_varint(&mut bytes).ok()?),
            1 => {
                let (value, rest) = bytes.split_first_chunk()?;
                bytes = rest;
                Value::Fixed64(*value)
            }
            2 => {
                let count = usize::try_from(decode_varint(&mut bytes).ok()?).ok()?;
                let (value, rest) = bytes.split_at_checked(count)?;
                bytes = rest;
                Value::Bytes(value.to_vec())
            }
            5 => {
                let (value, rest) = bytes.split_first_chunk()?;
                bytes = rest;
                Value::Fixed32(*value)
            }
            _ => return None,
        };
        if key >> 3 == 0 {
            return None;
        }
        fields.push(Field { number: key >> 3, value });
    }
    Some(fields)
}

fn write(fields: &[Field]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for Field { number, value } in fields {
        let kind = match value {
            Value::Varint(_) => 0,
            Value::Fixed64(_) => 1,
            Value::Bytes(_) => 2,
            Value::Fixed32(_) => 5,
        };
        encode_varint(number << 3 | kind, &mut bytes);
        match value {
            Value::Varint(value) => encode_varint(*value, &mut bytes),
            Value::Fixed64(value) => bytes.extend_from_slice(value),
            Value::Bytes(value) => {
                encode_varint(value.len() as u64, &mut bytes);
                bytes.extend_from_slice(value);
            }
            Value::Fixed32(value) => bytes.extend_from_slice(value),
        }
    }
    bytes
}

const NUMBERS: [u64; 14] = [
    0,
    1,
    2,
    3,
    127,
    128,
    1 << 31,
    u32::MAX as u64,
    1 << 53,
    (1 << 53) - 1,
    i64::MAX as u64,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
];

const TEXTS: [&str; 38] = [
    "",
    "okx-main",
    "okx-sent",
    "kraken-main",
    "nobody",
    "BTC-USDT",
    "SOL-USDT",
    "XBTUSD",
    "GET",
    "POST",
    "DELETE",
    "https",
    "wss",
    "http",
    "www.okx.com",
    "api.kraken.com",
    "ws.okx.com",
    "ws.okx.com:8443",
    "api.binance.com",
    "/api/v5/trade/order",
    "/api/v5/trade/batch-orders",
    "/api/v5/asset/withdrawal",
    "/api/v5/account/balance",
    "/api/v5/trade/order/../../asset/withdrawal",
    "/0/private/AddOrder",
    "/0/private/Withdraw",
    "/0/private/Balance",
    "vault.v1.ClientService/Revoke",
    "vault.v1.SealService/Seal",
    "vault.v1.HaltService/CancelAll",
    "[]",
    "{}",
    r#"{"instId":"SOL-USDT","tdMode":"cash","side":"sell","ordType":"market","sz":"999999999999999999999999"}"#,
    r#"[{"instId":"SOL-USDT"},{"instId":"BTC-USDT"}]"#,
    "pair=XBTUSD&type=sell&ordertype=market&volume=1e9",
    "pair=XBTUSD&pair=ETHUSD",
    "\u{0}\n\u{202e}é",
    "countersign:okx-main",
];

/// Changes a message in one to four places. `other` is one to take parts from.
pub fn message(bytes: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(4) {
        bytes = once(&bytes, other, random, 0);
    }
    bytes
}

fn once(bytes: &[u8], other: &[u8], random: &mut Random, depth: usize) -> Vec<u8> {
    let Some(mut fields) = read(bytes).filter(|fields| !fields.is_empty()) else {
        return leaf(bytes, random);
    };
    let others = read(other).unwrap_or_default();
    let at = random.below(fields.len());
    match random.below(12) {
        // Less, more, twice, in another order.
        0 => drop(fields.remove(at)),
        1 => fields.push(fields[at].clone()),
        2 => {
            let with = random.below(fields.len());
            fields.swap(at, with);
        }
        // A field of another message, in the place of that of its number or beside it.
        3 | 4 => {
            if let Some(field) = random.pick(&others) {
                match fields.iter_mut().find(|one| one.number == field.number) {
                    Some(here) => *here = field.clone(),
                    None => fields.push(field.clone()),
                }
            }
        }
        // What nobody knows.
        5 => fields
            .push(Field { number: 1 + random.next() % 40, value: Value::Varint(random.next()) }),
        // Deeper, mostly.
        _ => {
            let field = &mut fields[at];
            let inner = others.iter().find(|one| one.number == field.number);
            field.value = match &field.value {
                Value::Varint(value) => Value::Varint(number(*value, random)),
                Value::Fixed64(_) => Value::Fixed64(random.next().to_le_bytes()),
                Value::Fixed32(value) => Value::Fixed32(value.map(|_| random.byte())),
                Value::Bytes(value) => {
                    let inner = match inner.map(|one| &one.value) {
                        Some(Value::Bytes(inner)) => inner.as_slice(),
                        _ => &[],
                    };
                    let is_deep = depth < 6 && read(value).is_some_and(|some| !some.is_empty());
                    Value::Bytes(match is_deep && !random.one_in(6) {
                        true => once(value, inner, random, depth + 1),
                        false => leaf(value, random),
                    })
                }
            };
        }
    }
    write(&fields)
}

fn number(value: u64, random: &mut Random) -> u64 {
    match random.below(4) {
        0 => value.wrapping_add(1),
        1 => value.wrapping_sub(1),
        2 => random.next(),
        _ => *random.pick(&NUMBERS).unwrap_or(&0),
    }
}

/// Changes bytes that are no message: text stays text.
fn leaf(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let is_text = bytes.is_ascii();
    let at = random.below(bytes.len().max(1));
    let letter = |random: &mut Random| match is_text {
        true => b' ' + random.byte() % 95,
        false => random.byte(),
    };
    match random.below(8) {
        0 => {
            let new = letter(random);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = new;
            }
        }
        1 => bytes.truncate(at),
        2 => {
            let new = letter(random);
            bytes.insert(at.min(bytes.len()), new);
        }
        3 => {
            let copy = bytes.clone();
            bytes.extend_from_slice(&copy);
        }
        4 => {
            let new = letter(random);
            let count = [1, 64, 256, 8_192, 70_000][random.below(5)];
            bytes.splice(at.min(bytes.len())..at.min(bytes.len()), std::iter::repeat_n(new, count));
        }
        5 => bytes.clear(),
        _ => bytes = random.pick(&TEXTS).map_or_else(Vec::new, |text| text.as_bytes().to_vec()),
    }
    bytes
}
