//! No error, log line or entry says again what was put in, but for names that passed validation: whoever
//! reads them must not meet a stranger's text, nor whoever sends requests find a way to write there.
//!
//! Every text that is put in has [`MARK`] in it, in many shapes. What may come back is listed where it is
//! let pass.

mod display;
mod file;
mod message;
mod proxy;
mod rpc;
mod socket;

use vault_tests::TestVault;

/// In every text that is put in, and nowhere else.
const MARK: &str = "zqxj";

/// A text that is put in.
#[derive(Clone, Copy, Debug)]
struct Shape {
    what: &'static str,
    /// Of a name that is valid: it may come back where names do.
    is_name: bool,
}

const SHAPES: [Shape; 12] = [
    Shape { what: "zqxj-name", is_name: true },
    Shape { what: "ZQXJ", is_name: false },
    Shape { what: "zqxj two words", is_name: false },
    Shape { what: "zqxj\"quoted'`", is_name: false },
    Shape { what: "zqxj\nvault: error: a line of its own", is_name: false },
    Shape { what: "\u{1b}[31mzqxj", is_name: false },
    Shape { what: "zqxjäöü\u{202e}", is_name: false },
    Shape { what: "zqxj%41%0a&a=b#c+d", is_name: false },
    Shape { what: "{zqxj:[1,2", is_name: false },
    Shape { what: "../../zqxj/etc", is_name: false },
    Shape { what: "<zqxj>{}%s%n$(x)", is_name: false },
    Shape { what: LONG, is_name: false },
];

/// Longer than anything that is taken.
const LONG: &str = {
    const BYTES: [u8; 9_000] = {
        let mut bytes = [b'z'; 9_000];
        let mut at = 0;
        while at < 9_000 {
            bytes[at] = [b'z', b'q', b'x', b'j'][at % 4];
            at += 1;
        }
        bytes
    };
    match std::str::from_utf8(&BYTES) {
        Ok(text) => text,
        Err(_) => panic!("ASCII"),
    }
};

/// Where the mark stands in some bytes, with what is around it: in any case, raw or as a form, JSON or a
/// debugger writes it.
fn found(bytes: &[u8]) -> Option<String> {
    let lower = bytes.to_ascii_lowercase();
    let at = lower.windows(MARK.len()).position(|window| window == MARK.as_bytes())?;
    let around = at.saturating_sub(80)..(at + 80).min(bytes.len());
    Some(String::from_utf8_lossy(&bytes[around]).into_owned())
}

/// What it has written to stderr since its start has no mark in it.
fn stderr_is_clean(vault: &TestVault) {
    let stderr = vault.stderr();
    assert!(!stderr.contains("panicked"), "{stderr}");
    let line = stderr.lines().find(|line| found(line.as_bytes()).is_some());
    assert_eq!(line, None, "a line of the vault's");
}

/// Entries have names and ids that passed validation, and no other text of a caller's; but of a request
/// that was read what it orders, as the bot wrote it: the log is data, for whoever judges it again.
fn log_is_clean(vault: &TestVault) {
    for entry in vault.log_entries() {
        let line = entry.to_line().expect("a line");
        let mut entry: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
        let fields = entry.as_object_mut().expect("an entry");
        // 1 to 64 of `A-Za-z0-9_-`.
        fields.remove("request_id");
        for ordered in ["legs", "client_order_id"] {
            let text = fields.remove(ordered).unwrap_or_default().to_string();
            assert!(!text.contains("\\u00") && !text.contains("\\n"), "{ordered}: {text}");
            assert!(text.len() < 20_000, "{ordered}: {text:.60}");
        }
        let names = SHAPES.iter().filter(|shape| shape.is_name).map(|shape| shape.what);
        let without = names.fold(entry.to_string(), |line, name| line.replace(name, ""));
        assert_eq!(found(without.as_bytes()), None, "{entry}");
    }
}

/// All venues at a port of this machine where nobody listens.
fn nowhere() -> Vec<toml::Value> {
    let place = [("host", "*"), ("connect", "127.0.0.1:9")];
    let place = place.map(|(key, value)| (key.to_owned(), toml::Value::from(value)));
    vec![toml::Value::Table(place.into_iter().collect())]
}
