//! A wall clock that is moved while the vault runs: by an hour and a day, forwards and back, by a leap
//! second, and over restarts. No cap gets wider, no nonce and no command comes twice, nobody is locked
//! out for longer than the clock is wrong.
//!
//! The vault's processes run with `shim/clock.c`, which adds to the wall clock what the test says. The
//! clocks of the time that passes are left alone, as no process can set them.

mod caps;
mod command;
mod identity;
mod leap;
mod log;
mod nonce;
mod restart;

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, Utc};
use prost::Message;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use vault_audit::{Entry, EntryKind};
use vault_client::{Client, Signed, v1};
use vault_tests::{Builder, Refused, TestVault, order, patiently, sign_patiently, wire};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// Where the wall clock is put, in seconds from where it should be; each is a step back from the one
/// before it, or forwards.
const STEPS: [i64; 7] = [HOUR, -HOUR, 0, DAY, -DAY, HOUR, 0];

/// A vault, and its wall clock.
struct World {
    vault: TestVault,
    wall: Wall,
}

/// By how much the wall clock of the vault's processes is off.
struct Wall {
    file: File,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Wall {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("clock");
        std::fs::write(&path, 0i64.to_le_bytes()).expect("written");
        let file = File::options().read(true).write(true).open(&path).expect("there");
        Self { file, path, _folder: folder }
    }

    fn set_us(&self, offset_us: i64) {
        self.file.write_all_at(&offset_us.to_le_bytes(), 0).expect("written");
    }

    fn offset_us(&self) -> i64 {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, 0).expect("read");
        i64::from_le_bytes(bytes)
    }
}

impl World {
    async fn start() -> Self {
        Self::with(TestVault::builder()).await
    }

    async fn with(builder: Builder) -> Self {
        let wall = Wall::new();
        let builder =
            builder.env("LD_PRELOAD", shim()).env("COUNTERSIGN_TEST_CLOCK", wall.path.clone());
        Self { vault: builder.start().await, wall }
    }

    /// Puts the wall clock so many seconds from where it should be.
    fn step(&self, offset_s: i64) {
        self.wall.set_us(offset_s * 1_000_000);
    }

    /// What the vault's wall clock says.
    fn now(&self) -> SystemTime {
        let offset = Duration::from_micros(self.wall.offset_us().unsigned_abs());
        match self.wall.offset_us() < 0 {
            true => SystemTime::now() - offset,
            false => SystemTime::now() + offset,
        }
    }

    /// A certificate's holder gives a command, signed by the vault's wall clock.
    async fn command<R: Message + Default>(
        &self,
        who: &str,
        method: &str,
        body: &impl Message,
    ) -> Result<R, String> {
        let identity = self.vault.identity(who);
        let command = vault_client::signed_command(&identity, method, body, self.now());
        let answer = self.send(who, method, command.expect("signed")).await?;
        Ok(R::decode(answer.as_slice()).expect("the response"))
    }

    /// Sends a command as it is; the reason if it is refused.
    async fn send(
        &self,
        who: &str,
        method: &str,
        command: v1::SignedCommand,
    ) -> Result<Vec<u8>, String> {
        let identity = self.vault.identity(who);
        let is_client = matches!(identity.role(), v1::Role::Bot | v1::Role::Pricer);
        let ready = self.vault.ready();
        let listener = if is_client { ready.bot } else { ready.operator };
        let tls = wire::tls(&identity, Some(&identity));
        let channel = wire::channel(tls, listener, None).await.expect("connected");
        let answer = wire::call(&channel, method, wire::request(Some(command))).await;
        answer.map_err(
            |Refused { reason, message, .. }| {
                if reason.is_empty() { message } else { reason }
            },
        )
    }

    /// A bot asks for a signature, on a connection of its own; with a new certificate if its own is
    /// over. The reason if it is refused.
    async fn sign(
        &self,
        bot: &str,
        credential: &str,
        request: v1::VenueRequest,
    ) -> Result<Signed, String> {
        let wanted = order(credential, request);
        match self.ask(bot, wanted.clone()).await {
            Err(reason) if reason == "CERTIFICATE_EXPIRED" => {
                // The client that has asked renews by itself, and may be first.
                if let Err(reason) = self.renew(bot).await {
                    assert_eq!(reason, "RENEWED_LATELY");
                }
                for _ in 0..100 {
                    match self.ask(bot, wanted.clone()).await {
                        Err(reason) if reason == "CERTIFICATE_EXPIRED" => {}
                        answer => return answer,
                    }
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                panic!("{bot} has no new certificate")
            }
            answer => answer,
        }
    }

    async fn ask(&self, bot: &str, wanted: vault_client::SignOrder) -> Result<Signed, String> {
        let client = patiently(|| Client::connect(self.vault.identity(bot))).await;
        let client = client.expect("connected");
        sign_patiently(&client, wanted).await.map_err(|error| match error.refusal() {
            Some(refusal) => refusal.reason.clone(),
            None => panic!("not refused but broken: {error:?}"),
        })
    }

    /// Renews a certificate by the vault's wall clock, and puts it into its folder.
    async fn renew(&self, who: &str) -> Result<(), String> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("randomness");
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let csr = params.serialize_request(&key).expect("a CSR").der().to_vec();
        let method = "vault.v1.ClientService/Renew";
        let renewed: v1::RenewResponse =
            self.command(who, method, &v1::RenewCommand { csr }).await?;
        let folder = self.vault.identity_folder(who);
        let write = |file: &str, text: String| std::fs::write(folder.join(file), text);
        write("key.pem", key.serialize_pem()).expect("written");
        write("cert.pem", pem(&renewed.certificate)).expect("written");
        Ok(())
    }

    /// What the log has of a kind.
    fn entries(&self, kind: EntryKind) -> Vec<Entry> {
        self.vault.log_entries().into_iter().filter(|entry| entry.kind == kind).collect()
    }

    /// Lets the vault look at its clock.
    async fn tick(&self) {
        tokio::time::sleep(Duration::from_millis(1_300)).await;
    }

    /// Nothing has panicked, and the log is whole.
    fn verify(&self) {
        self.vault.verify();
        assert!(!self.vault.stderr().contains("panicked"), "{}", self.vault.stderr());
    }
}

/// Waits until something holds: what is looked after about once a second may take longer on a slow disk.
async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < until, "{what}: never");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A moment as calendars have it.
fn utc(at: SystemTime) -> DateTime<Utc> {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let micros = i64::try_from(since.as_micros()).expect("before the year 294,000");
    DateTime::from_timestamp_micros(micros).expect("a moment")
}

fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::prelude::BASE64_STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64")).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// The nonces of a credential that the log has are in order, and none is there twice.
fn nonces_rise(entries: &[Entry]) -> Vec<u64> {
    let nonces: Vec<u64> = entries
        .iter()
        .filter(|entry| matches!(entry.kind, EntryKind::Sign | EntryKind::ExecuteIntent))
        .filter_map(|entry| entry.nonce.as_ref())
        .map(|nonce| nonce.parse().expect("a nonce"))
        .collect();
    assert!(nonces.is_sorted_by(|one, next| one < next), "{nonces:?}");
    nonces
}

/// The shim, built once with the machine's C compiler.
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("shim/clock.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        // By process: tests may run in processes of their own.
        let built = folder.join(format!("clock-{}.so", std::process::id()));
        let status = Command::new("cc")
            .args(["-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
            .args([built.as_os_str(), source.as_os_str()])
            .arg("-ldl")
            .status()
            .expect("a C compiler");
        assert!(status.success());
        built
    })
}
