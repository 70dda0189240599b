//! What the core is told at start, and where its files lie.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use vault_ipc::proto::v1;
use vault_venue::{CatalogError, Part, Registry};

use crate::country::GeoipFile;

/// The data directory and the names of what is in it.
#[derive(Clone, Debug)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// A data directory; nothing is looked at yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The log's folder.
    pub fn audit(&self) -> PathBuf {
        self.0.join("audit")
    }

    /// The CA's certificate, PEM: for people and their tools; the database has the one in use.
    pub fn ca_certificate(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    /// The core identity key.
    pub fn core_identity(&self) -> PathBuf {
        self.0.join("core-identity.key")
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.0.join("vault.db")
    }

    /// The server's certificate chain and TLS key, PEM.
    pub fn server_identity(&self) -> PathBuf {
        self.0.join("server-tls.pem")
    }

    /// The local socket.
    pub fn socket(&self) -> PathBuf {
        self.0.join("vault.sock")
    }
}

/// Addresses as the outside reaches them: they go into invite tokens and enrolments.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PublicAddresses {
    /// `host:port` of the bot listener.
    pub bot: String,
    /// `host:port` of the enrol listener.
    pub enroll: String,
    /// `host:port` of the operator listener.
    pub operator: String,
}

/// A catalogue file of the operator's own: new operations of a venue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CatalogAddition {
    /// What errors call it.
    pub file: String,
    /// What is in it.
    pub text: String,
}

/// The TCP ports at which the venues are, those of the additions too: of HTTPS, and of WebSockets.
///
/// # Errors
///
/// [`CatalogError`] names file, line and column of what cannot be added to the catalogues of this
/// build.
pub fn venue_ports(additions: &[CatalogAddition]) -> Result<BTreeSet<u16>, CatalogError> {
    let registry = registry(additions)?;
    let venues = registry.names().filter_map(|name| registry.venue(name));
    let hosts: Vec<&str> = venues.flat_map(|venue| venue.catalog.socket_hosts()).collect();
    let own = hosts.iter().filter_map(|host| host.rsplit_once(':')?.1.parse().ok());
    Ok(own.chain([HTTPS]).collect())
}

const HTTPS: u16 = 443;

/// The venues, with what the operator adds to them.
///
/// # Errors
///
/// As for [`venue_ports`].
pub(crate) fn registry(additions: &[CatalogAddition]) -> Result<Registry, CatalogError> {
    let parts: Vec<Part<'_>> = additions
        .iter()
        .map(|addition| Part { file: &addition.file, text: &addition.text })
        .collect();
    Registry::with_additions(&parts)
}

/// How many requests of one client are signed or sent that are no orders, amendments or cancels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RequestLimits {
    /// At once.
    pub burst: u32,
    /// In each second after that; from 1 to 1,000,000.
    pub per_second: u32,
}

impl Default for RequestLimits {
    /// Meant to lie above what venues take from one address: some 100 to 200 a second (unverified).
    fn default() -> Self {
        Self { burst: 10_000, per_second: 200 }
    }
}

/// What the core is told at start.
#[derive(Clone, Debug)]
pub struct CoreConfig {
    /// Its files.
    pub data: DataDir,
    /// Text that names the build, such as a version and a commit.
    pub build: String,
    /// Allows what only tests may do; must fit the data directory.
    pub development: bool,
    /// Added to the wall clock, in seconds; only with `development`.
    pub clock_offset_s: i64,
    /// Names and addresses in the server's certificate.
    pub server_names: Vec<String>,
    /// Public addresses.
    pub public: PublicAddresses,
    /// Size of a new log segment, in bytes.
    pub segment_bytes: u64,
    /// Entries between two snapshots of what a start needs; 0: every start reads the whole log.
    pub snapshot_every: u64,
    /// Read the whole log at start, whatever snapshot there is.
    pub verify_at_start: bool,
    /// Below this much free space for the log, Sign is refused. Bytes.
    pub disk_free_min_bytes: u64,
    /// The longest that a venue may take to answer, in milliseconds.
    pub egress_timeout_ms: u32,
    /// Hours between two checks of one credential with its venue; 0: never by itself.
    pub credential_check_every_h: u32,
    /// How much one client may ask for that is no order.
    pub requests: RequestLimits,
    /// File that opens a key-file slot at start.
    pub unseal_key_file: Option<PathBuf>,
    /// The operator's own additions to the catalogues.
    pub catalog_additions: Vec<CatalogAddition>,
    /// A database in the MaxMind DB format that says in which country an address is.
    pub geoip: Option<GeoipFile>,
    /// How this process is confined, for its status.
    pub hardening: v1::ProcessHardening,
    /// Stay sealed even if `unseal_key_file` is there.
    pub stay_sealed: bool,
    /// The thread that decides writes larger batches too, as long as the disk is quick.
    pub writes_itself: bool,
    /// Gives memory that was freed back to the system; after a start and each attempt to unseal.
    pub give_back: fn(),
}
