//! The database of a stopped vault, grown in one act as the vault itself carries out acts.

use std::path::Path;

use vault_audit::{Appended, Entry, EntryKind, Log, LogSigner, Origin, SEGMENT_BYTES_DEFAULT};
use vault_core::DataDir;
use vault_core::crypto::mac::StateMac;
use vault_core::seal::{Keyring, UnsealInput};
use vault_core::storage::{
    CertificateRow, Changes, ClientRow, CredentialRow, CredentialVersionRow, Hex, Holder, ScopeRow,
    Sqlite, Stamp, State, Store as _,
};
use vault_model::{Name, SecretBytes, Serial, Timestamp};

use super::entries::Written;
use super::{Error, Size};
use crate::PASSPHRASE;

/// A vault's log, open for writing.
pub struct Growth {
    pub(super) log: Log,
    pub(super) signer: LogSigner,
    pub(super) written: Written,
}

struct Unlocked {
    store: Sqlite,
    state_mac: StateMac,
    keyring: Keyring,
    origin: Origin,
}

/// Puts the rows into a stopped vault's database, and leaves its log open.
///
/// # Errors
///
/// If no bot has enrolled or signed, or what is there cannot be read or written.
pub fn grow(data: &Path, size: &Size) -> Result<Growth, Error> {
    let mut unlocked = unlock(data)?;
    let mut growth = open(data, &unlocked)?;
    let Unlocked { store, state_mac, .. } = &mut unlocked;
    let mut state = State::load(store, state_mac)?;
    let before = state.state_root().0;
    let changes = changes(&state, size)?;
    let applied = state.apply(&changes, state_mac)?;
    let change_id = format!("grown-{}", growth.log.size());

    let act = |entry: &mut Entry| {
        entry.operation = Some("local/grow".to_owned());
        entry.change_id = Some(change_id.clone());
        entry.hash_before = Some(before);
        entry.hash_after = Some(applied.state_root.0);
        entry.state_rev = Some(applied.state_rev);
    };
    let now = now();
    let mut intent = growth.written.entry(EntryKind::AdminIntent, now);
    act(&mut intent);
    let Appended { root, size: audit_size, .. } = growth.log.append(&[intent.to_line()?])?;
    let stamp = Stamp {
        at: now,
        audit_root: Hex(root),
        audit_size,
        change_id: Some(change_id.clone()),
        nonces: Vec::new(),
    };
    store.commit(&applied.clone().into_commit(stamp, state_mac)?)?;
    let mut done = growth.written.entry(EntryKind::AdminApplied, now);
    act(&mut done);
    done.state_root = Some(applied.state_root.0);
    growth.log.append(&[done.to_line()?])?;
    Ok(growth)
}

/// Opens the log of a stopped vault.
///
/// # Errors
///
/// If it cannot be read.
pub fn reopen(data: &Path) -> Result<Growth, Error> {
    open(data, &unlock(data)?)
}

fn unlock(data: &Path) -> Result<Unlocked, Error> {
    let store = Sqlite::open(&DataDir::new(data).database())?;
    let instance = store.instance()?;
    let id = instance.instance_id.to_string();
    let passphrase = UnsealInput::Passphrase(SecretBytes::new(PASSPHRASE.into()));
    let slots = store.slots()?;
    let root_key = slots
        .iter()
        .find_map(|slot| slot.open(&id, &passphrase).ok())
        .ok_or("the harness's passphrase opens no slot")?;
    let keyring = Keyring::open(&id, &root_key, &store.keyring()?)?;
    let state_mac = StateMac::new(SecretBytes::copy_of(keyring.state_mac().expose_secret()), &id);
    let origin = Origin::new(&instance.trust_domain, instance.node.as_str(), instance.epoch)?;
    Ok(Unlocked { store, state_mac, keyring, origin })
}

fn open(data: &Path, unlocked: &Unlocked) -> Result<Growth, Error> {
    let mut written = Written::default();
    let opened = Log::open(
        &DataDir::new(data).audit(),
        &unlocked.origin,
        SEGMENT_BYTES_DEFAULT,
        now(),
        None,
        &mut |_, line| {
            written.read(Entry::from_line(line)?);
            Ok(())
        },
    )?;
    let signer = LogSigner::from_seed(unlocked.origin.clone(), unlocked.keyring.log_seed())?;
    Ok(Growth { log: opened.log, signer, written })
}

pub(super) fn now() -> Timestamp {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Names of what is grown.
pub(super) fn name(what: &str, number: u64) -> Result<Name, Error> {
    Ok(format!("{what}-{number:06}").parse()?)
}

/// Rows like those of the bots, which the vault has made.
fn changes(state: &State, size: &Size) -> Result<Changes, Error> {
    let tables = state.tables();
    let missing = "the vault has no bot";
    let client = tables.clients.values().next().ok_or(missing)?;
    let certificate = tables
        .certificates
        .values()
        .find(|row| row.holder == Holder::Client(client.name.clone()))
        .ok_or(missing)?;
    let scope = tables.scopes.values().next().ok_or(missing)?;
    let credential = tables.credentials.values().next().ok_or(missing)?;
    let version = tables.credential_versions.values().next().ok_or(missing)?;

    let mut changes = Changes::new();
    for number in 0..size.scopes {
        let name = name("scope", number)?;
        let mut document = scope.document.clone();
        document["name"] = name.as_str().into();
        changes.put(ScopeRow { document, name, ..scope.clone() });
    }
    for number in 0..size.credentials {
        let name = name("credential", number)?;
        changes.put(CredentialVersionRow { credential: name.clone(), ..version.clone() });
        changes.put(CredentialRow { name, ..credential.clone() });
    }
    for number in 0..size.clients {
        let client_name = name("client", number)?;
        let mut serial = [0xee; 16];
        serial[..8].copy_from_slice(&number.to_be_bytes());
        let mut fingerprint = [0xee; 32];
        fingerprint[..8].copy_from_slice(&number.to_be_bytes());
        changes.put(CertificateRow {
            serial: Serial(serial),
            fingerprint: Hex(fingerprint),
            holder: Holder::Client(client_name.clone()),
            ..certificate.clone()
        });
        let scope = match size.scopes {
            0 => client.scope.clone(),
            scopes => Some(name("scope", number % scopes)?),
        };
        changes.put(ClientRow { name: client_name, scope, ..client.clone() });
    }
    Ok(changes)
}
