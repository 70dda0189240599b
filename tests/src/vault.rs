//! One vault of a test's own.

mod builder;
mod log;
mod people;

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;
use toml::{Table, Value};
use vault_client::Operator;
use vault_proto::token::Token;

pub use self::builder::Builder;
pub use self::log::receipt;
pub use self::people::{is_late, order, patiently, scope, sign_patiently};
use crate::local::Local;
use crate::port::Port;
use crate::server::{Launch, NotStarted, Ready, Server, kill};

/// The unseal passphrase of every test vault.
pub const PASSPHRASE: &str = "abacus-lantern-cobalt-meadow-77-Quiet-Ember-Vortex";

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

    /// Starts the processes and kills all of them with SIGKILL after a while, however far they are.
    ///
    /// # Panics
    ///
    /// If they run already.
    pub async fn kill_while_starting(&mut self, after: Duration) {
        assert!(self.server.is_none(), "the vault runs already");
        self.write_config();
        self.operators().clear();
        let arguments = ["run".into(), "--data".into(), self.data().into()];
        Server::start_and_kill(&self.launch, &arguments, after).await;
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

    /// Waits until the server has written a text to stderr since its start: what it writes comes through
    /// a pipe, and may be later than an answer that was given after it.
    ///
    /// # Panics
    ///
    /// If it does not for a minute.
    pub async fn await_stderr(&self, text: &str) {
        let until = Instant::now() + Duration::from_secs(60);
        while !self.stderr().contains(text) {
            assert!(Instant::now() < until, "no {text:?} in:\n{}", self.stderr());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
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
    /// [`vault_client::Client`] sign carry this machine's time, which such a vault refuses: use
    /// [`TestVault::command`], which signs by the vault's clock. Certificates and the front go by this
    /// machine's time too: to age something, begin in the past and come back to 0.
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
        // What a test does not ask for must not be in its log, wherever it sets the clock.
        if !config.contains_key("credential_check") {
            set(&mut config, "credential_check", "every_h", 0.into());
        }
        if self.clock_offset_s != 0 {
            set(&mut config, "clock", "offset_s", self.clock_offset_s.into());
        }
        // Written into the file that `init` made, so that owner and mode stay.
        let text = toml::to_string(&config).expect("TOML");
        fs::write(self.data().join("config.toml"), text).expect("written");
    }

    fn server(&mut self) -> &mut Server {
        self.server.as_mut().expect("the vault runs")
    }
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
