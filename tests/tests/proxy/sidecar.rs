//! `vaultctl proxy`: bots that cannot be configured at all.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::bed::{Bed, TRADER, python};

struct Sidecar {
    // Ends with this value.
    _process: Child,
    said: Value,
}

impl Sidecar {
    async fn start(bed: &Bed, more: &[&str]) -> Self {
        let mut process = command(bed)
            .args(["--json", "proxy", "--listen", "127.0.0.1:0"])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let line = tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await;
        let line = line.expect("in time").expect("text").expect("a line");
        Self { _process: process, said: serde_json::from_str(&line).expect("JSON") }
    }

    fn address(&self) -> &str {
        self.said["address"].as_str().expect("an address")
    }
}

fn command(bed: &Bed) -> Command {
    let mut command = Command::new(vault_tests::vaultctl());
    command
        .arg("--identity")
        .arg(bed.vault.identity_folder("bot"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// What Python's own library, and nothing else, makes of a URL.
const ASK: &str = r#"
import json, sys, urllib.error, urllib.request
request = urllib.request.Request(sys.argv[1], headers={"X-MBX-APIKEY": "countersign:binance-main"})
try:
    with urllib.request.urlopen(request, timeout=20) as answer:
        print(json.dumps({"status": answer.status, "body": answer.read().decode()}))
except urllib.error.HTTPError as error:
    print(json.dumps({"status": error.code, "body": error.read().decode()}))
except OSError as error:
    print(json.dumps({"status": 0, "body": str(error)}))
"#;

async fn ask(sidecar: &Sidecar, url: &str) -> (u64, String) {
    let mut python = Command::new("python3");
    python.args(["-c", ASK, url]).stdin(Stdio::null()).kill_on_drop(true);
    for (name, value) in sidecar.said["environment"].as_object().expect("an environment") {
        python.env(name, value.as_str().expect("text"));
    }
    let output = python.output().await.expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    (said["status"].as_u64().expect("a status"), said["body"].as_str().expect("a body").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_knows_of_nothing_trades_through_its_environment() {
    let bed = Bed::start(TRADER).await;
    let sidecar = Sidecar::start(&bed, &[]).await;
    let url = "https://api.binance.com/api/v3/openOrders?symbol=BTCUSDT&timestamp=1&signature=00";
    assert_eq!(ask(&sidecar, url).await, (200, "[]".to_owned()));
    let (status, body) =
        ask(&sidecar, "https://api.binance.com/api/v3/openOrders?timestamp=1").await;
    assert!([200, 422].contains(&status), "{status} {body}");

    let prefixed = format!("http://{}/{url}", sidecar.address());
    assert_eq!(ask(&sidecar, &prefixed).await, (200, "[]".to_owned()));
    assert!(bed.mocks.accepted().iter().all(|arrived| arrived.path == "/api/v3/openOrders"));
    // A host of nobody's, and a venue's name written otherwise, lead nowhere.
    let arrived = bed.mocks.arrived();
    for other in ["https://evil.example/", "https://API.binance.com/api/v3/time"] {
        let (status, body) = ask(&sidecar, other).await;
        assert!(status == 0 || status == 403 || body.contains("403"), "{other}: {status} {body}");
    }
    assert_eq!(bed.mocks.arrived(), arrived);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_runs_with_its_environment_set_and_its_exit_code_kept() {
    let bed = Bed::start(TRADER).await;
    let script = r#"
import os, sys, urllib.request
request = urllib.request.Request("https://api.kraken.com/0/public/Time")
body = urllib.request.urlopen(request, timeout=20).read().decode()
print(body)
sys.exit(7 if "error" in body else 1)
"#;
    let output = command(&bed)
        .args(["proxy", "--listen", "127.0.0.1:0", "--", "python3", "-c", script])
        .output()
        .await
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_loopback_unless_it_is_said() {
    let bed = Bed::start(TRADER).await;
    let output =
        command(&bed).args(["proxy", "--listen", "0.0.0.0:0"]).output().await.expect("runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--expose-to-network"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ccxt_needs_one_setting_to_use_the_environment() {
    let Some(python) = python() else { return };
    let bed = Bed::start(TRADER).await;
    let sidecar = Sidecar::start(&bed, &[]).await;
    let script = r#"
import ccxt
ex = ccxt.kraken({"apiKey": "countersign:kraken-main", "secret": "cGxhY2Vob2xkZXI="})
ex.check_conflicting_proxies = lambda *a: None
ex.session.trust_env = True
print(sorted(ex.fetch_balance()["total"]))
"#;
    let mut bot = Command::new(python);
    bot.args(["-c", script]).kill_on_drop(true);
    for (name, value) in sidecar.said["environment"].as_object().expect("an environment") {
        bot.env(name, value.as_str().expect("text"));
    }
    let output = bot.output().await.expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
