//! No secret in any log line, error, `Debug`, process argument, environment or export, in no file of
//! the data directory, nor in the memory of the front or the supervisor: canaries are planted, used in
//! every way, and searched for everywhere in every form.
//!
//! What is searched, and what may be found:
//!
//! - Secrets of credentials, the unseal passphrase, mistyped passphrases, token secrets and the private
//!   keys of bots and operators: nowhere. Secrets pass through the front sealed to the core.
//! - A passphrase that its owner lets the vault disclose travels beside every signature, as the venue
//!   wants it: through the front, which may keep it in freed memory. So may signatures.
//! - The front's own TLS key: in its file and the front. The core's identity key: in its file.
//! - What callers sent (not secret): in the front's memory; never in an error or a log line. Of what a
//!   bot sent, its symbols are in the audit log, by design; of what operators sent, names.
//!
//! Memory is read as root while the vault runs as nobody, and with log lines of every level. The core's
//! own memory holds opened keys while the vault is unsealed and is not searched.

mod process;
mod search;

use std::collections::BTreeSet;
use std::fmt::{Debug, Write as _};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use prost::Message as _;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use tonic::{Request, Status};
use vault_client::proto::sealed;
use vault_client::proto::token::Token;
use vault_client::v1::sign_service_client::SignServiceClient;
use vault_client::v1::{self, CredentialMetadata, CredentialSecret, VenueRequest};
use vault_client::{Client, ClientError, Operator, SecretBytes, Signed};
use vault_tests::{
    PASSPHRASE, Ready, TestVault, kraken_metadata, kraken_order, okx_metadata, okx_order,
    okx_order_body, okx_post, okx_withdrawal, order, wire,
};

use crate::process::{read_memory, read_proc, users};
use crate::search::{Canary, PIECE_MAX, Searcher};

const NOBODY: u32 = 65_534;

const SCOPE: &str = r#"
name = "leaks"
description = "both venues"
credentials = ["kraken-main", "okx-hidden", "okx-open"]
classes = ["read", "trade", "cancel"]
modes = ["sign"]
products = ["spot"]

[symbols]
kraken = ["XBTUSD"]
okx = ["BTC-USDT"]

[network]
allow = ["127.0.0.0/8"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_anywhere_but_in_the_core() {
    let mut hunt = Hunt::start().await;
    hunt.import().await;
    hunt.search("after import", true);

    for round in 0..3 {
        hunt.sign_while_searching(&format!("in use, round {round}")).await;
    }
    hunt.ask_wrongly().await;
    hunt.operate().await;
    hunt.search("after use", true);

    hunt.seal().await;
    hunt.search("sealed", false);
    hunt.unseal().await;
    hunt.sign_while_searching("in use again").await;
    hunt.search("after all", true);

    hunt.stop_and_export().await;
    let leaks = hunt.leaks;
    assert!(
        leaks.is_empty(),
        "{} leaks:\n{}",
        leaks.len(),
        leaks.iter().cloned().collect::<String>()
    );
}

/// Everything that was planted, and everything that was seen.
struct Hunt {
    vault: TestVault,
    /// Outside the data directory: raw stdout and stderr, and exports.
    folder: tempfile::TempDir,
    canaries: Vec<Canary>,
    /// What the vault answered, as a program shows it.
    said: Vec<(String, Vec<u8>)>,
    leaks: BTreeSet<String>,
    /// Text that callers send in wrong places.
    input: String,
    operator_input: String,
    symbol: String,
}

impl Hunt {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        open_to_all(folder.path());
        let [stdout, stderr] = ["stdout", "stderr"].map(|name| folder.path().join(name));
        // The harness reads lines and drops what is no text; this keeps every byte.
        let tee = format!(
            "exec \"$0\" \"$@\" > >(exec tee -a {}) 2> >(exec tee -a {} >&2)",
            stdout.display(),
            stderr.display()
        );
        let builder = TestVault::builder().config("log", "level", "trace").wrapper([
            "bash",
            "-c",
            tee.as_str(),
        ]);
        let builder = if reads_memory() { builder.user(NOBODY, NOBODY) } else { builder };
        let vault = builder.start().await;
        if reads_memory() {
            let Ready { pid, pid_front, pid_core, .. } = *vault.ready();
            for pid in [pid, pid_front, pid_core] {
                assert_eq!(users(pid), [NOBODY; 4], "the vault runs unprivileged");
            }
        }

        let (input, operator_input, symbol) = (random_text(), random_text(), random_text());
        let mut hunt = Self {
            vault,
            folder,
            canaries: Vec::new(),
            said: Vec::new(),
            leaks: BTreeSet::new(),
            input,
            operator_input,
            symbol,
        };
        hunt.plant().await;
        hunt
    }

    /// Knows what the vault itself and the harness have made, and enrols a bot.
    async fn plant(&mut self) {
        const FRONT: &[&str] = &["front memory"];
        const TEXTS: &[&str] = &["front memory", "data/", "export/", "explained"];
        self.add("unseal passphrase", PASSPHRASE);
        let inputs = [
            ("a bot's input", self.input.clone(), FRONT),
            ("an operator's input", self.operator_input.clone(), TEXTS),
            ("a bot's symbol", self.symbol.clone(), TEXTS),
        ];
        for (name, text, allowed) in inputs {
            self.canaries.push(Canary::allowed_in(name, text, allowed));
        }

        self.vault.put_scope(SCOPE).await;
        let token = self.vault.invite("bot", v1::Role::Bot, "leaks", &["127.0.0.1/32"]).await;
        let unused = self.vault.invite_operator("late", v1::Role::Auditor).await;
        self.note("token", &token);
        let enrolled = self.vault.enroll("bot", &token).await;
        self.answered("enroll", &enrolled);
        let again = self.vault.enroll("bot-2", &token).await;
        assert!(again.is_err(), "a token is good once");
        self.answered("enroll again", &again);
        for (name, token) in [
            ("bot's token", &token),
            ("unused token", &unused),
            ("admin's token", &self.vault.made().token("admin")),
            ("auditor's token", &self.vault.made().token("auditor")),
        ] {
            self.canaries.push(Canary::new(name, token_secret(token)));
        }
        for who in ["admin", "auditor", "guard", "bot"] {
            let key = private_key(&self.vault.identity_folder(who).join("key.pem"));
            self.canaries.push(Canary::new(format!("private key of {who}"), key));
            let identity = self.vault.identity(who);
            self.note("identity", &identity);
        }

        let data = self.vault.data();
        let tls_key = private_key(&data.join("server-tls.pem"));
        let allowed = &["front memory", "data/server-tls.pem"];
        self.canaries.push(Canary::allowed_in("server's TLS key", tls_key, allowed));
        let seed = fs::read_to_string(data.join("core-identity.key")).expect("the core's key");
        let seed = hex::decode(seed.trim()).expect("hex");
        let allowed = &["data/core-identity.key"];
        self.canaries.push(Canary::allowed_in("core's identity key", seed, allowed));
        self.canaries.push(ca_key_mark(&data.join("ca.pem")));

        // Found in every search of a memory, or the search is blind.
        let admin = self.vault.identity("admin");
        let tls = wire::tls(&admin, Some(&admin));
        let stream = wire::stream(tls, self.vault.ready().operator, None).await.expect("TLS");
        let (_, session) = stream.get_ref();
        let certificate = session.peer_certificates().expect("a certificate")[0].to_vec();
        self.canaries.push(Canary::allowed_in(CONTROL_FRONT, certificate, EVERYWHERE));
        let path = data.to_str().expect("plain").to_owned();
        self.canaries.push(Canary::allowed_in(CONTROL_SUPERVISOR, path, EVERYWHERE));
    }

    fn add(&mut self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.canaries.push(Canary::new(name, bytes));
    }

    /// A new secret text.
    fn secret(&mut self, name: &str) -> String {
        let text = random_text();
        self.add(name, text.clone());
        text
    }

    fn note(&mut self, what: &str, value: &impl Debug) {
        self.said.push((format!("Debug of {what}"), format!("{value:?}\n{value:#?}").into_bytes()));
    }

    /// What the client library makes of an answer.
    fn answered<T: Debug>(&mut self, what: &str, answer: &Result<T, ClientError>) {
        self.note(what, answer);
        if let Err(error) = answer {
            let mut text = String::new();
            let mut next: Option<&dyn std::error::Error> = Some(error);
            while let Some(error) = next {
                writeln!(text, "{error}\n{error:?}").expect("into a string");
                next = error.source();
            }
            self.said.push((format!("error of {what}"), text.into_bytes()));
        }
    }

    /// What came over the wire.
    fn refused(&mut self, what: &str, status: &Status) {
        let text = format!("{status}\n{status:?}\n{}\n{:?}", status.message(), status.metadata());
        let bytes = [text.as_bytes(), b"\n", status.details()].concat();
        self.said.push((format!("status of {what}"), bytes));
    }

    // ---- what is done to the vault ----

    async fn import(&mut self) {
        let admin = self.vault.admin().await;
        let kraken: [u8; 64] = random();
        self.add("kraken secret, decoded", kraken);
        let kraken_text = BASE64_STANDARD.encode(kraken);
        self.add("kraken secret, text", kraken_text.clone());
        let disclosed = random_text();
        let allowed = &["front memory"];
        self.canaries.push(Canary::allowed_in("disclosed passphrase", disclosed.clone(), allowed));
        let open = okx_secret(&self.secret("okx secret"), &disclosed);
        let hidden = self.hidden_okx_secret("");
        let kraken = secret("leaks-kraken-0001", &kraken_text, "");
        let hide = |name| CredentialMetadata { disclose_passphrase: false, ..okx_metadata(name) };
        for (metadata, secret) in [
            (okx_metadata("okx-open"), open),
            (hide("okx-hidden"), hidden),
            (kraken_metadata("kraken-main"), kraken),
        ] {
            self.note("credential secret", &secret);
            let imported = admin.import(metadata, secret).await;
            self.answered("import", &imported);
            imported.expect("imported");
        }

        // Imports that come to nothing.
        let pem = CredentialSecret {
            private_key_pem: self.secret("refused private key").into(),
            ..self.hidden_okx_secret("with a private key, ")
        };
        let nowhere = CredentialMetadata { venue: "elsewhere".to_owned(), ..hide("okx-lost") };
        let not_base64 = format!("!{}", self.secret("kraken secret that is not base64"));
        let bare = secret("leaks-okx-0002", &self.secret("okx secret without a passphrase"), "");
        let elsewhere = self.hidden_okx_secret("for an unknown venue, ");
        for (what, metadata, secret) in [
            ("a private key", hide("okx-lost"), pem),
            ("an unknown venue", nowhere, elsewhere),
            ("no base64", kraken_metadata("kraken-lost"), secret("lost", &not_base64, "")),
            ("no passphrase", hide("okx-lost"), bare),
        ] {
            let import = admin.import(metadata, secret).await;
            assert!(import.is_err(), "{what} is refused");
            self.answered(&format!("an import with {what}"), &import);
        }
        let other = self.hidden_okx_secret("for other metadata, ");
        self.import_for_other_metadata(&admin, &hide("okx-lost"), &other).await;
        self.vaultctl_import().await;
    }

    fn hidden_okx_secret(&mut self, what: &str) -> CredentialSecret {
        let secret = self.secret(&format!("{what}okx secret with a hidden passphrase"));
        okx_secret(&secret, &self.secret(&format!("{what}hidden passphrase")))
    }

    /// Sealed to a true ticket, but bound to other metadata than what comes beside it.
    async fn import_for_other_metadata(
        &mut self,
        admin: &Operator,
        metadata: &CredentialMetadata,
        secret: &CredentialSecret,
    ) {
        let answer = admin.begin_import(v1::BeginImportCommand {}).await;
        self.answered("begin import", &answer);
        let ticket = answer.expect("a ticket").ticket.expect("a ticket");
        let bound = CredentialMetadata { name: "okx-other".to_owned(), ..metadata.clone() };
        let sealed = sealed::seal(&ticket, &bound.encode_to_vec(), &secret.encode_to_vec());
        let command = v1::ImportCommand {
            ticket_id: ticket.id,
            metadata: Some(metadata.clone()),
            sealed: sealed.expect("sealed"),
        };
        let import = admin.import_sealed(command).await;
        assert!(import.is_err());
        self.answered("an import for other metadata", &import);
    }

    /// The command line: once well, once with a word too many.
    async fn vaultctl_import(&mut self) {
        let admin = self.vault.identity_folder("admin");
        let lines = format!(
            "leaks-okx-0003\n{}\n{}\n",
            self.secret("okx secret on stdin"),
            self.secret("passphrase on stdin")
        );
        for (json, venue, works) in
            [(true, "okx", true), (false, "elsewhere", false), (true, "elsewhere", false)]
        {
            let mut command = Command::new(vault_tests::vaultctl());
            command.args(["credential", "import", "okx-line", "--environment", "live", "--stdin"]);
            command.args(["--rights-unstated", "--venue", venue, "--identity"]).arg(&admin);
            command.args(json.then_some("--json"));
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().expect("vaultctl starts");
            let mut stdin = child.stdin.take().expect("piped");
            stdin.write_all(lines.as_bytes()).expect("written");
            drop(stdin);
            let output = tokio::task::spawn_blocking(|| child.wait_with_output()).await;
            let output = output.expect("no panic").expect("waited for");
            let talk = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.success(), works, "{talk}");
            let shown = [output.stdout, output.stderr].concat();
            self.said.push(("vaultctl credential import".to_owned(), shown));
        }
    }

    /// Hundreds of Signs, while memories are searched again and again.
    async fn sign_while_searching(&mut self, stage: &str) {
        const TASKS: usize = 8;
        const SIGNS: usize = 40;
        let bot = Arc::new(self.vault.connect_bot("bot").await);
        let tasks: Vec<_> =
            (0..TASKS).map(|task| tokio::spawn(signs(Arc::clone(&bot), task, SIGNS))).collect();
        while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
            self.search_processes(stage, true);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        for task in tasks {
            let signed = task.await.expect("signed");
            assert_eq!(signed.len(), SIGNS);
            let last = signed.last().expect("some");
            self.note("a signed request", last);
            let signature = signature(last);
            let allowed = &["front memory"];
            self.canaries.push(Canary::allowed_in("a signature", signature, allowed));
        }
        let hidden = bot.sign(order("okx-hidden", okx_order("BTC-USDT", "1"))).await;
        let reason = hidden.as_ref().err().and_then(ClientError::refusal);
        assert_eq!(reason.expect("refused").reason, "PASSPHRASE_NOT_DISCLOSED");
        self.answered("a Sign with a hidden passphrase", &hidden);
    }

    /// Requests of a bot that must be refused, with canaries wherever one fits.
    async fn ask_wrongly(&mut self) {
        let bot = self.vault.identity("bot");
        let tls = wire::tls(&bot, Some(&bot));
        let channel = wire::channel(tls, self.vault.ready().bot, None).await.expect("connected");
        let input = self.input.clone();
        for (what, wrong) in wrong_requests(&input, &self.symbol) {
            let mut request = Request::new(wrong);
            let value = input.parse().expect("plain");
            request.metadata_mut().insert("authorization", value);
            let answer = SignServiceClient::new(channel.clone()).sign(request).await;
            match answer {
                Ok(_) => panic!("{what} was signed"),
                Err(status) => self.refused(what, &status),
            }
        }
        let garbage = [b"\x0a\xff\xff".as_slice(), input.as_bytes()].concat();
        for (method, bytes) in [
            ("vault.v1.SignService/Sign", garbage.clone()),
            (&format!("vault.v1.SignService/{input}"), garbage),
        ] {
            let refused = wire::call(&channel, method, bytes).await.expect_err("refused");
            self.note("garbage", &refused);
        }
    }

    /// What operators do, well and wrongly.
    async fn operate(&mut self) {
        let admin = self.vault.admin().await;
        let list = admin.list_credentials(v1::ListCredentialsCommand {}).await;
        assert_eq!(list.as_ref().map(|list| list.credentials.len()).ok(), Some(4));
        self.answered("list", &list);
        for name in ["okx-hidden", "kraken-main", "no such", &self.operator_input.clone()] {
            let command = v1::DescribeCredentialCommand { name: name.to_owned() };
            self.answered("describe", &admin.describe_credential(command).await);
        }
        let invited = admin.invite_operator("later", v1::Role::Auditor, 60).await;
        let token = &invited.as_ref().expect("invited").token;
        self.canaries.push(Canary::new("later token", token_secret(token)));
        self.answered("invite", &invited);
        for client in [admin.list_clients(v1::ListClientsCommand {}).await] {
            self.answered("list of clients", &client);
        }
        self.explain(&admin).await;
        self.operate_wrongly(&admin).await;

        let auditor = self.vault.auditor().await;
        let mut export = auditor.export(v1::ExportCommand::default()).await.expect("granted");
        let mut entries = 0;
        while let Some(part) = export.next().await.expect("a part") {
            entries += part.entries.len();
            let bytes = part.entries.join(&b'\n');
            self.said.push(("export/ over gRPC".to_owned(), bytes));
        }
        assert!(entries > 900, "the export has every Sign");
        let checkpoint = auditor.checkpoint(v1::GetCheckpointCommand {}).await;
        self.answered("checkpoint", &checkpoint);
    }

    async fn explain(&mut self, admin: &Operator) {
        let input = self.input.clone();
        let wrong = wrong_requests(&input, &self.symbol);
        let mut requests: Vec<(String, VenueRequest)> = wrong
            .into_iter()
            .filter_map(|(what, sign)| Some((format!("explained {what}"), sign.request?)))
            .collect();
        requests.push(("explained order".to_owned(), okx_order("BTC-USDT", "1")));
        for (what, request) in requests {
            let explained = admin
                .explain(v1::ExplainCommand {
                    client: "bot".to_owned(),
                    credential: "okx-hidden".to_owned(),
                    mode: String::new(),
                    request: Some(request),
                    address: "127.0.0.1".to_owned(),
                })
                .await;
            // The place's name begins with the word that allows a symbol.
            let shown = format!("{explained:?}\n{explained:#?}");
            self.said.push((what, shown.into_bytes()));
        }
    }

    async fn operate_wrongly(&mut self, admin: &Operator) {
        let text = self.operator_input.clone();
        let odd = format!("{text} {text}");
        let scope = |change: &dyn Fn(&mut v1::Scope)| {
            let mut scope = vault_tests::scope(SCOPE);
            change(&mut scope);
            v1::PutScopeCommand { scope: Some(scope), expected_revision: 0 }
        };
        let network =
            |cidr: &str| v1::Network { allow: vec![cidr.to_owned()], ..Default::default() };
        for (what, command) in [
            ("a scope's name", scope(&|scope| scope.name.clone_from(&odd))),
            ("a scope's class", scope(&|scope| scope.classes.push(text.clone()))),
            ("a scope's product", scope(&|scope| scope.products.push(text.clone()))),
            ("a scope's mode", scope(&|scope| scope.modes.push(odd.clone()))),
            ("a scope's operation", scope(&|scope| scope.operations.push(odd.clone()))),
            ("a scope's credential", scope(&|scope| scope.credentials.push(odd.clone()))),
            ("a scope's venue", scope(&|scope| scope.symbols[0].venue.clone_from(&text))),
            ("a scope's network", scope(&|scope| scope.network = Some(network(&text)))),
        ] {
            let answer = admin.put_scope(command).await;
            assert!(answer.is_err(), "{what}");
            self.answered(what, &answer);
        }
        for (name, scope, network) in
            [(odd.as_str(), "leaks", "127.0.0.1"), ("x", &text, "127.0.0.1"), ("x", "leaks", &text)]
        {
            let command = v1::InviteClientCommand {
                name: name.to_owned(),
                role: v1::Role::Bot.into(),
                scope: scope.to_owned(),
                networks: vec![network.to_owned()],
                invite: None,
            };
            let answer = admin.invite_client(command).await;
            assert!(answer.is_err());
            self.answered("a wrong invitation", &answer);
        }
        for target in [text.clone(), format!("venue:{text}"), format!("client:{odd}")] {
            let level = v1::HaltLevel::Nothing.into();
            let command = v1::HaltCommand { level, target, reason: text.clone() };
            let answer = admin.halt(command).await;
            assert!(answer.is_err());
            self.answered("a wrong halt", &answer);
        }
        let identity = admin.identity();
        let tls = wire::tls(identity, Some(identity));
        let address = self.vault.ready().operator;
        let channel = wire::channel(tls, address, None).await.expect("connected");
        let body = v1::DescribeCredentialCommand { name: odd };
        let now = self.vault.now();
        let mut command =
            vault_client::signed_command(identity, &text, &body, now).expect("signed");
        let method = "vault.v1.CredentialService/Describe";
        for _ in 0..2 {
            let request = wire::request(Some(command.clone()));
            let answer = wire::call(&channel, method, request).await;
            self.note("a wrong command", &answer.expect_err("refused"));
            command.method = method.to_owned();
            command.body = [b"\x0a\xff".as_slice(), text.as_bytes()].concat();
        }
    }

    async fn seal(&mut self) {
        let admin = self.vault.admin().await;
        let sealed = admin.seal(v1::SealCommand {}).await;
        self.answered("seal", &sealed);
        sealed.expect("sealed");
        drop(admin);
        let ready = self.vault.restarted().await;
        assert_eq!(ready.state, "sealed");
        self.note("the ready line", &ready);

        let admin = self.vault.admin().await;
        let mistyped = SecretBytes::new(self.secret("mistyped passphrase").into_bytes());
        self.note("a passphrase", &mistyped);
        let answer = admin.unseal(&mistyped).await;
        assert!(answer.is_err());
        self.answered("an unseal with a mistyped passphrase", &answer);
        // Too early, and heard over the local socket.
        let mistyped = self.secret("mistyped passphrase on the local socket");
        let failure = self.vault.local().unseal(&mistyped).expect_err("refused");
        self.note("a local unseal", &failure);
        let bot = self.vault.connect_bot("bot").await;
        let answer = bot.sign(order("okx-open", okx_order("BTC-USDT", "1"))).await;
        assert!(answer.is_err());
        self.answered("a Sign while sealed", &answer);
    }

    /// Over the front, as an operator does it.
    async fn unseal(&mut self) {
        let admin = self.vault.admin().await;
        let passphrase = SecretBytes::new(PASSPHRASE.as_bytes().to_vec());
        for _ in 0..60 {
            let status = admin.status(v1::StatusCommand {}).await;
            self.answered("status", &status);
            if status.is_ok_and(|status| status.retry_after_s == 0) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let unsealed = admin.unseal(&passphrase).await;
        self.answered("unseal", &unsealed);
        unsealed.expect("unsealed");
    }

    async fn stop_and_export(&mut self) {
        self.vault.stop().await;
        let out = self.folder.path().join("export");
        let data = self.vault.data();
        let [data, out_text] = [&data, &out].map(|path| path.to_str().expect("plain"));
        for words in [
            ["audit", "export", "--data", data, "--out", out_text].as_slice(),
            &["audit", "verify", out_text],
        ] {
            let output = self.vault.server_command(words, None);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            self.said.push((words.join(" "), [output.stdout, output.stderr].concat()));
        }
        self.search_said("stopped");
        self.search_files("stopped");
        self.search_folder("stopped", "export", &out);
    }

    // ---- the search ----

    /// Searches everything there is.
    fn search(&mut self, stage: &str, unsealed: bool) {
        self.search_processes(stage, unsealed);
        self.search_files(stage);
        self.search_said(stage);
    }

    fn search_said(&mut self, stage: &str) {
        let searcher = Searcher::new(&self.canaries);
        for (place, bytes) in std::mem::take(&mut self.said) {
            self.look(&searcher, stage, &place, "", 0, &bytes);
        }
    }

    fn search_files(&mut self, stage: &str) {
        let data = self.vault.data();
        let files = self.search_folder(stage, "data", &data);
        for needed in ["vault.db", "audit/seg-", "core-identity.key", "server-tls.pem"] {
            assert!(files.iter().any(|file| file.starts_with(needed)), "no {needed} in {files:?}");
        }
        let searcher = Searcher::new(&self.canaries);
        for name in ["stdout", "stderr"] {
            let bytes = fs::read(self.folder.path().join(name)).expect("what the server wrote");
            assert!(!bytes.is_empty());
            self.look(&searcher, stage, name, "", 0, &bytes);
        }
    }

    /// Searches all files below a folder; returns their names.
    fn search_folder(&mut self, stage: &str, name: &str, folder: &Path) -> Vec<String> {
        let searcher = Searcher::new(&self.canaries);
        let mut names = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).expect("a folder") {
                let entry = entry.expect("an entry");
                let (path, kind) = (entry.path(), entry.file_type().expect("a type"));
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() {
                    let below = path.strip_prefix(folder).expect("below").display().to_string();
                    let bytes = fs::read(&path).expect("a file");
                    self.look(&searcher, stage, &format!("{name}/{below}"), "", 0, &bytes);
                    names.push(below);
                }
            }
        }
        names
    }

    /// Command line and environment of all three, memory of the two that hold no keys.
    fn search_processes(&mut self, stage: &str, unsealed: bool) {
        let searcher = Searcher::new(&self.canaries);
        let Ready { pid, pid_front, pid_core, .. } = *self.vault.ready();
        for (process, pid) in [("supervisor", pid), ("front", pid_front), ("core", pid_core)] {
            for file in ["cmdline", "environ"] {
                let bytes = read_proc(pid, file);
                self.look(&searcher, stage, &format!("{process} {file}"), "", 0, &bytes);
            }
        }
        if !reads_memory() {
            return;
        }
        for (process, pid, control) in
            [("supervisor", pid, CONTROL_SUPERVISOR), ("front", pid_front, CONTROL_FRONT)]
        {
            let place = format!("{process} memory");
            let mut found = BTreeSet::new();
            let read = read_memory(pid, &mut |address, mapping, bytes| {
                found.extend(self.look(&searcher, stage, &place, mapping, address, bytes));
            });
            let read = read.expect("root reads every memory");
            assert!(read > 1 << 20, "{read} bytes of {place} are not all of it");
            assert!(
                found.iter().any(|index| self.canaries[*index].name == control),
                "{stage}: the search of {place} is blind (unsealed: {unsealed})"
            );
        }
    }

    /// Searches some bytes and keeps what must not be there; returns all canaries that were found.
    fn look(
        &mut self,
        searcher: &Searcher,
        stage: &str,
        place: &str,
        mapping: &str,
        start: usize,
        bytes: &[u8],
    ) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        for hit in searcher.find(bytes) {
            let canary = &self.canaries[hit.canary];
            let is_allowed = canary.allowed.iter().any(|allowed| place.starts_with(allowed));
            if found.insert(hit.canary) && !is_allowed {
                let from = hit.offset.saturating_sub(160);
                let until = bytes.len().min(hit.offset + PIECE_MAX + 80);
                let around = bytes[from..until].escape_ascii();
                let (name, form, at) = (&canary.name, hit.form, start + hit.offset);
                self.leaks.insert(format!(
                    "- {place}: {name} ({form}); {stage}, at {at:#x} {mapping}\n    {around}\n"
                ));
            }
        }
        found
    }
}

const EVERYWHERE: &[&str] = &[""];
const CONTROL_FRONT: &str = "control: the server's certificate";
const CONTROL_SUPERVISOR: &str = "control: the data directory's path";

// ---- what is sent ----

async fn signs(bot: Arc<Client>, task: usize, count: usize) -> Vec<Signed> {
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let wanted = match task % 2 {
            0 => order("okx-open", okx_order("BTC-USDT", "0.001")),
            _ => order("kraken-main", kraken_order("XBTUSD", "0.001")),
        };
        all.push(bot.sign(wanted).await.expect("signed"));
    }
    all
}

/// Requests that are refused, with `input` in every part that can hold it.
fn wrong_requests(input: &str, symbol: &str) -> Vec<(&'static str, v1::SignRequest)> {
    let good = || okx_order("BTC-USDT", "1");
    let header = |name: &str, value: &str| VenueRequest {
        headers: vec![v1::Header { name: name.to_owned(), value: value.to_owned() }],
        ..good()
    };
    let body = |body: String| okx_post("/api/v5/trade/order", body);
    let requests = [
        ("a withdrawal", okx_withdrawal()),
        ("a symbol", okx_order(&format!("BTC-{symbol}"), "1")),
        ("a quantity", body(okx_order_body("BTC-USDT", input))),
        ("a parameter", body(format!(r#"{{"instId":"BTC-USDT","{input}":"{input}"}}"#))),
        ("a parameter's type", body(format!(r#"{{"instId":["{input}"]}}"#))),
        ("a double parameter", body(format!(r#"{{"sz":"{input}","sz":"{input}"}}"#))),
        ("no JSON", body(format!("{{{input}"))),
        ("no text", okx_post("/api/v5/trade/order", [b"\xff", input.as_bytes()].concat())),
        ("a path", okx_post(&format!("/api/v5/{input}"), "")),
        ("an encoded path", okx_post(&format!("/api/v5/trade/order%2f{input}"), "")),
        ("a query", VenueRequest { query: format!("{input}={input}"), ..good() }),
        ("a method", VenueRequest { method: input.to_owned(), ..good() }),
        ("a scheme", VenueRequest { scheme: input.to_owned(), ..good() }),
        ("a host", VenueRequest { host: format!("{input}.okx.com"), ..good() }),
        ("a header", header(input, input)),
        ("a header's value", header("content-type", input)),
        ("the vault's own header", header("OK-ACCESS-KEY", input)),
    ];
    let sign = |request_id: &str, credential: &str, request| v1::SignRequest {
        request_id: request_id.to_owned(),
        credential: credential.to_owned(),
        request: Some(request),
    };
    let mut all: Vec<_> = requests
        .into_iter()
        .enumerate()
        .map(|(index, (what, request))| (what, sign(&format!("w-{index}"), "okx-open", request)))
        .collect();
    all.push(("a credential", sign("w-a", &input.to_lowercase(), good())));
    all.push(("an odd credential", sign("w-b", &format!("{input} {input}"), good())));
    all.push(("a request id", sign(&format!("{input} {input}"), "okx-open", good())));
    all.push(("a long request id", sign(&input.repeat(4), "okx-open", good())));
    all
}

fn secret(api_key: &str, secret: &str, passphrase: &str) -> CredentialSecret {
    CredentialSecret {
        api_key: api_key.to_owned(),
        secret: secret.into(),
        passphrase: passphrase.into(),
        private_key_pem: Vec::new(),
    }
}

fn okx_secret(secret_text: &str, passphrase: &str) -> CredentialSecret {
    secret("leaks-okx-0001", secret_text, passphrase)
}

// ---- what is searched for ----

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("randomness");
    bytes
}

/// 40 upper-case letters and digits of 20 random bytes... and so of no other text in the world.
fn random_text() -> String {
    hex::encode_upper(random::<20>())
}

/// The secret within a token's text.
fn token_secret(token: &Token) -> Vec<u8> {
    let text = token.encode();
    let text = text.strip_prefix("cs1_").expect("a token");
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).expect("a token");
    // Behind a version and an id of 16 bytes.
    bytes[17..49].to_vec()
}

/// The private scalar of a P-256 key in PKCS#8.
fn private_key(pem: &Path) -> Vec<u8> {
    const BEFORE: &[u8] = &[0x02, 0x01, 0x01, 0x04, 0x20];
    let key = PrivateKeyDer::from_pem_file(pem).expect("a key");
    let der = key.secret_der();
    let at = der.windows(BEFORE.len()).position(|window| window == BEFORE).expect("P-256");
    der[at + BEFORE.len()..][..32].to_vec()
}

/// The CA's private key cannot be known from outside. Its PKCS#8 form can: the public point stands in
/// it behind bytes that it stands behind nowhere else.
fn ca_key_mark(ca: &Path) -> Canary {
    const BEFORE_IN_CERTIFICATE: &[u8] = &[0x03, 0x42, 0x00, 0x04];
    const BEFORE_IN_KEY: &[u8] = &[0xa1, 0x44, 0x03, 0x42, 0x00, 0x04];
    let ca = rustls_pki_types::CertificateDer::from_pem_file(ca).expect("a CA");
    let mut windows = ca.windows(BEFORE_IN_CERTIFICATE.len());
    let at = windows.position(|window| window == BEFORE_IN_CERTIFICATE).expect("P-256");
    let point = &ca[at + BEFORE_IN_CERTIFICATE.len()..][..6];
    // One piece of 12 bytes: more of the point alone is public.
    let bytes = [BEFORE_IN_KEY, point].concat();
    Canary { name: "CA's private key".to_owned(), bytes, allowed: &[] }
}

fn signature(signed: &Signed) -> Vec<u8> {
    let mut headers = signed.request.headers.iter();
    let header =
        headers.find(|header| matches!(header.name.as_str(), "OK-ACCESS-SIGN" | "API-Sign"));
    BASE64_STANDARD.decode(&header.expect("a signature").value).expect("base64")
}

// ---- what root can do ----

/// Whether memories can be read. CI is root; elsewhere the part is left out, and says so.
fn reads_memory() -> bool {
    // SAFETY: a plain system call without arguments.
    let is_root = unsafe { libc::geteuid() } == 0;
    assert!(is_root || std::env::var_os("CI").is_none(), "CI runs this test as root");
    if !is_root {
        left_out();
    }
    is_root
}

#[allow(clippy::print_stderr, reason = "whoever runs the test must know what it does not show")]
fn left_out() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        eprintln!("*** NOT ROOT: THE MEMORY OF THE VAULT'S PROCESSES IS NOT SEARCHED ***");
    });
}

fn open_to_all(folder: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).expect("set");
}

// ---- the search itself, held against what is known to be there ----

#[test]
fn the_search_finds_what_is_in_a_memory() {
    let bytes: [u8; 32] = random();
    let canaries = [Canary::new("planted", bytes)];
    let searcher = Searcher::new(&canaries);
    // The searcher's own tables hold it too: only this address counts.
    let planted = hex::encode(bytes);
    let own = i32::try_from(std::process::id()).expect("a process id");
    assert!(finds_at(&searcher, own, Some(planted.as_ptr() as usize)));

    if reads_memory() {
        let mut child =
            Command::new("sleep").arg("60").env("CANARY", &planted).spawn().expect("sleep");
        let pid = i32::try_from(child.id()).expect("a process id");
        let found = finds_at(&searcher, pid, None);
        let in_environment = !searcher.find(&read_proc(pid, "environ")).is_empty();
        child.kill().expect("killed");
        child.wait().expect("waited for");
        assert!(found && in_environment);
    }
}

fn finds_at(searcher: &Searcher, pid: i32, wanted: Option<usize>) -> bool {
    let mut found = false;
    let read = read_memory(pid, &mut |start, _, bytes| {
        for hit in searcher.find(bytes) {
            found |= wanted.is_none_or(|wanted| start + hit.offset == wanted);
        }
    });
    read.expect("may be read");
    found
}

#[test]
fn what_crosses_between_processes_shows_nothing_in_debug() {
    use vault_ipc::{Frame, Kind, LocalCall, Reply};

    let bytes: [u8; 32] = random();
    let searcher = Searcher::new(&[Canary::new("planted", bytes)]);
    let reply = Reply { response: bytes.to_vec(), ..Default::default() };
    let frame = Frame { kind: Kind::ServerIdentity, correlation: 1, body: bytes.to_vec() };
    let identity = vault_ipc::ServerIdentity { private_key: bytes.to_vec(), ..Default::default() };
    let call = LocalCall { body: bytes.to_vec(), ..Default::default() };

    // A reply holds signatures and disclosed passphrases, a frame also the server's key.
    for (what, text) in [
        ("Reply", format!("{reply:?}")),
        ("Frame", format!("{frame:?}")),
        ("ServerIdentity", format!("{identity:?}")),
    ] {
        assert!(searcher.find(text.as_bytes()).is_empty(), "{what}: {text}");
    }
    // What is sealed may be shown; and the search does see bytes in Debug.
    assert!(!searcher.find(format!("{call:?}").as_bytes()).is_empty());
}
