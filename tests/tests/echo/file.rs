//! Files and command lines of whoever runs the vault: what a configuration says may be a secret in the
//! wrong place, so no value of it is repeated, nor is a word too many of a command line, nor an invite
//! token. The values of options and the names of keys are: whoever typed them reads the answer.

use std::fs;
use std::process::Stdio;

use vault_tests::TestVault;

use crate::{MARK, SHAPES, found};

/// Places in `config.toml`, each with a value that is none.
const KEYS: &[(&str, &str)] = &[
    ("audit", "segment_bytes"),
    ("catalog", "additions"),
    ("clock", "offset_s"),
    ("credential_check", "every_h"),
    ("egress", "override"),
    ("egress", "timeout_ms"),
    ("listen", "bot"),
    ("listen", "operator"),
    ("listen", "enroll"),
    ("log", "level"),
    ("log", "format"),
    ("public", "names"),
    ("unseal", "key_file"),
];

#[tokio::test(flavor = "multi_thread")]
async fn no_value_of_the_configuration_is_repeated() {
    let mut vault = TestVault::builder().sealed().start().await;
    vault.stop().await;
    let file = vault.data().join("config.toml");
    let good = fs::read_to_string(&file).expect("there");
    let data = vault.data();
    let run = |content: &str| {
        fs::write(&file, content).expect("written");
        let mut command = std::process::Command::new(vault_tests::vault_server());
        command.args(["run", "--data"]).arg(&data);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = command.output().expect("it runs");
        assert!(!output.status.success(), "it must not start with this:\n{content}");
        [output.stdout, output.stderr].concat()
    };
    for shape in SHAPES.iter().filter(|shape| shape.what.len() < 100) {
        let value = toml::Value::from(shape.what).to_string();
        for (section, key) in KEYS {
            let mut config: toml::Table = toml::from_str(&good).expect("TOML");
            let table = config.entry(*section).or_insert_with(|| toml::Table::new().into());
            table.as_table_mut().expect("a table").insert((*key).to_owned(), shape.what.into());
            // A path that is a text is a path: it is where nothing is.
            if (*section, *key) == ("unseal", "key_file") {
                continue;
            }
            let said = run(&toml::to_string(&config).expect("TOML"));
            assert_eq!(found(&said), None, "[{section}] {key} = {value}");
        }
        for broken in
            [format!("{good}\nx = [{value}"), format!("{good}\nx = \"{MARK}"), MARK.to_owned()]
        {
            assert_eq!(found(&run(&broken)), None, "a file that is no TOML");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file_of_additions_is_repeated() {
    let mut vault = TestVault::builder().sealed().start().await;
    vault.stop().await;
    let addition = vault.root().join("more.toml");
    vault.set_config("catalog", "additions", vec![addition.to_str().expect("plain").to_owned()]);
    for shape in SHAPES.iter().filter(|shape| shape.what.len() < 100) {
        let value = toml::Value::from(shape.what).to_string();
        for content in [
            format!("venue = {value}\n"),
            format!("{value} = 1\n"),
            format!("venue = \"okx\"\n[[operation]]\npath = {value}\nclass = {value}\n"),
            format!("venue = \"okx\"\n[[operation]]\n{value} = {value}\n"),
            format!("[[operation\n{MARK}"),
        ] {
            fs::write(&addition, &content).expect("written");
            let refused = vault.try_run().await.expect_err("refused");
            assert_eq!(found(refused.stderr.as_bytes()), None, "{content}");
        }
    }
}

/// Words of a command line that are none of its options, nor a value of one: a passphrase, it may be.
const STRAY: &[&[&str]] = &[
    &["vault-server", "{}"],
    &["vault-server", "unseal", "--data", "/nonexistent", "{}"],
    &["vault-server", "unseal", "--data", "/nonexistent", "--passphrase={}"],
    &["vault-server", "unseal", "--data", "/nonexistent", "--passphrase", "{}"],
    &["vault-server", "init", "--data", "/nonexistent", "-p{}"],
    &["vault-server", "operator", "{}"],
    &["vaultctl", "{}"],
    &["vaultctl", "unseal", "{}"],
    &["vaultctl", "unseal", "--passphrase={}"],
    &["vaultctl", "status", "{}", "{}"],
    &["vaultctl", "credential", "{}"],
    // A value, and a secret.
    &["vaultctl", "enroll", "{}"],
];

/// Values that are none.
const VALUES: &[&[&str]] = &[
    &["vault-server", "completion", "{}"],
    &["vaultctl", "client", "describe", "{}"],
    &["vaultctl", "halt", "{}", "--level", "{}", "--reason", "r"],
];

#[test]
fn no_command_line_repeats_what_may_be_a_secret_or_steers_a_terminal() {
    for shape in SHAPES {
        for (lines, is_secret) in [(STRAY, true), (VALUES, false)] {
            for line in lines {
                for is_json in [false, true] {
                    let output = run_line(line, shape.what, is_json);
                    let said = [output.stdout, output.stderr].concat();
                    assert!(!output.status.success() && !said.is_empty(), "{line:?}");
                    if is_secret {
                        assert_eq!(found(&said), None, "{line:?}, {:.20}", shape.what);
                    }
                    let said = String::from_utf8(said).expect("text");
                    assert!(!said.contains("panicked"), "{said}");
                    let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
                    assert!(!said.contains(steers), "{line:?}: {said:?}");
                }
            }
        }
    }
}

fn run_line(line: &[&str], text: &str, is_json: bool) -> std::process::Output {
    let program = match line[0] {
        "vaultctl" => vault_tests::vaultctl(),
        _ => vault_tests::vault_server(),
    };
    let words = line[1..].iter().map(|word| word.replace("{}", text));
    let mut command = std::process::Command::new(program);
    command.args(is_json.then_some("--json")).args(words).env("HOME", "/nonexistent");
    command.stdin(Stdio::null()).output().expect("it runs")
}
