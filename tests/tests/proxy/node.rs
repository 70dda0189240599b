//! The JavaScript ccxt, stock and by `@countersign/client`, and that package's own client.
//!
//! `.ci/run` builds the package into `target/ci-node`; another place is named by
//! `COUNTERSIGN_NODE_CLIENT`. The tests use what `npm pack` has packed, as `npm install` lays it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::bed::{Bed, TRADER};
use crate::bots::{CASES, REFUSED, WIDE, is_as_it_should};

#[tokio::test(flavor = "multi_thread")]
async fn javascript_ccxt_trades_without_a_secret() {
    let Some(package) = package() else { return };
    let bed = Bed::start(TRADER).await;
    bed.vault.bot_identity("wide", WIDE, &[]).await;
    let mut failed = Vec::new();
    for (venue, bot, steps) in CASES {
        for way in [Way::Stock, Way::Connected] {
            let said = run(&bed, &package, venue, bot, steps, way).await;
            for report in &said {
                let step = report["step"].as_str().expect("a step");
                // Connected, a refusal says the vault's reason too.
                let is_told = way == Way::Stock
                    || !REFUSED.contains(&step)
                    || (report["denied"] == true && report["entry"].is_u64());
                if !is_as_it_should(step, report) || !is_told {
                    failed.push(format!("{venue} {step} as {bot}, {way:?}: {report}"));
                }
            }
            assert_eq!(said.len(), steps.split(',').count(), "{venue}: {said:?}");
        }
    }
    assert!(failed.is_empty(), "{} steps:\n{}", failed.len(), failed.join("\n"));
    let accepted = bed.mocks.accepted();
    assert!(accepted.iter().all(|arrived| !arrived.path.contains("ithdraw")));
    assert!(accepted.iter().all(|arrived| !format!("{arrived:?}").contains("countersign:")));
    bed.vault.verify();
}

/// How the exchange is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    /// By hand: nothing but configuration.
    Stock,
    /// By `connect` of the package.
    Connected,
    /// By `connect`, and of ccxt.pro.
    Pro,
}

async fn run(
    bed: &Bed,
    package: &Path,
    venue: &str,
    bot: &str,
    steps: &str,
    way: Way,
) -> Vec<Value> {
    let place = beside_modules(package, &Path::new(HERE).join("tests/proxy/ccxt_steps.mjs"));
    let credential = format!("{}-main", venue.strip_suffix("usdm").unwrap_or(venue));
    let mut command = node();
    command.arg(place.path().join("ccxt_steps.mjs"));
    command.args(["--venue", venue, "--credential", &credential, "--steps", steps]);
    if way != Way::Stock {
        command.arg("--identity").arg(bed.vault.identity_folder(bot));
        command.args((way == Way::Pro).then_some("--pro"));
    } else {
        let [certificate, key, ca] = bed.identity_files(bot);
        command.arg("--proxy-url").arg(format!("https://{}/", bed.bots()));
        command.arg("--cert").arg(certificate).arg("--key").arg(key).arg("--ca").arg(ca);
    }
    let output = command.output().await.expect("node runs");
    assert!(output.status.success(), "{venue}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Streams and orders of ccxt.pro over the vault's WebSockets.
#[tokio::test(flavor = "multi_thread")]
async fn javascript_ccxt_pro_listens_and_orders() {
    let Some(package) = package() else { return };
    // What a stream of orders is about is not said when it is opened: it may be of every product.
    let scope = TRADER.replace(r#"["spot", "linear"]"#, r#"["*"]"#);
    let bed = Bed::start(&scope).await;
    let orders = "load_markets,watch_orders,create_order_ws,outside_symbol_ws";
    let cases = [
        ("binance", orders),
        ("bybit", orders),
        // Of orders at OKX, ccxt sends `instIdCode` instead of the symbol, which the vault cannot judge.
        ("okx", "load_markets,watch_orders"),
        ("kraken", "load_markets,watch_orders"),
    ];
    let mut failed = Vec::new();
    for (venue, steps) in cases {
        let said = run(&bed, &package, venue, "bot", steps, Way::Pro).await;
        for report in &said {
            let refused = report["step"] == "outside_symbol_ws";
            let denied = report["denied"] == true && report["reason"] == "SYMBOL_NOT_GRANTED";
            if report["ok"] == refused || denied != refused {
                failed.push(format!("{venue}: {report}"));
            }
        }
        assert_eq!(said.len(), steps.split(',').count(), "{venue}: {said:?}");
    }
    assert!(failed.is_empty(), "{} steps:\n{}", failed.len(), failed.join("\n"));
    bed.vault.verify();
}

/// The TypeScript package's own end-to-end tests, on a vault that runs.
#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_package_trades() {
    let Some(package) = package() else { return };
    let bed = Bed::start(TRADER).await;
    let output = node()
        .args(["--test", "--test-reporter=tap", "build/test/vault.test.js"])
        .current_dir(package)
        .env("COUNTERSIGN_VAULT_BOT_FOLDER", bed.vault.identity_folder("bot"))
        .output()
        .await
        .expect("node runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!said.contains("\n# pass 0\n") && said.contains("\n# skipped 0\n"), "{said}");
    bed.vault.verify();
}

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// The package's folder, built, with what it needs; `None` says on stderr that a test is skipped.
pub fn package() -> Option<PathBuf> {
    let named = std::env::var_os("COUNTERSIGN_NODE_CLIENT").map(PathBuf::from);
    let made = Path::new(HERE).join("../target/ci-node/vault-client/typescript");
    let found = named.unwrap_or(made);
    let needed = ["node_modules/@countersign/client/dist/ccxt.js", "build/test/vault.test.js"];
    if needed.iter().all(|file| found.join(file).exists()) {
        return Some(found);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is not built", found.display());
    eprintln!("SKIPPED: no built TypeScript package ({}): .ci/run builds it", found.display());
    None
}

/// A folder with a copy of a program, from which it finds the packages that are installed.
pub fn beside_modules(package: &Path, program: &Path) -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a folder");
    let name = program.file_name().expect("a file");
    std::fs::copy(program, place.path().join(name)).expect("copied");
    let modules = package.join("node_modules").canonicalize().expect("there");
    std::os::unix::fs::symlink(modules, place.path().join("node_modules")).expect("linked");
    place
}

/// Node, which ends with the value.
pub fn node() -> Command {
    let mut command = Command::new("node");
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}
