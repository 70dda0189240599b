//! Reads JSON and forms so that a name can mean one thing only: duplicate names, trailing
//! data and bad escapes are errors.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Reads one JSON document. `None` for anything that is not exactly one, for duplicate names
/// in any object, and for nesting beyond serde_json's limit of 128.
pub(crate) fn read_json(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice::<Strict>(bytes).ok().map(|strict| strict.0)
}

/// Reads `name=value&name=value`, percent-decoded, `+` as a space. `None` for a part without
/// a name or `=`, for a bad escape, for text that is not UTF-8 and for duplicate names.
pub(crate) fn read_form(text: &[u8]) -> Option<Map<String, Value>> {
    let mut form = Map::new();
    if text.is_empty() {
        return Some(form);
    }
    for part in text.split(|&byte| byte == b'&') {
        let equals = part.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (decode(&part[..equals])?, decode(&part[equals + 1..])?);
        if name.is_empty() || form.insert(name, Value::String(value)).is_some() {
            return None;
        }
    }
    Some(form)
}

/// Percent-decodes text, `+` as a space.
pub(crate) fn decode(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'%' => {
                let mut byte = [0];
                hex::decode_to_slice(tail.get(..2)?, &mut byte).ok()?;
                bytes.push(byte[0]);
                rest = &tail[2..];
            }
            b'+' => bytes.push(b' '),
            b'=' => return None,
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate names")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not finite"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((name, Strict(value))) = entries.next_entry::<String, Strict>()? {
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("duplicate name"));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_one_json_document() {
        let value = read_json(br#"{"a":[1,-2,0.5,true,null,"x"],"b":{}}"#);
        assert_eq!(value, Some(serde_json::json!({"a": [1, -2, 0.5, true, null, "x"], "b": {}})));
    }

    #[test]
    fn refuses_json_that_can_mean_two_things() {
        for text in [r#"{"a":1,"a":2}"#, r#"[{"a":1,"\u0061":2}]"#, "{} {}", "{", "", "NaN"] {
            assert_eq!(read_json(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn refuses_forms_that_can_mean_two_things() {
        for text in ["a=1&a=2", "a=1&%61=2", "a", "=1", "a=1&", "a=%4", "a=%zz", "a=%ff", "a=1=2"] {
            assert_eq!(read_form(text.as_bytes()), None, "{text}");
        }
        let form = read_form(b"a=x+y%2Bz&b=").expect("form");
        assert_eq!(Value::Object(form), serde_json::json!({"a": "x y+z", "b": ""}));
    }
}
