//! The only place that writes to stdout and stderr.

use std::io::{self, IsTerminal as _, Write as _};

use serde_json::{Value, json};
use vault_proto::shown::{Pieces, printable, printable_json};

use crate::fault::{Exit, Fault};

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
        if self.json {
            let text = serde_json::to_string_pretty(value).unwrap_or_default();
            self.bytes(format!("{}\n", printable_json(&text)).as_bytes())
        } else {
            let mut text = printable(&people());
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            self.bytes(text.as_bytes())
        }
    }

    /// Shows lines of data to people; a mark stands before those that have one, in colour where that is
    /// of use.
    pub fn marked(self, lines: &[(Option<Mark>, String)]) -> Result<(), Fault> {
        let named = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_coloured = io::stdout().is_terminal() && !named("NO_COLOR");
        let mut text = String::new();
        for (mark, line) in lines {
            // The colours are ours; what is in the line may come from outside.
            let line = printable(line);
            match mark {
                None => text += &line,
                Some(mark) => text += &format!("{}{line}", mark.text(is_coloured)),
            }
            text.push('\n');
        }
        self.bytes(text.as_bytes())
    }

    /// For text of a venue's: what would steer a terminal is struck out, if stdout is one; elsewhere it
    /// stays as it is.
    pub fn foreign(self) -> Foreign {
        Foreign(io::stdout().is_terminal().then(Pieces::default))
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
            let text = printable_json(&json_fault(fault).to_string());
            let _ = writeln!(io::stderr().lock(), "{text}");
            return;
        }
        self.talk(&format!("vaultctl: error: {}", fault.message));
        if let Some(refusal) =
            fault.refusal.as_ref().filter(|refusal| !refusal.operation.is_empty())
        {
            let class = match refusal.class.as_str() {
                "" => String::new(),
                class => format!(" (class {class})"),
            };
            self.talk(&format!("operation: {}{class}", refusal.operation));
        }
        if !fault.hint.is_empty() {
            self.talk(&format!("hint: {}", fault.hint));
        }
    }
}

/// Text of somebody else's that comes in pieces; `None`: as it is.
#[derive(Debug)]
pub struct Foreign(pub Option<Pieces>);

impl Foreign {
    /// Writes the next piece.
    pub fn write(&mut self, output: Output, piece: &[u8]) -> Result<(), Fault> {
        match &mut self.0 {
            None => output.bytes(piece),
            Some(pieces) => output.bytes(pieces.next(piece).as_bytes()),
        }
    }

    /// Writes what is left.
    pub fn end(self, output: Output) -> Result<(), Fault> {
        self.0.map_or(Ok(()), |pieces| output.bytes(pieces.end().as_bytes()))
    }
}

/// What stands before a line that tells how something is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mark {
    Bad,
    Good,
    Plain,
    Warning,
}

impl Mark {
    fn text(self, is_coloured: bool) -> String {
        let (sign, colour) = match self {
            Self::Bad => ("✗", "31"),
            Self::Good => ("✓", "32"),
            Self::Plain => ("·", "2"),
            Self::Warning => ("!", "33"),
        };
        if is_coloured { format!("\u{1b}[{colour}m{sign}\u{1b}[0m") } else { sign.to_owned() }
    }
}

fn json_fault(fault: &Fault) -> Value {
    let mut error = json!({
        "exit_code": fault.exit as u8,
        "kind": kind(fault.exit),
        "message": fault.message,
        "hint": fault.hint,
    });
    if let Some(refusal) = &fault.refusal {
        error["reason"] = json!(refusal.reason);
        error["operation"] = json!(refusal.operation);
        error["class"] = json!(refusal.class);
        error["remedies"] = json!(refusal.remedies);
        error["entry_index"] = json!(refusal.entry_index);
        let millis = refusal.retry_after.map(|delay| delay.as_millis() as u64);
        error["retry_after_ms"] = json!(millis);
    }
    json!({ "error": error })
}

fn kind(exit: Exit) -> &'static str {
    match exit {
        Exit::Ok => "ok",
        Exit::Other => "other",
        Exit::Usage => "usage",
        Exit::Denied => "denied",
        Exit::NotFound => "not_found",
        Exit::Sealed => "sealed",
        Exit::Unreachable => "unreachable",
        Exit::Unauthenticated => "unauthenticated",
        Exit::NotVerified => "not_verified",
    }
}

/// Columns, as wide as their widest cell.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let cell = |row: &Vec<String>, column: usize| {
        let text = row.get(column).map_or("", String::as_str);
        // A cell never breaks its line.
        if text.is_empty() { "-".to_owned() } else { text.replace(['\n', '\t'], " ") }
    };
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            let cells = rows.iter().map(|row| cell(row, column).chars().count());
            cells.chain([head[column].len()]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: Vec<String>| {
        let padded: Vec<String> =
            cells.iter().zip(&widths).map(|(text, &width)| format!("{text:width$}")).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let mut text = line(head.iter().map(|name| (*name).to_owned()).collect());
    for row in rows {
        text += &line((0..head.len()).map(|column| cell(row, column)).collect());
    }
    text
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
    use super::{pairs, table};

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "long one".to_owned()], vec!["bcd".to_owned()]];

        assert_eq!(table(&["X", "Y"], &rows), "X    Y\na    long one\nbcd  -\n");
        assert_eq!(
            pairs(&[("a", "1".to_owned()), ("bb", String::new()), ("ccc", "2".to_owned())]),
            "a    1\nccc  2\n"
        );
    }
}
