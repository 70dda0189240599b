//! The mock venues in a terminal, for a development vault or for a bot without one.
//!
//! `cargo run -p vault-mock-venue --example serve -- FOLDER [PORT [TLS-PORT [DELAY-MS]]]` makes an
//! account at each venue and writes to the folder: `ca.pem`, the authority of the certificate, and
//! for each venue `VENUE.json` with its key as ccxt's configuration has it. Prints where it listens,
//! plain and with TLS, and stops when its standard input ends. With `DELAY-MS` every request takes
//! up to that long, at random. Each line of the input is a fault for the next request: `reset`,
//! `cut`, `busy`, `silence`, `echo`, `gzip`; `report` prints the numbers of requests so far.

use std::error::Error;
use std::fs;
use std::io::BufRead as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::PublicKeyData as _;
use serde_json::{Value, json};
use vault_mock_venue::{Account, Fault, MockConfig, MockVenues, Tls, Venue};

// The input and output of an example are the terminal.
#[allow(clippy::print_stdout)]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("serve FOLDER [PORT [TLS-PORT [DELAY-MS]]]")?;
    let mut number = || arguments.next().map_or(Ok(0), |text| text.parse::<u16>());
    let (port, tls_port, delay_ms) = (number()?, number()?, number()?);
    let accounts = accounts(Path::new(&folder))?;

    let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let config = MockConfig {
        tls: Some(Tls { address: local(tls_port), ..Tls::made() }),
        delay: (delay_ms > 0).then(|| Duration::ZERO..Duration::from_millis(delay_ms.into())),
        ..MockConfig::new(accounts, Arc::new(now_ms))
    };
    let venues = MockVenues::start_at(config, local(port))?;
    fs::write(Path::new(&folder).join("ca.pem"), venues.ca_pem().unwrap_or_default())?;
    let tls = venues.tls_address().ok_or("no TLS")?;
    println!("{}", json!({ "plain": venues.address().to_string(), "tls": tls.to_string() }));

    for line in std::io::stdin().lock().lines() {
        let fault = match line?.trim() {
            "reset" => Fault::ResetUnanswered,
            "cut" => Fault::ResetInBody,
            "busy" => Fault::Banned { status: 429, retry_after_s: 1 },
            "silence" => Fault::Silence,
            "echo" => Fault::Echo,
            "gzip" => Fault::Gzip,
            "report" => {
                println!("{}", report(&venues));
                continue;
            }
            other => {
                println!("no such fault: {other}");
                continue;
            }
        };
        venues.fault(fault);
    }
    Ok(())
}

/// Numbers, and the refusals in full.
fn report(venues: &MockVenues) -> Value {
    let refused = venues.refused();
    let refused: Vec<_> = refused
        .iter()
        .map(|refused| format!("{:?} {} {}", refused.venue, refused.code, refused.reason))
        .collect();
    let over_http2 = venues.accepted().iter().filter(|accepted| accepted.http2).count();
    json!({
        "arrived": venues.arrived(),
        "accepted": venues.accepted().len(),
        "accepted_http2": over_http2,
        "public": venues.public().len(),
        "refused": refused,
    })
}

/// One account at each venue; the keys go to the folder.
fn accounts(folder: &Path) -> Result<Vec<Account>, Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    let mut accounts = Vec::new();
    for (venue, name) in [
        (Venue::Binance, "binance"),
        (Venue::Bybit, "bybit"),
        (Venue::Coinbase, "coinbase"),
        (Venue::Kraken, "kraken"),
        (Venue::Okx, "okx"),
    ] {
        let pair = rcgen::KeyPair::generate()?;
        let text = hex::encode(&pair.subject_public_key_info()[27..59]);
        let mut key = json!({ "apiKey": format!("mock-{name}-1"), "secret": text });
        let mut account = Account {
            venue,
            api_key: format!("mock-{name}-1"),
            // 64 hex digits are base64 too, of 48 bytes.
            secret: text,
            passphrase: None,
            demo: false,
        };
        if venue == Venue::Coinbase {
            // ccxt tells keys of this kind by their name.
            account.api_key = "organizations/mock/apiKeys/1".to_owned();
            account.secret = pair.public_key_pem();
            key = json!({ "apiKey": account.api_key, "secret": pair.serialize_pem() });
        }
        if venue == Venue::Okx {
            account.passphrase = Some("mock-passphrase".to_owned());
            key["password"] = json!("mock-passphrase");
        }
        fs::write(folder.join(format!("{name}.json")), key.to_string())?;
        accounts.push(account);
    }
    Ok(accounts)
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
