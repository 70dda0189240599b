//! Makes a data directory: keys, database, log, certificates, and the first two invitations.
//!
//! Everything is made in a folder inside, and moved in place when it is whole.

use std::fs::{File, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};
use vault_audit::{Entry, EntryKind, Log, LogSigner, Origin as LogOrigin};
use vault_ipc::proto::token::Token;
use vault_model::{Name, Role, SecretBytes, Timestamp};
use zeroize::Zeroizing;

use crate::certificate::{Authority, CertificateError};
use crate::clock::Clock;
use crate::config::{DataDir, PublicAddresses};
use crate::crypto::mac::StateMac;
use crate::seal::slot::{SlotPlace, generate_key_file};
use crate::seal::{
    Argon2Params, CoreIdentity, Keyring, RootKey, SlotRecord, passphrase::generate_passphrase,
};
use crate::server::{pem, store, write_whole};
use crate::storage::{
    Changes, Genesis, Head, Hex, HexBytes, Instance, InviteRow, Sqlite, Stamp, State, Store, state,
};

/// What a new vault is to be.
pub struct InitOptions {
    /// Where it is made; must not exist, or be empty.
    pub data: DataDir,
    /// Name in certificates' URIs and the log's origin: 1 to 63 of `a-z 0-9 . _ -`.
    pub trust_domain: String,
    /// Name of this node.
    pub node: Name,
    /// Text that names the build.
    pub build: String,
    /// Allows what only tests may do.
    pub development: bool,
    /// A passphrase slot that opens at once; only with `development`.
    pub kdf_light: bool,
    /// The unseal passphrase; one is generated if it is not given.
    pub passphrase: Option<SecretBytes>,
    /// Also makes a key-file slot, and writes its file here.
    pub key_file: Option<PathBuf>,
    /// Names and addresses in the server's certificate.
    pub server_names: Vec<String>,
    /// Public addresses; the enrol address goes into the tokens.
    pub public: PublicAddresses,
    /// The first admin.
    pub admin: Name,
    /// The first auditor.
    pub auditor: Name,
    /// How long their tokens are good.
    pub token_lifetime: Duration,
    /// Added to the wall clock, in seconds; only with `development`.
    pub clock_offset_s: i64,
    /// Size of a log segment, in bytes.
    pub segment_bytes: u64,
}

/// What must be told to people, once.
pub struct InitReport {
    /// 32 hex digits.
    pub instance_id: String,
    /// The passphrase, if it was generated.
    pub passphrase: Option<SecretBytes>,
    /// Enrols the first admin.
    pub admin_token: Zeroizing<String>,
    /// Enrols the first auditor.
    pub auditor_token: Zeroizing<String>,
    /// When the tokens end.
    pub tokens_expire_at: Timestamp,
    /// SHA-256 of the CA's certificate.
    pub ca_fingerprint: [u8; 32],
    /// SHA-256 of the core identity's public key.
    pub core_fingerprint: [u8; 32],
    /// The log's verifier key.
    pub log_vkey: String,
}

/// Why a vault cannot be made. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// A file could not be written.
    #[error("a file cannot be written")]
    Io(#[from] std::io::Error),
    /// The directory is there and not empty.
    #[error("the data directory is in use")]
    InUse,
    /// The key file is there already.
    #[error("the key file exists already")]
    KeyFileInUse,
    /// A light key derivation is for development only.
    #[error("--kdf-light goes with --development only")]
    LightKdf,
    /// A name does not fit into certificates or the log's origin.
    #[error("the trust domain or a server name is not of its form")]
    Name(#[from] CertificateError),
    /// The passphrase is too weak, or the key derivation has no memory.
    #[error("the unseal slot cannot be made")]
    Slot(#[from] crate::seal::SlotError),
    /// Something of the vault's own failed; the text says what.
    #[error("the vault cannot be made: {0}")]
    Other(&'static str),
}

/// Makes a vault.
///
/// # Errors
///
/// [`InitError`].
pub fn init(options: InitOptions) -> Result<InitReport, InitError> {
    let target = options.data.path();
    if options.kdf_light && !options.development {
        return Err(InitError::LightKdf);
    }
    if options.key_file.as_ref().is_some_and(|path| path.exists()) {
        return Err(InitError::KeyFileInUse);
    }
    let existed = target.exists();
    if existed && target.read_dir()?.next().is_some() {
        return Err(InitError::InUse);
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(target)?;
    std::fs::set_permissions(target, Permissions::from_mode(0o700))?;
    // Inside, because the directory itself may be a mount point.
    let beside = target.join(UNFINISHED);
    std::fs::DirBuilder::new().mode(0o700).create(&beside)?;
    let made = make(&options, &DataDir::new(&beside)).and_then(|report| {
        move_up(&beside, target)?;
        Ok(report)
    });
    if made.is_err() {
        // Half a vault is of no use; what cannot be removed is said by its name.
        let removed = match existed {
            true => std::fs::remove_dir_all(&beside),
            false => std::fs::remove_dir_all(target),
        };
        if let Err(error) = removed {
            tracing::warn!(%error, "the unfinished data directory cannot be removed");
        }
    }
    made
}

/// Moves what was made in its place, the database last: without it, it is no vault.
fn move_up(beside: &Path, target: &Path) -> std::io::Result<()> {
    let database = DataDir::new(beside).database();
    for entry in beside.read_dir()? {
        let path = entry?.path();
        if let Some(name) = path.file_name().filter(|_| path != database) {
            std::fs::rename(&path, target.join(name))?;
        }
    }
    File::open(target)?.sync_all()?;
    std::fs::rename(&database, DataDir::new(target).database())?;
    std::fs::remove_dir(beside)?;
    File::open(target)?.sync_all()
}

fn make(options: &InitOptions, data: &DataDir) -> Result<InitReport, InitError> {
    let rng = SystemRandom::new();
    let now = Clock::new(options.clock_offset_s).now();
    let other = |what| move |_| InitError::Other(what);
    let origin = LogOrigin::new(&options.trust_domain, options.node.as_str(), FIRST_EPOCH)
        .map_err(|_| InitError::Name(CertificateError::Issue))?;

    let mut id = [0; 16];
    rng.fill(&mut id).map_err(|_| InitError::Other("no random numbers"))?;
    let instance_id = Hex(id).to_string();
    let identity =
        CoreIdentity::create(data.path(), &rng).map_err(|_| InitError::Other("core identity"))?;
    let root_key = RootKey::generate(&rng).map_err(|_| InitError::Other("root key"))?;
    let keyring = Keyring::create(now, &rng).map_err(|_| InitError::Other("keyring"))?;
    let ca_certificate =
        Authority::create(&options.trust_domain, keyring.ca_key_pkcs8(), now, &rng)?;
    let authority =
        Authority::open(&options.trust_domain, &ca_certificate, keyring.ca_key_pkcs8())?;
    let server = authority.issue_server(&options.server_names, now, &rng)?;
    store(&data.server_identity(), &server)?;
    write_whole(&data.ca_certificate(), pem("CERTIFICATE", &ca_certificate).as_bytes())?;

    let (slots, generated) = slots(options, &instance_id, &root_key, now, &rng)?;
    let state_mac =
        StateMac::new(SecretBytes::copy_of(keyring.state_mac().expose_secret()), &instance_id);
    let instance = Instance {
        ca_certificate: HexBytes(ca_certificate.clone()),
        core_identity_public: Hex(identity.public_key()),
        created_at: now,
        development: options.development,
        epoch: FIRST_EPOCH,
        instance_id: Hex(id),
        node: options.node.clone(),
        trust_domain: options.trust_domain.clone(),
    };
    let head = Head {
        audit_root: Hex(vault_audit::tree::CompactRange::new().root()),
        audit_size: 0,
        change_id: None,
        state_rev: 0,
        state_root: state::empty_root(),
    };
    let mut database =
        Sqlite::create(&data.database()).map_err(|_| InitError::Other("database"))?;
    database
        .initialise(&Genesis {
            head: head.seal(&state_mac).map_err(|_| InitError::Other("database"))?,
            instance: instance.seal(&state_mac).map_err(|_| InitError::Other("database"))?,
            keyring: keyring
                .wrap(&instance_id, &root_key, &rng)
                .map_err(|_| InitError::Other("keyring"))?,
            slots,
        })
        .map_err(|_| InitError::Other("database"))?;

    let signer =
        LogSigner::from_seed(origin.clone(), keyring.log_seed()).map_err(other("log key"))?;
    let log_vkey = signer.verifier().vkey();
    let ca_fingerprint = Sha256::digest(&ca_certificate).into();
    let tokens_expire_at = now.plus(options.token_lifetime);
    let token = || {
        new_token(
            ca_fingerprint,
            identity.fingerprint(),
            tokens_expire_at,
            &options.public.enroll,
            &rng,
        )
    };
    let (admin, auditor) = (token()?, token()?);
    let mut changes = Changes::new();
    for (token, name, role) in
        [(&admin, &options.admin, Role::Admin), (&auditor, &options.auditor, Role::Auditor)]
    {
        changes.put(InviteRow {
            certificate: None,
            created_by: "init".to_owned(),
            expires_at: tokens_expire_at,
            name: name.clone(),
            networks: Vec::new(),
            public_key: Hex(token.public_key()),
            role,
            scope: None,
            token_id: Hex(token.id),
            used_at: None,
            used_key: None,
        });
    }
    write_first_change(options, data, &origin, &signer, &mut database, &state_mac, &changes, now)?;

    Ok(InitReport {
        instance_id,
        passphrase: generated,
        admin_token: admin.encode(),
        auditor_token: auditor.encode(),
        tokens_expire_at,
        ca_fingerprint,
        core_fingerprint: identity.fingerprint(),
        log_vkey,
    })
}

fn slots(
    options: &InitOptions,
    instance_id: &str,
    root_key: &RootKey,
    now: Timestamp,
    rng: &SystemRandom,
) -> Result<(Vec<SlotRecord>, Option<SecretBytes>), InitError> {
    let generated = match &options.passphrase {
        Some(_) => None,
        None => Some(generate_passphrase(rng).map_err(|_| InitError::Other("passphrase"))?),
    };
    let passphrase =
        options.passphrase.as_ref().or(generated.as_ref()).ok_or(InitError::Other("passphrase"))?;
    let params = if options.kdf_light { Argon2Params::LIGHT } else { Argon2Params::DEFAULT };
    let place = |id| SlotPlace { instance_id, id, created_at: now };
    let mut slots = vec![SlotRecord::with_passphrase(
        place(1),
        root_key,
        passphrase,
        params,
        options.development,
        rng,
    )?];
    if let Some(path) = &options.key_file {
        let content = generate_key_file(rng).map_err(|_| InitError::Other("key file"))?;
        write_whole(path, content.expose_secret())?;
        slots.push(SlotRecord::with_key_file(place(2), root_key, &content, rng)?);
    }
    Ok((slots, generated))
}

/// The first act, as every later one: intent, transaction, applied.
#[allow(clippy::too_many_arguments, reason = "called once, by the function that has them all")]
fn write_first_change(
    options: &InitOptions,
    data: &DataDir,
    origin: &LogOrigin,
    signer: &LogSigner,
    database: &mut Sqlite,
    state_mac: &StateMac,
    changes: &Changes,
    now: Timestamp,
) -> Result<(), InitError> {
    let failed = |_| InitError::Other("log");
    let mut log =
        Log::open(&data.audit(), origin, options.segment_bytes, now, None, &mut |_, _| Ok(()))
            .map_err(failed)?
            .log;
    log.install_key(&signer.verifier()).map_err(failed)?;
    let mut policy = State::load(database, state_mac).map_err(|_| InitError::Other("database"))?;
    let before = policy.state_root().0;
    let applied = policy.apply(changes, state_mac).map_err(|_| InitError::Other("database"))?;
    let change_id = format!("{FIRST_EPOCH}-{}", log.size());
    let entry = |kind, index: u64| {
        let mut entry = Entry::new(
            kind,
            index,
            now,
            options.node.as_str(),
            FIRST_EPOCH,
            options.build.as_str(),
        );
        entry.seq = Some(index + 1);
        entry.operation = Some("local/init".to_owned());
        entry.ip_via = Some("local".to_owned());
        entry.change_id = Some(change_id.clone());
        entry.hash_before = Some(before);
        entry.hash_after = Some(applied.state_root.0);
        entry.state_rev = Some(applied.state_rev);
        entry
    };
    let line = |entry: Entry| entry.to_line().map_err(|_| InitError::Other("log"));

    let intent = log.append(&[line(entry(EntryKind::AdminIntent, 0))?]).map_err(failed)?;
    let stamp = Stamp {
        at: now,
        audit_root: Hex(intent.root),
        audit_size: intent.size,
        change_id: Some(change_id.clone()),
        nonces: Vec::new(),
    };
    let commit =
        applied.clone().into_commit(stamp, state_mac).map_err(|_| InitError::Other("database"))?;
    database.commit(&commit).map_err(|_| InitError::Other("database"))?;
    let mut done = entry(EntryKind::AdminApplied, 1);
    done.state_root = Some(applied.state_root.0);
    log.append(&[line(done)?]).map_err(failed)?;
    log.checkpoint(signer).map_err(failed)?;
    log.close().map_err(failed)
}

fn new_token(
    ca_fingerprint: [u8; 32],
    core_fingerprint: [u8; 32],
    expires_at: Timestamp,
    address: &str,
    rng: &SystemRandom,
) -> Result<Token, InitError> {
    let mut id = [0; 16];
    let mut secret = Zeroizing::new([0; 32]);
    rng.fill(&mut id).map_err(|_| InitError::Other("no random numbers"))?;
    rng.fill(secret.as_mut_slice()).map_err(|_| InitError::Other("no random numbers"))?;
    Ok(Token::new(
        id,
        secret,
        ca_fingerprint,
        core_fingerprint,
        expires_at.millis(),
        address.to_owned(),
    ))
}

const FIRST_EPOCH: u32 = 1;
/// Where a vault is made before it is whole.
const UNFINISHED: &str = ".init";
