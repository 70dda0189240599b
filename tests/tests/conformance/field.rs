//! Fields of records.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::report::Miss;

/// Reads a file of JSON.
pub fn file(path: &Path) -> Result<Value, String> {
    let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// A text that may be missing or null; the pointer is as in RFC 6901.
pub fn text_at<'v>(record: &'v Value, pointer: &str) -> Option<&'v str> {
    record.pointer(pointer).and_then(Value::as_str)
}

/// A text that a record must have.
pub fn text<'v>(record: &'v Value, pointer: &str) -> Result<&'v str, Miss> {
    text_at(record, pointer).ok_or_else(|| Miss::failed(format!("the record has no {pointer}")))
}

/// A text that may be missing or null, and then is empty.
pub fn text_or_empty(record: &Value, pointer: &str) -> String {
    text_at(record, pointer).unwrap_or_default().to_owned()
}

/// Bytes: a text, or an object with either `utf8` or `hex`. Missing and null are no bytes.
pub fn bytes(value: Option<&Value>) -> Result<Vec<u8>, Miss> {
    let value = value.unwrap_or(&Value::Null);
    if let Some(text) = value.as_str().or_else(|| value["utf8"].as_str()) {
        return Ok(text.as_bytes().to_vec());
    }
    match value["hex"].as_str() {
        Some(digits) => hex::decode(digits).map_err(|_| Miss::failed("the record's hex is broken")),
        None if value.is_null() => Ok(Vec::new()),
        None => Err(Miss::failed("bytes are neither text, utf8 nor hex")),
    }
}

/// DER out of one block of PEM.
pub fn pem(text: &str) -> Result<Vec<u8>, Miss> {
    let digits: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(digits).map_err(|_| Miss::failed("the record's PEM is broken"))
}

/// A list of texts.
pub fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned)).collect()
}

/// The venue and id of a record, for the report.
pub fn names(record: &Value) -> (String, String) {
    let named = |pointer| text_at(record, pointer).unwrap_or("(none)").to_owned();
    (named("/venue"), named("/id"))
}
