//! The examples of `docs/examples`, exactly as they stand there: nothing but environment variables
//! says where the vault is.
//!
//! `.ci/run` installs freqtrade into `target/ci-env-freqtrade`; another Python that has it is named
//! by `COUNTERSIGN_PYTHON_FREQTRADE`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::bed::{Bed, TRADER, python};
use crate::node;

#[tokio::test(flavor = "multi_thread")]
async fn ccxt_sync() {
    let Some(python) = python() else { return };
    let bed = Bed::start(TRADER).await;
    let mut command = Command::new(python);
    let said = run(&bed, command.arg(example("ccxt_sync.py"))).await;
    assert_says(&said, &["balance", "order open", "open 1", "cancelled canceled"]);
    assert_denied(&said, "QUANTITY_TOO_LARGE");
    assert_eq!(placed(&bed, "/api/v3/order"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn ccxt_async() {
    let Some(python) = python() else { return };
    if !crate::bots::has_aiohttp(&python) {
        return;
    }
    let bed = Bed::start(TRADER).await;
    let mut command = Command::new(python);
    let said = run(&bed, command.arg(example("ccxt_async.py"))).await;
    assert_says(&said, &["balance", "open 5", "cancelled 5"]);
    assert_denied(&said, "SYMBOL_NOT_GRANTED");
    assert_eq!(placed(&bed, "/api/v5/trade/batch-orders"), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn https_proxy() {
    let bed = Bed::start(TRADER).await;
    let mut command = sidecar(&bed);
    command.arg("python3").arg(example("https_proxy.py"));
    command.env("BINANCE_KEY", "countersign:binance-main").env("BINANCE_SECRET", "placeholder");
    let said = run(&bed, &mut command).await;
    assert_says(&said, &["order NEW", "open 1", "cancelled CANCELED"]);
    assert_denied(&said, "QUANTITY_TOO_LARGE");
    assert_eq!(placed(&bed, "/api/v3/order"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn freqtrade() {
    let Some(python) = freqtrade_python() else { return };
    let bed = Bed::start(TRADER).await;
    let place = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(place.path().join("user_data")).expect("made");
    let mut command = sidecar(&bed);
    command.arg(python).arg(example("freqtrade/exchange.py")).current_dir(place.path());
    let said = run(&bed, &mut command).await;
    assert_says(&said, &["markets ", "balance", "order open", "cancelled canceled"]);
    assert!(said.contains("'BTC/USDT'"), "{said}");
    assert_denied(&said, "QUANTITY_TOO_LARGE");
    assert_eq!(placed(&bed, "/api/v3/order"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn curl() {
    if !works(Command::new("curl").arg("--version")).await {
        assert!(std::env::var_os("CI").is_none(), "no curl");
        eprintln!("SKIPPED: there is no curl");
        return;
    }
    let bed = Bed::start(TRADER).await;
    let said = run(&bed, Command::new("sh").arg(example("curl.sh"))).await;
    assert_says(&said, &["order {", "open [{", "cancelled {"]);
    assert_eq!(said.matches("(HTTP 200)").count(), 3, "{said}");
    assert_eq!(said.matches("(HTTP 422)").count(), 1, "{said}");
    assert_denied(&said, "QUANTITY_TOO_LARGE");
    assert_eq!(placed(&bed, "/api/v3/order"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rust() {
    let bed = Bed::start(TRADER).await;
    let said = run(&bed, &mut Command::new(execute_example())).await;
    assert_says(&said, &["order 200 {", "entry "]);
    assert!(said.contains("again OUTCOME_UNKNOWN"), "{said}");
    assert_denied(&said, "QUANTITY_TOO_LARGE");
    assert_eq!(placed(&bed, "/api/v3/order"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn node_client_and_ccxt() {
    let Some(package) = node::package() else { return };
    let bed = Bed::start(TRADER).await;
    let place = node::beside_modules(&package, &example("node.mjs"));
    let said = run(&bed, node::node().arg(place.path().join("node.mjs"))).await;
    assert_says(&said, &["balance", "open 1", "cancelled ", "executed 200 "]);
    assert_denied(&said, "QUANTITY_TOO_LARGE");
    assert_eq!(placed(&bed, "/v5/order/create") + placed(&bed, "/api/v5/trade/order"), 2);
}

/// Runs a program to its end; returns what it printed.
async fn run(bed: &Bed, command: &mut Command) -> String {
    let output = command
        .env("COUNTERSIGN_VAULT", bed.bots().to_string())
        .env("COUNTERSIGN_IDENTITY", bed.vault.identity_folder("bot"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    bed.vault.verify();
    assert!(!format!("{:?}", bed.mocks.accepted()).contains("countersign:"));
    said
}

/// `vaultctl proxy --`, to which the program is added.
fn sidecar(bed: &Bed) -> Command {
    let mut command = Command::new(vault_tests::vaultctl());
    command.arg("--identity").arg(bed.vault.identity_folder("bot"));
    command.args(["proxy", "--listen", "127.0.0.1:0", "--"]);
    command
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples").join(name)
}

/// A line begins so, for each.
fn assert_says(said: &str, begins: &[&str]) {
    for begin in begins {
        assert!(said.lines().any(|line| line.starts_with(begin)), "no {begin}: {said}");
    }
}

fn assert_denied(said: &str, reason: &str) {
    let denied = said.lines().find(|line| line.starts_with("denied "));
    assert!(denied.is_some_and(|line| line.contains(reason)), "{said}");
}

/// How many requests of this path, which place orders, a venue has taken.
fn placed(bed: &Bed, path: &str) -> usize {
    let accepted = bed.mocks.accepted();
    accepted.iter().filter(|each| each.method == "POST" && each.path == path).count()
}

/// The Rust example, built with the profile of the running test: `target/PROFILE/deps/proxy-...`, with
/// the name of a platform after `target` if one was asked for.
fn execute_example() -> PathBuf {
    if let Some(path) = std::env::var_os("COUNTERSIGN_EXECUTE_EXAMPLE") {
        return PathBuf::from(path);
    }
    let test = std::env::current_exe().expect("the test knows its own path");
    let folder = test.ancestors().nth(2).expect("in a folder of folders");
    let above = folder.parent().expect("below the target folder");
    let triple = above.file_name().and_then(|name| name.to_str());
    let triple = triple.filter(|name| name.matches('-').count() >= 2);
    let target = if triple.is_some() { above.parent().expect("the target folder") } else { above };
    let profile = folder.file_name().and_then(|name| name.to_str()).expect("a profile");

    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = std::process::Command::new(cargo);
    build
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args(["build", "--quiet", "--package", "vault-client", "--example", "execute"])
        .args(["--profile", if profile == "debug" { "dev" } else { profile }, "--target-dir"])
        .arg(target);
    if let Some(triple) = triple {
        build.args(["--target", triple]);
    }
    assert!(build.status().expect("cargo runs").success(), "the example does not build");
    folder.join("examples/execute")
}

/// The Python that has freqtrade; `None` says on stderr that a test is skipped.
fn freqtrade_python() -> Option<PathBuf> {
    let named = std::env::var_os("COUNTERSIGN_PYTHON_FREQTRADE").map(PathBuf::from);
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/ci-env-freqtrade/bin/python");
    let found = named.unwrap_or(made);
    if found.exists() {
        return Some(found);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is not there", found.display());
    eprintln!("SKIPPED: no Python with freqtrade ({})", found.display());
    None
}

async fn works(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).status().await.is_ok_and(|status| status.success())
}
