//! A vault that is open, with two bots and their credentials. What it decides is looked at before
//! the writer has it.

use std::collections::BTreeSet;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use prost::Message;
use vault_audit::tree::leaf_hash;
use vault_audit::{Appended, Entry};
use vault_ipc::proto::v1;
use vault_ipc::{
    Caller, Decoder, Dispatch, ExecuteCall, Frame, Kind, Listener, Outcome, ProxyCall, Reply,
    SignCall,
};
use vault_model::{Class, Mode, Name, Role, SecretBytes, Serial, Timestamp};
use vault_policy::{Grant, ScopeDocument};

use crate::clock::Machine;
use crate::config::{CoreConfig, DataDir, PublicAddresses, RequestLimits};
use crate::execute::VenueCall;
use crate::hashes::Hashes;
use crate::inbox::{Inbox, inbox};
use crate::init::{InitOptions, init};
use crate::run::Input;
use crate::start::{Started, start};
use crate::storage::{
    CertificateRow, CertificateState, Changes, ClientRow, Hex, HexBytes, Holder, HolderState,
    ScopeRow,
};
use crate::vault::Vault;
use crate::writer::Channels;

/// The bots, by the first byte of their serials.
pub const ONE: u8 = 1;
pub const OTHER: u8 = 2;

pub struct Bench {
    pub vault: Vault,
    pub now: Timestamp,
    hashes: Hashes,
    /// What must stay while the vault runs.
    _rest: (tempfile::TempDir, [UnixStream; 3], Inbox),
}

/// What was decided since the last look.
pub struct Seen {
    pub dispatches: Vec<(u64, Dispatch)>,
    pub replies: Vec<(u64, Reply)>,
    pub entries: Vec<Entry>,
    pub egress: Vec<Kind>,
    pub front: Vec<Kind>,
    pub front_bytes: Vec<u8>,
    pub egress_frames: Vec<Frame>,
    pub front_frames: Vec<Frame>,
}

impl Seen {
    /// The reason of the one refusal that there is.
    pub fn reason(&self) -> &str {
        assert!(self.dispatches.is_empty(), "nothing is sent");
        let [(_, Reply { failure: Some(failure), .. })] = self.replies.as_slice() else {
            panic!("one refusal: {:?}", self.replies)
        };
        &failure.reason
    }

    /// The one request that is sent, and what its caller is told.
    pub fn sent(&self) -> (u64, &Dispatch, v1::Execution) {
        let [(id, dispatch)] = self.dispatches.as_slice() else {
            panic!("one request: {:?}", self.replies)
        };
        let [(correlation, reply)] = self.replies.as_slice() else { panic!("one answer") };
        assert_eq!(*correlation, dispatch.front_correlation);
        assert!(reply.failure.is_none() && !reply.releases);
        (*id, dispatch, v1::Execution::decode(reply.response.as_slice()).expect("an execution"))
    }
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let data = DataDir::new(folder.path().join("data"));
        let key_file = folder.path().join("key");
        init(InitOptions {
            data: data.clone(),
            trust_domain: "vault.example".to_owned(),
            node: name("node-1"),
            build: "test".to_owned(),
            development: true,
            kdf_light: true,
            passphrase: None,
            key_file: Some(key_file.clone()),
            server_names: vec!["localhost".to_owned()],
            public: PublicAddresses::default(),
            admin: name("admin"),
            auditor: name("auditor"),
            token_lifetime: Duration::from_secs(60),
            clock_offset_s: 0,
            segment_bytes: 65_536,
        })
        .expect("a data directory");
        let config = CoreConfig {
            data,
            build: "test".to_owned(),
            development: true,
            clock_offset_s: 0,
            server_names: vec!["localhost".to_owned()],
            public: PublicAddresses::default(),
            segment_bytes: 65_536,
            snapshot_every: 0,
            verify_at_start: false,
            disk_free_min_bytes: 0,
            egress_timeout_ms: 10_000,
            credential_check_every_h: 24,
            requests: RequestLimits::default(),
            unseal_key_file: None,
            catalog_additions: Vec::new(),
            hardening: Default::default(),
            geoip: None,
            stay_sealed: true,
            writes_itself: false,
            give_back: || {},
        };
        let (channels, ends) = Channels::for_test();
        let now = Timestamp::from_millis(
            std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_millis() as i64,
        );
        let (core, inputs) = inbox().expect("an inbox");
        let Started { mut vault, .. } =
            start(config, channels, &core, now, &Machine::look()).expect("a vault");
        let key = std::fs::read(&key_file).expect("its key file");
        vault.unseal_with_key_file(SecretBytes::new(key), now).expect("opens");
        let mut bench =
            Self { vault, now, hashes: Hashes::default(), _rest: (folder, ends, inputs) };
        bench.fill();
        bench.look();
        bench
    }

    fn fill(&mut self) {
        let now = self.now;
        let mut document = ScopeDocument::new(name("scope"));
        document.credentials =
            ["binance-main", "kraken-main", "okx-main"].map(name).into_iter().collect();
        document.classes = BTreeSet::from([Class::Public, Class::Read, Class::Trade]);
        document.modes = BTreeSet::from([Mode::Execute, Mode::Sign]);
        document.products = Grant::Every;
        for venue in ["binance", "kraken", "okx"] {
            document.symbols.insert(name(venue), Grant::Every);
        }
        document.network.allow = BTreeSet::from(["10.0.0.0/8".parse().expect("a network")]);
        let mut changes = Changes::new();
        changes.put(ScopeRow {
            document: serde_json::to_value(&document).expect("a document"),
            name: name("scope"),
            revision: 1,
            updated_at: now,
        });
        for (bot, client) in [(ONE, "one"), (OTHER, "other")] {
            changes.put(ClientRow {
                created_at: now,
                name: name(client),
                networks: Vec::new(),
                revoke_reason: None,
                revoked_at: None,
                role: Role::Bot,
                scope: Some(name("scope")),
                state: HolderState::Active,
            });
            changes.put(CertificateRow {
                fingerprint: Hex([bot; 32]),
                holder: Holder::Client(name(client)),
                issued_at: now,
                not_after: now.plus(Duration::from_secs(86_400)),
                parent: None,
                public_key: HexBytes(Vec::new()),
                serial: Serial([bot; 16]),
                state: CertificateState::Active,
            });
        }
        // 64 bytes of zero, as Kraken writes a secret.
        let zeros = format!("{}A==", "A".repeat(85));
        for (venue, secret, passphrase) in [
            ("binance", "not-a-real-secret-nor-any-other", ""),
            ("kraken", zeros.as_str(), ""),
            ("okx", "not-a-real-secret-nor-any-other", "open-sesame"),
        ] {
            let metadata = v1::CredentialMetadata {
                name: format!("{venue}-main"),
                venue: venue.to_owned(),
                environment: "live".to_owned(),
                ..v1::CredentialMetadata::default()
            };
            let secret = v1::CredentialSecret {
                api_key: format!("{venue}-api-key"),
                secret: secret.into(),
                passphrase: passphrase.into(),
                ..v1::CredentialSecret::default()
            };
            let (row, version) = self.vault.sample_credential(&metadata, &secret, now);
            changes.put(row).put(version);
        }
        self.change(&changes);
    }

    /// Changes policy without an act.
    pub fn change(&mut self, changes: &Changes) {
        let open = self.vault.open.as_mut().expect("open");
        let _ = open.state.apply(changes, &open.state_mac).expect("fits");
        let changed: Vec<_> = changes.keys().cloned().collect();
        open.recompile(&changed).expect("compiles");
    }

    /// Changes the scope of both bots.
    pub fn rescope(&mut self, change: impl FnOnce(&mut ScopeDocument)) {
        let open = self.vault.open.as_ref().expect("open");
        let mut row = open.state.tables().scopes[&name("scope")].clone();
        let mut document = serde_json::from_value(row.document).expect("a document");
        change(&mut document);
        row.document = serde_json::to_value(&document).expect("a document");
        let mut changes = Changes::new();
        changes.put(row);
        self.change(&changes);
    }

    /// Changes the sites of a credential.
    pub fn resite(&mut self, credential: &str, sites: &[&str]) {
        let mut row = self.vault.tables().credentials[&name(credential)].clone();
        row.sites = sites.iter().map(|site| (*site).to_owned()).collect();
        let mut changes = Changes::new();
        changes.put(row);
        self.change(&changes);
    }

    /// Takes what was decided away from the writer.
    pub fn look(&mut self) -> Seen {
        let mut batch = self.vault.journal.take();
        let leaf_hashes: Vec<_> = batch.lines().map(leaf_hash).collect();
        let size = self.vault.journal.size();
        let first_index = size - leaf_hashes.len() as u64;
        let appended = Appended { first_index, leaf_hashes, root: [0; 32], size };
        batch.fill_in(Some(&appended), &mut self.hashes).expect("hashes of what was recorded");
        let frames = |bytes: &[u8]| -> Vec<Frame> {
            let mut decoder = Decoder::default();
            decoder.extend(bytes);
            std::iter::from_fn(|| decoder.next_frame().expect("frames of ours")).collect()
        };
        let (egress, front) = (frames(&batch.egress), frames(&batch.front));
        let of = |frames: &[Frame], kind| -> Vec<Frame> {
            frames.iter().filter(|frame| frame.kind == kind).cloned().collect()
        };
        Seen {
            dispatches: of(&egress, Kind::Dispatch)
                .iter()
                .map(|frame| (frame.correlation, frame.message().expect("a request")))
                .collect(),
            replies: of(&front, Kind::Reply)
                .iter()
                .map(|frame| (frame.correlation, frame.message().expect("an answer")))
                .collect(),
            entries: batch.lines().map(|line| Entry::from_line(line).expect("an entry")).collect(),
            egress: egress.iter().map(|frame| frame.kind).collect(),
            front: front.iter().map(|frame| frame.kind).collect(),
            front_bytes: batch.front,
            egress_frames: egress,
            front_frames: front,
        }
    }

    pub fn execute(&mut self, correlation: u64, call: ExecuteCall) -> Seen {
        self.call(correlation, VenueCall::Execute(call))
    }

    pub fn call(&mut self, correlation: u64, call: VenueCall) -> Seen {
        self.vault.execute(call, correlation, self.now).expect("a decision");
        self.look()
    }

    /// Time passes, on both clocks.
    pub fn wait(&mut self, time: Duration) {
        self.now = self.now.plus(time);
        self.vault.clock.pass(time);
    }

    pub fn sign(&mut self, correlation: u64, call: &SignCall) -> Seen {
        self.vault.sign(call.clone(), correlation, self.now).expect("a decision");
        self.look()
    }

    /// The venue has answered, and lanes that are free then have their turns.
    pub fn outcome(&mut self, id: u64, outcome: &Outcome) -> Seen {
        self.vault.executed(outcome, id, self.now).expect("it is on its way");
        while self.lane_turn() {}
        self.look()
    }

    /// What another thread has computed.
    pub fn input(&self) -> Input {
        let (_, _, inputs) = &self._rest;
        loop {
            if let Some(input) = inputs.next() {
                return input;
            }
            std::thread::yield_now();
        }
    }

    /// One lane has its turn, if one is in line.
    pub fn lane_turn(&mut self) -> bool {
        let Some((credential, _)) = self.vault.lanes.take_ready() else {
            return false;
        };
        self.vault.lane_turn(&credential, self.now).expect("a decision");
        true
    }
}

pub fn caller(bot: u8) -> Caller {
    Caller {
        serial: vec![bot; 16],
        fingerprint: vec![bot; 32],
        address: vec![10, 0, 0, 1],
        via: "direct".to_owned(),
        listener: Listener::Bot.into(),
    }
}

/// A request to be sent.
pub fn execute(id: &str, credential: &str, request: v1::VenueRequest) -> ExecuteCall {
    ExecuteCall {
        caller: caller(ONE),
        request: v1::ExecuteRequest {
            request_id: id.to_owned(),
            credential: credential.to_owned(),
            request: Some(request),
        },
        ..ExecuteCall::default()
    }
}

/// A request as a library made it.
pub fn proxied(id: &str, request: v1::VenueRequest) -> VenueCall {
    VenueCall::Proxy(ProxyCall {
        caller: caller(ONE),
        request_id: id.to_owned(),
        request,
        ..ProxyCall::default()
    })
}

pub fn sign(bot: u8, id: &str, credential: &str, request: v1::VenueRequest) -> SignCall {
    SignCall {
        caller: caller(bot),
        request: v1::SignRequest {
            request_id: id.to_owned(),
            credential: credential.to_owned(),
            request: Some(request),
        },
        ..SignCall::default()
    }
}

pub fn request(method: &str, host: &str, path: &str) -> v1::VenueRequest {
    v1::VenueRequest {
        method: method.to_owned(),
        host: host.to_owned(),
        path: path.to_owned(),
        ..v1::VenueRequest::default()
    }
}

/// An order of so many.
pub fn okx_order(quantity: &str) -> v1::VenueRequest {
    let body = format!(
        r#"{{"instId":"BTC-USDT","tdMode":"cash","side":"buy","ordType":"limit","px":"60000","sz":"{quantity}"}}"#
    );
    let body = body.into_bytes();
    v1::VenueRequest { body, ..request("POST", "www.okx.com", "/api/v5/trade/order") }
}

pub fn kraken_balance() -> v1::VenueRequest {
    request("POST", "api.kraken.com", "/0/private/Balance")
}

pub fn binance_price() -> v1::VenueRequest {
    let query = "symbol=BTCUSDT".to_owned();
    v1::VenueRequest { query, ..request("GET", "api.binance.com", "/api/v3/avgPrice") }
}

pub fn binance_account() -> v1::VenueRequest {
    request("GET", "api.binance.com", "/api/v3/account")
}

/// The venue's answer came.
pub fn answered() -> Outcome {
    Outcome { status: 200, sent: true, latency_us: 1_234, attempts: 1, ..Outcome::default() }
}
