//! The vault of the demonstration: this very binary, started as other processes.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use vault_client::SecretBytes;
use vault_client::proto::token::Token;
use zeroize::Zeroizing;

use super::mismatch::{Mismatch, instead_of};

/// Where everything of one demonstration lies.
#[derive(Clone, Debug)]
pub struct Place(PathBuf);

impl Place {
    /// Begins with an empty folder.
    pub fn new(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// The vault's data directory.
    pub fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// Where the log is exported to.
    pub fn export(&self) -> PathBuf {
        self.0.join("export")
    }

    /// The folder of somebody's identity.
    pub fn identity(&self, name: &str) -> PathBuf {
        self.0.join("identities").join(name)
    }

    /// The authority behind the venues' certificate, PEM.
    pub fn venues_ca(&self) -> PathBuf {
        self.0.join("venues-ca.pem")
    }

    /// The passphrase of a vault that is kept: without it a kept vault could not be opened again.
    pub fn passphrase(&self) -> PathBuf {
        self.0.join("passphrase")
    }

    /// What the vault's processes write to stderr.
    pub fn log(&self) -> PathBuf {
        self.0.join("vault.log")
    }
}

/// What `init` prints, once.
pub struct Made {
    pub admin_token: Token,
    pub auditor_token: Token,
    pub log_vkey: String,
    pub passphrase: SecretBytes,
}

#[derive(Deserialize)]
struct InitAnswer {
    admin: TokenAnswer,
    auditor: TokenAnswer,
    log_vkey: String,
    passphrase: String,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: String,
}

/// Makes a vault for development, with light key derivation and ports chosen at its start.
pub async fn init(place: &Place) -> Result<Made, Mismatch> {
    let expected = "vault-server init makes a vault";
    let mut command = this_binary(place);
    command
        .args(["--json", "init", "--development", "--kdf-light", "--generate-passphrase"])
        .args(["--name", "127.0.0.1", "--trust-domain", "demo.countersign.internal"])
        .args(["--bot-address", ANY_PORT, "--operator-address", ANY_PORT])
        .args(["--enroll-address", ANY_PORT, "--data"])
        .arg(place.data());
    let output = run(command, None, expected).await?;
    let answer: InitAnswer = serde_json::from_slice(&output)
        .map_err(|_| Mismatch::new("init prints tokens, passphrase and log key", "another text"))?;
    let token = |answer: TokenAnswer| {
        let text = Zeroizing::new(answer.token);
        Token::decode(&text).map_err(instead_of("init prints an invite token"))
    };
    Ok(Made {
        admin_token: token(answer.admin)?,
        auditor_token: token(answer.auditor)?,
        log_vkey: answer.log_vkey,
        passphrase: SecretBytes::new(answer.passphrase.into_bytes()),
    })
}

/// Has the vault find every host at the mock venues.
pub fn send_to(place: &Place, venues: SocketAddr, ca_pem: &str) -> Result<(), Mismatch> {
    use std::io::Write as _;
    let expected = "a configuration that leads to the mock venues";
    let ca_file = place.venues_ca();
    std::fs::write(&ca_file, ca_pem).map_err(instead_of(expected))?;
    let instead = toml::Table::from_iter([
        ("host".to_owned(), "*".into()),
        ("connect".to_owned(), venues.to_string().into()),
        ("ca_file".to_owned(), ca_file.display().to_string().into()),
    ]);
    let config = OpenOptions::new().append(true).open(place.data().join("config.toml"));
    let written = config.and_then(|mut file| write!(file, "\n[[egress.override]]\n{instead}"));
    written.map_err(instead_of(expected))
}

/// Opens the vault that runs, over its local socket.
pub async fn unseal(place: &Place, passphrase: &SecretBytes) -> Result<(), Mismatch> {
    let mut command = this_binary(place);
    command.args(["--json", "unseal", "--passphrase-stdin", "--data"]).arg(place.data());
    let expected = "vault-server unseal opens the vault";
    run(command, Some(passphrase), expected).await.map(|_| ())
}

/// The line that `run` prints when the vault is up.
#[derive(Clone, Debug, Deserialize)]
pub struct Ready {
    pub state: String,
    pub bot: SocketAddr,
    pub operator: SocketAddr,
    pub enroll: SocketAddr,
    pub socket: PathBuf,
    pub pid: u32,
    pub pid_front: u32,
    pub pid_core: u32,
    pub pid_egress: u32,
}

/// A vault that runs. Dropping it kills all its processes; [`Vault::stop`] is the way in order.
#[derive(Debug)]
pub struct Vault {
    child: Child,
    pub ready: Ready,
}

impl Vault {
    /// Starts the vault and waits until it is up.
    pub async fn start(place: &Place) -> Result<Self, Mismatch> {
        let mut command = this_binary(place);
        command.args(["run", "--data"]).arg(place.data());
        let mut child =
            command.stdin(Stdio::null()).spawn().map_err(instead_of("vault-server run starts"))?;
        let mut line = String::new();
        let read = async {
            match child.stdout.take() {
                Some(stdout) => BufReader::new(stdout).read_line(&mut line).await,
                None => Err(io::ErrorKind::BrokenPipe.into()),
            }
        };
        read.await.map_err(instead_of("vault-server run says that it is up"))?;
        let ready = serde_json::from_str(&line).map_err(|_| {
            Mismatch::new("vault-server run says that it is up", "another line, or its end")
        })?;
        Ok(Self { child, ready })
    }

    /// Waits for an end that nobody asked for.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Stops the vault in order.
    pub async fn stop(mut self) -> Result<(), Mismatch> {
        let expected = "the vault stops in order on SIGTERM";
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            rustix::process::kill_process(pid, Signal::TERM).map_err(instead_of(expected))?;
        }
        match timeout(STOP, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(Mismatch::new(expected, status)),
            Ok(Err(error)) => Err(instead_of(expected)(error)),
            Err(_) => {
                Err(Mismatch::new(expected, format!("still there after {} s", STOP.as_secs())))
            }
        }
    }
}

/// This binary, to be started as a process that ends with this one.
fn this_binary(place: &Place) -> Command {
    let mut command = Command::new("/proc/self/exe");
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(place.log());
    command
        .stdout(Stdio::piped())
        .stderr(log.map_or_else(|_| Stdio::null(), Stdio::from))
        // Ctrl-C is for the demonstration alone, which then stops the vault in order.
        .process_group(0)
        .kill_on_drop(true);
    let parent = rustix::process::getpid();
    // SAFETY: runs between fork and exec: three system calls, no allocation, no lock.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
            // If the parent died before that line, no signal will come.
            match rustix::process::getppid() {
                Some(pid) if pid == parent => Ok(()),
                _ => Err(io::ErrorKind::BrokenPipe.into()),
            }
        });
    }
    command
}

/// Runs a command to its end and returns what it printed, which may be secret.
async fn run(
    mut command: Command,
    input: Option<&SecretBytes>,
    expected: &'static str,
) -> Result<Zeroizing<Vec<u8>>, Mismatch> {
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command.spawn().map_err(instead_of(expected))?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin.write_all(input.expose_secret()).await.map_err(instead_of(expected))?;
        stdin.shutdown().await.map_err(instead_of(expected))?;
    }
    let output = child.wait_with_output().await.map_err(instead_of(expected))?;
    let stdout = Zeroizing::new(output.stdout);
    if output.status.success() { Ok(stdout) } else { Err(Mismatch::new(expected, output.status)) }
}

/// Writes the passphrase of a vault that is kept, for its owner alone.
pub fn keep_passphrase(place: &Place, passphrase: &SecretBytes) -> io::Result<()> {
    use std::io::Write as _;
    let mut file: File =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(place.passphrase())?;
    file.write_all(passphrase.expose_secret())?;
    file.write_all(b"\n")
}

/// A free port of loopback.
const ANY_PORT: &str = "127.0.0.1:0";
/// A little longer than the supervisor gives its children.
const STOP: Duration = Duration::from_secs(12);
