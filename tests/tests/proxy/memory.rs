//! Where keys and signatures are, and where they are not: memory is searched while bots trade.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use vault_tests::{
    KRAKEN_KEY, KRAKEN_SECRET, OKX_KEY, OKX_PASSPHRASE, OKX_SECRET, okx_balance, okx_order,
};

use crate::bed::{
    BINANCE_KEY, BINANCE_SECRET, BYBIT_KEY, BYBIT_SECRET, Bed, TRADER, binance_order, execute,
    python,
};

#[tokio::test(flavor = "multi_thread")]
async fn front_and_egress_hold_no_key_and_the_front_no_signature() {
    let bed = Bed::start(TRADER).await;
    let bot = bed.bot().await;
    for _ in 0..20 {
        bot.execute(execute("okx-main", okx_balance())).await.expect("executed");
        bot.execute(execute("okx-main", okx_order("BTC-USDT", "1"))).await.expect("executed");
        bot.execute(execute("binance-main", binance_order("BTCUSDT", "1")))
            .await
            .expect("executed");
        let kraken =
            vault_client::post("https://api.kraken.com/0/private/Balance", "").expect("a URL");
        bot.execute(execute("kraken-main", kraken)).await.expect("executed");
    }
    let ready = bed.vault.ready();
    let (front, egress) = (memory(ready.pid_front), memory(ready.pid_egress));
    assert!(has(&front, b"api.binance.com"), "the search finds what is there");
    assert!(has(&egress, b"api.binance.com"), "the search finds what is there");

    for secret in [BINANCE_SECRET, BYBIT_SECRET, OKX_SECRET, KRAKEN_SECRET] {
        assert!(!has(&front, secret.as_bytes()), "a secret in the front");
        assert!(!has(&egress, secret.as_bytes()), "a secret in the egress");
    }
    // OKX wants it beside every signature, so egress has to send it.
    assert!(!has(&front, OKX_PASSPHRASE.as_bytes()), "a passphrase in the front");
    let mut signatures = 0;
    for arrived in bed.mocks.accepted() {
        let text = format!("{}&{}", arrived.query, arrived.body);
        let in_text = text.split('&').filter_map(|pair| pair.strip_prefix("signature="));
        let in_headers = arrived.header("ok-access-sign").chain(arrived.header("api-sign"));
        for signature in in_text.chain(in_headers) {
            signatures += 1;
            assert!(!has(&front, signature.as_bytes()), "a signature in the front");
        }
    }
    assert_eq!(signatures, 80, "one for each request");
}

/// The process of a bot with stock ccxt, after its day at four venues.
#[tokio::test(flavor = "multi_thread")]
async fn the_bot_holds_no_key_no_passphrase_and_no_signature() {
    let Some(python) = python() else { return };
    let bed = Bed::start(TRADER).await;
    for (venue, placeholder) in [
        ("binance", "countersign:binance-main"),
        ("bybit", "countersign:bybit-main"),
        ("kraken", "countersign:kraken-main"),
        ("okx", "countersign:okx-main"),
    ] {
        let [certificate, key, ca] = bed.identity_files("bot");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/proxy/ccxt_steps.py");
        let mut bot = Command::new(&python)
            .args([script, "--venue", venue, "--hold"])
            .args(["--steps", "load_markets,fetch_balance,create_limit,outside_symbol,withdraw"])
            .args(["--credential", &format!("{venue}-main")])
            .args(["--proxy-url", &format!("https://{}/", bed.bots())])
            .arg("--cert")
            .arg(certificate)
            .arg("--key")
            .arg(key)
            .arg("--ca")
            .arg(ca)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("python runs");
        let mut lines = BufReader::new(bot.stdout.take().expect("piped")).lines();
        let mut said = Vec::new();
        while !said.last().is_some_and(|line: &String| line.contains("\"hold\"")) {
            let line = tokio::time::timeout(Duration::from_secs(60), lines.next_line()).await;
            said.push(line.expect("in time").expect("text").expect("it waits at its end"));
        }
        let worked = |step: &str| {
            let begin = format!("{{\"step\": \"{step}\", \"ok\": true");
            said.iter().any(|line| line.starts_with(&begin))
        };
        assert!(worked("fetch_balance") && worked("create_limit"), "{said:?}");

        let memory = memory(bot.id().and_then(|pid| pid.try_into().ok()).expect("it runs"));
        assert!(has(&memory, placeholder.as_bytes()), "the search finds what is there");
        let secrets = [BINANCE_SECRET, BYBIT_SECRET, KRAKEN_SECRET, OKX_PASSPHRASE, OKX_SECRET];
        for secret in secrets.into_iter().chain([BINANCE_KEY, BYBIT_KEY, KRAKEN_KEY, OKX_KEY]) {
            assert!(!has(&memory, secret.as_bytes()), "a secret or an API key in the bot: {venue}");
        }
        let mut signatures = 0;
        for arrived in bed.mocks.accepted() {
            let in_query =
                arrived.query.split('&').filter_map(|pair| pair.strip_prefix("signature="));
            let in_headers = ["ok-access-sign", "api-sign", "x-bapi-sign"];
            let in_headers = in_headers.into_iter().flat_map(|name| arrived.header(name));
            for signature in in_query.chain(in_headers) {
                signatures += 1;
                assert!(!has(&memory, signature.as_bytes()), "a signature in the bot: {venue}");
            }
        }
        assert!(signatures >= 2, "{venue}: nothing was signed");
    }
}

/// All that a process has in memory. The vault runs as this user, and root may look.
pub fn memory(pid: i32) -> Vec<Vec<u8>> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("readable for root");
    let mut file = std::fs::File::open(format!("/proc/{pid}/mem")).expect("readable for root");
    let mut areas = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (Some(range), Some(rights)) = (words.next(), words.next()) else { continue };
        if !rights.starts_with("rw") {
            continue;
        }
        let bounds = range.split_once('-').map(|(from, to)| (hex(from), hex(to)));
        let Some((Some(from), Some(to))) = bounds else { continue };
        let length = usize::try_from(to - from).expect("fits");
        let mut area = vec![0; length];
        // What has gone meanwhile, or cannot be read at all, holds nothing to be found.
        if file.seek(SeekFrom::Start(from)).is_ok() && file.read_exact(&mut area).is_ok() {
            areas.push(area);
        }
    }
    assert!(!areas.is_empty(), "nothing could be read");
    areas
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

pub fn has(areas: &[Vec<u8>], needle: &[u8]) -> bool {
    let finder = |area: &Vec<u8>| {
        let first = needle[0];
        let mut from = 0;
        while let Some(at) = area[from..].iter().position(|byte| *byte == first) {
            if area[from + at..].starts_with(needle) {
                return true;
            }
            from += at + 1;
        }
        false
    };
    areas.iter().any(finder)
}
