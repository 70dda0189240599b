//! `vault-server init`.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use vault_core::{DataDir, InitOptions, InitReport};
use vault_model::{Name, SecretBytes};
use zeroize::Zeroizing;

use super::Data;
use crate::child::{build, chain};
use crate::config::{self, Config, NewConfig, Ports, ServerName};
use crate::fault::{Fault, file};
use crate::output::Output;
use crate::secret;

/// How long the first tokens are good: the longest that any invitation is.
const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    data: Data,
    /// Names the log, with node and epoch; cannot be changed later
    #[arg(long, value_name = "DOMAIN", default_value = "countersign.internal")]
    trust_domain: String,
    /// Name of this node
    #[arg(long, value_name = "NAME", default_value = "node-1")]
    node: Name,
    /// A DNS name or IP address by which the vault is reached; repeat for more, the first is given
    /// to those who enrol
    #[arg(long = "name", value_name = "DNS-OR-IP", default_values = ["localhost", "127.0.0.1"])]
    names: Vec<ServerName>,
    /// Where bots connect
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7443")]
    bot_address: SocketAddr,
    /// Where operators connect
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7444")]
    operator_address: SocketAddr,
    /// Where bots and operators enrol
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7445")]
    enroll_address: SocketAddr,
    /// Name of the first admin
    #[arg(long, value_name = "NAME", default_value = "admin")]
    admin: Name,
    /// Name of the first auditor
    #[arg(long, value_name = "NAME", default_value = "auditor")]
    auditor: Name,
    /// Read the passphrase from the first line of stdin
    #[arg(long, conflicts_with = "generate_passphrase")]
    passphrase_stdin: bool,
    /// Make a strong passphrase and print it, once
    #[arg(long)]
    generate_passphrase: bool,
    /// Write a new key here that opens the vault at every start without a person
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// A vault for tests: allows what only tests may do, and can never hold that back again
    #[arg(long)]
    development: bool,
    /// Cheap passphrase hashing
    #[arg(long, requires = "development")]
    kdf_light: bool,
    /// Added to the wall clock, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 0,
        requires = "development",
        allow_negative_numbers = true,
        hide = true
    )]
    clock_offset_s: i64,
}

pub fn run(output: Output, arguments: Arguments) -> Result<(), Fault> {
    let data =
        std::path::absolute(arguments.data.as_ref()).map_err(file(arguments.data.as_ref()))?;
    // Before anybody is asked for a passphrase. The core looks again.
    refuse_in_use(&data)?;
    let key_file = match &arguments.key_file {
        Some(path) => Some(new_key_file(path, &data)?),
        None => None,
    };
    let config = NewConfig {
        development: arguments.development,
        clock_offset_s: arguments.clock_offset_s,
        bot: arguments.bot_address,
        enroll: arguments.enroll_address,
        operator: arguments.operator_address,
        names: &arguments.names,
        key_file: key_file.as_deref(),
    };
    let text = config.to_text();
    // Whatever cannot be read back must not be written.
    let path = data.join(config::FILE_NAME);
    let read_back = Config::parse(&path, &text).map_err(|error| Fault::usage(chain(&error)))?;
    let ports = Ports {
        bot: arguments.bot_address.port(),
        enroll: arguments.enroll_address.port(),
        operator: arguments.operator_address.port(),
    };
    let passphrase = passphrase(&arguments)?;

    let options = InitOptions {
        data: DataDir::new(&data),
        trust_domain: arguments.trust_domain,
        node: arguments.node,
        build: build(),
        development: arguments.development,
        kdf_light: arguments.kdf_light,
        passphrase,
        key_file: key_file.clone(),
        server_names: read_back.server_names(),
        public: read_back.public_addresses(ports),
        admin: arguments.admin.clone(),
        auditor: arguments.auditor.clone(),
        token_lifetime: TOKEN_LIFETIME,
        clock_offset_s: arguments.clock_offset_s,
        segment_bytes: *read_back.audit.segment_bytes.get_ref(),
    };
    output.talk("making the vault ...");
    let report = vault_core::init(options).map_err(|error| Fault::other(chain(&error)))?;
    // Judged after the tokens were shown: they exist only here.
    let written = write_new(&path, &text).map_err(file(&path));

    let enroll = read_back.public_addresses(ports).enroll;
    if ports.enroll == 0 {
        output.talk("the enrol port is chosen at each start, so the tokens cannot name it");
    }
    let shown = Shown {
        data: &data,
        admin: &arguments.admin,
        auditor: &arguments.auditor,
        key_file: key_file.as_deref(),
        enroll: &enroll,
    };
    if output.is_json() {
        output.show(&shown.value(&report), String::new)?;
    } else {
        output.show_once(&shown.people(&report))?;
    }
    written
}

fn passphrase(arguments: &Arguments) -> Result<Option<SecretBytes>, Fault> {
    if arguments.generate_passphrase {
        Ok(None)
    } else if arguments.passphrase_stdin {
        secret::from_stdin().map(Some)
    } else {
        secret::ask_new().map(Some).map_err(|fault| match fault.hint.as_str() {
            "" => fault,
            _ => fault.with_hint("use --passphrase-stdin or --generate-passphrase"),
        })
    }
}

/// Refuses what is there and not empty.
fn refuse_in_use(data: &Path) -> Result<(), Fault> {
    let mut entries = match fs::read_dir(data) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(file(data)(error)),
    };
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(Fault::other(format!("{} is in use; nothing was changed", data.display()))
            .with_hint("name a new or empty directory with --data")),
    }
}

/// The key file's absolute path, if a file can be made there.
fn new_key_file(path: &Path, data: &Path) -> Result<PathBuf, Fault> {
    let path = std::path::absolute(path).map_err(file(path))?;
    if path.symlink_metadata().is_ok() {
        return Err(Fault::other(format!("{} is there already", path.display()))
            .with_hint("a key file is made anew; name another place with --key-file"));
    }
    // A copy of the directory would otherwise open itself.
    if path.starts_with(data) {
        return Err(Fault::usage("the key file must lie outside the data directory"));
    }
    match path.parent() {
        Some(folder) if folder.is_dir() => Ok(path),
        _ => Err(Fault::other(format!("there is no folder for {}", path.display()))),
    }
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// What is printed, once.
struct Shown<'a> {
    data: &'a Path,
    admin: &'a Name,
    auditor: &'a Name,
    key_file: Option<&'a Path>,
    enroll: &'a str,
}

impl Shown<'_> {
    fn value(&self, report: &InitReport) -> Value {
        let passphrase = report.passphrase.as_ref().map(text);
        json!({
            "data": self.data,
            "instance_id": report.instance_id,
            "passphrase": passphrase.as_ref().map(|text| text.as_str()),
            "key_file": self.key_file,
            "admin": { "name": self.admin, "token": report.admin_token.as_str() },
            "auditor": { "name": self.auditor, "token": report.auditor_token.as_str() },
            "tokens_expire_at_ms": report.tokens_expire_at.millis(),
            "enroll_address": self.enroll,
            "ca_fingerprint": hex::encode(report.ca_fingerprint),
            "core_fingerprint": hex::encode(report.core_fingerprint),
            "log_vkey": report.log_vkey,
        })
    }

    fn people(&self, report: &InitReport) -> Zeroizing<String> {
        let passphrase = match report.passphrase.as_ref().map(text) {
            Some(text) => Zeroizing::new(format!("  passphrase       {}\n", text.as_str())),
            None => Zeroizing::new("  passphrase       the one that you gave\n".to_owned()),
        };
        let key_file = self.key_file.map_or(String::new(), |path| {
            format!("  unseal key file  {} (opens the vault alone)\n", path.display())
        });
        let data = self.data.display();
        Zeroizing::new(format!(
            "\
A new vault is in {data}. None of this is shown again.

KEEP SAFE, away from this machine: without it nobody can open the vault
{}{key_file}
KEEP, not secret: by these the vault and its log are recognised
  instance         {}
  core             {}
  CA               {}
  log              {}

HAND OVER: one token each, good once, until {}
  {} (admin):
    vaultctl enroll {}
  {} (auditor):
    vaultctl enroll {}

NEXT
  vault-server run --data {data}
  vault-server unseal --data {data}
  then the two enrolments above, at {}
",
            passphrase.as_str(),
            report.instance_id,
            hex::encode(report.core_fingerprint),
            hex::encode(report.ca_fingerprint),
            report.log_vkey,
            report.tokens_expire_at,
            self.admin,
            report.admin_token.as_str(),
            self.auditor,
            report.auditor_token.as_str(),
            self.enroll,
        ))
    }
}

/// A passphrase that we generated is ASCII; one that is not could not be typed in again anyway.
fn text(passphrase: &SecretBytes) -> Zeroizing<String> {
    Zeroizing::new(String::from_utf8_lossy(passphrase.expose_secret()).into_owned())
}
