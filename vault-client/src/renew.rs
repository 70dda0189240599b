//! Renewal: the same identity, a new key and a new certificate.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tonic::Request;
use tonic::transport::Channel;
use vault_proto::v1::client_service_client::ClientServiceClient;
use vault_proto::v1::{RenewCommand, RenewRequest, RenewResponse};

use crate::certificate::{Certificate, fingerprint, to_pem};
use crate::command::{NO_RANDOMNESS, signed_command};
use crate::error::{ClientError, IdentityError};
use crate::folder::{self, PLAIN_MODE, SECRET_MODE, at};
use crate::identity::{ABOUT_FILE, CA_FILE, CERTIFICATE_FILE, Identity, KEY_FILE, with_new};
use crate::key::SigningKey;
use crate::transport;

impl Identity {
    /// Gets a certificate for a new key and puts both into the folder. The old ones stay as they
    /// are until the new ones are on disk; a crash in between is mended by [`Identity::load`].
    /// If another process renews the same folder at the same time, its result is taken.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; the folder still holds the old identity then.
    pub async fn renew(&self) -> Result<Self, ClientError> {
        let channel = transport::connect(self).await?;
        self.renew_over(channel).await
    }

    /// As [`Identity::renew`], over a connection that exists.
    pub(crate) async fn renew_over(&self, channel: Channel) -> Result<Self, ClientError> {
        // One renewal at a time: the lock is held until this function returns.
        let _renewing = lock_off_thread(self.folder().join(CA_FILE)).await?;
        let there = Self::load(self.folder())?.with_address(self.address());
        if there.serial() != self.serial() && there.not_after() >= self.not_after() {
            return Ok(there);
        }

        let new_key = SigningKey::generate(self.key_type()).map_err(|_| NO_RANDOMNESS)?;
        let new_key_path = with_new(self.folder(), KEY_FILE);
        folder::write(&new_key_path, new_key.to_pem().as_bytes(), SECRET_MODE)?;
        let outcome = match self.ask(channel, &new_key).await {
            Ok(answer) => self.check(&new_key, &answer).map(|()| answer),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(answer) => self.put_in_place(&answer.certificate).await,
            Err(error) => {
                // The old identity is whole; the unused key is of no use to anybody.
                let _ = folder::remove_if_there(&new_key_path);
                Err(error)
            }
        }
    }

    async fn ask(&self, channel: Channel, key: &SigningKey) -> Result<RenewResponse, ClientError> {
        let csr = key.csr().map_err(|_| NO_RANDOMNESS)?;
        let command = RenewCommand { csr };
        let command = signed_command(self, METHOD, &command, SystemTime::now())?;
        let mut request = Request::new(RenewRequest { command: Some(command) });
        request.set_timeout(TIMEOUT);
        let answer = ClientServiceClient::new(channel).renew(request).await;
        Ok(answer.map_err(ClientError::from_status)?.into_inner())
    }

    fn check(&self, key: &SigningKey, answer: &RenewResponse) -> Result<(), ClientError> {
        if fingerprint(&answer.ca_certificate) != *self.ca_fingerprint() {
            return Err(ClientError::Protocol("its CA is another one"));
        }
        let certificate = Certificate::parse(&answer.certificate)
            .filter(|certificate| certificate.is_issued_by(self.ca()))
            .ok_or(ClientError::Protocol("its certificate is not valid"))?;
        if certificate.spki != key.spki() {
            return Err(ClientError::Protocol("its certificate is for another key"));
        }
        Ok(())
    }

    /// Renames certificate and key into place; `key.pem.new` is there already.
    async fn put_in_place(&self, certificate: &[u8]) -> Result<Self, ClientError> {
        let folder = self.folder();
        let swapping = lock_off_thread(folder.join(ABOUT_FILE)).await?;
        let new_certificate_path = with_new(folder, CERTIFICATE_FILE);
        folder::write(&new_certificate_path, to_pem(certificate).as_bytes(), PLAIN_MODE)?;
        folder::rename(&new_certificate_path, &folder.join(CERTIFICATE_FILE))?;
        folder::rename(&with_new(folder, KEY_FILE), &folder.join(KEY_FILE))?;
        let renewed = Self::read(folder)?.with_address(self.address());
        drop(swapping);
        Ok(renewed)
    }
}

/// Waits for a lock on a file without holding up the runtime. It ends with the returned file.
async fn lock_off_thread(path: impl AsRef<Path>) -> Result<File, IdentityError> {
    let path = path.as_ref().to_owned();
    let for_errors = path.clone();
    let lock = move || {
        let file = File::open(&path)?;
        file.lock()?;
        Ok(file)
    };
    tokio::task::spawn_blocking(lock)
        .await
        .unwrap_or_else(|error| Err(std::io::Error::other(error)))
        .map_err(at(&for_errors))
}

const METHOD: &str = "vault.v1.ClientService/Renew";
const TIMEOUT: Duration = Duration::from_secs(15);
