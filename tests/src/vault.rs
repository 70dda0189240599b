//! One vault of a test's own.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use toml::{Table, Value};
use vault_audit::{Entry, verify};
use vault_client::{Client, ClientError, EnrollOptions, Identity, Operator, SignOrder, Signed, v1};
use vault_policy::ScopeDocument;
use vault_proto::token::Token;

use crate::local::Local;
use crate::port::Port;
use crate::server::{Launch, NotStarted, Ready, Server, kill};
use crate::venue::{self, Mocks};

/// The unseal passphrase of every test vault.
pub const PASSPHRASE: &str = "abacus-lantern-cobalt-meadow-77-Quiet-Ember-Vortex";

/// What a test may want otherwise. `TestVault::builder().segment_bytes(65_536).start().await`.
#[derive(Debug)]
pub struct Builder {
    launch: Launch,
    config: Table,
    clock_offset_s: i64,
    key_file: bool,
    sealed: bool,
}

impl Builder {
    fn new() -> Self {
        let builder = Self {
            launch: Launch::default(),
            config: Table::new(),
            clock_offset_s: 0,
            key_file: false,
            sealed: false,
        };
        // A nearly full disk of the machine is no reason to fail.
        builder.config("audit", "disk_free_min_bytes", 1 << 20)
    }

    /// Size of a log segment; at least 65,536.
    #[must_use]
    pub fn segment_bytes(self, bytes: u32) -> Self {
        self.config("audit", "segment_bytes", i64::from(bytes))
    }

    /// A line of `config.toml`: `key = value` in `[section]`.
    #[must_use]
    pub fn config(mut self, section: &str, key: &str, value: impl Into<Value>) -> Self {
        set(&mut self.config, section, key, value.into());
        self
    }

    /// A variable of the server's environment. The children get `LD_PRELOAD` and what begins with
    /// `COUNTERSIGN_TEST_`, and no others.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.launch.env.push((key.into(), value.into()));
        self
    }

    /// Words before the server's own command line: `["strace", "-f", "-o", "/tmp/trace"]`. Holds
    /// for `run` alone, not for `init`.
    #[must_use]
    pub fn wrapper<W: Into<OsString>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.launch.wrapper = words.into_iter().map(Into::into).collect();
        self
    }

    /// Runs everything as this user and group; needs root.
    #[must_use]
    pub fn user(mut self, user: u32, group: u32) -> Self {
        self.launch.user = Some((user, group));
        self
    }

    /// Added to the vault's clock, from `init` on. See [`TestVault::set_clock_offset_s`].
    #[must_use]
    pub fn clock_offset_s(mut self, seconds: i64) -> Self {
        self.clock_offset_s = seconds;
        self
    }

    /// Makes a key file too, with which the vault opens itself at every start.
    #[must_use]
    pub fn key_file(mut self) -> Self {
        self.key_file = true;
        self
    }

    /// Leaves the vault sealed, and nobody enrolled.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        self.sealed = true;
        self
    }

    /// Makes the vault, starts it, and unless [`Builder::sealed`] was asked for unseals it and
    /// enrols the admin `admin`, the auditor `auditor` and the guard `guard`.
    ///
    /// # Panics
    ///
    /// If any of it fails.
    pub async fn start(self) -> TestVault {
        let sealed = self.sealed;
        let mut vault = TestVault::init(self);
        if sealed {
            vault.run().await;
        } else {
            vault.run_and_unseal().await;
            vault.enroll_operators().await;
        }
        vault
    }
}

/// What `vault-server init --json` prints.
#[derive(Debug)]
pub struct Made {
    /// All of it.
    pub json: serde_json::Value,
    /// SHA-256 of the CA's certificate.
    pub ca_fingerprint: [u8; 32],
    /// SHA-256 of the core's public key.
    pub core_fingerprint: [u8; 32],
    /// The log's verifier key.
    pub log_vkey: String,
}

impl Made {
    fn new(json: serde_json::Value) -> Self {
        let text = |key: &str| json[key].as_str().expect("a text").to_owned();
        let fingerprint =
            |key: &str| hex::decode(text(key)).ok().and_then(|hash| hash.try_into().ok());
        Self {
            ca_fingerprint: fingerprint("ca_fingerprint").expect("a hash"),
            core_fingerprint: fingerprint("core_fingerprint").expect("a hash"),
            log_vkey: text("log_vkey"),
            json,
        }
    }

    /// The first token of `admin` or `auditor`.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn token(&self, who: &str) -> Token {
        let text = self.json[who]["token"].as_str().expect("a token");
        Token::decode(text).expect("a token")
    }
}

/// A vault: its folder, its processes, and those who have enrolled with it.
#[derive(Debug)]
pub struct TestVault {
    // First: processes end before their folder goes.
    server: Option<Server>,
    operators: Mutex<HashMap<String, Arc<Operator>>>,
    launch: Launch,
    config: Table,
    clock_offset_s: i64,
    ports: [Port; 3],
    made: Made,
    root: TempDir,
}

impl TestVault {
    /// A vault with nothing special about it: unsealed, with an admin, an auditor and a guard.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// For a vault with something special about it.
    pub fn builder() -> Builder {
        Builder::new()
    }

    fn init(builder: Builder) -> Self {
        let root = tempfile::Builder::new().prefix("countersign-test-").tempdir();
        let root = root.expect("a temporary folder");
        if let Some((user, group)) = builder.launch.user {
            chown(root.path(), Some(user), Some(group)).expect("root");
        }
        // Another user's test folder may be entered, so that a test as root can look into it.
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o711)).expect("set");

        let ports = [Port::take(), Port::take(), Port::take()];
        let address = |port: &Port| OsString::from(format!("127.0.0.1:{}", port.number()));
        let [bot, operator, enroll] = &ports;
        let mut arguments: Vec<OsString> = vec![
            "--json".into(),
            "init".into(),
            "--data".into(),
            root.path().join("data").into(),
            "--development".into(),
            "--kdf-light".into(),
            "--passphrase-stdin".into(),
            "--name".into(),
            "127.0.0.1".into(),
            "--bot-address".into(),
            address(bot),
            "--operator-address".into(),
            address(operator),
            "--enroll-address".into(),
            address(enroll),
            format!("--clock-offset-s={}", builder.clock_offset_s).into(),
        ];
        let mut config = builder.config;
        if builder.key_file {
            let path = root.path().join("unseal.key");
            arguments.extend(["--key-file".into(), path.clone().into()]);
            let text = path.to_str().expect("plain").to_owned();
            set(&mut config, "unseal", "key_file", text.into());
        }
        let launch = Launch { wrapper: Vec::new(), env: Vec::new(), ..builder.launch.clone() };
        let output = run_to_end(launch.command(&arguments), Some(&format!("{PASSPHRASE}\n")));
        assert!(output.status.success(), "init: {}", String::from_utf8_lossy(&output.stderr));
        let json = serde_json::from_slice(&output.stdout).expect("init prints JSON");

        Self {
            server: None,
            operators: Mutex::default(),
            launch: builder.launch,
            config,
            clock_offset_s: builder.clock_offset_s,
            ports,
            made: Made::new(json),
            root,
        }
    }

    // ---- processes ----

    /// Starts the processes on the data directory as it is, and does not unseal.
    ///
    /// # Errors
    ///
    /// [`NotStarted`] if they refuse.
    ///
    /// # Panics
    ///
    /// If they run already.
    pub async fn try_run(&mut self) -> Result<Ready, NotStarted> {
        assert!(self.server.is_none(), "the vault runs already");
        self.write_config();
        self.operators().clear();
        let arguments = ["run".into(), "--data".into(), self.data().into()];
        let server = Server::start(&self.launch, &arguments).await?;
        Ok(self.server.insert(server).ready.clone())
    }

    /// As [`TestVault::try_run`], for a start that must not fail.
    ///
    /// # Panics
    ///
    /// If it fails.
    pub async fn run(&mut self) -> Ready {
        match self.try_run().await {
            Ok(ready) => ready,
            Err(NotStarted { status, stderr }) => panic!("not started ({status:?}):\n{stderr}"),
        }
    }

    /// Ends the processes in order, on SIGTERM.
    ///
    /// # Panics
    ///
    /// If they do not run, or do not end with success.
    pub async fn stop(&mut self) {
        let server = self.server();
        server.signal(libc::SIGTERM);
        let status = server.ended().await;
        assert!(status.success(), "{status}:\n{}", server.stderr());
        self.server = None;
    }

    /// Ends the processes in order, starts them again on the same ports, and unseals.
    ///
    /// # Panics
    ///
    /// If any of it fails.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.run_and_unseal().await;
    }

    /// Starts the processes after they have ended, and unseals unless a key file did.
    ///
    /// # Panics
    ///
    /// If any of it fails.
    pub async fn run_and_unseal(&mut self) {
        if self.run().await.state != "unsealed" {
            self.unseal();
        }
    }

    /// Kills the core with SIGKILL, and waits until everything else has ended for that reason.
    ///
    /// # Panics
    ///
    /// If the rest lives on.
    pub async fn kill_core(&mut self) -> ExitStatus {
        self.kill(self.ready().pid_core);
        self.ended().await
    }

    /// Kills one of its processes with SIGKILL; see [`Ready`] for their ids.
    pub fn kill(&self, pid: i32) {
        kill(pid, libc::SIGKILL);
    }

    /// Kills everything at once with SIGKILL, as a loss of power would, but for what is in caches.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn kill_all(&mut self) {
        assert!(self.server.take().is_some(), "the vault does not run");
    }

    /// Waits until the processes have ended by themselves.
    ///
    /// # Panics
    ///
    /// If they do not.
    pub async fn ended(&mut self) -> ExitStatus {
        let (status, _) = self.ended_saying().await;
        status
    }

    /// As [`TestVault::ended`], with what was written to stderr.
    ///
    /// # Panics
    ///
    /// If they do not end.
    pub async fn ended_saying(&mut self) -> (ExitStatus, String) {
        let mut server = self.server.take().expect("the vault runs");
        let status = server.ended().await;
        (status, server.stderr())
    }

    /// Waits until the processes have been started anew after a seal.
    ///
    /// # Panics
    ///
    /// If they are not.
    pub async fn restarted(&mut self) -> Ready {
        self.operators().clear();
        self.server().next_ready().await.clone()
    }

    /// Opens the vault over its local socket.
    ///
    /// # Panics
    ///
    /// If it refuses.
    pub fn unseal(&self) {
        self.local().unseal(PASSPHRASE).expect("unsealed");
    }

    /// The newest line that the server printed: addresses and process ids.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn ready(&self) -> &Ready {
        &self.server.as_ref().expect("the vault runs").ready
    }

    /// What the server has written to stderr since its start.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn stderr(&self) -> String {
        self.server.as_ref().expect("the vault runs").stderr()
    }

    /// A new connection to the local socket.
    pub fn local(&self) -> Local {
        Local::connect(&self.ready().socket)
    }

    /// Runs `vault-server --json` with other words, as the vault's user.
    ///
    /// # Panics
    ///
    /// If it does not end in time.
    pub fn server_command(&self, words: &[&str], stdin: Option<&str>) -> Output {
        let mut arguments: Vec<OsString> = vec!["--json".into()];
        arguments.extend(words.iter().map(OsString::from));
        let launch = Launch { wrapper: Vec::new(), env: Vec::new(), ..self.launch.clone() };
        run_to_end(launch.command(&arguments), stdin)
    }

    // ---- settings ----

    /// Changes `config.toml`; holds from the next start on.
    pub fn set_config(&mut self, section: &str, key: &str, value: impl Into<Value>) {
        set(&mut self.config, section, key, value.into());
    }

    /// Changes how the processes are started; holds from the next start on.
    pub fn launch_mut(&mut self) -> &mut Launch {
        &mut self.launch
    }

    /// Sets the vault's clock; holds from the next start on. Commands that [`Operator`] and
    /// [`Client`] sign carry this machine's time, which such a vault refuses: use
    /// [`TestVault::command`], which signs by the vault's clock.
    pub fn set_clock_offset_s(&mut self, seconds: i64) {
        self.clock_offset_s = seconds;
    }

    /// The vault's time.
    pub fn now(&self) -> SystemTime {
        let offset = Duration::from_secs(self.clock_offset_s.unsigned_abs());
        if self.clock_offset_s < 0 {
            SystemTime::now() - offset
        } else {
            SystemTime::now() + offset
        }
    }

    /// The folder of everything that belongs to this test: data directory and identities.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.root().join("data")
    }

    /// What `init` printed.
    pub fn made(&self) -> &Made {
        &self.made
    }

    fn write_config(&self) {
        let [bot, operator, enroll] = &self.ports;
        let mut config = self.config.clone();
        config.insert("development".to_owned(), true.into());
        for (key, port) in [("bot", bot), ("operator", operator), ("enroll", enroll)] {
            let address = format!("{}:{}", Ipv4Addr::LOCALHOST, port.number());
            set(&mut config, "listen", key, address.into());
        }
        set(&mut config, "public", "names", Value::Array(vec!["127.0.0.1".into()]));
        if self.clock_offset_s != 0 {
            set(&mut config, "clock", "offset_s", self.clock_offset_s.into());
        }
        // Written into the file that `init` made, so that owner and mode stay.
        let text = toml::to_string(&config).expect("TOML");
        fs::write(self.data().join("config.toml"), text).expect("written");
    }

    // ---- people ----

    /// Enrols the first admin and auditor with the tokens of `init`, and a guard.
    ///
    /// # Panics
    ///
    /// If any of it fails.
    pub async fn enroll_operators(&self) {
        for who in ["admin", "auditor"] {
            self.enroll(who, &self.made.token(who)).await.expect("enrolled");
        }
        self.operator("guard", v1::Role::Guard).await;
    }

    /// Enrols into the folder [`TestVault::identity_folder`].
    ///
    /// # Errors
    ///
    /// The vault's refusal.
    pub async fn enroll(&self, name: &str, token: &Token) -> Result<Identity, ClientError> {
        let folder = self.identity_folder(name);
        Identity::enroll(token, &folder, &EnrollOptions::default()).await
    }

    /// Where an identity lies.
    pub fn identity_folder(&self, name: &str) -> PathBuf {
        self.root().join("identities").join(name)
    }

    /// An identity that has enrolled.
    ///
    /// # Panics
    ///
    /// If it has not.
    pub fn identity(&self, name: &str) -> Identity {
        Identity::load(&self.identity_folder(name)).expect("an identity")
    }

    /// A new connection of an operator who has enrolled.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    pub async fn connect(&self, name: &str) -> Operator {
        Operator::connect(self.identity(name)).await.expect("connected")
    }

    /// The first admin's connection, made when it is first asked for.
    pub async fn admin(&self) -> Arc<Operator> {
        self.connected("admin").await
    }

    /// The first auditor's connection.
    pub async fn auditor(&self) -> Arc<Operator> {
        self.connected("auditor").await
    }

    /// The guard's connection.
    pub async fn guard(&self) -> Arc<Operator> {
        self.connected("guard").await
    }

    async fn connected(&self, name: &str) -> Arc<Operator> {
        let known = self.operators().get(name).cloned();
        if let Some(operator) = known {
            return operator;
        }
        let operator = Arc::new(self.connect(name).await);
        self.operators().insert(name.to_owned(), Arc::clone(&operator));
        operator
    }

    fn operators(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Operator>>> {
        self.operators.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Invites and enrols an operator.
    ///
    /// # Panics
    ///
    /// If any of it fails.
    pub async fn operator(&self, name: &str, role: v1::Role) -> Identity {
        let invited = self.invite_operator(name, role).await;
        self.enroll(name, &invited).await.expect("enrolled")
    }

    /// Invites an operator.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub async fn invite_operator(&self, name: &str, role: v1::Role) -> Token {
        let (token, spec) = self.new_token();
        let command = v1::InviteOperatorCommand {
            name: name.to_owned(),
            role: role.into(),
            invite: Some(spec),
        };
        let answer: v1::InviteOperatorResponse =
            self.command("vault.v1.OperatorService/Invite", &command).await;
        completed(token, answer.invite)
    }

    /// Invites a client. `scope` is empty for a pricer; no networks do not narrow.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub async fn invite(
        &self,
        name: &str,
        role: v1::Role,
        scope: &str,
        networks: &[&str],
    ) -> Token {
        let (token, spec) = self.new_token();
        let command = v1::InviteClientCommand {
            name: name.to_owned(),
            role: role.into(),
            scope: scope.to_owned(),
            networks: networks.iter().map(ToString::to_string).collect(),
            invite: Some(spec),
        };
        let answer: v1::InviteClientResponse =
            self.command("vault.v1.ClientService/Invite", &command).await;
        completed(token, answer.invite)
    }

    /// Puts the scope (TOML), invites and enrols a bot that holds it, and connects it.
    ///
    /// # Panics
    ///
    /// If any of it fails.
    pub async fn bot(&self, name: &str, scope_toml: &str, networks: &[&str]) -> Client {
        let identity = self.bot_identity(name, scope_toml, networks).await;
        Client::connect(identity).await.expect("connected")
    }

    /// As [`TestVault::bot`], without the connection.
    ///
    /// # Panics
    ///
    /// If any of it fails.
    pub async fn bot_identity(&self, name: &str, scope_toml: &str, networks: &[&str]) -> Identity {
        let scope = self.put_scope(scope_toml).await;
        let token = self.invite(name, v1::Role::Bot, &scope, networks).await;
        self.enroll(name, &token).await.expect("enrolled")
    }

    /// A new connection of a bot that has enrolled.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    pub async fn connect_bot(&self, name: &str) -> Client {
        Client::connect(self.identity(name)).await.expect("connected")
    }

    /// Invites and enrols a pricer.
    ///
    /// # Panics
    ///
    /// If any of it fails.
    pub async fn pricer(&self, name: &str) -> Identity {
        let token = self.invite(name, v1::Role::Pricer, "", &[]).await;
        self.enroll(name, &token).await.expect("enrolled")
    }

    /// Makes or replaces a scope; returns its name.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub async fn put_scope(&self, scope_toml: &str) -> String {
        let scope = scope(scope_toml);
        let name = scope.name.clone();
        let command = v1::PutScopeCommand { scope: Some(scope), expected_revision: 0 };
        let _: v1::PutScopeResponse = self.command("vault.v1.ScopeService/Put", &command).await;
        name
    }

    fn new_token(&self) -> (Token, v1::InviteSpec) {
        let (mut id, mut seed) = ([0; 16], [0; 32]);
        aws_lc_rs::rand::fill(&mut id).expect("randomness");
        aws_lc_rs::rand::fill(&mut seed).expect("randomness");
        let Made { ca_fingerprint, core_fingerprint, .. } = self.made;
        let token = Token::new(id, seed.into(), ca_fingerprint, core_fingerprint, 0, String::new());
        let spec = v1::InviteSpec {
            token_id: id.to_vec(),
            token_public_key: token.public_key().to_vec(),
            lifetime_s: 0,
        };
        (token, spec)
    }

    /// An admin's command that must succeed, signed by the vault's clock; `method` is
    /// `vault.v1.ScopeService/Put`.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub async fn command<R: prost::Message + Default>(
        &self,
        method: &str,
        body: &impl prost::Message,
    ) -> R {
        let admin = self.identity("admin");
        let config = crate::wire::tls(&admin, Some(&admin));
        let channel = crate::wire::channel(config, self.ready().operator, None).await;
        let channel = channel.expect("connected");
        match crate::wire::command(&channel, &admin, method, body, self.now()).await {
            Ok(response) => response,
            Err(refused) => panic!("{method}: {refused:?}"),
        }
    }

    // ---- venues ----

    /// Imports the OKX key that the mock venues know.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub async fn import_okx(&self, name: &str) -> v1::ImportResponse {
        let import = self.admin().await;
        let import = import.import(venue::okx_metadata(name), venue::okx_secret());
        import.await.expect("imported")
    }

    /// Imports the Kraken key that the mock venues know.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub async fn import_kraken(&self, name: &str) -> v1::ImportResponse {
        let import = self.admin().await;
        let import = import.import(venue::kraken_metadata(name), venue::kraken_secret());
        import.await.expect("imported")
    }

    /// Mock venues that accept these keys, by the vault's clock.
    pub fn mocks(&self) -> Mocks {
        Mocks::start(self.clock_offset_s)
    }

    // ---- the log ----

    /// The policy's revision: every act that changes anything raises it.
    pub fn state_rev(&self) -> u64 {
        self.local().status().state_rev
    }

    /// Every entry of the log that is on disk, whether the vault runs or not.
    ///
    /// # Panics
    ///
    /// If the log does not read.
    pub fn log_entries(&self) -> Vec<Entry> {
        let (_folder, export) = self.export();
        let text = fs::read_to_string(export.join("entries.jsonl")).expect("entries");
        let entries = text.lines().map(|line| Entry::from_line(line.as_bytes()));
        entries.collect::<Result<_, _>>().expect("entries of version 1")
    }

    /// Exports the log and verifies it, against the key that `init` printed.
    ///
    /// # Panics
    ///
    /// If it does not verify.
    pub fn verify(&self) -> verify::Report {
        self.verify_with(Vec::new())
    }

    /// As [`TestVault::verify`], with receipts whose entries must be there.
    ///
    /// # Panics
    ///
    /// If it does not verify.
    pub fn verify_with(&self, receipts: Vec<vault_audit::Receipt>) -> verify::Report {
        let (_folder, export) = self.export();
        let options = verify::Options {
            expected_vkey: Some(self.made.log_vkey.clone()),
            previous_checkpoint: None,
            receipts,
        };
        verify::verify(&export, &options, &mut |_| ()).expect("verifies")
    }

    fn export(&self) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let export = folder.path().join("export");
        vault_audit::export::export(&self.data().join("audit"), &export, None).expect("exported");
        (folder, export)
    }

    fn server(&mut self) -> &mut Server {
        self.server.as_mut().expect("the vault runs")
    }
}

/// What a bot asks for, with an id that the client makes.
pub fn order(credential: &str, request: v1::VenueRequest) -> SignOrder {
    SignOrder { request_id: None, credential: credential.to_owned(), request }
}

/// The receipt as the verifier takes it.
///
/// # Panics
///
/// If the vault gave no receipt of the right form.
pub fn receipt(signed: &Signed) -> vault_audit::Receipt {
    vault_audit::Receipt {
        index: signed.receipt.index,
        leaf_hash: signed.receipt.leaf_hash.as_slice().try_into().expect("32 bytes"),
        origin: signed.receipt.log_origin.clone(),
    }
}

/// A scope in TOML as the wire has it.
///
/// # Panics
///
/// If it is none.
pub fn scope(toml: &str) -> v1::Scope {
    fn words<T: ToString>(list: impl IntoIterator<Item = T>) -> Vec<String> {
        list.into_iter().map(|word| word.to_string()).collect()
    }
    let document = ScopeDocument::from_toml(toml).expect("a scope");
    v1::Scope {
        name: document.name.to_string(),
        description: document.description,
        credentials: words(document.credentials),
        classes: words(document.classes),
        operations: words(document.operations),
        modes: words(document.modes),
        products: document.products.into(),
        symbols: document
            .symbols
            .into_iter()
            .map(|(venue, symbols)| v1::VenueSymbols {
                venue: venue.to_string(),
                symbols: symbols.into(),
            })
            .collect(),
        network: Some(v1::Network {
            allow: words(document.network.allow),
            deny: words(document.network.deny),
            allow_any: document.network.allow_any,
        }),
    }
}

fn completed(mut token: Token, result: Option<v1::InviteResult>) -> Token {
    let result = result.expect("an invitation");
    token.address = result.enroll_address;
    token.expires_at_ms = result.expires_at_ms;
    token
}

fn set(config: &mut Table, section: &str, key: &str, value: Value) {
    let section = config.entry(section).or_insert_with(|| Value::Table(Table::new()));
    section.as_table_mut().expect("a section").insert(key.to_owned(), value);
}

/// Runs a command that ends by itself.
fn run_to_end(mut command: std::process::Command, stdin: Option<&str>) -> Output {
    use std::io::Write as _;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the command line starts");
    let mut input = child.stdin.take().expect("piped");
    if let Some(text) = stdin {
        // A command that refuses before it reads closes the pipe: its status says so.
        let _ = input.write_all(text.as_bytes());
    }
    drop(input);
    // PR_SET_PDEATHSIG and nextest's own time-out end what would hang.
    child.wait_with_output().expect("waited for")
}
