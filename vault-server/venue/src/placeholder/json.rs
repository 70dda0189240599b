//! Members of a JSON object, cut out of its text so that every other byte stays.

use std::ops::Range;

/// A JSON object without the members of these names; absent where it has none of them, has one
/// twice, or is no plain object. Members inside members stay.
pub(super) fn without(body: &[u8], names: &[&str]) -> Option<Vec<u8>> {
    if names.is_empty() {
        return None;
    }
    let members = members(body)?;
    let goes =
        |member: &Member| names.iter().any(|name| name.as_bytes() == &body[member.name.clone()]);
    let going: Vec<usize> =
        members.iter().enumerate().filter(|(_, member)| goes(member)).map(|(at, _)| at).collect();
    let is_twice = going.iter().enumerate().any(|(at, one)| {
        going[..at]
            .iter()
            .any(|other| body[members[*one].name.clone()] == body[members[*other].name.clone()])
    });
    if going.is_empty() || is_twice {
        return None;
    }
    let (first, last) = (members.first()?, members.last()?);
    let mut kept = members.iter().enumerate().filter(|(at, _)| !going.contains(at)).peekable();
    let mut out = body[..first.whole.start].to_vec();
    while let Some((at, member)) = kept.next() {
        out.extend_from_slice(&body[member.whole.clone()]);
        if kept.peek().is_some() {
            // What stood between this member and the one after it, comma and spaces.
            let next = members.get(at + 1)?;
            out.extend_from_slice(&body[member.whole.end..next.whole.start]);
        }
    }
    out.extend_from_slice(&body[last.whole.end..]);
    Some(out)
}

struct Member {
    /// From the first quote of its name to the last byte of its value.
    whole: Range<usize>,
    /// The name as written, between its quotes.
    name: Range<usize>,
}

/// The members of the outermost object.
fn members(body: &[u8]) -> Option<Vec<Member>> {
    let mut at = space(body, 0);
    if body.get(at) != Some(&b'{') {
        return None;
    }
    let mut members = Vec::new();
    loop {
        let start = space(body, at + 1);
        let name_end = string(body, start)?;
        let colon = space(body, name_end);
        if body.get(colon) != Some(&b':') {
            return None;
        }
        let end = value(body, space(body, colon + 1))?;
        members.push(Member { whole: start..end, name: start + 1..name_end - 1 });
        at = space(body, end);
        match body.get(at)? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    (space(body, at + 1) == body.len()).then_some(members)
}

/// Past the spaces at a place.
fn space(body: &[u8], at: usize) -> usize {
    let is_space = |b: &&u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r');
    at + body.get(at..).unwrap_or_default().iter().take_while(is_space).count()
}

/// Past the string at a place.
fn string(body: &[u8], at: usize) -> Option<usize> {
    if body.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        match body.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Past the value at a place, whatever it is.
fn value(body: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    let mut depth = 0_usize;
    loop {
        match body.get(at)? {
            b'"' => {
                at = string(body, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' if depth == 0 => break,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    // Spaces after a value are none of it.
    let text = body.get(start..at)?.trim_ascii_end();
    (!text.is_empty()).then_some(start + text.len())
}

#[cfg(test)]
mod tests {
    use super::without;

    fn cut(text: &str) -> Option<String> {
        without(text.as_bytes(), &["nonce"]).map(|bytes| String::from_utf8(bytes).expect("text"))
    }

    #[test]
    fn a_member_goes_with_one_comma_and_all_else_stays() {
        for (text, left) in [
            (r#"{"nonce":"1"}"#, "{}"),
            (r#"{"nonce":"1","a":2}"#, r#"{"a":2}"#),
            (r#"{"a": 2, "nonce": 1}"#, r#"{"a": 2}"#),
            (
                r#" { "a" : [1, {"b":"}"}] , "nonce" : 1 , "c" : "x,\"y" } "#,
                r#" { "a" : [1, {"b":"}"}] , "c" : "x,\"y" } "#,
            ),
            (r#"{"orders":[{"nonce":"5"}],"nonce":"1"}"#, r#"{"orders":[{"nonce":"5"}]}"#),
        ] {
            assert_eq!(cut(text).as_deref(), Some(left), "{text}");
        }
    }

    #[test]
    fn what_is_not_plain_stays() {
        for text in [
            "",
            "{}",
            "[]",
            r#"{"a":{"nonce":1}}"#,
            r#"{"n\u006fnce":1}"#,
            r#"{"nonce":1,"nonce":2}"#,
            r#"{"nonce":1"#,
            r#"{"nonce":1} x"#,
            r#"{"nonce" 1}"#,
            r#"{"nonce":}"#,
            r#"{"nonce":1,}"#,
            r#"{"nonce":"1\"#,
        ] {
            assert_eq!(cut(text), None, "{text}");
        }
    }
}
