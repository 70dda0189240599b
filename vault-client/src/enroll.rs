//! Enrolment: an invite token becomes an identity.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use tonic::Request;
use vault_proto::token::Token;
use vault_proto::v1::client_service_client::ClientServiceClient;
use vault_proto::v1::{EnrollRequest, EnrollResponse};

use crate::certificate::{Certificate, fingerprint, to_pem};
use crate::command::NO_RANDOMNESS;
use crate::error::{ClientError, IdentityError};
use crate::folder::{self, PLAIN_MODE, SECRET_MODE, at};
use crate::identity::{
    ABOUT_FILE, About, CA_FILE, CERTIFICATE_FILE, Identity, KEY_FILE, read_key, role_word,
};
use crate::key::{KeyType, SigningKey};
use crate::transport;

/// How to enrol.
#[derive(Clone, Debug, Default)]
pub struct EnrollOptions {
    /// Kind of the key that is made.
    pub key_type: KeyType,
    /// `host:port` to use instead of the token's, for a vault behind a forwarder.
    pub address: Option<String>,
}

impl Identity {
    /// Enrols with a token: makes a key in `folder`, has it certified by the vault that the token
    /// pins, and writes the identity. The folder is made if it is not there.
    ///
    /// If the connection breaks, the key stays; the same call with the same token then goes on with
    /// it, which the vault allows for 15 minutes. If the vault refuses, the key is removed.
    ///
    /// # Errors
    ///
    /// [`IdentityError::InUse`] before anything is sent if there is an identity in the folder;
    /// [`ClientError::ServerNotTrusted`] if the server is not the token's;
    /// [`ClientError::Protocol`] if the answer does not fit the token and the key.
    pub async fn enroll(
        token: &Token,
        folder: &Path,
        options: &EnrollOptions,
    ) -> Result<Self, ClientError> {
        let pending = Pending::begin(token, folder, options.key_type)?;
        let csr = pending.key.csr().map_err(|_| NO_RANDOMNESS)?;
        let request = EnrollRequest { token_id: token.id.to_vec(), proof: token.prove(&csr), csr };
        match call(token, request, options).await {
            Ok(answer) => pending.finish(token, &answer),
            Err(error) => {
                if matches!(error, ClientError::Refused(_) | ClientError::ServerNotTrusted(_)) {
                    pending.give_up();
                }
                Err(error)
            }
        }
    }
}

async fn call(
    token: &Token,
    request: EnrollRequest,
    options: &EnrollOptions,
) -> Result<EnrollResponse, ClientError> {
    let address = options.address.as_deref().unwrap_or(&token.address);
    let channel = transport::connect_pinned(address, token.ca_fingerprint).await?;
    let mut request = Request::new(request);
    request.set_timeout(TIMEOUT);
    let answer = ClientServiceClient::new(channel).enroll(request).await;
    Ok(answer.map_err(ClientError::from_status)?.into_inner())
}

/// An enrolment whose key exists already, under a name of its own. `key.pem` is made last, by
/// renaming it, so a folder with that file is complete.
struct Pending {
    folder: PathBuf,
    made_folder: bool,
    key_path: PathBuf,
    key: SigningKey,
}

impl Pending {
    fn begin(token: &Token, folder: &Path, key_type: KeyType) -> Result<Self, ClientError> {
        let made_folder = !folder.exists();
        folder::make(folder)?;
        let pending_name = format!("{KEY_FILE}.{}", hex::encode(token.id));
        let key_path = folder.join(&pending_name);
        let entries = fs::read_dir(folder).map_err(at(folder))?;
        for entry in entries {
            let name = entry.map_err(at(folder))?.file_name();
            // What a crash of this very enrolment may have left.
            let ours = [CA_FILE, CERTIFICATE_FILE, ABOUT_FILE];
            let resumes = key_path.exists() && ours.iter().any(|file| name == **file);
            if name != *pending_name && !resumes {
                return Err(IdentityError::InUse(folder.to_owned()).into());
            }
        }
        let key = if key_path.exists() {
            read_key(&key_path)?
        } else {
            let key = SigningKey::generate(key_type).map_err(|_| NO_RANDOMNESS)?;
            folder::write(&key_path, key.to_pem().as_bytes(), SECRET_MODE)?;
            key
        };
        Ok(Self { folder: folder.to_owned(), made_folder, key_path, key })
    }

    fn finish(self, token: &Token, answer: &EnrollResponse) -> Result<Identity, ClientError> {
        let about = self.check(token, answer)?;
        let about_json =
            serde_json::to_vec_pretty(&about).map_err(|_| ClientError::Protocol("its words"))?;
        let write =
            |name: &str, bytes: &[u8]| folder::replace(&self.folder.join(name), bytes, PLAIN_MODE);
        write(CA_FILE, to_pem(&answer.ca_certificate).as_bytes())?;
        write(CERTIFICATE_FILE, to_pem(&answer.certificate).as_bytes())?;
        write(ABOUT_FILE, &about_json)?;
        folder::rename(&self.key_path, &self.folder.join(KEY_FILE))?;
        Ok(Identity::load(&self.folder)?)
    }

    /// Believes nothing that the token or the key does not vouch for.
    fn check(&self, token: &Token, answer: &EnrollResponse) -> Result<About, ClientError> {
        if fingerprint(&answer.ca_certificate) != token.ca_fingerprint {
            return Err(ClientError::Protocol("its CA is not the one in the token"));
        }
        if fingerprint(&answer.core_public_key) != token.core_fingerprint {
            return Err(ClientError::Protocol("its core is not the one in the token"));
        }
        let ca = CertificateDer::from(answer.ca_certificate.as_slice());
        let certificate = Certificate::parse(&answer.certificate)
            .filter(|certificate| certificate.is_issued_by(&ca))
            .ok_or(ClientError::Protocol("its certificate is not valid"))?;
        if certificate.spki != self.key.spki() {
            return Err(ClientError::Protocol("its certificate is for another key"));
        }
        let role = role_word(answer.role());
        let instance_id = answer.instance_id.as_slice().try_into();
        match (role, instance_id) {
            ("", _) | (_, Err(_)) => Err(ClientError::Protocol("it states no role or no instance")),
            (role, Ok(instance_id)) => Ok(About {
                version: 1,
                name: answer.name.clone(),
                role: role.to_owned(),
                address: answer.address.clone(),
                ca_fingerprint: token.ca_fingerprint,
                core_fingerprint: token.core_fingerprint,
                instance_id,
            }),
        }
    }

    /// Removes the key, which nobody has certified, and the folder if it was made for it.
    fn give_up(self) {
        // Best effort: what stays is a key without a certificate.
        let _ = folder::remove_if_there(&self.key_path);
        if self.made_folder {
            let _ = fs::remove_dir(&self.folder);
        }
    }
}

const TIMEOUT: Duration = Duration::from_secs(15);
