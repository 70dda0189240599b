//! `vault.v1`: messages and services, generated once for server and clients, and the parts of the
//! wire contract that are not protobuf: what a command's signature covers, what is sealed to the
//! core, what an invite token says. `docs/reference/formats.md` draws all of them.

pub mod approval;
pub mod command;
pub mod enroll;
pub mod sealed;
pub mod shown;
pub mod token;

/// Generated from `vault/v1/*.proto`.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod v1 {
    tonic::include_proto!("vault.v1");
}

/// The encoded `FileDescriptorSet` of `vault.v1`, for reflection and for tests that walk every RPC.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/vault.v1.bin"));

/// Domain of the machine-readable reasons in error details.
pub const ERROR_DOMAIN: &str = "countersign";

// Messages that hold secrets or authority show their type only.
impl std::fmt::Debug for v1::CredentialSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CredentialSecret(redacted)")
    }
}

impl std::fmt::Debug for v1::SignedRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignedRequest(redacted)")
    }
}
