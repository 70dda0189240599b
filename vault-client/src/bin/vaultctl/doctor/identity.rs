//! The identity's folder, its certificate, and other keys that lie about.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use vault_client::v1::Role;
use vault_client::{Identity, role_word};
use vault_model::Timestamp;

use super::finding::{Code, Finding, listed, span};
use crate::context::millis;

/// Who owns a file, and who else may use it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Node {
    pub path: PathBuf,
    /// Permission bits.
    pub mode: u32,
    /// User id.
    pub owner: u32,
}

impl Node {
    pub fn read(path: &Path) -> io::Result<Self> {
        let about = std::fs::symlink_metadata(path)?;
        Ok(Self { path: path.to_owned(), mode: about.mode() & 0o7777, owner: about.uid() })
    }

    /// Whether others than the owner may read or write it.
    pub fn is_open(&self) -> bool {
        self.mode & 0o077 != 0
    }

    /// Whether others than the owner may write to it.
    pub fn is_writable_by_others(&self) -> bool {
        self.mode & 0o022 != 0
    }
}

/// The folder of an identity, as the file system has it.
#[derive(Clone, Debug)]
pub struct Files {
    pub folder: Node,
    /// Files whose names say that a key is in them.
    pub keys: Vec<Node>,
    /// The user who looks.
    pub user: u32,
}

impl Files {
    pub fn read(folder: &Path) -> io::Result<Self> {
        let mut keys = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_name().as_bytes().windows(3).any(|part| part == b"key") {
                keys.push(Node::read(&entry.path())?);
            }
        }
        keys.sort_by(|one, other| one.path.cmp(&other.path));
        let user = rustix::process::geteuid().as_raw();
        Ok(Self { folder: Node::read(folder)?, keys, user })
    }
}

/// Judges who else may use the folder.
pub fn files(files: &Files) -> Vec<Finding> {
    let mut findings = Vec::new();
    for key in files.keys.iter().filter(|key| key.is_open()) {
        let words = format!("others may read the private key {}", key.path.display());
        findings.push(
            Finding::problem(Code::KeyExposed, words)
                .remedy(format!("chmod 600 {}", key.path.display()))
                .remedy("if others had access: have an admin revoke it, and enrol anew"),
        );
    }
    let folder = &files.folder;
    if folder.is_writable_by_others() {
        let words = format!("others may put files into {}", folder.path.display());
        let finding = Finding::warning(Code::FolderExposed, words);
        findings.push(finding.remedy(format!("chmod 700 {}", folder.path.display())));
    }
    if let Some(foreign) = files.keys.iter().find(|key| key.owner != files.user) {
        let words = format!(
            "the key belongs to another user (uid {}): a renewal by this one would lock its owner out",
            foreign.owner
        );
        let finding = Finding::warning(Code::ForeignOwner, words);
        findings.push(finding.remedy("run vaultctl as the user that the bot runs as"));
    }
    findings
}

/// How far a certificate is in its life. Milliseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    pub role: Role,
    pub not_before_ms: i64,
    pub not_after_ms: i64,
    pub renewal_at_ms: i64,
    pub now_ms: i64,
}

impl Life {
    pub fn of(identity: &Identity, now_ms: i64) -> Self {
        Self {
            role: identity.role(),
            not_before_ms: millis(identity.not_before()),
            not_after_ms: millis(identity.not_after()),
            renewal_at_ms: millis(identity.renewal_at()),
            now_ms,
        }
    }
}

/// Judges whether the certificate is good, and whether something renews it.
pub fn certificate(life: &Life) -> Vec<Finding> {
    let Life { role, not_before_ms, not_after_ms, renewal_at_ms, now_ms } = *life;
    let is_operator = matches!(role, Role::Admin | Role::Auditor | Role::Guard);
    let since = |at: i64| span((now_ms - at).unsigned_abs());
    let end = Timestamp::from_millis(not_after_ms);
    let finding = if now_ms < not_before_ms {
        let words = format!(
            "the certificate is valid in {} only: this host's clock is behind",
            since(not_before_ms)
        );
        Finding::problem(Code::CertificateNotYetValid, words)
            .remedy("set this host's clock, and keep it synchronised")
    } else if now_ms >= not_after_ms {
        let words = format!("the certificate ended {} ago, at {end}", since(not_after_ms));
        let finding = Finding::problem(Code::CertificateEnded, words);
        if is_operator {
            finding.remedy(
                "another admin: vaultctl operator invite NAME; on the vault's host: vault-server \
                 operator reissue",
            )
        } else if now_ms < not_after_ms.saturating_add(GRACE_MS) {
            finding
                .remedy("vaultctl renew")
                .remedy("start what renews it: its bot, or vaultctl proxy")
        } else {
            finding.remedy("an admin: vaultctl client invite NAME; here: vaultctl enroll -")
        }
    } else if is_operator && now_ms >= renewal_at_ms {
        let words = format!("the certificate ends in {}, at {end}", since(not_after_ms));
        Finding::warning(Code::CertificateEnds, words).remedy("vaultctl renew")
    } else if !is_operator && now_ms >= renewal_at_ms.saturating_add(slack(life)) {
        let words = format!(
            "two thirds of the certificate's life were over {} ago, and nothing has renewed it; it \
             ends in {}",
            since(renewal_at_ms),
            since(not_after_ms)
        );
        Finding::warning(Code::CertificateNotRenewed, words)
            .remedy("keep the bot running (the library and vaultctl proxy renew it by themselves)")
            .remedy("vaultctl renew")
    } else {
        let words = format!("the certificate is good for {}, until {end}", since(not_after_ms));
        Finding::ok(Code::CertificateGood, words)
    };
    vec![finding]
}

/// How long after its time a renewal may come without anybody wondering.
fn slack(life: &Life) -> i64 {
    (life.not_after_ms - life.not_before_ms) / 12
}

/// A variable of the environment; of its value no more than this is looked at.
#[derive(Clone, Debug)]
pub struct Variable {
    pub name: String,
    pub byte_count: usize,
    /// It names a credential of the vault (`countersign:`), or is one character over and over.
    pub is_placeholder: bool,
}

impl Variable {
    fn new((name, value): (OsString, OsString)) -> Self {
        let bytes = value.as_bytes();
        let is_one_character = bytes.windows(2).all(|pair| pair[0] == pair[1]);
        Self {
            name: name.to_string_lossy().into_owned(),
            byte_count: bytes.len(),
            is_placeholder: bytes.starts_with(b"countersign") || is_one_character,
        }
    }

    /// Those of this process.
    pub fn all() -> Vec<Self> {
        std::env::vars_os().map(Self::new).collect()
    }

    /// Whether its name says that it is a secret of an exchange, and its value may be one.
    fn is_exchange_secret(&self) -> bool {
        let name = self.name.to_ascii_uppercase();
        let any = |words: &[&str]| words.iter().any(|word| name.contains(word));
        let is_named = (any(EXCHANGES) && any(&["SECRET", "PRIVATE_KEY", "PASSPHRASE"]))
            || name.ends_with("API_SECRET")
            || name.ends_with("API_SECRET_KEY");
        is_named && !self.is_placeholder && self.byte_count >= SECRET_BYTES_MIN
    }
}

/// Judges whether an exchange's own key is left where a bot would find it.
pub fn environment(variables: &[Variable]) -> Vec<Finding> {
    let mut held: Vec<&str> = variables
        .iter()
        .filter(|variable| variable.is_exchange_secret())
        .map(|variable| variable.name.as_str())
        .collect();
    held.sort_unstable();
    if held.is_empty() {
        return Vec::new();
    }
    let words = format!(
        "this environment may hold an exchange's secret, by its names (no value was looked at): {}",
        listed(&held)
    );
    let finding = Finding::warning(Code::ExchangeKeyHeld, words)
        .remedy("take it from the bot's environment: whoever has it needs no vault")
        .remedy(
            "once the vault has the key, make a new one at the exchange and delete the old one",
        );
    vec![finding]
}

/// That the identity can be used.
pub fn good(identity: &Identity) -> Finding {
    let words = format!(
        "{} {}: the key fits its certificate, and the CA is the one that was pinned",
        role_word(identity.role()),
        identity.name()
    );
    Finding::ok(Code::IdentityGood, words)
}

/// How long after its end a client's certificate can be renewed.
const GRACE_MS: i64 = 7 * super::finding::DAY_MS;
/// Venues of this build, and those who run bots.
const EXCHANGES: &[&str] = &[
    "BINANCE",
    "BYBIT",
    "CCXT",
    "COINBASE",
    "EXCHANGE",
    "FREQTRADE",
    "HUMMINGBOT",
    "KRAKEN",
    "OKX",
];
/// No venue's secret is shorter.
const SECRET_BYTES_MIN: usize = 16;

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use vault_client::v1::Role;

    use super::super::finding::testing::{codes, is_helpful};
    use super::super::finding::{DAY_MS, Level};
    use super::{Files, Life, Node, Variable, certificate, environment, files};

    fn node(path: &str, mode: u32, owner: u32) -> Node {
        Node { path: PathBuf::from(path), mode, owner }
    }

    #[test]
    fn finds_keys_that_others_may_read() {
        let mut folder = Files {
            folder: node("/i", 0o755, 7),
            keys: vec![node("/i/key.pem", 0o600, 7)],
            user: 7,
        };
        assert_eq!(files(&folder), []);

        folder.folder.mode = 0o777;
        folder.keys.push(node("/i/key.pem.old", 0o640, 7));
        let found = files(&folder);
        assert_eq!(
            codes(&found),
            [("KEY_EXPOSED", Level::Problem), ("FOLDER_EXPOSED", Level::Warning)]
        );
        assert_eq!(found[0].remedies[0], "chmod 600 /i/key.pem.old");

        folder = Files { user: 0, keys: vec![node("/i/key.pem", 0o600, 7)], ..folder };
        folder.folder.mode = 0o700;
        assert_eq!(codes(&files(&folder)), [("FOREIGN_OWNER", Level::Warning)]);
    }

    #[test]
    fn tells_a_certificate_that_nobody_renews_from_one_that_is_new() {
        let hour = DAY_MS / 24;
        let bot = |now_ms| Life {
            role: Role::Bot,
            not_before_ms: 0,
            not_after_ms: DAY_MS,
            renewal_at_ms: 16 * hour,
            now_ms,
        };
        let operator = |now_ms| Life { role: Role::Guard, ..bot(now_ms) };
        for (life, code, level) in [
            (bot(-1), "CERTIFICATE_NOT_YET_VALID", Level::Problem),
            (bot(0), "CERTIFICATE_GOOD", Level::Ok),
            (bot(17 * hour), "CERTIFICATE_GOOD", Level::Ok),
            (bot(18 * hour), "CERTIFICATE_NOT_RENEWED", Level::Warning),
            (bot(DAY_MS), "CERTIFICATE_ENDED", Level::Problem),
            (operator(16 * hour - 1), "CERTIFICATE_GOOD", Level::Ok),
            (operator(16 * hour), "CERTIFICATE_ENDS", Level::Warning),
            (operator(DAY_MS), "CERTIFICATE_ENDED", Level::Problem),
        ] {
            let found = certificate(&life);
            assert_eq!(codes(&found), [(code, level)], "{life:?}");
            assert!(is_helpful(&found));
        }
        // A client's can be renewed for a week after its end; then only a new token helps.
        assert!(certificate(&bot(2 * DAY_MS))[0].remedies[0].contains("renew"));
        assert!(certificate(&bot(9 * DAY_MS))[0].remedies[0].contains("invite"));
    }

    fn variable(name: &str, value: &str) -> Variable {
        Variable::new((name.into(), value.into()))
    }

    #[test]
    fn finds_secrets_of_exchanges_by_name_and_never_shows_them() {
        let secret = "pLx83hfaWqe0912jfka";
        for name in ["BINANCE_SECRET", "okx_api_secret", "MM_API_SECRET", "OKX_PASSPHRASE"] {
            let found = environment(&[variable(name, secret)]);
            assert_eq!(codes(&found), [("EXCHANGE_KEY_HELD", Level::Warning)], "{name}");
            assert!(found[0].words.contains(name) && !found[0].words.contains(secret));
            assert!(is_helpful(&found));
        }
        for (name, value) in [
            ("AWS_SECRET_ACCESS_KEY", secret),
            ("BINANCE_API_KEY", secret),
            ("BINANCE_SECRET", "countersign:okx-main"),
            ("BINANCE_SECRET", "xxxxxxxxxxxxxxxxxxxxxxx"),
            ("BINANCE_SECRET", "none"),
            ("BINANCE_SECRET", ""),
            ("GITHUB_SECRET", secret),
        ] {
            assert_eq!(environment(&[variable(name, value)]), [], "{name}={value}");
        }
    }
}
