//! `vaultctl scope diff` and `vaultctl scope lint`, with and without a vault.

use std::fs;

use vault_client::v1::{self, Role};
use vault_policy::ScopeDocument;
use vault_wire::scope_to_wire;

use crate::fake::Fake;
use crate::vaultctl::{Home, code, json, stderr, stdout};

const MM: &str = r#"
name = "mm"
credentials = ["main"]
classes = ["read", "trade", "cancel"]
modes = ["execute"]
products = ["spot"]
[symbols]
okx = ["BTC-USDT"]
[network]
allow = ["10.0.0.0/24"]
[orders]
types = ["LIMIT"]
max_notional_usd = "50000"
[cumulative]
orders = [{ per = "1m", at_most = 10 }]
"#;

const READS: &str = r#"
name = "tax"
credentials = ["tax-key"]
classes = ["read"]
modes = ["sign"]
products = ["spot"]
[network]
allow = ["10.0.0.0/24"]
"#;

fn home(files: &[(&str, &str)]) -> Home {
    let home = Home::new();
    for (name, text) in files {
        fs::write(home.path(name), text).expect("a file");
    }
    home
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_compared_without_a_vault() {
    let wider = MM.replace("\"BTC-USDT\"", "\"BTC-USDT\", \"SOL-USDT\"").replace("50000", "20000");
    let home = home(&[("a.toml", MM), ("b.toml", &wider), ("same.toml", MM)]);

    let output = home.run(&["scope", "diff", "a.toml", "b.toml"]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert_eq!(
        stdout(&output),
        "b.toml allows what a.toml does not:\n  \
           symbols: SOL-USDT at okx\n    \
             such as: buy 1 SOL-USDT (spot) at okx, limit 100, GTC, by execute with main, from \
         10.0.0.0, on Monday 10:00 UTC; SOL/USD at 100\n\
         a.toml allows what b.toml does not:\n  \
           orders.max_notional_usd: 50000 USD -> 20000 USD\n    \
             such as: buy 500 BTC-USDT (spot) at okx, limit 100, GTC, by execute with main, from \
         10.0.0.0, on Monday 10:00 UTC; BTC/USD at 100\n"
    );

    let output = home.run(&["scope", "diff", "a.toml", "b.toml", "--json"]).await;
    let value = json(&stdout(&output));
    assert_eq!(value["same"], false);
    let first = &value["differences"][0];
    assert_eq!((&first["dimension"], &first["effect"]), (&"symbols".into(), &"opens".into()));
    assert_eq!(first["finding"], "example");
    assert_eq!(first["example"]["orders"][0]["symbol"], "SOL-USDT");
    assert_eq!(first["example"]["prices"]["SOL/USD"], "100");
    assert_eq!(value["differences"][1]["effect"], "closes");

    for (other, expected) in [("b.toml", 1), ("same.toml", 0)] {
        let output = home.run(&["scope", "diff", "a.toml", other, "--exit-code"]).await;
        assert_eq!(code(&output), expected, "{other}: {}", stderr(&output));
    }
    let output = home.run(&["scope", "diff", "a.toml", "same.toml"]).await;
    assert_eq!(stdout(&output), "a.toml and same.toml let the same pass\n");
    let output = home.run(&["scope", "diff", "a.toml", "mm", "--offline"]).await;
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    let output = home.run(&["scope", "diff", "-", "-"]).await;
    assert_eq!(code(&output), 2, "{}", stderr(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_scope_is_compared_with_a_file() {
    let fake = Fake::start().await;
    let home = Home::enrolled(&fake, "alice", Role::Admin).await;
    let document = ScopeDocument::from_toml(MM).expect("a scope");
    fake.state().scopes.insert("mm".to_owned(), scope_to_wire(&document));
    fake.state().credentials = Some(vec![credential("main", "kraken")]);
    let wider = MM.replace("\"cancel\"", "\"cancel\", \"account\"");
    fs::write(home.path("mm.toml"), wider).expect("a file");

    let output = home.run(&["scope", "diff", "mm", "./mm.toml"]).await;
    // The credential is of a venue whose symbols the scope does not name.
    assert_eq!(
        stdout(&output),
        "./mm.toml allows what mm does not:\n  \
           classes: account\n    \
             by itself this opens nothing: also closed by symbols\n\
         mm allows nothing that ./mm.toml does not\n",
        "{}",
        stderr(&output)
    );

    fake.state().credentials = Some(vec![credential("main", "okx")]);
    let output = home.run(&["scope", "diff", "mm", "./mm.toml"]).await;
    let text = stdout(&output);
    assert!(text.contains("such as: set something of BTC-USDT (spot) at okx"), "{text}");
}

fn credential(name: &str, venue: &str) -> v1::CredentialInfo {
    v1::CredentialInfo {
        metadata: Some(v1::CredentialMetadata {
            name: name.to_owned(),
            venue: venue.to_owned(),
            environment: "live".to_owned(),
            ..Default::default()
        }),
        version: 1,
        state: "enabled".to_owned(),
        key_type: "hmac".to_owned(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_is_reviewed_without_a_vault() {
    let trades = MM.replace("max_notional_usd = \"50000\"", "");
    let trades = trades.split("[cumulative]").next().unwrap_or_default();
    let home = home(&[("mm.toml", MM), ("uncapped.toml", trades), ("tax.toml", READS)]);

    let output = home.run(&["scope", "lint", "mm.toml", "--offline", "--deny-warnings"]).await;
    assert_eq!((code(&output), stdout(&output)), (0, "mm: nothing to warn of\n".to_owned()));

    let output = home.run(&["scope", "lint", "uncapped.toml", "--offline"]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.contains("(TRADE_WITHOUT_CAPS)\n    remedy: ") && text.ends_with("1 warning\n"));
    let denied = ["scope", "lint", "uncapped.toml", "--offline", "--deny-warnings", "--json"];
    let output = home.run(&denied).await;
    assert_eq!(code(&output), 1);
    let value = json(&stdout(&output));
    assert_eq!(value["warnings"][0]["code"], "TRADE_WITHOUT_CAPS");
    assert_eq!(value["warnings"][0]["dimension"], "orders.max_notional_usd");
    assert_eq!(value["credentials_known"], false);

    // Where a credential is said to be, its venue's catalogue speaks.
    let said = ["scope", "lint", "tax.toml", "--offline", "--credential", "tax-key=binance"];
    let text = stdout(&home.run(&said).await);
    assert!(text.contains("can never be released one (SIGNED_READ_NEVER_RELEASED)"), "{text}");
    assert!(text.contains("remedy: modes = [\"execute\"]"), "{text}");
    let said = ["scope", "lint", "tax.toml", "--offline", "--credential", "tax-key=okx"];
    assert!(stdout(&home.run(&said).await).contains("nothing to warn of"));
    let said = ["scope", "lint", "tax.toml", "--offline", "--credential", "tax-key=nowhere"];
    assert_eq!(code(&home.run(&said).await), 4);

    // Without an identity a file is looked at all the same, and that is said.
    let output = home.run(&["scope", "lint", "mm.toml"]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    assert!(stderr(&output).contains("the vault was not asked"), "{}", stderr(&output));
    assert_eq!(code(&home.run(&["scope", "lint", "mm"]).await), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_is_reviewed_with_what_the_vault_knows() {
    let fake = Fake::start().await;
    let home = Home::enrolled(&fake, "alice", Role::Admin).await;
    let document = ScopeDocument::from_toml(READS).expect("a scope");
    fake.state().scopes.insert("tax".to_owned(), scope_to_wire(&document));
    let mut binance = credential("tax-key", "binance");
    binance.metadata.as_mut().expect("it has some").assume = vec!["venue_checks".to_owned()];
    fake.state().credentials = Some(vec![binance]);

    let output = home.run(&["scope", "lint", "tax", "--json"]).await;
    let value = json(&stdout(&output));
    let codes: Vec<&str> = value["warnings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|w| w["code"].as_str())
        .collect();
    assert_eq!(value["credentials_known"], true, "{}", stderr(&output));
    for expected in ["API_KEY_DISCLOSED", "RIGHTS_UNSTATED", "VENUE_CHECKS_ASSUMED"] {
        assert!(codes.contains(&expected), "{expected}: {codes:?}");
    }
}
