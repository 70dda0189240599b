//! Stock ccxt through the proxy, with nothing but configuration changed.

use std::collections::BTreeMap;
use std::process::Stdio;

use serde_json::Value;

use crate::bed::{Bed, TRADER, python};

/// What a bot does all day, and what it may not do.
pub const DAY: &str = "load_markets,fetch_balance,create_limit,fetch_order,fetch_open_orders,\
                   cancel_order,create_market,outside_symbol,over_cap,withdraw";

/// May do what [`TRADER`] may, and cancel orders by nothing but their ids: such a request names no
/// market, so that it could be of any.
pub const WIDE: &str = r#"
name = "wide"
credentials = ["coinbase-main", "kraken-main"]
classes = ["public", "read", "trade", "cancel"]
modes = ["execute"]
products = ["*"]

[symbols]
coinbase = ["*"]
kraken = ["*"]

[orders.max_quantity.coinbase]
BTC-USD = "10"

[orders.max_quantity.kraken]
XXBTZUSD = "10"
XBTUSD = "10"

[network]
allow = ["127.0.0.0/8"]
"#;

/// Every step but the cancel: what the narrow scope allows where cancels name no market.
pub const WITHOUT_CANCEL: &str =
    "load_markets,fetch_balance,create_limit,outside_symbol,over_cap,withdraw";

/// Exchange, bot and steps.
pub const CASES: [(&str, &str, &str); 8] = [
    ("binance", "bot", DAY),
    ("binanceusdm", "bot", DAY),
    ("bybit", "bot", DAY),
    ("okx", "bot", DAY),
    ("kraken", "wide", DAY),
    ("coinbase", "wide", DAY),
    ("kraken", "bot", WITHOUT_CANCEL),
    ("coinbase", "bot", WITHOUT_CANCEL),
];

/// Steps that are refused.
pub const REFUSED: [&str; 3] = ["outside_symbol", "over_cap", "withdraw"];

/// Whether a step came out as it should: done, or refused by an error of ccxt's own.
pub fn is_as_it_should(step: &str, report: &Value) -> bool {
    if !REFUSED.contains(&step) {
        return report["ok"] == true;
    }
    // Its own class, and none that a bot would take for a fault of the network.
    let bases = report["error_bases"].to_string();
    report["ok"] == false && bases.contains("\"ExchangeError\"") && !bases.contains("NetworkError")
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_ccxt_trades_without_a_secret() {
    let Some(python) = python() else { return };
    let bed = Bed::start(TRADER).await;
    bed.vault.bot_identity("wide", WIDE, &[]).await;
    let mut failed = Vec::new();
    for (venue, bot, steps) in CASES {
        for mode in ["sync", "async"] {
            if mode == "async" && !has_aiohttp(&python) {
                continue;
            }
            let said = run(&bed, &python, venue, bot, steps, mode).await;
            for (step, report) in &said {
                if !is_as_it_should(step, report) {
                    failed.push(format!("{venue} {mode} {step} as {bot}: {report}"));
                }
            }
            assert_eq!(said.len(), steps.split(',').count(), "{venue} {mode}: {said:?}");
        }
    }
    assert!(failed.is_empty(), "{} steps:\n{}", failed.len(), failed.join("\n"));
    let accepted = bed.mocks.accepted();
    assert!(accepted.iter().all(|arrived| !arrived.path.contains("ithdraw")));
    assert!(accepted.iter().all(|arrived| !format!("{arrived:?}").contains("countersign:")));
    bed.vault.verify();
}

async fn run(
    bed: &Bed,
    python: &std::path::Path,
    venue: &str,
    bot: &str,
    steps: &str,
    mode: &str,
) -> BTreeMap<String, Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proxy/ccxt_steps.py");
    let credential = format!("{}-main", venue.strip_suffix("usdm").unwrap_or(venue));
    let [certificate, key, ca] = bed.identity_files(bot);
    let mut command = tokio::process::Command::new(python);
    command
        .arg(script)
        .args(["--venue", venue, "--credential", &credential, "--steps", steps])
        .arg("--proxy-url")
        .arg(format!("https://{}/", bed.bots()))
        .arg("--cert")
        .arg(certificate)
        .arg("--key")
        .arg(key)
        .arg("--ca")
        .arg(ca)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if mode == "async" {
        command.arg("--async");
    }
    let output = command.output().await.expect("python runs");
    assert!(output.status.success(), "{venue}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines()
        .map(|line| {
            let report: Value = serde_json::from_str(line).expect("JSON");
            (report["step"].as_str().expect("a step").to_owned(), report)
        })
        .collect()
}

/// The Python package's own end-to-end tests, on a vault that runs.
#[tokio::test(flavor = "multi_thread")]
async fn the_python_package_trades() {
    let Some(python) = std::env::var_os("COUNTERSIGN_PYTHON_CLIENT") else {
        assert!(std::env::var_os("CI").is_none(), "COUNTERSIGN_PYTHON_CLIENT is not set");
        eprintln!("SKIPPED: COUNTERSIGN_PYTHON_CLIENT names no Python with the package");
        return;
    };
    let bed = Bed::start(TRADER).await;
    let package = concat!(env!("CARGO_MANIFEST_DIR"), "/../vault-client/python");
    let output = tokio::process::Command::new(python)
        .args(["-m", "pytest", "-p", "no:cacheprovider", "tests/test_vault.py"])
        .current_dir(package)
        .env("COUNTERSIGN_VAULT_BOT_FOLDER", bed.vault.identity_folder("bot"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("python runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(" passed") && !said.contains("skipped"), "{said}");
    bed.vault.verify();
}

pub fn has_aiohttp(python: &std::path::Path) -> bool {
    let works = std::process::Command::new(python)
        .args(["-c", "import ccxt.async_support"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !works {
        assert!(std::env::var_os("CI").is_none(), "no aiohttp");
        eprintln!("SKIPPED: asynchronous ccxt, since aiohttp is not installed");
    }
    works
}
