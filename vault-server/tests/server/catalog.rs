//! `vault-server catalog check`: an operator's own additions.

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use crate::bed::{json, stderr, vault_server};

/// A folder with additions.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn put(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.0.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn part(venue: &str, rest: &str) -> String {
    format!("format = 1\nvenue = \"{venue}\"\n[sources]\nown = \"a page, read on a day\"\n{rest}")
}

const READ: &str = "[[operation]]\nmethod = \"GET\"\npath = \"/api/v5/own/a\"\nclass = \"read\"\n\
                    source = \"own\"\n";
/// Without a shape.
const WRITE: &str = "[[operation]]\nmethod = \"POST\"\npath = \"/api/v5/own/b\"\nclass = \"trade\"\n\
                     source = \"own\"\nbody = \"json\"\n";

/// The page's complete example.
fn example() -> String {
    let page = include_str!("../../../docs/reference/catalog.md");
    let (_, rest) = page.split_once("```toml\n").expect("an example");
    let (example, rest) = rest.split_once("```").expect("its end");
    assert!(!rest.contains("```toml"), "which of them is it?");
    example.to_owned()
}

#[test]
fn the_example_of_the_page_is_accepted() {
    let folder = Folder::new();
    let file = folder.put("own.toml", &example());

    let output = vault_server(&["catalog", "check", &file], "");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.starts_with(&format!("{file}: adds 2 operations to okx")), "{text}");
    for line in ["  POST /api/v5/example/order  trade\n", "  GET /api/v5/example/orders  read\n"] {
        assert!(text.contains(line), "{text}");
    }
    assert!(!text.contains("warning"), "{text}");

    let report = json(&vault_server(&["catalog", "check", &file, "--json"], ""));
    assert_eq!(report["ok"], true);
    assert_eq!(report["errors"], Value::Array(Vec::new()));
    let operation = &report["files"][0]["operations"][0];
    assert_eq!(operation["operation"], "POST /api/v5/example/order");
    assert_eq!(operation["grantable"], true);
}

#[test]
fn an_error_has_its_place() {
    let folder = Folder::new();
    for (text, at) in [
        // No such class.
        (part("okx", &READ.replace("read", "peek")), ":8:"),
        // An unknown key.
        (part("okx", &format!("{READ}colour = \"red\"\n")), ":10:"),
        // One that is there already.
        (part("okx", &READ.replace("own/a", "account/balance")), ":5:1: "),
        // A source that nobody cites.
        (part("okx", &READ.replace("source = \"own\"", "source = \"other\"")), ":5:1: "),
        // Not TOML.
        ("format = 1\nvenue = okx\n".to_owned(), ":2:"),
    ] {
        let file = folder.put("own.toml", &text);
        let output = vault_server(&["catalog", "check", &file], "");
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(stdout(&output).starts_with(&format!("{file}{at}")), "{at} {}", stdout(&output));
        assert!(stderr(&output).starts_with("vault-server: error: "), "{}", stderr(&output));

        let output = vault_server(&["catalog", "check", &file, "--json"], "");
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(report["ok"], false);
        assert_eq!(report["errors"][0]["file"], file);
        let line = report["errors"][0]["line"].as_u64().expect("a line");
        assert!(at.starts_with(&format!(":{line}:")), "{at} {line}");
    }
}

#[test]
fn a_venue_that_the_build_does_not_know_is_an_error() {
    let folder = Folder::new();
    let file = folder.put("own.toml", &part("mtgox", READ));
    let output = vault_server(&["catalog", "check", &file], "");

    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("no venue mtgox"), "{}", stdout(&output));
}

#[test]
fn every_file_tells_its_first_error() {
    let folder = Folder::new();
    let good = folder.put("good.toml", &part("okx", READ));
    let one = folder.put("one.toml", &part("okx", &READ.replace("read", "peek")));
    let two = folder.put("two.toml", &part("kraken", &READ.replace("read", "peek")));
    let output = vault_server(&["catalog", "check", &one, &good, &two], "");

    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    for line in [format!("{one}:8:"), format!("{two}:8:"), format!("{good}: adds 1 operation")] {
        assert!(text.contains(&line), "{line}: {text}");
    }
    assert!(stderr(&output).contains("2 files cannot be used"), "{}", stderr(&output));
}

#[test]
fn files_are_checked_together() {
    let folder = Folder::new();
    let one = folder.put("one.toml", &part("okx", READ));
    let two = folder.put("two.toml", &part("okx", READ));
    let output = vault_server(&["catalog", "check", &one, &two], "");

    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    assert!(text.starts_with(&format!("{two}:5:1: GET /api/v5/own/a: stated twice")), "{text}");
}

#[test]
fn what_an_operator_should_know_is_a_warning() {
    let folder = Folder::new();
    let unverified = part("okx", WRITE).replace("a page, read on a day", "unverified");
    let file = folder.put("own.toml", &unverified);
    let output = vault_server(&["catalog", "check", &file], "");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("POST /api/v5/own/b  trade  no scope can grant it"), "{text}");
    for words in ["its source says nothing", "without a schema no scope can grant it"] {
        assert!(
            text.contains(&format!("{file}:5: warning: POST /api/v5/own/b: {words}")),
            "{text}"
        );
    }
    // OKX signs the path: what is signed for another operation is never this one.
    assert!(!text.contains("closures"), "{text}");

    let file = folder.put("own.toml", &part("bybit", &WRITE.replace("own/b", "own/c")));
    let report = json(&vault_server(&["catalog", "check", &file, "--json"], ""));
    let operation = &report["files"][0]["operations"][0];
    assert_eq!(operation["grantable"], false);
    let warnings = operation["warnings"].to_string();
    assert!(warnings.contains("closures") && !warnings.contains("says nothing"), "{warnings}");
}

#[test]
fn a_file_that_is_not_there_is_said() {
    let output = vault_server(&["catalog", "check", "/nowhere/own.toml"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/nowhere/own.toml"), "{}", stderr(&output));
    assert_eq!(vault_server(&["catalog", "check"], "").status.code(), Some(2));
}
