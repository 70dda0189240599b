//! A vault whose front and egress are this test: enrolled, with credentials, and with a record of
//! everything that honest people asked for.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use prost::Message;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use vault_client::v1;
use vault_ipc::{
    CommandCall, Dispatch, EnrollCall, ExecuteCall, Failure, Frame, Kind, LocalCall,
    LocalOperation, Outcome, ProxyCall, PullCall, Reply, SignCall, StreamCall, WhoamiCall,
    body_bytes_max,
};
use vault_proto::sealed;
use vault_proto::token::Token;
use vault_tests::PASSPHRASE;

use crate::core::{Core, Ended, SOON};
use crate::judge;
use crate::person::{Key, Person, random};

/// A key at OKX whose passphrase may go to a bot.
pub const OKX_SECRET: &str = "canary-okx-main-secret-7f3c9a51b2e84d06";
pub const OKX_PASSPHRASE: &str = "canary-okx-main-passphrase";
/// Another, for `Execute` alone: neither leaves by the front.
pub const OKX_SENT_SECRET: &str = "canary-okx-sent-secret-a1c5f8e2d4b60937";
pub const OKX_SENT_PASSPHRASE: &str = "canary-okx-sent-passphrase";
/// 64 bytes in base64.
pub const KRAKEN_SECRET: &str = vault_tests::KRAKEN_SECRET;

/// What a client may, as this test sees it: written beside the scope, not read from it.
pub struct Leave {
    pub client: &'static str,
    pub scope: &'static str,
    pub credential: &'static str,
    pub hosts: &'static [&'static str],
    pub symbols: &'static [&'static str],
    pub is_sign: bool,
    /// First two bytes of every address that it may come from.
    pub network: [u8; 2],
}

/// The clients, with their scopes.
pub const LEAVES: [Leave; 4] = [
    Leave {
        client: "alice",
        scope: r#"
name = "okx-signer"
credentials = ["okx-main"]
classes = ["read", "trade", "cancel"]
modes = ["sign"]
products = ["spot"]
[symbols]
okx = ["BTC-USDT", "ETH-USDT"]
[network]
allow = ["127.0.0.0/16"]
"#,
        credential: "okx-main",
        hosts: &["www.okx.com"],
        symbols: &["BTC-USDT", "ETH-USDT"],
        is_sign: true,
        network: [127, 0],
    },
    Leave {
        client: "bob",
        scope: r#"
name = "kraken-sender"
credentials = ["kraken-main"]
classes = ["public", "read", "trade", "cancel"]
modes = ["execute"]
products = ["*"]
[symbols]
kraken = ["XBTUSD"]
[network]
allow = ["10.1.0.0/16"]
"#,
        credential: "kraken-main",
        hosts: &["api.kraken.com"],
        symbols: &["XBTUSD"],
        is_sign: false,
        network: [10, 1],
    },
    Leave {
        client: "carol",
        scope: r#"
name = "okx-sender"
credentials = ["okx-sent"]
classes = ["public", "read", "trade", "cancel"]
modes = ["execute"]
products = ["*"]
[symbols]
okx = ["SOL-USDT"]
[network]
allow = ["10.2.0.0/16"]
"#,
        credential: "okx-sent",
        hosts: &["www.okx.com", "ws.okx.com"],
        symbols: &["SOL-USDT"],
        is_sign: false,
        network: [10, 2],
    },
    // Revoked in every bed.
    Leave {
        client: "dave",
        scope: r#"
name = "okx-past"
credentials = ["okx-main"]
classes = ["read", "trade", "cancel"]
modes = ["sign", "execute"]
products = ["spot"]
[symbols]
okx = ["BTC-USDT"]
"#,
        credential: "okx-main",
        hosts: &[],
        symbols: &[],
        is_sign: true,
        network: [127, 0],
    },
];

/// An honest person's command, as the log may name it once.
pub struct Honest {
    pub by: String,
    pub method: String,
    pub sig_sha256: [u8; 32],
}

/// A frame that went one of the four ways.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub way: Way,
    pub frame: Frame,
}

/// Between whom a frame went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    FrontToCore,
    EgressToCore,
    CoreToFront,
    CoreToEgress,
}

/// The vault and its people.
pub struct Bed {
    pub core: Core,
    pub people: HashMap<String, Person>,
    pub honest: Vec<Honest>,
    /// How often an honest person has enrolled.
    pub enrolments: usize,
    /// What cores before this one have written to front and egress.
    pub past: Vec<Recorded>,
    /// What was sent to them, where it was recorded.
    pub sent: Vec<Recorded>,
    /// Cores that have ended.
    pub ends: Vec<Ended>,
    pub log_vkey: String,
    ca_fingerprint: [u8; 32],
    core_fingerprint: [u8; 32],
    tokens: HashMap<&'static str, Token>,
    last_call: u64,
    folder: TempDir,
}

impl Bed {
    /// A vault that is open, with admin, auditor, guard, four bots, a pricer and three credentials.
    pub fn new() -> Self {
        let mut bed = Self::sealed();
        bed.unseal();
        for name in ["admin", "auditor"] {
            let token = bed.tokens.remove(name).expect("a token of init");
            bed.enroll(name, &token, [127, 0, 0, 1]).expect("enrolled");
        }
        let guard = bed.invite_operator("guard", v1::Role::Guard);
        bed.enroll("guard", &guard, [127, 0, 0, 1]).expect("enrolled");
        bed.import("okx-main", "okx", ("canary-key-1", OKX_SECRET, OKX_PASSPHRASE), true);
        bed.import(
            "okx-sent",
            "okx",
            ("canary-key-2", OKX_SENT_SECRET, OKX_SENT_PASSPHRASE),
            false,
        );
        bed.import("kraken-main", "kraken", ("canary-key-3", KRAKEN_SECRET, ""), false);
        for leave in &LEAVES {
            let scope = bed.put_scope(leave.scope);
            let token = bed.invite(leave.client, v1::Role::Bot, &scope);
            let [a, b] = leave.network;
            bed.enroll(leave.client, &token, [a, b, 0, 1]).expect("enrolled");
        }
        let token = bed.invite("pat", v1::Role::Pricer, "");
        bed.enroll("pat", &token, [127, 0, 0, 1]).expect("enrolled");
        let revoke =
            v1::RevokeClientCommand { name: "dave".to_owned(), reason: "a test".to_owned() };
        let _: v1::RevokeClientResponse =
            bed.command("admin", "ClientService/Revoke", &revoke).expect("revoked");
        bed
    }

    /// A vault that is sealed, with nobody enrolled.
    pub fn sealed() -> Self {
        let folder = tempfile::Builder::new().prefix("countersign-hostile-").tempdir();
        let folder = folder.expect("a folder");
        let data = folder.path().join("data");
        let mut command = Command::new(vault_tests::vault_server());
        command
            .args(["--json", "init", "--development", "--kdf-light", "--passphrase-stdin"])
            .args(["--name", "127.0.0.1", "--data"])
            .arg(&data)
            .args(["--bot-address", "127.0.0.1:7001", "--operator-address", "127.0.0.1:7002"])
            .args(["--enroll-address", "127.0.0.1:7003"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("init starts");
        let mut input = child.stdin.take().expect("piped");
        std::io::Write::write_all(&mut input, format!("{PASSPHRASE}\n").as_bytes()).expect("read");
        drop(input);
        let output = child.wait_with_output().expect("waited for");
        assert!(output.status.success(), "init failed");
        let made: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let text = |key: &str| made[key].as_str().expect("a text").to_owned();
        let hash = |key: &str| {
            hex::decode(text(key)).ok().and_then(|hash| hash.try_into().ok()).expect("a hash")
        };
        let token =
            |who: &str| Token::decode(made[who]["token"].as_str().expect("one")).expect("a token");
        let bed = Self {
            core: Core::start(&configured(&data, 0)),
            people: HashMap::new(),
            honest: Vec::new(),
            enrolments: 0,
            past: Vec::new(),
            sent: Vec::new(),
            ends: Vec::new(),
            log_vkey: text("log_vkey"),
            ca_fingerprint: hash("ca_fingerprint"),
            core_fingerprint: hash("core_fingerprint"),
            tokens: HashMap::from([("admin", token("admin")), ("auditor", token("auditor"))]),
            last_call: 1_000,
            folder,
        };
        bed.core.front.wait(0, SOON, |frame| frame.kind == Kind::State).expect("the core is up");
        bed
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder of the test's own.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    // ---- the supervisor's part ----

    /// Opens the vault.
    pub fn unseal(&mut self) {
        let local = |operation: LocalOperation, body| LocalCall {
            operation: operation.into(),
            body,
            uid: 0,
        };
        let status = local(LocalOperation::Status, Vec::new());
        let reply = self.core.supervisor.call(Kind::Local, 1, &status).expect("a status");
        let status = v1::StatusResponse::decode(reply.response.as_slice()).expect("a status");
        let Some(ticket) = status.unseal_ticket else {
            panic!("no ticket: {:?}, {}", status.state(), status.reason);
        };
        let body = v1::UnsealCommand {
            sealed: sealed::seal(&ticket, &[], PASSPHRASE.as_bytes()).expect("a true ticket"),
            ticket_id: ticket.id,
        };
        let unseal = local(LocalOperation::Unseal, body.encode_to_vec());
        let reply = self.core.supervisor.call(Kind::Local, 2, &unseal).expect("an answer");
        assert_eq!(reply.failure, None);
    }

    /// Whether an open vault answers honest people, of each queue one: by then it has taken what was
    /// sent before.
    pub fn is_serving(&mut self) -> bool {
        for who in LEAVES.iter().map(|leave| leave.client).chain(["pat"]) {
            let Some(caller) = self.people.get(who).map(Person::caller) else {
                continue;
            };
            if !self.is_through(Kind::Whoami, &WhoamiCall { caller }) {
                return false;
            }
        }
        // Of nobody.
        if !self.is_through(Kind::Pull, &PullCall { grant: 0, from_index: 0 }) {
            return false;
        }
        let status = self.signed("guard", "HaltService/Status", &v1::HaltStatusCommand::default());
        let call = self.command_call("guard", status);
        let Some(reply) = self.try_call(Kind::Command, &call) else {
            return false;
        };
        // It would be a refusal of an honest person, and nothing that a front may bring about.
        assert_eq!(reply.failure, None, "an honest operator is refused");
        true
    }

    /// Sends a call until there is room for it, and waits for its answer, whatever that is.
    fn is_through(&mut self, kind: Kind, call: &impl Message) -> bool {
        loop {
            let Some(reply) = self.try_call(kind, call) else {
                return false;
            };
            let is_late = |failure: &Failure| failure.reason == "OVERLOADED";
            if !reply.failure.as_ref().is_some_and(is_late) {
                return true;
            }
        }
    }

    /// Ends the core, in order if it still runs, and starts another on the same data.
    pub fn restart(&mut self) {
        self.end();
        self.begin(0);
    }

    /// Ends the core, in order if it still runs.
    pub fn end(&mut self) -> &Ended {
        let ended = self.core.stop();
        self.keep_past();
        self.ends.push(ended);
        self.ends.last().expect("just pushed")
    }

    /// Starts a core after one has ended, with its clock set, and opens the vault.
    pub fn begin(&mut self, clock_offset_s: i64) {
        self.core = Core::start(&configured(&self.data(), clock_offset_s));
        self.core.front.wait(0, SOON, |frame| frame.kind == Kind::State).expect("the core is up");
        self.unseal();
    }

    /// As [`Bed::end`] and [`Bed::begin`] if the core has ended by itself or is about to; says why.
    pub fn begin_if_ended(&mut self, within: Duration) -> Option<String> {
        let ended = self.core.ended_within(within)?;
        let reason = ended.reason().to_owned();
        self.keep_past();
        self.ends.push(ended);
        self.begin(0);
        Some(reason)
    }

    fn keep_past(&mut self) {
        let ways = [(Way::CoreToFront, &self.core.front), (Way::CoreToEgress, &self.core.egress)];
        for (way, wire) in ways {
            self.past.extend(wire.frames().into_iter().map(|frame| Recorded { way, frame }));
        }
    }

    // ---- honest people ----

    /// A number for a call that no other call has.
    pub fn number(&mut self) -> u64 {
        self.last_call += 1;
        self.last_call
    }

    pub fn person(&self, name: &str) -> &Person {
        self.people.get(name).expect("somebody known")
    }

    /// A command that its person has signed. It may stand in the log once.
    pub fn signed(&mut self, by: &str, method: &str, body: &impl Message) -> v1::SignedCommand {
        let method = format!("vault.v1.{method}");
        let command = self.person(by).command(&method, body);
        self.honest.push(Honest {
            by: by.to_owned(),
            method,
            sig_sha256: Sha256::digest(&command.signature).into(),
        });
        command
    }

    /// A call as an honest front makes of a command.
    pub fn command_call(&self, by: &str, command: v1::SignedCommand) -> CommandCall {
        CommandCall { caller: self.person(by).caller(), method: command.method.clone(), command }
    }

    /// Signs a command, and has it carried out by an honest front.
    pub fn command<R: Message + Default>(
        &mut self,
        by: &str,
        method: &str,
        body: &impl Message,
    ) -> Result<R, Failure> {
        let command = self.signed(by, method, body);
        let call = self.command_call(by, command);
        decode(self.send_call(Kind::Command, &call))
    }

    /// Sends a call of the front and waits for its answer.
    pub fn send_call(&mut self, kind: Kind, call: &impl Message) -> Reply {
        self.try_call(kind, call).expect("an answer")
    }

    /// As [`Bed::send_call`], where the core may end instead.
    pub fn try_call(&mut self, kind: Kind, call: &impl Message) -> Option<Reply> {
        let id = self.number();
        let body = call.encode_to_vec();
        if body.len() <= body_bytes_max(kind) {
            let frame = Frame { kind, correlation: id, body };
            self.sent.push(Recorded { way: Way::FrontToCore, frame });
        }
        self.core.front.call(kind, id, call)
    }

    /// Enrols somebody with a token.
    pub fn enroll(&mut self, name: &str, token: &Token, address: [u8; 4]) -> Result<(), Failure> {
        let key = Key::new();
        let csr = key.csr();
        let request =
            v1::EnrollRequest { token_id: token.id.to_vec(), proof: token.prove(&csr), csr };
        let call = EnrollCall { address: address.to_vec(), via: "direct".to_owned(), request };
        self.enrolments += 1;
        let answer: v1::EnrollResponse = decode(self.send_call(Kind::Enroll, &call))?;
        assert_eq!(answer.name, name);
        self.people.insert(name.to_owned(), Person::new(key, &answer, address));
        Ok(())
    }

    fn token(&self) -> (Token, v1::InviteSpec) {
        let (id, secret) = (random(), random::<32>());
        let (ca, core) = (self.ca_fingerprint, self.core_fingerprint);
        let token = Token::new(id, secret.into(), ca, core, 0, String::new());
        let spec = v1::InviteSpec {
            token_id: id.to_vec(),
            token_public_key: token.public_key().to_vec(),
            lifetime_s: 0,
        };
        (token, spec)
    }

    pub fn invite_operator(&mut self, name: &str, role: v1::Role) -> Token {
        let (token, spec) = self.token();
        let invite = v1::InviteOperatorCommand {
            name: name.to_owned(),
            role: role.into(),
            invite: Some(spec),
        };
        let _: v1::InviteOperatorResponse =
            self.command("admin", "OperatorService/Invite", &invite).expect("invited");
        token
    }

    pub fn invite(&mut self, name: &str, role: v1::Role, scope: &str) -> Token {
        let (token, spec) = self.token();
        let invite = v1::InviteClientCommand {
            name: name.to_owned(),
            role: role.into(),
            scope: scope.to_owned(),
            networks: Vec::new(),
            invite: Some(spec),
        };
        let _: v1::InviteClientResponse =
            self.command("admin", "ClientService/Invite", &invite).expect("invited");
        token
    }

    pub fn put_scope(&mut self, toml: &str) -> String {
        let scope = vault_tests::scope(toml);
        let name = scope.name.clone();
        let put = v1::PutScopeCommand { scope: Some(scope), ..Default::default() };
        let _: v1::PutScopeResponse = self.command("admin", "ScopeService/Put", &put).expect("put");
        name
    }

    /// An import that is sealed to a ticket of the core's, and what it is of.
    pub fn sealed_import(
        &mut self,
        name: &str,
        venue: &str,
        (api_key, secret, passphrase): (&str, &str, &str),
        disclose_passphrase: bool,
    ) -> v1::ImportCommand {
        let begin = v1::BeginImportCommand {};
        let begun: v1::BeginImportResponse =
            self.command("admin", "CredentialService/BeginImport", &begin).expect("a ticket");
        let ticket = begun.ticket.expect("a ticket");
        let metadata = v1::CredentialMetadata {
            name: name.to_owned(),
            venue: venue.to_owned(),
            environment: "live".to_owned(),
            disclose_passphrase,
            ..Default::default()
        };
        let secret = v1::CredentialSecret {
            api_key: api_key.to_owned(),
            secret: secret.into(),
            passphrase: passphrase.into(),
            private_key_pem: Vec::new(),
        };
        let sealed = sealed::seal(&ticket, &metadata.encode_to_vec(), &secret.encode_to_vec());
        v1::ImportCommand {
            ticket_id: ticket.id,
            metadata: Some(metadata),
            sealed: sealed.expect("a true ticket"),
            skip_check: true,
            ..Default::default()
        }
    }

    fn import(&mut self, name: &str, venue: &str, secret: (&str, &str, &str), disclose: bool) {
        let import = self.sealed_import(name, venue, secret, disclose);
        let _: v1::ImportResponse =
            self.command("admin", "CredentialService/Import", &import).expect("imported");
    }

    /// A `Sign` as an honest front passes it on.
    pub fn sign_call(&self, by: &str, request: v1::VenueRequest) -> SignCall {
        let request = v1::SignRequest {
            request_id: request_id(),
            credential: credential(by),
            request: Some(request),
        };
        SignCall { caller: self.person(by).caller(), request, ..SignCall::default() }
    }

    pub fn sign(
        &mut self,
        by: &str,
        request: v1::VenueRequest,
    ) -> Result<v1::SignResponse, Failure> {
        let call = self.sign_call(by, request);
        decode(self.send_call(Kind::Sign, &call))
    }

    pub fn execute_call(&self, by: &str, request: v1::VenueRequest) -> ExecuteCall {
        let request = v1::ExecuteRequest {
            request_id: request_id(),
            credential: credential(by),
            request: Some(request),
        };
        ExecuteCall { caller: self.person(by).caller(), request, ..ExecuteCall::default() }
    }

    /// Has a request accepted for sending; returns the frame that went to egress.
    pub fn execute(
        &mut self,
        by: &str,
        request: v1::VenueRequest,
    ) -> Result<(u64, Dispatch), Failure> {
        let call = self.execute_call(by, request);
        let after = self.core.egress.count();
        let _: v1::Execution = decode(self.send_call(Kind::Execute, &call))?;
        let frame = self.core.egress.wait(after, SOON, |frame| frame.kind == Kind::Dispatch);
        let frame = frame.expect("a request for egress");
        Ok((frame.correlation, frame.message().expect("a dispatch")))
    }

    /// The numbers of the requests that egress was given after its first `after` frames: waits for so
    /// many, and says all that there are then.
    pub fn dispatched(&self, after: usize, count: usize) -> Vec<u64> {
        let mut numbers = Vec::new();
        let mut seen = after;
        while numbers.len() < count {
            let next = |frame: &Frame| frame.kind == Kind::Dispatch;
            if self.core.egress.wait(seen, SOON, next).is_none() {
                break;
            }
            while let Some((at, frame)) = self.core.egress.find(seen, next) {
                numbers.push(frame.correlation);
                seen = at + 1;
            }
        }
        numbers
    }

    /// A request as a bot's own library writes it to OKX.
    pub fn proxy_call(&self, by: &str, mut request: v1::VenueRequest) -> ProxyCall {
        let header =
            |name: &str, value: &str| v1::Header { name: name.to_owned(), value: value.to_owned() };
        request.headers = vec![
            header("ok-access-key", &format!("countersign:{}", credential(by))),
            header("ok-access-sign", "-"),
            header("ok-access-timestamp", "2026-11-22T00:00:00.000Z"),
            header("ok-access-passphrase", "-"),
            header("content-type", "application/json"),
        ];
        let caller = self.person(by).caller();
        ProxyCall { caller, request_id: request_id(), request, ..ProxyCall::default() }
    }

    /// A WebSocket to OKX.
    pub fn stream_call(&self, by: &str, path: &str) -> StreamCall {
        let request = v1::VenueRequest {
            method: "GET".to_owned(),
            scheme: "wss".to_owned(),
            host: "ws.okx.com:8443".to_owned(),
            path: path.to_owned(),
            ..Default::default()
        };
        StreamCall { caller: self.person(by).caller(), request, deadline_us: 0 }
    }

    /// Opens a WebSocket; returns the front's number and the core's.
    pub fn open_stream(&mut self, by: &str) -> (u64, u64) {
        let call = self.stream_call(by, "/ws/v5/private");
        let after = self.core.egress.count();
        let front = self.number();
        let reply = self.core.front.call(Kind::Stream, front, &call).expect("an answer");
        assert_eq!(reply.failure, None);
        let dial = self.core.egress.wait(after, SOON, |frame| frame.kind == Kind::StreamDial);
        (front, dial.expect("a dial").correlation)
    }

    /// Says that a request has been answered well.
    pub fn settle(&mut self, id: u64) {
        let outcome = answered();
        let frame = Frame { kind: Kind::Outcome, correlation: id, body: outcome.encode_to_vec() };
        self.sent.push(Recorded { way: Way::EgressToCore, frame });
        self.core.egress.send(Kind::Outcome, id, &outcome).expect("taken");
    }

    /// Opens a grant to read the log.
    pub fn export(&mut self) -> u64 {
        let export = v1::ExportCommand { from_index: 0, to_index: 0 };
        let chunk: vault_ipc::Chunk =
            self.command("auditor", "AuditService/Export", &export).expect("a grant");
        chunk.grant
    }

    pub fn pull(&mut self, grant: u64, from_index: u64) -> Reply {
        self.send_call(Kind::Pull, &PullCall { grant, from_index })
    }

    /// Ends the core and holds everything that it has said and written against what it may.
    pub fn judge(mut self) -> judge::Verdict {
        self.end();
        judge::judge(&self)
    }
}

/// Writes the configuration of a test; returns the folder.
fn configured(data: &std::path::Path, clock_offset_s: i64) -> PathBuf {
    let text = format!(
        "development = true\n\
         [listen]\nbot = \"127.0.0.1:7001\"\noperator = \"127.0.0.1:7002\"\n\
         enroll = \"127.0.0.1:7003\"\n\
         [public]\nnames = [\"127.0.0.1\"]\n\
         [audit]\ndisk_free_min_bytes = 1048576\n\
         [credential_check]\nevery_h = 0\n\
         [clock]\noffset_s = {clock_offset_s}\n"
    );
    fs::write(data.join("config.toml"), text).expect("written");
    data.to_owned()
}

/// The answer of a call that went well.
pub fn decode<R: Message + Default>(reply: Reply) -> Result<R, Failure> {
    match reply.failure {
        Some(failure) => Err(failure),
        None => Ok(R::decode(reply.response.as_slice()).expect("the response")),
    }
}

/// The credential of a client.
pub fn credential(client: &str) -> String {
    let leave = LEAVES.iter().find(|leave| leave.client == client);
    leave.map_or("okx-main", |leave| leave.credential).to_owned()
}

/// An id that no other request has.
pub fn request_id() -> String {
    hex::encode(random::<16>())
}

/// A venue's answer without a fault.
pub fn answered() -> Outcome {
    Outcome {
        status: 200,
        sent: true,
        latency_us: 1_000,
        order_id: "4711".to_owned(),
        attempts: 1,
        ..Default::default()
    }
}
