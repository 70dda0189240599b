//! Files and command lines of whoever runs the vault: what a configuration says may be a secret in the
//! wrong place, so no value of it is repeated. The words of a command line and the names of keys are:
//! whoever typed them reads the answer, and nobody else does.

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
