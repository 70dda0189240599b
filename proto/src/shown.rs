//! How command lines show to people what came over the wire.

use crate::v1::ProcessHardening;

/// Text that may come from outside must not steer a terminal, nor look like another text: what is not
/// shown, but changes what is (control characters, marks of direction, characters of no width), becomes
/// U+FFFD. Line ends and tabs stay.
///
/// ```
/// use vault_proto::shown::printable;
///
/// assert_eq!(printable("a\u{1b}[2Jb\u{9b}\n"), "a\u{fffd}[2Jb\u{fffd}\n");
/// // Shown as `cold` otherwise.
/// assert_eq!(printable("\u{202e}dloc\u{202c}"), "\u{fffd}dloc\u{fffd}");
/// assert_eq!(printable("co\u{200b}ld"), "co\u{fffd}ld");
/// ```
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if is_shown(c) { c } else { '\u{fffd}' }).collect()
}

/// JSON with the same characters as escapes: it is the same JSON to a machine.
///
/// ```
/// use vault_proto::shown::printable_json;
///
/// assert_eq!(printable_json("[\"a\u{202e}b\u{e0041}\"]\n"), "[\"a\\u202eb\\udb40\\udc41\"]\n");
/// ```
pub fn printable_json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if is_shown(c) {
            text.push(c);
        } else {
            // Outside of strings JSON has none of them.
            text.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    text
}

fn is_shown(c: char) -> bool {
    matches!(c, '\n' | '\t') || !(c.is_control() || is_unseen(c))
}

/// Whether a character shows nothing itself, but changes what others look like, or their order.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// As [`printable`], for bytes that come in pieces: what is no UTF-8 becomes U+FFFD too.
///
/// ```
/// use vault_proto::shown::Pieces;
///
/// let mut pieces = Pieces::default();
/// // A character in two pieces, and half a one at the end.
/// let text = [pieces.next(b"\xc3"), pieces.next(b"\xa4\x1b\xff."), pieces.next(b"\xe2\x82")].concat();
/// assert_eq!(text + &pieces.end(), "ä\u{fffd}\u{fffd}.\u{fffd}");
/// ```
#[derive(Debug, Default)]
pub struct Pieces(Vec<u8>);

impl Pieces {
    /// What can be shown so far.
    pub fn next(&mut self, piece: &[u8]) -> String {
        self.0.extend_from_slice(piece);
        let bytes = std::mem::take(&mut self.0);
        let mut text = String::new();
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text += &printable(chunk.valid());
            let invalid = chunk.invalid();
            if chunks.peek().is_none() && is_begun(invalid) {
                self.0 = invalid.to_vec();
            } else if !invalid.is_empty() {
                text.push('\u{fffd}');
            }
        }
        text
    }

    /// What is left when nothing more comes.
    pub fn end(self) -> String {
        printable(&String::from_utf8_lossy(&self.0))
    }
}

/// Whether more bytes could make a character of it.
fn is_begun(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// How a process is confined, in words.
pub fn confined(process: &ProcessHardening) -> String {
    let landlock = format!("Landlock {}", process.landlock_abi);
    // The supervisor starts programs and opens files: Landlock is not for it.
    let has_landlock = process.landlock_abi > 0;
    let parts = [
        (process.dumps_off, "dumps off"),
        (process.no_new_privileges, "no new privileges"),
        (process.no_capabilities, "no capabilities"),
        (process.seccomp, "seccomp"),
        (has_landlock, if has_landlock { landlock.as_str() } else { "Landlock" }),
    ];
    let join = |is_on| {
        let fits = |part: &&(bool, &str)| {
            part.0 == is_on && (is_on || process.process != "supervisor" || part.1 != "Landlock")
        };
        parts.iter().filter(fits).map(|part| part.1).collect::<Vec<_>>().join(", ")
    };
    let mut text = join(true);
    let missing = join(false);
    if !missing.is_empty() {
        text += &format!("; MISSING: {missing}");
    }
    if !process.secret_memory.is_empty() {
        let swap = if process.memory_locked { "" } else { ", the rest can be swapped" };
        text += &format!("; secrets in {} memory{swap}", process.secret_memory);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::confined;
    use crate::v1::ProcessHardening;

    #[test]
    fn what_is_missing_is_said_but_not_of_the_supervisor() {
        let mut process = ProcessHardening {
            process: "core".to_owned(),
            dumps_off: true,
            no_new_privileges: true,
            no_capabilities: true,
            secret_memory: "locked".to_owned(),
            ..Default::default()
        };
        assert_eq!(
            confined(&process),
            "dumps off, no new privileges, no capabilities; MISSING: seccomp, Landlock; secrets in locked \
             memory, the rest can be swapped"
        );
        process.seccomp = true;
        process.landlock_abi = 7;
        process.memory_locked = true;
        process.secret_memory.clear();
        let all = "dumps off, no new privileges, no capabilities, seccomp";
        assert_eq!(confined(&process), format!("{all}, Landlock 7"));
        process.process = "supervisor".to_owned();
        process.landlock_abi = 0;
        assert_eq!(confined(&process), all);
    }
}
