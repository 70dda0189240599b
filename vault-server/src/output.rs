//! The only place of the command line that writes to stdout and stderr.

use std::io::{self, Write as _};

use serde_json::{Value, json};
use vault_ipc::proto::shown::{printable, printable_json};
use zeroize::Zeroizing;

use crate::fault::Fault;

/// Where data and talk go, and in which form.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
}

impl Output {
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether data is wanted as JSON.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Shows data: exact JSON for machines, `people` for everybody else.
    pub fn show(self, value: &Value, people: impl FnOnce() -> String) -> Result<(), Fault> {
        let mut text = if self.json {
            printable_json(&serde_json::to_string_pretty(value).unwrap_or_default())
        } else {
            printable(&people())
        };
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        self.bytes(text.as_bytes())
    }

    /// Shows what is shown once: wiped afterwards.
    pub fn show_once(self, text: &Zeroizing<String>) -> Result<(), Fault> {
        self.bytes(text.as_bytes())
    }

    /// Writes data as it is.
    pub fn bytes(self, bytes: &[u8]) -> Result<(), Fault> {
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Ok(()) => Ok(()),
            // Whoever read us has seen enough; that needs no words.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Fault::other("")),
            Err(error) => Err(Fault::other(format!("stdout: {error}"))),
        }
    }

    /// Says something to people, on stderr.
    pub fn talk(self, text: &str) {
        // Where stderr is gone there is nobody to tell.
        let _ = writeln!(io::stderr().lock(), "{}", printable(text));
    }

    /// Says why the command failed.
    pub fn fault(self, fault: &Fault) {
        if fault.message.is_empty() {
            return;
        }
        if self.json {
            let error = json!({
                "exit_code": fault.exit as u8,
                "kind": fault.exit.word(),
                "message": fault.message,
                "hint": fault.hint,
                "reason": fault.reason,
                "retry_after_ms": fault.retry_after_ms,
            });
            let text = printable_json(&json!({ "error": error }).to_string());
            let _ = writeln!(io::stderr().lock(), "{text}");
            return;
        }
        self.talk(&format!("vault-server: error: {}", fault.message));
        if !fault.hint.is_empty() {
            self.talk(&format!("hint: {}", fault.hint));
        }
    }
}

/// Names and values, one pair a line; pairs without a value are left out.
pub fn pairs(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name:width$}  {value}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::pairs;

    #[test]
    fn pairs_line_up_and_empty_ones_are_left_out() {
        let text = pairs(&[("a", "1".into()), ("bb", String::new()), ("ccc", "2".into())]);
        assert_eq!(text, "a    1\nccc  2\n");
    }
}
