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

/// Whether a character shows nothing itself, but changes what others look like, or their order: all of
/// Unicode's `Default_Ignorable_Code_Point`, the separators of lines and paragraphs, the marks of
/// annotations, and the braille blank. Emoji lose their form by it, and words of scripts that join letters
/// by such a character are marked: what is shown must be what is compared.
///
/// Source: `\p{Default_Ignorable_Code_Point}` of Perl 5.36 (Unicode 14), walked on 2026-11-23.
fn is_unseen(c: char) -> bool {
    UNSEEN.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

const UNSEEN: [(char, char); 18] = [
    ('\u{ad}', '\u{ad}'),       // soft hyphen
    ('\u{34f}', '\u{34f}'),     // combining grapheme joiner
    ('\u{61c}', '\u{61c}'),     // Arabic letter mark
    ('\u{115f}', '\u{1160}'),   // Hangul fillers
    ('\u{17b4}', '\u{17b5}'),   // Khmer inherent vowels
    ('\u{180b}', '\u{180f}'),   // Mongolian variation selectors and vowel separator
    ('\u{200b}', '\u{200f}'),   // no width, joiners, marks of direction
    ('\u{2028}', '\u{202e}'),   // separators, embeddings and overrides
    ('\u{2060}', '\u{206f}'),   // word joiner, invisible operators, isolates
    ('\u{3164}', '\u{3164}'),   // Hangul filler
    ('\u{fe00}', '\u{fe0f}'),   // variation selectors
    ('\u{feff}', '\u{feff}'),   // byte order mark
    ('\u{ffa0}', '\u{ffa0}'),   // half-width Hangul filler
    ('\u{fff0}', '\u{fffb}'),   // unassigned, and marks of annotations
    ('\u{1bca0}', '\u{1bca3}'), // shorthand format controls
    ('\u{1d173}', '\u{1d17a}'), // musical beams and slurs
    ('\u{2800}', '\u{2800}'),   // braille blank
    ('\u{e0000}', '\u{e0fff}'), // tags and more variation selectors
];

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
    use super::{UNSEEN, confined, printable, printable_json};
    use crate::v1::ProcessHardening;

    #[test]
    fn what_nobody_sees_is_marked_and_what_everybody_sees_is_not() {
        let unseen = [
            '\0',
            '\u{1b}',
            '\u{7f}',
            '\u{9b}',
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{1160}',
            '\u{17b4}',
            '\u{180b}',
            '\u{180e}',
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{2028}',
            '\u{2029}',
            '\u{202a}',
            '\u{202b}',
            '\u{202c}',
            '\u{202d}',
            '\u{202e}',
            '\u{2060}',
            '\u{2064}',
            '\u{2065}',
            '\u{2066}',
            '\u{2069}',
            '\u{206f}',
            '\u{2800}',
            '\u{3164}',
            '\u{fe00}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff9}',
            '\u{fffb}',
            '\u{1bca0}',
            '\u{1d173}',
            '\u{e0001}',
            '\u{e0020}',
            '\u{e007f}',
            '\u{e0100}',
            '\u{e01ef}',
        ];
        for c in unseen {
            assert_eq!(printable(&format!("a{c}b")), "a\u{fffd}b", "{:x}", u32::from(c));
            // The same to a machine.
            let units = c
                .encode_utf16(&mut [0; 2])
                .iter()
                .map(|unit| format!("\\u{unit:04x}"))
                .collect::<String>();
            assert_eq!(printable_json(&format!("[\"a{c}b\"]")), format!("[\"a{units}b\"]"));
        }
        // The neighbours of each range are seen, and so is what people write.
        for (first, last) in UNSEEN {
            for beside in [u32::from(first) - 1, u32::from(last) + 1] {
                let beside = char::from_u32(beside).expect("a character");
                assert_eq!(printable(&beside.to_string()), beside.to_string(), "{beside:?}");
            }
        }
        let text = "line\n\ttab äöü éè 株式 \u{5d0}\u{5d1} مرحبا e\u{301} \u{1f600} \u{fffd}";
        assert_eq!(printable(text), text);
        assert_eq!(printable_json(text), text);
    }

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
