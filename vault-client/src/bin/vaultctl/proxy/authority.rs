//! The local CA: makes certificates for venues' hosts, good on this machine for a week.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints,
};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use crate::fault::{Fault, file};

/// How long the CA is good.
const LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// A CA with less time left is not taken up at a start: who starts a bot now wants days of it.
const LEFT_MIN: Duration = Duration::from_secs(4 * 24 * 60 * 60);
/// Clocks of one machine differ by nothing, but a clock may be put back.
const BEFORE: Duration = Duration::from_secs(60 * 60);
/// Where systems keep the CAs that they trust.
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
];

/// Where the CA's files are.
#[derive(Clone, Debug)]
pub struct Files {
    /// Its certificate, PEM.
    pub certificate: PathBuf,
    /// Its certificate and those of the system, PEM: for libraries that take one file for all.
    pub bundle: PathBuf,
    key: PathBuf,
    hosts: PathBuf,
    /// Locked by whoever reads or writes the others: several sidecars may share a folder.
    lock: PathBuf,
}

/// The CA, open.
pub struct Authority {
    files: Files,
    hosts: BTreeSet<String>,
    held: Mutex<Held>,
}

struct Held {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    not_after: SystemTime,
    /// What [`Files::certificate`] says.
    pem: String,
    /// By host.
    servers: HashMap<String, Arc<ServerConfig>>,
}

impl Authority {
    /// Takes up the CA in a folder, or makes a new one if it is old, not there, or for other hosts.
    /// The folder is the owner's alone, and the key is nowhere else.
    pub fn open(folder: &Path, hosts: &BTreeSet<String>) -> Result<Self, Fault> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(file(folder))?;
        let mode = fs::metadata(folder).map_err(file(folder))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Fault::other(format!("{} is open to others", folder.display()))
                .with_hint(format!("chmod 700 {}", folder.display())));
        }
        let files = Files {
            certificate: folder.join("ca.pem"),
            bundle: folder.join("bundle.pem"),
            key: folder.join("key.pem"),
            hosts: folder.join("hosts"),
            lock: folder.join("lock"),
        };
        let held = read_or_make(&files, hosts, LEFT_MIN)?;
        Ok(Self { files, hosts: hosts.clone(), held: Mutex::new(held) })
    }

    /// Where its files are.
    pub fn files(&self) -> Files {
        self.files.clone()
    }

    /// How to be a host. May make keys, and waits for files: not for an asynchronous task.
    pub fn server(&self, host: &str) -> Result<Arc<ServerConfig>, Fault> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if left(held.not_after) < BEFORE {
            // Bots that have read the old one must read the new: better than none at all.
            *held = read_or_make(&self.files, &self.hosts, BEFORE)?;
        } else if fs::read_to_string(&self.files.certificate).is_ok_and(|pem| pem != held.pem) {
            // Another sidecar has made a new one, and bots read that. One for other hosts is left
            // alone: two versions of this program would make them in turns.
            let _locked = lock(&self.files)?;
            if let Some(new) = read(&self.files, &self.hosts) {
                *held = new;
            }
        }
        if let Some(server) = held.servers.get(host) {
            return Ok(Arc::clone(server));
        }
        let server = Arc::new(certify(&held, host)?);
        held.servers.insert(host.to_owned(), Arc::clone(&server));
        Ok(server)
    }
}

fn left(not_after: SystemTime) -> Duration {
    not_after.duration_since(SystemTime::now()).unwrap_or_default()
}

fn failed<E: std::fmt::Display>(error: E) -> Fault {
    Fault::other(format!("the local CA cannot be made: {error}"))
}

/// Takes up what lies there, if it is good for `left_min` yet.
fn read_or_make(
    files: &Files,
    hosts: &BTreeSet<String>,
    left_min: Duration,
) -> Result<Held, Fault> {
    let _locked = lock(files)?;
    match read(files, hosts) {
        Some(held) if left(held.not_after) >= left_min && files.bundle.exists() => Ok(held),
        _ => make(files, hosts),
    }
}

/// Keeps other processes from the files until it is dropped.
fn lock(files: &Files) -> Result<fs::File, Fault> {
    let mut options = fs::OpenOptions::new();
    let lock = options.write(true).create(true).truncate(false).mode(0o600).open(&files.lock);
    let lock = lock.map_err(file(&files.lock))?;
    lock.lock().map_err(file(&files.lock))?;
    Ok(lock)
}

fn read(files: &Files, hosts: &BTreeSet<String>) -> Option<Held> {
    if fs::read_to_string(&files.hosts).ok()? != lines(hosts) {
        return None;
    }
    let key = Zeroizing::new(fs::read_to_string(&files.key).ok()?);
    let key = KeyPair::from_pem(&key).ok()?;
    let text = fs::read_to_string(&files.certificate).ok()?;
    let certificate = CertificateDer::from_pem_slice(text.as_bytes()).ok()?;
    let (_, parsed) = X509Certificate::from_der(&certificate).ok()?;
    if parsed.public_key().raw != rcgen::PublicKeyData::subject_public_key_info(&key) {
        return None;
    }
    let seconds = u64::try_from(parsed.validity().not_after.timestamp()).ok()?;
    let not_after = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let issuer = Issuer::from_ca_cert_pem(&text, key).ok()?;
    Some(Held { certificate, issuer, not_after, pem: text, servers: HashMap::new() })
}

fn make(files: &Files, hosts: &BTreeSet<String>) -> Result<Held, Fault> {
    let now = SystemTime::now();
    let mut params = CertificateParams::default();
    params.distinguished_name = named("Countersign local proxy, this machine only");
    params.not_before = (now - BEFORE).into();
    params.not_after = (now + LIFE).into();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: hosts.iter().cloned().map(GeneralSubtree::DnsName).collect(),
        // Without these it could vouch for any address.
        excluded_subtrees: vec![
            GeneralSubtree::IpAddress(CidrSubnet::V4([0; 4], [0; 4])),
            GeneralSubtree::IpAddress(CidrSubnet::V6([0; 16], [0; 16])),
        ],
    });
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    let pem = certificate.pem();

    let mut bundle = pem.clone();
    if let Some(system) = SYSTEM_BUNDLES.iter().find_map(|path| fs::read_to_string(path).ok()) {
        bundle.push_str(&system);
    }
    write(&files.key, Zeroizing::new(key.serialize_pem()).as_bytes(), 0o600)?;
    write(&files.certificate, pem.as_bytes(), 0o644)?;
    write(&files.bundle, bundle.as_bytes(), 0o644)?;
    // Last: it says that the rest is whole.
    write(&files.hosts, lines(hosts).as_bytes(), 0o644)?;
    let certificate = certificate.der().clone();
    let issuer = Issuer::new(params, key);
    Ok(Held { certificate, issuer, not_after: now + LIFE, pem, servers: HashMap::new() })
}

fn certify(held: &Held, host: &str) -> Result<ServerConfig, Fault> {
    let (leaf, key) = leaf(held, host)?;
    let chain = vec![leaf, held.certificate.clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(failed)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(failed)?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(server)
}

fn leaf(held: &Held, host: &str) -> Result<(CertificateDer<'static>, KeyPair), Fault> {
    let mut params = CertificateParams::new(vec![host.to_owned()]).map_err(failed)?;
    params.distinguished_name = named(host);
    params.not_before = (SystemTime::now() - BEFORE).into();
    params.not_after = held.not_after.into();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let leaf = params.signed_by(&key, &held.issuer).map_err(failed)?;
    Ok((leaf.der().clone(), key))
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn lines(hosts: &BTreeSet<String>) -> String {
    hosts.iter().map(|host| format!("{host}\n")).collect()
}

/// Writes beside, then renames: whoever reads finds the old or the new.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Fault> {
    let beside = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(mode);
    options.open(&beside).and_then(|mut new| new.write_all(bytes)).map_err(file(&beside))?;
    fs::rename(&beside, path).map_err(file(path))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Arc;

    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls::{CertificateError, RootCertStore};
    use rustls_pki_types::{ServerName, UnixTime};

    use super::{Authority, leaf};

    fn hosts() -> BTreeSet<String> {
        ["api.binance.com", "api.kraken.com"].map(str::to_owned).into()
    }

    #[test]
    fn is_taken_up_again_unless_the_hosts_are_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("proxy");
        let pem = |hosts: &BTreeSet<String>| {
            let authority = Authority::open(&folder, hosts).expect("opens");
            std::fs::read(&authority.files().certificate).expect("reads")
        };
        let first = pem(&hosts());
        assert_eq!(pem(&hosts()), first);
        let mut more = hosts();
        more.insert("www.okx.com".to_owned());
        assert_ne!(pem(&more), first);
        let mode = |name: &str| {
            std::fs::metadata(folder.join(name)).expect("there").permissions().mode() & 0o777
        };
        assert_eq!((mode("."), mode("key.pem")), (0o700, 0o600));
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).expect("set");
        assert!(Authority::open(&folder, &more).is_err());
    }

    #[test]
    fn sidecars_on_one_folder_are_the_same_venue() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("proxy");
        let issuer = |authority: &Authority| {
            authority.server("api.kraken.com").expect("certified");
            authority.held.lock().expect("no panic").pem.clone()
        };
        let first = Authority::open(&folder, &hosts()).expect("opens");
        let old = issuer(&first);

        // One that finds it too old, or not there.
        std::fs::remove_file(folder.join("hosts")).expect("there");
        let second = Authority::open(&folder, &hosts()).expect("opens");
        assert_ne!(issuer(&second), old);
        assert_eq!(issuer(&first), issuer(&second));
        assert_eq!(first.held.lock().expect("no panic").servers.len(), 1);

        // Of other hosts: each keeps its own.
        let mut more = hosts();
        more.insert("www.okx.com".to_owned());
        let third = Authority::open(&folder, &more).expect("opens");
        let other = issuer(&third);
        assert_ne!(issuer(&first), other);
        assert_eq!(issuer(&third), other);
    }

    #[test]
    fn vouches_for_venues_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::open(&folder.path().join("proxy"), &hosts()).expect("opens");
        let held = authority.held.lock().expect("no panic");
        let mut roots = RootCertStore::empty();
        roots.add(held.certificate.clone()).expect("a CA");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .expect("a verifier");
        let verdict = |host: &str| {
            let (leaf, _) = leaf(&held, host).expect("certified");
            let name = ServerName::try_from(host.to_owned()).expect("a name");
            verifier.verify_server_cert(&leaf, &[], &name, &[], UnixTime::now()).map(drop)
        };
        assert!(verdict("api.binance.com").is_ok());
        for host in ["mail.example.com", "binance.com", "10.0.0.1"] {
            let refused = verdict(host).expect_err("outside its constraints");
            let constrained =
                matches!(&refused, rustls::Error::InvalidCertificate(CertificateError::Other(_)));
            assert!(constrained, "{host}: {refused}");
        }
    }
}
