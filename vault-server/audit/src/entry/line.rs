//! Entries as bytes: a serialiser of just the JSON that lines consist of.
//!
//! What it writes is what `serde_json` writes (a property test holds it against that, and against
//! `serde_jcs`). It need not look at texts byte by byte: most have nothing to escape, which is seen in
//! blocks, and names of fields are written as they are.

use std::fmt::Display;

use serde::Serialize;
use serde::ser::{Error, Impossible, SerializeMap, SerializeSeq, SerializeStruct, Serializer};

/// Writes a value.
///
/// # Errors
///
/// [`Unwritable`], for a value with a part that no line has.
pub(super) fn write(value: &impl Serialize, line: &mut Vec<u8>) -> Result<(), Unwritable> {
    value.serialize(Json(line))
}

/// No line has such a value: a float, bytes, a tuple, a variant with fields.
#[derive(Debug, thiserror::Error)]
#[error("a value that no line has")]
pub(super) struct Unwritable;

impl Error for Unwritable {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

struct Json<'l>(&'l mut Vec<u8>);

impl Json<'_> {
    fn integer(self, mut integer: u64) {
        let mut digits = [0; 20];
        let mut first = digits.len();
        loop {
            first -= 1;
            digits[first] = b'0' + (integer % 10) as u8;
            integer /= 10;
            if integer == 0 {
                break;
            }
        }
        self.0.extend_from_slice(&digits[first..]);
    }

    fn text(self, text: &str) -> Result<(), Unwritable> {
        // Not `all`, which would stop at the first, and so look at them one by one.
        let escaped = text
            .bytes()
            .fold(false, |found, byte| found | (byte < b' ') | (byte == b'"') | (byte == b'\\'));
        if escaped {
            return serde_json::to_writer(self.0, text).map_err(|_| Unwritable);
        }
        self.0.push(b'"');
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(b'"');
        Ok(())
    }
}

impl<'l> Serializer for Json<'l> {
    type Ok = ();
    type Error = Unwritable;
    type SerializeMap = Parts<'l>;
    type SerializeSeq = Parts<'l>;
    type SerializeStruct = Parts<'l>;
    type SerializeStructVariant = Impossible<(), Unwritable>;
    type SerializeTuple = Impossible<(), Unwritable>;
    type SerializeTupleStruct = Impossible<(), Unwritable>;
    type SerializeTupleVariant = Impossible<(), Unwritable>;

    fn serialize_bool(self, value: bool) -> Result<(), Unwritable> {
        self.0.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_i64(self, value: i64) -> Result<(), Unwritable> {
        self.integer(u64::try_from(value).map_err(|_| Unwritable)?);
        Ok(())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Unwritable> {
        self.integer(value.into());
        Ok(())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Unwritable> {
        self.integer(value);
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), Unwritable> {
        self.text(value)
    }

    fn serialize_none(self) -> Result<(), Unwritable> {
        Err(Unwritable)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unwritable> {
        value.serialize(self)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Unwritable> {
        self.text(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unwritable> {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'l>, Unwritable> {
        Ok(Parts::begin(self.0, b'['))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts<'l>, Unwritable> {
        Ok(Parts::begin(self.0, b'{'))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts<'l>, Unwritable> {
        Ok(Parts::begin(self.0, b'{'))
    }

    fn serialize_i8(self, _: i8) -> Result<(), Unwritable> {
        Err(Unwritable)
    }

    fn serialize_i16(self, _: i16) -> Result<(), Unwritable> {
        Err(Unwritable)
    }

    fn serialize_i32(self, _: i32) -> Result<(), Unwritable> {
        Err(Unwritable)
    }

    fn serialize_u8(self, _: u8) -> Result<(), Unwritable> {
        Err(Unwritable)
    }

    fn serialize_u16(self, _: u16) -> Result<(), Unwritable> {
        Err(Unwritable)
    }

    fn serialize_f32(self, _: f32) -> Result<(), Unwritable> {
        Err(Unwritable)
    }

    fn serialize_f64(self, _: f64) -> Result<(), Unwritable> {
        Err(Unwritable)
    }

    fn serialize_char(self, _: char) -> Result<(), Unwritable> {
        Err(Unwritable)
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), Unwritable> {
        Err(Unwritable)
    }

    fn serialize_unit(self) -> Result<(), Unwritable> {
        Err(Unwritable)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Unwritable> {
        Err(Unwritable)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Unwritable> {
        Err(Unwritable)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Unwritable> {
        Err(Unwritable)
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, Unwritable> {
        Err(Unwritable)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Unwritable> {
        Err(Unwritable)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Unwritable> {
        Err(Unwritable)
    }
}

/// An object or array that has begun.
struct Parts<'l> {
    is_first: bool,
    line: &'l mut Vec<u8>,
}

impl<'l> Parts<'l> {
    fn begin(line: &'l mut Vec<u8>, bracket: u8) -> Self {
        line.push(bracket);
        Self { is_first: true, line }
    }

    fn next(&mut self) -> Json<'_> {
        if !self.is_first {
            self.line.push(b',');
        }
        self.is_first = false;
        Json(self.line)
    }
}

impl SerializeMap for Parts<'_> {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unwritable> {
        key.serialize(self.next())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritable> {
        self.line.push(b':');
        value.serialize(Json(self.line))
    }

    fn end(self) -> Result<(), Unwritable> {
        self.line.push(b'}');
        Ok(())
    }
}

impl SerializeSeq for Parts<'_> {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unwritable> {
        value.serialize(self.next())
    }

    fn end(self) -> Result<(), Unwritable> {
        self.line.push(b']');
        Ok(())
    }
}

impl SerializeStruct for Parts<'_> {
    type Ok = ();
    type Error = Unwritable;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Unwritable> {
        let line = self.next().0;
        // A field's name is a name of ours: nothing in it is escaped.
        line.push(b'"');
        line.extend_from_slice(name.as_bytes());
        line.extend_from_slice(b"\":");
        value.serialize(Json(line))
    }

    fn end(self) -> Result<(), Unwritable> {
        self.line.push(b'}');
        Ok(())
    }
}
