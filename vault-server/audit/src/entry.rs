//! Entry version 1: one line of canonical JSON (RFC 8785) about one thing that happened.
//!
//! Frozen. Struct fields stand in the order of their JSON names, so that plain serialisation *is*
//! canonical; a property test holds it against `serde_jcs`. A value that is absent is left out.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use vault_model::{Class, Environment, Leg, Mode, Name, Product, RequestId, Serial, Timestamp};

use self::canonical::{hex32_option, legs_in_order, legs_of_known_fields, plain_ip, sorted};
use crate::Hash;

mod canonical;
mod line;

pub(crate) use self::canonical::hex32;

/// The version this module writes and reads.
pub const VERSION: u32 = 1;
/// The longest line, in bytes, without a line feed.
pub const ENTRY_BYTES_MAX: usize = 8192;
/// The largest integer of an entry: what every JSON reader holds exactly.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Why a value cannot be a line, or a line is no entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EntryError {
    /// An integer of 2^53 or more, or below zero.
    #[error("an integer is out of range")]
    Integer,
    /// A valid entry, but not its canonical bytes.
    #[error("not in canonical form")]
    NotCanonical,
    /// Not the JSON of an entry of this version.
    #[error("not an entry")]
    NotEntry,
    /// A reason that is not `[A-Za-z0-9_.-]{1,64}`.
    #[error("a reason is 1 to 64 letters, digits, '_', '.' and '-'")]
    Reason,
    /// More than 8192 bytes.
    #[error("longer than 8192 bytes")]
    TooLong,
    /// Another version than 1.
    #[error("unknown version")]
    Version,
}

/// What an entry is about.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub enum EntryKind {
    /// An admin act came to nothing after its intent.
    #[serde(rename = "admin.aborted")]
    AdminAborted,
    /// An admin act is in the database.
    #[serde(rename = "admin.applied")]
    AdminApplied,
    /// An admin act was refused.
    #[serde(rename = "admin.denied")]
    AdminDenied,
    /// An admin act is about to be written to the database.
    #[serde(rename = "admin.intent")]
    AdminIntent,
    /// A caller was refused before its request was read; may stand for several.
    #[serde(rename = "auth.denied")]
    AuthDenied,
    /// A certificate was issued.
    #[serde(rename = "cert.issued")]
    CertIssued,
    /// A client or operator enrolled.
    #[serde(rename = "client.enrolled")]
    ClientEnrolled,
    /// The wall clock jumped.
    #[serde(rename = "clock.jump")]
    ClockJump,
    /// A venue was asked what a key may do.
    #[serde(rename = "credential.check")]
    CredentialCheck,
    /// A request that the vault was to send was refused.
    #[serde(rename = "execute.denied")]
    ExecuteDenied,
    /// A request was signed, and is about to be sent.
    #[serde(rename = "execute.intent")]
    ExecuteIntent,
    /// What became of a request that was to be sent.
    #[serde(rename = "execute.outcome")]
    ExecuteOutcome,
    /// Entries were exported through the running server.
    #[serde(rename = "export")]
    Export,
    /// The open orders of what is halted are to be cancelled, or that is done.
    #[serde(rename = "halt.cancel_all")]
    HaltCancelAll,
    /// A torn tail was cut at start.
    #[serde(rename = "log.recovered")]
    LogRecovered,
    /// A process began to write.
    #[serde(rename = "log.started")]
    LogStarted,
    /// A reference price was taken over; not every one is logged.
    #[serde(rename = "price.accepted")]
    PriceAccepted,
    /// A reference price was refused; may stand for several.
    #[serde(rename = "price.refused")]
    PriceRefused,
    /// The vault was sealed.
    #[serde(rename = "seal")]
    Seal,
    /// A scope and its shadow answered one request differently.
    #[serde(rename = "shadow.diverged")]
    ShadowDiverged,
    /// A request was signed.
    #[serde(rename = "sign")]
    Sign,
    /// A request was allowed, but no signature came of it.
    #[serde(rename = "sign.aborted")]
    SignAborted,
    /// A request was refused.
    #[serde(rename = "sign.denied")]
    SignDenied,
    /// The vault was unsealed.
    #[serde(rename = "unseal")]
    Unseal,
    /// An attempt to unseal failed.
    #[serde(rename = "unseal.denied")]
    UnsealDenied,
}

/// How it ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Outcome {
    /// Refused; `reason` says why.
    #[serde(rename = "denied")]
    Denied,
    /// Tried and not done; `reason` says why.
    #[serde(rename = "error")]
    Error,
    /// Done.
    #[serde(rename = "ok")]
    Ok,
}

/// Who approved an admin act.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Operator.
    pub approver: Name,
    /// How: `command` for a signed command.
    pub method: String,
    /// SHA-256 of the approving signature's bytes.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex32_option")]
    pub sig_sha256: Option<Hash>,
}

/// One entry. What does not apply is absent (an empty list or map counts as absent).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Who approved the act.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approval>,
    /// What the owner declared about the credential.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assume: Vec<String>,
    /// Build of the server, for example a commit.
    pub build: String,
    /// SHA-256 of the venue's catalogue file.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex32_option")]
    pub catalog_hash: Option<Hash>,
    /// Ties `admin.intent` to `admin.applied` or `admin.aborted`, and both to the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_id: Option<String>,
    /// Class of the stated operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// The client or operator, once identified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<Name>,
    /// The order id that the client chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_order_id: Option<String>,
    /// SHA-256 over the names of the closure's operations, each followed by LF.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex32_option")]
    pub closure_hash: Option<Hash>,
    /// Name of the most dangerous operation of the closure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closure_widest: Option<String>,
    /// Credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Name>,
    /// Facts that only some types have; see the formats reference.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "sorted")]
    pub detail: BTreeMap<String, String>,
    /// The credential's environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// Epoch of the log.
    pub epoch: u32,
    /// What an act changed, after it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex32_option")]
    pub hash_after: Option<Hash>,
    /// What an act changed, before it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex32_option")]
    pub hash_before: Option<Hash>,
    /// Index in the log, from 0.
    pub idx: u64,
    /// The caller's address, canonical.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "plain_ip")]
    pub ip: Option<IpAddr>,
    /// How the address is known: `direct`, `local`, or `proxy:<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_via: Option<String>,
    /// The orders of the request.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "legs_in_order",
        deserialize_with = "legs_of_known_fields"
    )]
    pub legs: Vec<Leg>,
    /// What is left under each limit, decimals as text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "sorted")]
    pub limits_left: BTreeMap<String, String>,
    /// Version of the key of `payload_mac`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac_key: Option<u32>,
    /// Mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Node that wrote the entry.
    pub node: String,
    /// The venue's nonce in the request, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// Worth of the whole request, decimal text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notional: Option<String>,
    /// The stated operation, `METHOD path`; for admin acts the RPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Keyed MAC of the canonical request.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex32_option")]
    pub payload_mac: Option<Hash>,
    /// Reference prices that the decision used, decimals as text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", serialize_with = "sorted")]
    pub prices: BTreeMap<String, String>,
    /// Product, if the request has exactly one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<Product>,
    /// Short code: why it was refused or not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The id the client gave the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// Scope that was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Name>,
    /// Its revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope_rev: Option<u64>,
    /// Order of decisions; never falls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Serial of the caller's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<Serial>,
    /// SHA-256 over the decoded signature.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex32_option")]
    pub sig_sha256: Option<Hash>,
    /// Revision of the policy database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_rev: Option<u64>,
    /// Hash over the policy database at that revision.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "hex32_option")]
    pub state_root: Option<Hash>,
    /// Wall time, microseconds since the epoch. Order is `idx`, never this.
    pub ts: Timestamp,
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: EntryKind,
    /// Version of the entry's form: 1.
    pub v: u32,
    /// Venue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub venue: Option<String>,
    /// Version of the credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
}

impl Entry {
    /// An entry with what every entry has, and `ok`; the rest is absent.
    pub fn new(
        kind: EntryKind,
        idx: u64,
        ts: Timestamp,
        node: impl Into<String>,
        epoch: u32,
        build: impl Into<String>,
    ) -> Self {
        Self {
            approvals: Vec::new(),
            assume: Vec::new(),
            build: build.into(),
            catalog_hash: None,
            change_id: None,
            class: None,
            client: None,
            client_order_id: None,
            closure_hash: None,
            closure_widest: None,
            credential: None,
            detail: BTreeMap::new(),
            environment: None,
            epoch,
            hash_after: None,
            hash_before: None,
            idx,
            ip: None,
            ip_via: None,
            legs: Vec::new(),
            limits_left: BTreeMap::new(),
            mac_key: None,
            mode: None,
            node: node.into(),
            nonce: None,
            notional: None,
            operation: None,
            outcome: Outcome::Ok,
            payload_mac: None,
            prices: BTreeMap::new(),
            product: None,
            reason: None,
            request_id: None,
            scope: None,
            scope_rev: None,
            seq: None,
            serial: None,
            sig_sha256: None,
            state_rev: None,
            state_root: None,
            ts,
            kind,
            v: VERSION,
            venue: None,
            version: None,
        }
    }

    /// The entry's one line, canonical, without a line feed: the leaf.
    ///
    /// # Errors
    ///
    /// [`EntryError`] if a value breaks a rule of the format or the line is too long.
    pub fn to_line(&self) -> Result<Vec<u8>, EntryError> {
        let mut line = Vec::with_capacity(1024);
        self.put_line(&mut line)?;
        Ok(line)
    }

    /// As [`Entry::to_line`], behind what is in `lines`, which an error leaves as it was.
    ///
    /// # Errors
    ///
    /// As for [`Entry::to_line`].
    pub fn put_line(&self, lines: &mut Vec<u8>) -> Result<(), EntryError> {
        self.check()?;
        let begin = lines.len();
        let written = line::write(self, lines).map_err(|_| EntryError::NotEntry).and_then(|()| {
            let fits = lines.len() - begin <= ENTRY_BYTES_MAX;
            if fits { Ok(()) } else { Err(EntryError::TooLong) }
        });
        if written.is_err() {
            lines.truncate(begin);
        }
        written
    }

    /// Reads a line, which must be exactly what [`Entry::to_line`] writes.
    ///
    /// # Errors
    ///
    /// [`EntryError`]: not JSON, a field that version 1 does not know, not canonical, too long.
    pub fn from_line(line: &[u8]) -> Result<Self, EntryError> {
        if line.len() > ENTRY_BYTES_MAX {
            return Err(EntryError::TooLong);
        }
        let entry: Self =
            serde_json::from_slice(line).map_err(|_| {
                match serde_json::from_slice::<VersionOnly>(line) {
                    Ok(VersionOnly { v }) if v != u64::from(VERSION) => EntryError::Version,
                    _ => EntryError::NotEntry,
                }
            })?;
        if entry.to_line()? == line { Ok(entry) } else { Err(EntryError::NotCanonical) }
    }

    fn check(&self) -> Result<(), EntryError> {
        if self.v != VERSION {
            return Err(EntryError::Version);
        }
        let ts = u64::try_from(self.ts.micros()).map_err(|_| EntryError::Integer)?;
        let integers = [Some(ts), Some(self.idx), self.seq, self.scope_rev, self.state_rev];
        if integers.into_iter().flatten().any(|integer| integer > INTEGER_MAX) {
            return Err(EntryError::Integer);
        }
        match &self.reason {
            Some(reason) if !is_code(reason) => Err(EntryError::Reason),
            _ => Ok(()),
        }
    }
}

fn is_code(reason: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    (1..=64).contains(&reason.len()) && reason.bytes().all(allowed)
}

/// Tells an entry of a later version from what is no entry at all.
#[derive(Deserialize)]
struct VersionOnly {
    v: u64,
}

#[cfg(test)]
pub(crate) mod tests;
