//! A strict JSON reader for request bodies.
//!
//! A venue's reader may take the first or the last of two equal keys, forgive trailing data or
//! round a number; whoever judges another reading than the venue's has judged nothing. So this
//! reader refuses every text on which two readers could differ: equal keys, escapes in keys,
//! control characters, lone surrogates, invalid UTF-8, trailing data, more than [`DEPTH_MAX`] levels
//! or [`MEMBERS_MAX`] members. Numbers keep their exact text.

use std::borrow::Cow;
use std::collections::HashSet;

/// One JSON value. Numbers are kept as written. What needs no unescaping is borrowed from the text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Value<'t> {
    /// `[...]`
    Array(Vec<Value<'t>>),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// A number's exact text.
    Number(Cow<'t, str>),
    /// `{...}`, in the order of the text.
    Object(Vec<Field<'t>>),
    /// A string, unescaped.
    Text(Cow<'t, str>),
}

/// A named value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Field<'t> {
    /// Its name.
    pub name: &'t str,
    /// The number of the name, if it has one.
    pub number: Option<usize>,
    /// The value.
    pub value: Value<'t>,
}

/// Numbers for names, so that a name is looked up once.
pub type Numbers<'n> = &'n dyn Fn(&str) -> Option<usize>;

/// The text is not JSON of the strict kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotStrict;

/// The deepest nesting taken: the outermost object or array is the first level.
pub const DEPTH_MAX: usize = 8;
/// The most members of one object, as of the pairs of a form: each is asked of every operation that could
/// take it.
pub const MEMBERS_MAX: usize = 256;

/// Up to so many members of an object are compared with each other; of more, a set is made.
const COMPARED_MAX: usize = 16;

impl<'t> Value<'t> {
    /// The member of an object by its name.
    pub fn member(&self, name: &str) -> Option<&Value<'t>> {
        match self {
            Self::Object(members) => {
                members.iter().find(|field| field.name == name).map(|field| &field.value)
            }
            _ => None,
        }
    }
}

/// Reads one JSON text, whitespace around it allowed. Names get their `numbers`.
///
/// # Errors
///
/// [`NotStrict`] for anything else than one value of the strict kind.
pub fn parse<'t>(bytes: &'t [u8], numbers: Numbers<'_>) -> Result<Value<'t>, NotStrict> {
    let text = std::str::from_utf8(bytes).map_err(|_| NotStrict)?;
    let mut reader = Reader { text, at: 0, numbers };
    let value = reader.value(0)?;
    reader.skip_space();
    if reader.at == text.len() { Ok(value) } else { Err(NotStrict) }
}

struct Reader<'t, 'n> {
    text: &'t str,
    /// Always on a character boundary.
    at: usize,
    numbers: Numbers<'n>,
}

impl<'t> Reader<'t, '_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, token: &str) -> Result<(), NotStrict> {
        if self.text[self.at..].starts_with(token) {
            self.at += token.len();
            Ok(())
        } else {
            Err(NotStrict)
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value<'t>, NotStrict> {
        self.skip_space();
        match self.peek().ok_or(NotStrict)? {
            b'{' => self.object(depth + 1),
            b'[' => self.array(depth + 1),
            b'"' => self.string().map(Value::Text),
            b't' => self.expect("true").map(|()| Value::Bool(true)),
            b'f' => self.expect("false").map(|()| Value::Bool(false)),
            b'n' => self.expect("null").map(|()| Value::Null),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value<'t>, NotStrict> {
        if depth > DEPTH_MAX {
            return Err(NotStrict);
        }
        self.expect("{")?;
        let mut members: Vec<Field<'t>> = Vec::new();
        let mut names = HashSet::new();
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(members));
        }
        loop {
            self.skip_space();
            let name = self.name()?;
            let is_new = if members.len() < COMPARED_MAX {
                !members.iter().any(|known| known.name == name)
            } else {
                // What is compared one by one takes a caller's time squared.
                names.extend(members.iter().skip(names.len()).map(|known| known.name));
                !names.contains(name)
            };
            if !is_new || members.len() == MEMBERS_MAX {
                return Err(NotStrict);
            }
            self.skip_space();
            self.expect(":")?;
            let value = self.value(depth)?;
            members.push(Field { name, number: (self.numbers)(name), value });
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Object(members));
                }
                _ => return Err(NotStrict),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value<'t>, NotStrict> {
        if depth > DEPTH_MAX {
            return Err(NotStrict);
        }
        self.expect("[")?;
        let mut items = Vec::new();
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::Array(items));
                }
                _ => return Err(NotStrict),
            }
        }
    }

    /// A key, in which no escape is taken.
    fn name(&mut self) -> Result<&'t str, NotStrict> {
        self.expect("\"")?;
        let name = self.run()?;
        self.expect("\"")?;
        Ok(name)
    }

    fn string(&mut self) -> Result<Cow<'t, str>, NotStrict> {
        self.expect("\"")?;
        let mut text = Cow::Borrowed(self.run()?);
        while self.peek() == Some(b'\\') {
            self.at += 1;
            let unescaped = self.escape()?;
            let text = text.to_mut();
            text.push(unescaped);
            text.push_str(self.run()?);
        }
        self.expect("\"")?;
        Ok(text)
    }

    /// What stands before the next quotation mark or backslash.
    fn run(&mut self) -> Result<&'t str, NotStrict> {
        let rest = &self.text[self.at..];
        let end = rest.bytes().position(|b| matches!(b, b'"' | b'\\')).ok_or(NotStrict)?;
        self.at += end;
        // Raw control characters are no JSON, U+007F and the C1 set are for us alike.
        let run = &rest[..end];
        if has_control(run) { Err(NotStrict) } else { Ok(run) }
    }

    fn escape(&mut self) -> Result<char, NotStrict> {
        let kind = self.peek().ok_or(NotStrict)?;
        self.at += 1;
        let unescaped = match kind {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'u' => {
                let high = self.hex4()?;
                match high {
                    0xd800..=0xdbff => {
                        self.expect("\\u")?;
                        let low = self.hex4()?;
                        if !(0xdc00..=0xdfff).contains(&low) {
                            return Err(NotStrict);
                        }
                        let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                        char::from_u32(code).ok_or(NotStrict)?
                    }
                    code => char::from_u32(code).ok_or(NotStrict)?,
                }
            }
            // \b \f \n \r \t make control characters, which are refused.
            _ => return Err(NotStrict),
        };
        if unescaped.is_control() { Err(NotStrict) } else { Ok(unescaped) }
    }

    fn hex4(&mut self) -> Result<u32, NotStrict> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).ok_or(NotStrict)?;
        let mut code = 0;
        for digit in digits {
            code = code * 16 + char::from(*digit).to_digit(16).ok_or(NotStrict)?;
        }
        self.at += 4;
        Ok(code)
    }

    fn digits(&mut self) -> usize {
        let from = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - from
    }

    fn number(&mut self) -> Result<Value<'t>, NotStrict> {
        let from = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let leading_zero = self.peek() == Some(b'0');
        let whole = self.digits();
        if whole == 0 || (leading_zero && whole > 1) {
            return Err(NotStrict);
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err(NotStrict);
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err(NotStrict);
            }
        }
        Ok(Value::Number(Cow::Borrowed(&self.text[from..self.at])))
    }
}

/// Whether a text has a control character.
pub fn has_control(text: &str) -> bool {
    if text.is_ascii() {
        text.bytes().any(|b| b.is_ascii_control())
    } else {
        text.chars().any(char::is_control)
    }
}

#[cfg(test)]
mod tests {
    use super::{Field, MEMBERS_MAX, NotStrict, Value};

    fn parse(bytes: &[u8]) -> Result<Value<'_>, NotStrict> {
        super::parse(bytes, &|name| name.len().checked_sub(2))
    }

    #[test]
    fn keeps_numbers_as_written() {
        let value = parse(b" { \"a\" : [1.50, -0, 1e9, true, null, \"\\u00e9\\ud83d\\ude00\"] } ");

        let items = vec![
            Value::Number("1.50".into()),
            Value::Number("-0".into()),
            Value::Number("1e9".into()),
            Value::Bool(true),
            Value::Null,
            Value::Text("é😀".into()),
        ];
        assert_eq!(
            value,
            Ok(Value::Object(vec![Field { name: "a", number: None, value: Value::Array(items) }]))
        );
    }

    #[test]
    fn refuses_what_two_readers_could_read_differently() {
        let texts: &[&[u8]] = &[
            b"",
            b" ",
            b"{\"a\":1,\"a\":2}",
            b"{\"a\":{\"b\":1,\"b\":2}}",
            b"{\"\\u0061\":1}",
            b"{\"a\":1}{}",
            b"{\"a\":1} x",
            b"{\"a\":1,}",
            b"[1,]",
            b"{a:1}",
            b"{'a':1}",
            b"{\"a\":01}",
            b"{\"a\":+1}",
            b"{\"a\":.5}",
            b"{\"a\":1.}",
            b"{\"a\":1e}",
            b"{\"a\":NaN}",
            b"{\"a\":Infinity}",
            b"{\"a\":\"\\ud800\"}",
            b"{\"a\":\"\\udc00\"}",
            b"{\"a\":\"\\ud800\\u0041\"}",
            b"{\"a\":\"\\n\"}",
            b"{\"a\":\"\\u0000\"}",
            b"{\"a\":\"\n\"}",
            b"{\"a\":\"\xff\"}",
            b"{\"a\":\"\\u00zz\"}",
            b"{\"a\":\"\\u00",
            b"{\"a\":\"",
            b"// x\n{}",
            b"\xef\xbb\xbf{}",
            b"tru",
        ];
        for text in texts {
            assert_eq!(parse(text), Err(NotStrict), "{:?}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn names_have_their_numbers_however_deep() {
        let inner = |value| Value::Object(vec![Field { name: "abcd", number: Some(2), value }]);
        assert_eq!(
            parse(br#"{"abc":[{"abcd":null}]}"#),
            Ok(Value::Object(vec![Field {
                name: "abc",
                number: Some(1),
                value: Value::Array(vec![inner(Value::Null)])
            }]))
        );
    }

    #[test]
    fn refuses_a_key_twice_among_many() {
        for count in [1, 15, 16, 17, 40] {
            let member = |number: usize| format!("\"k{number}\":0");
            let text = |last: usize| {
                let members: Vec<_> = (0..count).chain([last]).map(member).collect();
                format!("{{{}}}", members.join(","))
            };
            assert!(parse(text(count).as_bytes()).is_ok(), "{count}");
            for known in [0, count / 2, count - 1] {
                assert_eq!(parse(text(known).as_bytes()), Err(NotStrict), "{count} {known}");
            }
        }
    }

    #[test]
    fn an_object_has_256_members_and_no_more() {
        let text = |count: usize| {
            let members: Vec<_> = (0..count).map(|number| format!("\"k{number}\":0")).collect();
            format!("[{{{}}}]", members.join(","))
        };
        assert!(parse(text(MEMBERS_MAX).as_bytes()).is_ok());
        assert_eq!(parse(text(MEMBERS_MAX + 1).as_bytes()), Err(NotStrict));
        // Of each object.
        let two = format!("[{0},{0}]", text(MEMBERS_MAX));
        assert!(parse(two.as_bytes()).is_ok());
    }

    #[test]
    fn nests_eight_deep_and_no_deeper() {
        assert!(parse(b"[[[[[[[[1]]]]]]]]").is_ok());
        assert_eq!(parse(b"[[[[[[[[[1]]]]]]]]]"), Err(NotStrict));
        assert_eq!(parse("[".repeat(100_000).as_bytes()), Err(NotStrict));
    }
}
