//! Where keys and signatures are, and where they are not: memory is searched while bots trade.

use std::io::{Read as _, Seek as _, SeekFrom};

use vault_tests::{KRAKEN_SECRET, OKX_PASSPHRASE, OKX_SECRET, okx_balance, okx_order};

use crate::bed::{BINANCE_SECRET, BYBIT_SECRET, Bed, TRADER, binance_order, execute};

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

/// All that a process has in memory. The vault runs as this user, and root may look.
fn memory(pid: i32) -> Vec<Vec<u8>> {
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

fn has(areas: &[Vec<u8>], needle: &[u8]) -> bool {
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
