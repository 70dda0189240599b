//! Every RPC of the descriptor, asked by everybody, signed and unsigned, open and sealed.

#[path = "access/state.rs"]
mod state;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::Code;
use tonic::transport::Channel;
use vault_client::{Identity, v1};
use vault_tests::{KRAKEN_SCOPE, OKX_SCOPE, Refused, TestVault, kraken_balance, reason, wire};

/// Not offered on the caller's own listener.
const NOT_SERVED: &str = "not served";
/// Heard and done.
const OK: &str = "ok";
/// The role may not.
const ROLE: &str = "ROLE";

/// What callers get for a command with an empty body, signed as it should be. An empty command is
/// refused by what reads it, if it needs anything: that shows how far the caller came.
struct Row {
    rpc: &'static str,
    bot: &'static str,
    pricer: &'static str,
    admin: &'static str,
    guard: &'static str,
    auditor: &'static str,
    /// What those get while the vault is sealed who get past the role.
    sealed: &'static str,
}

impl Row {
    fn of(&self, who: &str) -> &'static str {
        match who {
            "bot" => self.bot,
            "pricer" => self.pricer,
            "admin" => self.admin,
            "guard" => self.guard,
            "auditor" => self.auditor,
            _ => NOT_SERVED,
        }
    }

    /// A row of an RPC for operators: what they get; `None` for those who may not.
    const fn operators(
        rpc: &'static str,
        admin: Option<&'static str>,
        guard: Option<&'static str>,
        auditor: Option<&'static str>,
    ) -> Self {
        const fn or_role(answer: Option<&'static str>) -> &'static str {
            match answer {
                Some(answer) => answer,
                None => ROLE,
            }
        }
        Self {
            rpc,
            bot: NOT_SERVED,
            pricer: NOT_SERVED,
            admin: or_role(admin),
            guard: or_role(guard),
            auditor: or_role(auditor),
            sealed: "SEALED",
        }
    }

    /// A row of an RPC for bots, whose empty request lacks its id.
    const fn bots(rpc: &'static str) -> Self {
        Self {
            rpc,
            bot: "BAD_FIELD",
            pricer: ROLE,
            admin: NOT_SERVED,
            guard: NOT_SERVED,
            auditor: NOT_SERVED,
            sealed: "SEALED",
        }
    }

    fn service(&self) -> &'static str {
        self.rpc.split('/').next().expect("a service")
    }

    const fn admin(rpc: &'static str, answer: &'static str) -> Self {
        Self::operators(rpc, Some(answer), None, None)
    }

    const fn auditor(rpc: &'static str, answer: &'static str) -> Self {
        Self::operators(rpc, None, None, Some(answer))
    }

    /// The service is on the clients' listener too; the role keeps them out.
    const fn heard_from_clients(self) -> Self {
        Self { bot: ROLE, pricer: ROLE, ..self }
    }

    const fn sealed(self, sealed: &'static str) -> Self {
        Self { sealed, ..self }
    }
}

const TABLE: &[Row] = &[
    Row::auditor("AuditService/Export", OK),
    Row::auditor("AuditService/GetCheckpoint", OK),
    Row::auditor("AuditService/Tail", OK),
    Row::admin("ClientService/Describe", "NOT_FOUND").heard_from_clients(),
    Row {
        rpc: "ClientService/Enroll",
        bot: NOT_SERVED,
        pricer: NOT_SERVED,
        admin: NOT_SERVED,
        guard: NOT_SERVED,
        auditor: NOT_SERVED,
        sealed: NOT_SERVED,
    },
    Row::admin("ClientService/Invite", "BAD_FIELD").heard_from_clients(),
    Row::admin("ClientService/List", OK).heard_from_clients(),
    Row {
        rpc: "ClientService/Renew",
        bot: "CSR_INVALID",
        pricer: "CSR_INVALID",
        admin: "CSR_INVALID",
        guard: "CSR_INVALID",
        auditor: "CSR_INVALID",
        sealed: "SEALED",
    },
    Row::admin("ClientService/Revoke", "NOT_FOUND").heard_from_clients(),
    Row {
        rpc: "ClientService/Whoami",
        bot: OK,
        pricer: OK,
        admin: OK,
        guard: OK,
        auditor: OK,
        sealed: OK,
    },
    Row::admin("CredentialService/BeginImport", OK),
    Row::admin("CredentialService/Check", "NOT_FOUND"),
    Row::admin("CredentialService/Describe", "NOT_FOUND"),
    Row::admin("CredentialService/Disable", "NOT_FOUND"),
    Row::admin("CredentialService/Enable", "NOT_FOUND"),
    Row::admin("CredentialService/Import", "BAD_FIELD"),
    Row::admin("CredentialService/List", OK),
    Row::bots("ExecuteService/Execute"),
    Row::bots("ExecuteService/ExecuteStream"),
    Row::admin("HaltService/CancelAll", "BAD_FIELD"),
    Row::operators("HaltService/Halt", Some("BAD_FIELD"), Some("BAD_FIELD"), None),
    Row::admin("HaltService/Resume", "BAD_FIELD"),
    Row::operators("HaltService/Status", Some(OK), Some(OK), None),
    Row::admin("InstrumentService/Delete", "BAD_FIELD"),
    Row::admin("InstrumentService/Import", "BAD_FIELD"),
    Row::admin("InstrumentService/List", OK),
    Row::admin("OperatorService/Invite", "BAD_FIELD"),
    Row::admin("OperatorService/List", OK),
    Row::admin("OperatorService/Revoke", "NOT_FOUND"),
    Row::admin("PriceService/DeleteFeed", "BAD_FIELD"),
    Row::admin("PriceService/List", OK),
    Row {
        rpc: "PriceService/Put",
        bot: ROLE,
        pricer: "BAD_FIELD",
        admin: NOT_SERVED,
        guard: NOT_SERVED,
        auditor: NOT_SERVED,
        sealed: "SEALED",
    },
    Row::admin("PriceService/PutFeed", "BAD_FIELD"),
    Row::admin("ScopeService/Delete", "NOT_FOUND"),
    Row::admin("ScopeService/Explain", "NOT_FOUND"),
    Row::admin("ScopeService/Get", "NOT_FOUND"),
    Row::admin("ScopeService/GetReplay", "NOT_FOUND"),
    Row::admin("ScopeService/List", OK),
    Row::admin("ScopeService/Put", "BAD_FIELD"),
    Row::admin("ScopeService/StartReplay", "BAD_FIELD"),
    Row::operators("SealService/Seal", Some(OK), Some(OK), None).sealed(OK),
    Row::operators("SealService/Status", Some(OK), Some(OK), Some(OK)).sealed(OK),
    Row::admin("SealService/Unseal", "ALREADY_UNSEALED").sealed("SEALED_SECRET"),
    Row::bots("SignService/Sign"),
    Row::bots("SignService/SignBatch"),
    Row::bots("SignService/SignStream"),
];

/// RPCs whose request is no signed command.
const UNSIGNED: &[&str] = &[
    "ClientService/Enroll",
    "ClientService/Whoami",
    "ExecuteService/Execute",
    "ExecuteService/ExecuteStream",
    "SignService/Sign",
    "SignService/SignBatch",
    "SignService/SignStream",
];

/// Services of bots alone.
const OF_BOTS: &[&str] = &["ExecuteService", "SignService"];

const CALLERS: [&str; 5] = ["bot", "pricer", "admin", "guard", "auditor"];

/// Every RPC of `vault.v1`: `ScopeService/Put`.
fn rpcs() -> Vec<String> {
    let set = FileDescriptorSet::decode(vault_proto::FILE_DESCRIPTOR_SET).expect("descriptors");
    let mut rpcs = Vec::new();
    for file in set.file.iter().filter(|file| file.package() == "vault.v1") {
        for service in &file.service {
            for method in &service.method {
                rpcs.push(format!("{}/{}", service.name(), method.name()));
            }
        }
    }
    rpcs.sort();
    rpcs
}

#[test]
fn every_rpc_has_its_row() {
    let rows: Vec<&str> = TABLE.iter().map(|row| row.rpc).collect();

    assert_eq!(rpcs(), rows, "a row for every RPC, in order");
}

/// Somebody with a certificate, connected to the listener of the role.
struct Caller {
    identity: Identity,
    channel: Channel,
}

struct Cast {
    vault: TestVault,
    callers: BTreeMap<&'static str, Caller>,
}

impl Cast {
    async fn new() -> Self {
        let vault = TestVault::start().await;
        vault.bot_identity("bot", OKX_SCOPE, &[]).await;
        vault.pricer("pricer").await;
        let mut cast = Self { vault, callers: BTreeMap::new() };
        cast.connect().await;
        cast
    }

    /// Connects everybody to the listener of their role.
    async fn connect(&mut self) {
        for who in CALLERS {
            let channel = self.channel(who, self.own_listener(who)).await;
            let identity = self.vault.identity(who);
            self.callers.insert(who, Caller { identity, channel });
        }
    }

    async fn channel(&self, who: &str, to: SocketAddr) -> Channel {
        let identity = self.vault.identity(who);
        wire::channel(wire::tls(&identity, Some(&identity)), to, None).await.expect("connected")
    }

    fn own_listener(&self, who: &str) -> SocketAddr {
        match who {
            "bot" | "pricer" => self.vault.ready().bot,
            _ => self.vault.ready().operator,
        }
    }

    /// A command without a body, signed by `signer` for `method`.
    fn signed(&self, signer: &str, method: &str) -> v1::SignedCommand {
        let identity = &self.callers[signer].identity;
        vault_client::signed_command(identity, method, &(), self.vault.now()).expect("signed")
    }
}

fn full(rpc: &str) -> String {
    format!("vault.v1.{rpc}")
}

/// The request of an RPC that takes no signed command: empty, of a batch one of those.
fn unsigned(rpc: &str) -> Vec<u8> {
    match rpc.ends_with("/SignBatch") {
        true => v1::SignBatchRequest { requests: vec![v1::SignRequest::default()] }.encode_to_vec(),
        false => Vec::new(),
    }
}

/// What became of the one Sign of a batch or stream: the call itself goes well.
fn sign_reason(rpc: &str, answer: &[u8]) -> Option<String> {
    let result = match rpc {
        _ if rpc.ends_with("/SignBatch") => {
            let answer = v1::SignBatchResponse::decode(answer).expect("an answer");
            let [result] = <[_; 1]>::try_from(answer.results).expect("one result");
            result
        }
        _ if rpc.ends_with("/SignStream") => v1::SignResult::decode(answer).expect("a result"),
        _ => return None,
    };
    match result.result.expect("a result") {
        v1::sign_result::Result::Failure(failure) => Some(failure.reason),
        v1::sign_result::Result::Signed(_) => None,
    }
}

/// The answer in one word.
fn word(rpc: &str, outcome: Result<Vec<u8>, Refused>) -> String {
    match outcome {
        Ok(answer) => sign_reason(rpc, &answer).unwrap_or_else(|| OK.to_owned()),
        Err(refused) if refused.reason.is_empty() && refused.code == Code::Unimplemented => {
            NOT_SERVED.to_owned()
        }
        Err(refused) if refused.reason.is_empty() => format!("{:?}", refused.code),
        Err(refused) => refused.reason,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_gets_what_the_table_says() {
    let mut cast = Cast::new().await;
    let state_rev = cast.vault.state_rev();
    for row in TABLE {
        for who in CALLERS {
            if row.rpc == "SealService/Seal" && row.of(who) == OK {
                continue;
            }
            assert_eq!(cast.ask(row, who).await, row.of(who), "{} as {who}", row.rpc);
        }
    }
    assert_eq!(cast.vault.state_rev(), state_rev, "nothing of it changed anything");

    let seal = TABLE.iter().find(|row| row.rpc == "SealService/Seal").expect("a row");
    assert_eq!(cast.ask(seal, "guard").await, OK);
    assert_eq!(cast.vault.restarted().await.state, "sealed");
    cast.connect().await;
    for row in TABLE {
        for who in CALLERS {
            let expected = match row.of(who) {
                NOT_SERVED => NOT_SERVED,
                // Whether a client may sign at all is not said before the vault is open.
                ROLE if !OF_BOTS.contains(&row.service()) => ROLE,
                _ => row.sealed,
            };
            if row.rpc == "SealService/Seal" && expected == OK {
                continue;
            }
            assert_eq!(cast.ask(row, who).await, expected, "sealed: {} as {who}", row.rpc);
        }
    }
    // What a person has sealed is not sealed once more, with a restart each time.
    for who in ["admin", "guard"] {
        assert_eq!(cast.ask(seal, who).await, "ALREADY_SO", "{who}");
    }

    cast.vault.unseal();
    assert_eq!(cast.vault.state_rev(), state_rev);
    cast.vault.verify();
}

impl Cast {
    async fn ask(&self, row: &Row, who: &str) -> String {
        let method = full(row.rpc);
        let request = match UNSIGNED.contains(&row.rpc) {
            true => unsigned(row.rpc),
            false => wire::request(Some(self.signed(who, &method))),
        };
        word(row.rpc, wire::call(&self.callers[who].channel, &method, request).await)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_counts_only_with_the_callers_own_signature() {
    let cast = Cast::new().await;
    let state_rev = cast.vault.state_rev();
    // Side by side: every refusal waits for its entry to be on disk.
    join_all(CALLERS.map(|who| cast.try_signatures(who))).await;
    assert_eq!(cast.vault.state_rev(), state_rev);
}

impl Cast {
    async fn try_signatures(&self, who: &str) {
        let cast = self;
        for row in TABLE.iter().filter(|row| !UNSIGNED.contains(&row.rpc)) {
            let method = full(row.rpc);
            let channel = &cast.callers[who].channel;
            let ask = async |command: Option<v1::SignedCommand>| {
                word(row.rpc, wire::call(channel, &method, wire::request(command)).await)
            };
            let (missing, expected) = match row.of(who) {
                NOT_SERVED => (NOT_SERVED, NOT_SERVED),
                ROLE => ("COMMAND_MISSING", ROLE),
                _ => ("COMMAND_MISSING", "COMMAND_SIGNATURE"),
            };
            let note = format!("{} as {who}", row.rpc);
            assert_eq!(ask(None).await, missing, "nothing signed: {note}");

            let good = cast.signed(who, &method);
            let without = v1::SignedCommand { signature: Vec::new(), ..good.clone() };
            assert_eq!(ask(Some(without)).await, expected, "no signature: {note}");
            let mut bent = good.clone();
            *bent.signature.last_mut().expect("bytes") ^= 1;
            assert_eq!(ask(Some(bent)).await, expected, "a bent signature: {note}");
            let altered = v1::SignedCommand { body: vec![0x98, 0x06, 0x01], ..good.clone() };
            assert_eq!(ask(Some(altered)).await, expected, "another body: {note}");
            let later = v1::SignedCommand { expires_at_ms: good.expires_at_ms + 1, ..good };
            assert_eq!(ask(Some(later)).await, expected, "a longer life: {note}");

            let other = if who == "admin" { "guard" } else { "admin" };
            let theirs = cast.signed(other, &method);
            assert_eq!(ask(Some(theirs)).await, expected, "another's signature: {note}");

            let misdirected = match expected {
                "COMMAND_SIGNATURE" => "COMMAND_METHOD",
                other => other,
            };
            let elsewhere = cast.signed(who, "vault.v1.SealService/Other");
            assert_eq!(ask(Some(elsewhere)).await, misdirected, "for another call: {note}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_counts_on_its_own_listener_only() {
    let cast = Cast::new().await;
    let ready = cast.vault.ready();
    let at = [
        ("bot", ready.operator),
        ("pricer", ready.operator),
        ("admin", ready.bot),
        ("guard", ready.bot),
        ("auditor", ready.bot),
    ];
    for (who, listener) in at {
        let channel = cast.channel(who, listener).await;
        for row in TABLE {
            let method = full(row.rpc);
            let request = match UNSIGNED.contains(&row.rpc) {
                true => unsigned(row.rpc),
                false => wire::request(Some(cast.signed(who, &method))),
            };
            let for_clients = row.rpc == "PriceService/Put" || OF_BOTS.contains(&row.service());
            let expected = match (row.rpc, row.service()) {
                ("ClientService/Enroll", _) => NOT_SERVED,
                (_, "ClientService") => "WRONG_LISTENER",
                _ if for_clients && listener == ready.bot => "WRONG_LISTENER",
                _ if for_clients => NOT_SERVED,
                _ if listener == ready.operator => "WRONG_LISTENER",
                _ => NOT_SERVED,
            };
            let answer = word(row.rpc, wire::call(&channel, &method, request).await);
            assert_eq!(answer, expected, "{} as {who} on the other listener", row.rpc);
        }
    }
}

/// What callers get who ask the bots' listener for a WebSocket to a venue, open and sealed. Nobody but
/// a bot has one for nothing else than its role; this bot's scope lets the vault send nothing.
const WEBSOCKET: [(&str, &str, &str); 5] = [
    ("bot", "MODE_NOT_GRANTED", "SEALED"),
    ("pricer", ROLE, "SEALED"),
    ("admin", "WRONG_LISTENER", "SEALED"),
    ("guard", "WRONG_LISTENER", "SEALED"),
    ("auditor", "WRONG_LISTENER", "SEALED"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_for_bots_whose_scope_lets_the_vault_send() {
    let mut cast = Cast::new().await;
    let ready = cast.vault.ready().clone();
    for (who, open, _) in WEBSOCKET {
        assert_eq!(cast.upgrade(who, ready.bot).await, open, "{who}");
    }
    for listener in [ready.operator, ready.enroll] {
        for who in CALLERS {
            let answer = cast.upgrade(who, listener).await;
            assert_eq!(answer, NOT_SERVED, "{who} at another listener");
        }
    }
    let seal = TABLE.iter().find(|row| row.rpc == "SealService/Seal").expect("a row");
    assert_eq!(cast.ask(seal, "guard").await, OK);
    assert_eq!(cast.vault.restarted().await.state, "sealed");
    let bots = cast.vault.ready().bot;
    for (who, _, sealed) in WEBSOCKET {
        assert_eq!(cast.upgrade(who, bots).await, sealed, "sealed: {who}");
    }
}

impl Cast {
    /// The reason for which a WebSocket is refused.
    async fn upgrade(&self, who: &str, at: SocketAddr) -> String {
        let request = "GET /wss://ws.okx.com/ws/v5/private HTTP/1.1\r\nhost: vault\r\n\
            connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
            sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
        self.http(who, at, request).await
    }

    /// The reason for which a request in HTTP/1.1 is refused.
    async fn http(&self, who: &str, at: SocketAddr, request: &str) -> String {
        let identity = self.vault.identity(who);
        let mut tls = wire::tls(&identity, Some(&identity));
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let Ok(mut stream) = wire::stream(tls, at, None).await else {
            return NOT_SERVED.to_owned();
        };
        let mut answer = Vec::new();
        // A server that does not speak this need not say goodbye.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut bytes = [0; 4_096];
        while let Ok(Ok(count @ 1..)) =
            tokio::time::timeout(Duration::from_secs(5), stream.read(&mut bytes)).await
        {
            answer.extend_from_slice(&bytes[..count]);
            if answer.ends_with(b"}}") {
                break;
            }
        }
        let text = String::from_utf8_lossy(&answer).into_owned();
        let reason = text.split_once(r#""reason":""#).and_then(|(_, rest)| rest.split('"').next());
        reason.unwrap_or(NOT_SERVED).to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_nothing() {
    let cast = Cast::new().await;
    let ready = cast.vault.ready();
    let admin = cast.vault.identity("admin");
    for listener in [ready.bot, ready.operator] {
        let anonymous = wire::stream(wire::tls(&admin, None), listener, None).await;
        let error = match anonymous {
            // In TLS 1.3 the client hears of the refusal after its own part of the handshake.
            Ok(mut stream) => {
                tokio::io::AsyncReadExt::read_u8(&mut stream).await.expect_err("refused")
            }
            Err(error) => error,
        };
        assert!(error.to_string().contains("CertificateRequired"), "{error}");
    }

    let channel = wire::channel(wire::tls(&admin, None), ready.enroll, None).await;
    let channel = channel.expect("connected");
    for row in TABLE {
        let method = full(row.rpc);
        // Somebody who got hold of an admin's command has no use for it here.
        let request = match UNSIGNED.contains(&row.rpc) {
            true => unsigned(row.rpc),
            false => wire::request(Some(cast.signed("admin", &method))),
        };
        let expected = match row.rpc {
            "ClientService/Enroll" => "INVITATION_PROOF",
            _ => NOT_SERVED,
        };
        let answer = word(row.rpc, wire::call(&channel, &method, request).await);
        assert_eq!(answer, expected, "{} as nobody", row.rpc);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn not_yours_and_not_there_answer_alike() {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    vault.import_kraken("kraken-main").await;
    vault.bot_identity("kraken-bot", KRAKEN_SCOPE, &[]).await;
    vault.bot_identity("okx-bot", OKX_SCOPE, &[]).await;
    let identity = vault.identity("okx-bot");
    let channel = wire::channel(wire::tls(&identity, Some(&identity)), vault.ready().bot, None);
    let channel = channel.await.expect("connected");

    let ask = async |id: &str, credential: &str, request: v1::VenueRequest| {
        let sign = v1::SignRequest {
            request_id: id.to_owned(),
            credential: credential.to_owned(),
            request: Some(request),
        };
        let answer = wire::call(&channel, "vault.v1.SignService/Sign", sign.encode_to_vec()).await;
        Refused { entry_index: None, ..answer.expect_err("refused") }
    };
    let not_yours = ask("a-1", "kraken-main", kraken_balance()).await;
    let not_there = ask("a-2", "kraken-more", kraken_balance()).await;
    let no_name = ask("a-3", "Kraken Main!", kraken_balance()).await;
    assert_eq!(not_yours.reason, "NOT_FOUND");
    assert_eq!(not_yours, not_there);
    assert_eq!(not_yours, no_name);
    // A disabled credential of somebody else is no more visible.
    let admin = vault.admin().await;
    let disable = v1::DisableCredentialCommand { name: "kraken-main".to_owned() };
    admin.disable_credential(disable).await.expect("disabled");
    assert_eq!(ask("a-4", "kraken-main", kraken_balance()).await, not_yours);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_operator_is_nobody() {
    let vault = TestVault::start().await;
    vault.operator("second", v1::Role::Admin).await;
    let second = vault.connect("second").await;
    second.list_clients(v1::ListClientsCommand::default()).await.expect("an admin");

    let revoke = v1::RevokeOperatorCommand { name: "second".to_owned() };
    vault.admin().await.revoke_operator(revoke).await.expect("revoked");
    // Its connection was cut; a new one is made for the call.
    let mut outcome = second.list_clients(v1::ListClientsCommand::default()).await;
    if outcome.as_ref().is_err_and(|error| error.refusal().is_none()) {
        outcome = second.list_clients(v1::ListClientsCommand::default()).await;
    }
    assert_eq!(reason(outcome), "CERTIFICATE_REVOKED");
}
