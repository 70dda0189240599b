//! `vault-server operator`: the way back in when certificates have run out.

use clap::Subcommand;
use prost::Message as _;
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use vault_core::DataDir;
use vault_ipc::LocalOperation;
use vault_ipc::proto::token::Token;
use vault_ipc::proto::v1::{InviteOperatorCommand, InviteOperatorResponse, InviteSpec, Role};
use vault_model::{Name, Timestamp};
use zeroize::Zeroizing;

use super::Data;
use crate::fault::{Exit, Fault};
use crate::local::Vault;
use crate::output::Output;

#[derive(Subcommand)]
pub enum Command {
    /// Print a new one-time token for an operator that exists; the vault must be unsealed
    Reissue {
        /// The operator
        name: Name,
        #[command(flatten)]
        data: Data,
        /// How long the token is good, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 900,
              value_parser = clap::value_parser!(u32).range(60..=86_400))]
        ttl_s: u32,
    },
}

pub fn run(output: Output, command: Command) -> Result<(), Fault> {
    let Command::Reissue { name, data, ttl_s } = command;
    let mut vault = Vault::connect(data.as_ref())?;

    let (mut id, mut seed) = ([0; 16], Zeroizing::new([0; 32]));
    let random = SystemRandom::new();
    random
        .fill(&mut id)
        .and_then(|()| random.fill(seed.as_mut_slice()))
        .map_err(|_| Fault::other("no random numbers"))?;
    let ca_path = DataDir::new(data.as_ref()).ca_certificate();
    let ca = CertificateDer::from_pem_file(&ca_path)
        .map_err(|error| Fault::other(format!("{}: {error}", ca_path.display())))?;
    let ca_fingerprint: [u8; 32] = Sha256::digest(&ca).into();
    let mut token =
        Token::new(id, seed, ca_fingerprint, vault.core_fingerprint()?, 0, String::new());

    // Only the public half leaves this process; the core fills in the role that the operator has.
    let invite = InviteSpec {
        token_id: id.to_vec(),
        token_public_key: token.public_key().to_vec(),
        lifetime_s: ttl_s,
    };
    let command = InviteOperatorCommand {
        name: name.to_string(),
        role: Role::Unspecified.into(),
        invite: Some(invite),
    };
    let answer: InviteOperatorResponse =
        vault.call(LocalOperation::Reissue, command.encode_to_vec())?;
    let result = answer
        .invite
        .ok_or_else(|| Fault::new(Exit::NotVerified, "the core's answer has no invitation"))?;
    token.expires_at_ms = result.expires_at_ms;
    token.address.clone_from(&result.enroll_address);

    let text = token.encode();
    let expires_at = Timestamp::from_millis(result.expires_at_ms);
    output.talk(&format!(
        "{name} may enrol at {} until {expires_at}:\n  vaultctl enroll TOKEN\n\
         the token is shown once:",
        result.enroll_address
    ));
    if output.is_json() {
        let value = json!({
            "name": name,
            "token": text.as_str(),
            "expires_at_ms": result.expires_at_ms,
            "enroll_address": result.enroll_address,
        });
        output.show(&value, String::new)
    } else {
        output.show_once(&Zeroizing::new(format!("{}\n", text.as_str())))
    }
}
