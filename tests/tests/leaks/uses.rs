//! Ten thousand uses: keys of every kind are imported and used to sign and to send, side by side, and
//! then looked for in the memory of all processes, and in dumps of them.
//!
//! The private keys that were parsed lie on the heap of the library that signs with them, while they are
//! asked for: there they may be found, in the core, and not after an act has closed them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use vault_client::v1::{self, CredentialMetadata, CredentialSecret, VenueRequest};
use vault_client::{Client, ExecuteOrder, get, post};
use vault_mock_venue::{Account, MockConfig, MockVenues, Tls, Venue};
use vault_tests::{PASSPHRASE, TestVault, okx_balance, order, sign_patiently};

use crate::ask::secret;
use crate::hunt::{CONTROL_FRONT, CONTROL_SUPERVISOR, Hunt, NOBODY};
use crate::plant::{p256_scalar, random, random_text, rsa_prime};
use crate::search::{Canary, Searcher};
use crate::{open_to_all, reads_memory};

const SIGNS: usize = 8_000;
const EXECUTES: usize = 2_000;
const TASKS: usize = 16;
/// No venue refuses for its age what was signed since then: Binance and Bybit take 5 s.
const VENUE_WINDOW: Duration = Duration::from_secs(4);

const SCOPE: &str = r#"
name = "uses"
credentials = [
  "binance-execute", "bybit-execute", "coinbase-execute", "coinbase-sign", "kraken-execute",
  "kraken-sign", "okx-execute",
]
classes = ["read"]
modes = ["execute", "sign"]
products = ["spot"]

[network]
allow = ["127.0.0.0/8"]
"#;

/// How a key signs, and who takes such keys.
const KEYS: [(&str, Scheme); 5] = [
    ("binance", Scheme::Ed25519),
    ("bybit", Scheme::Rsa),
    ("coinbase", Scheme::P256),
    ("kraken", Scheme::Base64),
    ("okx", Scheme::Text),
];

/// Those whose signatures are good for one endpoint only. The others' reads cannot be signed for a bot:
/// their closure has more in it; and OKX's would show the passphrase.
const SIGNING: [&str; 2] = ["coinbase", "kraken"];

/// Where a parsed private key may be.
const PARSED: &[&str] = &["open core"];

#[derive(Clone, Copy)]
enum Scheme {
    /// HMAC-SHA512 with the secret decoded.
    Base64,
    Ed25519,
    P256,
    Rsa,
    /// HMAC-SHA256 with the secret as text.
    Text,
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_used_ten_thousand_times_are_in_no_dump_but_for_open_parsed_ones() {
    let (mut hunt, mocks) = start().await;
    hunt.use_keys().await;
    hunt.search_dumps("after 10,000 uses", "open core");
    assert!(mocks.accepted().len() >= EXECUTES, "the venues took {}", mocks.accepted().len());
    hunt.vault.put_scope(&SCOPE.replace("uses", "closes")).await;
    hunt.search_dumps("closed by an act", "core");

    let before = hunt.vault.ready().clone();
    let admin = hunt.vault.admin().await;
    admin.seal(v1::SealCommand {}).await.expect("sealed");
    drop(admin);
    let ready = hunt.vault.restarted().await;
    assert_eq!(ready.state, "sealed");
    assert_ne!(ready.pid_core, before.pid_core, "the core that had keys is gone");
    let name = std::fs::read(format!("/proc/{}/comm", before.pid_core)).unwrap_or_default();
    assert!(!name.starts_with(b"vault-core"), "the core that had keys is gone");
    hunt.search_dumps("sealed", "sealed core");

    let leaks: Vec<String> = hunt.leaks.iter().cloned().collect();
    assert!(leaks.is_empty(), "{} leaks:\n{}", leaks.len(), leaks.concat());
}

impl Hunt {
    /// Signs and sends, while memories are searched again and again.
    async fn use_keys(&mut self) {
        let bot = Arc::new(self.vault.connect_bot("bot").await);
        let tasks: Vec<_> = (0..TASKS).map(|task| tokio::spawn(uses(bot.clone(), task))).collect();
        while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
            self.search_open("in use");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let mut done: BTreeMap<String, usize> = BTreeMap::new();
        for task in tasks {
            for (name, count) in task.await.expect("every use works") {
                *done.entry(name).or_default() += count;
            }
        }
        assert_eq!(done.len(), KEYS.len() + SIGNING.len(), "{done:?}");
        assert!(done.values().all(|count| *count >= 300), "{done:?}");
        assert_eq!(done.values().sum::<usize>(), SIGNS + EXECUTES);
    }

    /// Those that never hold a key.
    fn search_open(&mut self, stage: &str) {
        if !reads_memory() {
            return;
        }
        let searcher = Searcher::new(&self.canaries);
        let ready = self.vault.ready().clone();
        self.search_memory(&searcher, stage, "front", ready.pid_front, CONTROL_FRONT);
        self.search_memory(&searcher, stage, "egress", ready.pid_egress, CONTROL_SUPERVISOR);
    }

    /// All four processes, as the kernel shows them and as a debugger dumps them. The core's keys lie
    /// in memory that neither can read, but for those that are parsed: what else is found there is a
    /// copy.
    fn search_dumps(&mut self, stage: &str, core: &str) {
        self.search_open(stage);
        if !reads_memory() {
            return;
        }
        let searcher = Searcher::new(&self.canaries);
        let ready = self.vault.ready().clone();
        self.search_memory(&searcher, stage, "supervisor", ready.pid, CONTROL_SUPERVISOR);
        self.search_memory(&searcher, stage, core, ready.pid_core, CONTROL_SUPERVISOR);
        for (process, pid, control) in [
            ("front", ready.pid_front, CONTROL_FRONT),
            ("egress", ready.pid_egress, CONTROL_SUPERVISOR),
            (core, ready.pid_core, CONTROL_SUPERVISOR),
        ] {
            self.search_core_file(&searcher, stage, process, pid, control);
        }
    }
}

/// One task's share: it goes around all credentials. Says how often it used which.
async fn uses(bot: Arc<Client>, task: usize) -> BTreeMap<String, usize> {
    let mut done = BTreeMap::new();
    let mut note = |name: &str| *done.entry(name.to_owned()).or_default() += 1;
    for index in 0..SIGNS / TASKS {
        let venue = SIGNING[(index + task) % SIGNING.len()];
        let name = format!("{venue}-sign");
        sign_patiently(&bot, order(&name, read_request(venue))).await.expect("signed");
        note(&name);
        if index.is_multiple_of(SIGNS / EXECUTES) {
            let venue = KEYS[(index / (SIGNS / EXECUTES) + task) % KEYS.len()].0;
            let credential = format!("{venue}-execute");
            let request = read_request(venue);
            note(&credential);
            let order = ExecuteOrder { credential, request, ..Default::default() };
            let until = Instant::now() + Duration::from_secs(120);
            loop {
                let begun = Instant::now();
                let status = bot.execute(order.clone()).await.expect("executed").status;
                if status == 200 {
                    break;
                }
                // Behind a disk that stalls it gets too old for its venue.
                let is_old = begun.elapsed() > VENUE_WINDOW && begun < until;
                assert!(is_old, "{}: {status}", order.credential);
            }
        }
    }
    done
}

fn read_request(venue: &str) -> VenueRequest {
    match venue {
        "binance" => get("https://api.binance.com/api/v3/account"),
        "bybit" => get("https://api.bybit.com/v5/account/wallet-balance?accountType=UNIFIED"),
        "coinbase" => get("https://api.coinbase.com/api/v3/brokerage/accounts"),
        "kraken" => post("https://api.kraken.com/0/private/Balance", ""),
        _ => return okx_balance(),
    }
    .expect("a URL")
}

/// A vault that keys are imported into, and the venues that know them.
async fn start() -> (Hunt, MockVenues) {
    let folder = tempfile::tempdir().expect("a folder");
    open_to_all(folder.path());
    let (mut planted, mut imports, mut accounts) = (vec![], vec![], vec![]);
    for (venue, scheme) in KEYS {
        let uses: &[&str] =
            if SIGNING.contains(&venue) { &["execute", "sign"] } else { &["execute"] };
        for use_ in uses {
            let name = format!("{venue}-{use_}");
            let (credential, account, raw) = key(venue, scheme);
            // Of PEM, base64 of the bare key is what is no secret's only.
            let places = match scheme {
                Scheme::Ed25519 | Scheme::P256 | Scheme::Rsa => PARSED,
                Scheme::Base64 | Scheme::Text => &[],
            };
            planted.push(Canary::allowed_in(format!("key of {name}"), raw, places));
            if matches!(scheme, Scheme::Base64) {
                let text = credential.secret.clone();
                planted.push(Canary::new(format!("key of {name}, as text"), text));
            }
            if !credential.passphrase.is_empty() {
                // Travels beside every signature, as the venue wants it: in frames that nobody wipes.
                // What was sealed may not have it.
                let (name, text) = (format!("passphrase of {name}"), credential.passphrase.clone());
                planted.push(Canary::allowed_in(name, text, &["core", "egress", "open core"]));
            }
            imports.push((name, venue, credential));
            accounts.push(account);
        }
    }
    let config =
        MockConfig { tls: Some(Tls::made()), ..MockConfig::new(accounts, Arc::new(now_ms)) };
    let mocks = MockVenues::start(config).expect("mock venues");
    let ca = folder.path().join("venues-ca.pem");
    std::fs::write(&ca, mocks.ca_pem().expect("an authority")).expect("written");
    let place = toml::Table::from_iter([
        ("host".to_owned(), "*".into()),
        ("connect".to_owned(), mocks.tls_address().expect("TLS").to_string().into()),
        ("ca_file".to_owned(), ca.to_str().expect("plain").into()),
    ]);
    let builder =
        TestVault::builder().config("egress", "override", vec![toml::Value::Table(place)]);
    let builder = if reads_memory() { builder.user(NOBODY, NOBODY) } else { builder };

    let mut hunt = Hunt::over(builder.start().await, folder);
    hunt.add("unseal passphrase", PASSPHRASE);
    hunt.canaries.extend(planted);
    hunt.plant_controls().await;
    let admin = hunt.vault.admin().await;
    for (name, venue, secret) in imports {
        let metadata = CredentialMetadata {
            name,
            venue: venue.to_owned(),
            environment: "live".to_owned(),
            ..Default::default()
        };
        admin.import_unchecked(metadata, secret).await.expect("imported");
    }
    hunt.vault.bot_identity("bot", SCOPE, &[]).await;
    (hunt, mocks)
}

/// A new key: as its owner imports it, as its venue knows it, and its bare bytes.
fn key(venue: &str, scheme: Scheme) -> (CredentialSecret, Account, Vec<u8>) {
    let api_key = match venue {
        "coinbase" => format!("organizations/uses/apiKeys/{}", random_text()),
        _ => random_text(),
    };
    let pem = |pair: rcgen::KeyPair| {
        let imported = CredentialSecret {
            api_key: api_key.clone(),
            private_key_pem: pair.serialize_pem().into(),
            ..Default::default()
        };
        (imported, pair.public_key_pem(), pair.serialize_der())
    };
    let (imported, known, raw) = match scheme {
        Scheme::Base64 => {
            let raw: [u8; 64] = random();
            let text = BASE64_STANDARD.encode(raw);
            (secret(&api_key, &text, ""), text, raw.to_vec())
        }
        Scheme::Ed25519 => {
            let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
            let (imported, known, der) = pem(pair);
            // The seed stands behind the 16 bytes that say what it is.
            (imported, known, der[16..48].to_vec())
        }
        Scheme::P256 => {
            let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
            let (imported, known, der) = pem(pair);
            (imported, known, p256_scalar(&der))
        }
        Scheme::Rsa => {
            let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key");
            let (imported, known, der) = pem(pair);
            (imported, known, rsa_prime(&der))
        }
        Scheme::Text => {
            let text = random_text();
            let passphrase = if venue == "okx" { random_text() } else { String::new() };
            (secret(&api_key, &text, &passphrase), text.clone(), text.into_bytes())
        }
    };
    let passphrase = String::from_utf8(imported.passphrase.clone()).expect("text");
    let account = Account {
        venue: match venue {
            "binance" => Venue::Binance,
            "bybit" => Venue::Bybit,
            "coinbase" => Venue::Coinbase,
            "kraken" => Venue::Kraken,
            _ => Venue::Okx,
        },
        api_key,
        secret: known,
        passphrase: (!passphrase.is_empty()).then_some(passphrase),
        demo: false,
    };
    (imported, account, raw)
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
