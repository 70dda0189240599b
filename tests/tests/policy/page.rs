//! `docs/scopes.md`: every scope on it is read and asked as it is written there.

use vault_policy::ScopeDocument;

use crate::desk::{self, Answer, Desk};

const PAGE: &str = include_str!("../../../docs/scopes.md");

/// Fenced blocks of the page, each with its language.
fn blocks() -> Vec<(&'static str, String)> {
    let mut blocks: Vec<(&str, String)> = Vec::new();
    let mut inside = false;
    for line in PAGE.lines() {
        match line.strip_prefix("```") {
            Some("") if inside => inside = false,
            Some(language) => {
                assert!(!inside, "a block in a block: {line}");
                blocks.push((language, String::new()));
                inside = true;
            }
            None if inside => {
                let (_, text) = blocks.last_mut().expect("one is open");
                text.push_str(line);
                text.push('\n');
            }
            None => {}
        }
    }
    assert!(!inside, "the last block does not end");
    blocks
}

/// The page's lines that do not hold.
fn untrue(scope: &str, requests: &str) -> Vec<String> {
    let mut desk = Desk::new(scope);
    let mut wrong = Vec::new();
    for line in requests.lines().filter(|line| !line.trim().is_empty()) {
        if desk.set(line) {
            continue;
        }
        let (verdict, rest) = line.split_once(' ').expect("a verdict and a request");
        let (expected, request) = match verdict {
            "allow" => ("allow", rest.trim_start()),
            "deny" => {
                let rest = rest.trim_start();
                let (code, request) = rest.split_once(' ').expect("a code and a request");
                (code, request.trim_start())
            }
            _ => panic!("neither allow nor deny: {line}"),
        };
        let actual = match desk.ask(request) {
            Answer::Allow(_) => "allow",
            Answer::Deny(code) => code,
        };
        if actual != expected {
            wrong.push(format!("{actual}, not {expected}: {request}"));
        }
    }
    wrong
}

#[test]
fn every_scope_does_what_the_page_says() {
    let blocks = blocks();
    let mut wrong = Vec::new();
    let mut names = Vec::new();
    for pair in blocks.windows(2) {
        let [(first, scope), (second, requests)] = pair else { continue };
        if *first != "toml" {
            continue;
        }
        assert_eq!(*second, "requests", "a scope without requests below it:\n{scope}");
        let document =
            ScopeDocument::from_toml(scope).unwrap_or_else(|error| panic!("{error:?} in\n{scope}"));
        let verdicts = |word: &str| requests.lines().filter(|line| line.starts_with(word)).count();
        assert!(verdicts("allow") >= 1 && verdicts("deny") >= 2, "too few: {}", document.name);
        wrong.extend(
            untrue(scope, requests).into_iter().map(|it| format!("{}: {it}", document.name)),
        );
        names.push(document.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let kinds = |kind: &str| blocks.iter().filter(|(language, _)| *language == kind).count();
    assert!(names.len() >= 10, "{names:?}");
    assert_eq!((kinds("toml"), kinds("requests")), (names.len(), names.len()));
    names.dedup();
    assert_eq!(names.len(), kinds("toml"), "two of one name");
}

#[test]
fn the_page_states_its_market() {
    let blocks = blocks();
    let stated: Vec<_> = blocks.iter().filter(|(language, _)| *language == "market").collect();
    let [(_, stated)] = stated[..] else { panic!("one block of the market") };
    let words = |text: &str| {
        text.lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
    };
    assert_eq!(words(stated), words(desk::MARKET));
}
