//! Rows of the policy tables: what each noun is, at rest and in memory.
//!
//! A row's document has exactly the fields below; an absent value is `null` (in an instrument, and
//! sites of a credential: left out), times are microseconds since the epoch, bytes are lower-case hex.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use vault_model::{
    Environment, HaltLevel, HaltTarget, Instrument, Name, Pair, Role, Serial, Timestamp,
};

use super::RowKey;
use super::hex::{Hex, HexBytes};

/// Whether a client, an operator or a certificate may be used.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HolderState {
    /// May.
    Active,
    /// May never again.
    Revoked,
}

/// A program that signs or puts prices.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClientRow {
    /// When it was invited.
    pub created_at: Timestamp,
    /// Its name: the row's key.
    pub name: Name,
    /// Networks it may call from, beside what its scope says; none stands for the scope's alone.
    pub networks: Vec<IpNet>,
    /// Why it was revoked.
    pub revoke_reason: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// `bot` or `pricer`.
    pub role: Role,
    /// What it may do.
    pub scope: Option<Name>,
    /// Whether it may do anything.
    pub state: HolderState,
}

/// A person.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorRow {
    /// When he was invited.
    pub created_at: Timestamp,
    /// His name: the row's key.
    pub name: Name,
    /// When he was revoked.
    pub revoked_at: Option<Timestamp>,
    /// `admin`, `auditor` or `guard`.
    pub role: Role,
    /// Whether he may do anything.
    pub state: HolderState,
}

/// Whose certificate it is.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// A program's.
    Client(Name),
    /// A person's.
    Operator(Name),
}

/// Whether a certificate is accepted.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateState {
    /// Until it expires.
    Active,
    /// Never again.
    Revoked,
    /// Renewed: another has taken its place.
    Superseded,
}

/// A certificate on the allow-list.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateRow {
    /// SHA-256 of the certificate's DER.
    pub fingerprint: Hex<32>,
    /// Whose it is.
    pub holder: Holder,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it expires.
    pub not_after: Timestamp,
    /// The certificate it renews.
    pub parent: Option<Serial>,
    /// SubjectPublicKeyInfo, DER.
    pub public_key: HexBytes,
    /// Its serial: the row's key.
    pub serial: Serial,
    /// Whether it is accepted.
    pub state: CertificateState,
}

/// What a client may do. The document is the scope's own business.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ScopeRow {
    /// The scope as `vault-policy` reads it.
    pub document: serde_json::Value,
    /// Its name: the row's key.
    pub name: Name,
    /// Counts its changes, from 1.
    pub revision: u64,
    /// When it was last put.
    pub updated_at: Timestamp,
}

/// Whether a credential may be used.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialState {
    /// May not, until it is enabled.
    Disabled,
    /// May.
    Enabled,
}

/// An API key at a venue.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialRow {
    /// Effects that the operator vouches this credential cannot have.
    pub assume: Vec<String>,
    /// When it was first imported.
    pub created_at: Timestamp,
    /// Whether Sign may hand the venue passphrase to the bot.
    pub disclose_passphrase: bool,
    /// Live or demo.
    pub environment: Environment,
    /// Its name: the row's key.
    pub name: Name,
    /// No nonce up to this one may be used again. A decimal text: nonces may exceed 2^53.
    #[serde(with = "decimal_text")]
    pub nonce_floor: u64,
    /// What the venue lets it do, as the operator stated.
    pub rights: Option<Vec<String>>,
    /// Sites of the venue at which it is known; none: the main one. Left out then, so that documents
    /// from before there were sites stay what they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<String>,
    /// Whether it may be used.
    pub state: CredentialState,
    /// Its venue.
    pub venue: String,
    /// The version in use.
    pub version: u32,
}

/// The secret of one version of a credential, encrypted.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialVersionRow {
    /// When it was imported.
    pub created_at: Timestamp,
    /// Which credential: the first half of the row's key.
    pub credential: Name,
    /// What kind of secret it is, such as `hmac-sha256`.
    pub key_type: String,
    /// VE1 of the secret under the DEK.
    pub sealed_secret: HexBytes,
    /// Its number, from 1: the second half of the row's key.
    pub version: u32,
    /// VE1 of the DEK under a KEK.
    pub wrapped_dek: HexBytes,
}

/// An invitation, until it is used and after.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct InviteRow {
    /// The certificate that came of it.
    pub certificate: Option<Serial>,
    /// Who made it.
    pub created_by: String,
    /// Until when it may be used.
    pub expires_at: Timestamp,
    /// Who is invited.
    pub name: Name,
    /// Networks a client will be allowed from.
    pub networks: Vec<IpNet>,
    /// The Ed25519 key that the token's holder signs with, raw.
    pub public_key: Hex<32>,
    /// As what.
    pub role: Role,
    /// With which scope.
    pub scope: Option<Name>,
    /// The token's public id: the row's key.
    pub token_id: Hex<16>,
    /// When it was used.
    pub used_at: Option<Timestamp>,
    /// The public key it was used with (SubjectPublicKeyInfo, DER).
    pub used_key: Option<HexBytes>,
}

/// A halt in force.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HaltRow {
    /// Since when.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// How much it stops.
    pub level: HaltLevel,
    /// Why.
    pub reason: String,
    /// What it stops: the row's key.
    pub target: HaltTarget,
}

/// Where the reference price of a pair comes from. The document is the feed's own business.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FeedRow {
    /// The feed as `vault-policy` reads it.
    pub document: serde_json::Value,
    /// Its pair: the row's key.
    pub pair: Pair,
    /// The `state_rev` that put it: another for every put.
    pub revision: u64,
    /// When it was put.
    pub updated_at: Timestamp,
}

/// What an order's quantity is worth.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct InstrumentRow {
    /// The instrument; its venue, product and symbol are the row's key.
    pub instrument: Instrument,
    /// When it was approved.
    pub updated_at: Timestamp,
}

impl InstrumentRow {
    /// Its key.
    pub fn key(&self) -> RowKey {
        let Instrument { venue, product, symbol, .. } = &self.instrument;
        RowKey::Instrument(venue.clone(), *product, symbol.clone())
    }
}

/// A `u64` as decimal text, without sign or leading zero.
mod decimal_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .ok()
            .filter(|value: &u64| value.to_string() == text)
            .ok_or_else(|| de::Error::custom("expected a decimal number"))
    }
}
