//! Orders of one asynchronous ccxt, all at once: what a bot's own library makes of the proxy.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::execute::Bed;
use crate::figure::{Rounds, Table, spread};
use crate::mock::{API_KEY, SECRET};
use crate::way::CREDENTIAL;
use crate::{Arguments, Error, cores};

/// Orders at once, if nothing else is asked for.
const ORDERS: usize = 100;

pub(crate) fn measure(arguments: &Arguments) -> Result<(Value, String), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(arguments))
}

async fn run(arguments: &Arguments) -> Result<(Value, String), Error> {
    let orders = arguments.requests.unwrap_or(ORDERS);
    let bed = Bed::start(false).await?;
    let venue_ca = bed.vault.root().join("venue-ca.pem");
    std::fs::write(&venue_ca, &bed.mock.ready.ca_pem)?;
    let folder = bed.vault.identity_folder("bot");
    let output = tokio::process::Command::new(python())
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proxy/ccxt_concurrent.py"))
        .args(["--rounds", &arguments.rounds.to_string(), "--orders", &orders.to_string()])
        .args(["--venue-url", &format!("https://{}", bed.mock.ready.address)])
        .arg("--venue-ca")
        .arg(&venue_ca)
        .args(["--api-key", API_KEY, "--secret", SECRET])
        .args(["--proxy-url", &format!("https://{}/", bed.vault.ready().bot)])
        .args(["--credential", CREDENTIAL])
        .arg("--cert")
        .arg(folder.join("cert.pem"))
        .arg("--key")
        .arg(folder.join("key.pem"))
        .arg("--ca")
        .arg(folder.join("ca.pem"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .output()
        .await?;
    if !output.status.success() {
        return Err("the script failed".into());
    }
    let said: Value = serde_json::from_slice(&output.stdout)?;
    let read = |name: &str| -> Result<Rounds, Error> {
        let values = said[name].as_array().ok_or("no figures")?;
        Ok(values.iter().filter_map(Value::as_f64).collect())
    };
    let (direct, proxy, ratio) = (read("direct_ms")?, read("proxy_ms")?, read("ratio")?);
    let log = bed.check(arguments.rounds * orders).await?;
    let report = json!({
        "scenario": "ccxt",
        "cores": cores(),
        "ccxt": said["ccxt"],
        "rounds": arguments.rounds,
        "orders": orders,
        "direct_ms": direct.json(),
        "proxy_ms": proxy.json(),
        "ratio": ratio.json(),
        "log": log,
    });
    let mut table = Table::new(&["Way", &format!("{orders} orders at once, ms")]);
    table.row(&["direct".to_owned(), spread(&direct)]);
    table.row(&["proxy".to_owned(), spread(&proxy)]);
    let ratios = format!("{:.2} ({:.2} to {:.2})", ratio.median(), ratio.least(), ratio.most());
    table.row(&["proxy / direct".to_owned(), ratios]);
    Ok((report, format!("{}\nThe log: {log}\n", table.text())))
}

/// The Python that has ccxt: as for the tests.
fn python() -> PathBuf {
    let bundled = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/ci-env/bin/python");
    std::env::var_os("COUNTERSIGN_PYTHON").map_or(bundled, PathBuf::from)
}
