//! A venue: its catalogue and its signing scheme.

use vault_model::{
    Class, Environment, Reading, SecretBytes, SignedRequest, Timestamp, VenueRequest,
};

use crate::catalog::{Catalog, CatalogError, Operation, Part, ResponseFacts, Reuse};
use crate::error::{ReadError, VenueError};
use crate::key::KeyType;
use crate::placeholder::{self, Undressed};
use crate::read::{self, Standing};
use crate::scheme::{self, Scheme};

/// An API key, unwrapped for one signature.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// The public half, as the venue issued it.
    pub api_key: &'a str,
    /// The secret, as the venue issued it (text, not decoded).
    pub secret: &'a SecretBytes,
    /// The passphrase, at venues that have one.
    pub passphrase: Option<&'a SecretBytes>,
    /// What kind of key it is.
    pub key_type: KeyType,
}

/// What the vault adds to a request.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The time to sign.
    pub at: Timestamp,
    /// The nonce to sign, at venues that want one.
    pub nonce: Option<u64>,
    /// Which of the venue's environments the credential is for.
    pub environment: Environment,
    /// Whether the passphrase may stand in the signed request, at venues that want it there.
    pub disclose_passphrase: bool,
    /// 16 random bytes, for venues that want a text that was never sent before.
    pub unique: [u8; 16],
}

/// One venue.
#[derive(Debug)]
pub struct Venue {
    name: &'static str,
    /// What its operations are.
    pub catalog: Catalog,
    scheme: &'static dyn Scheme,
}

impl Venue {
    /// Loads a venue from the parts of its catalogue.
    ///
    /// # Errors
    ///
    /// [`CatalogError`] for a broken catalogue, one of another venue, or an unknown scheme.
    pub fn load(name: &'static str, parts: &[Part<'_>]) -> Result<Self, CatalogError> {
        let catalog = Catalog::parse(name, parts)?;
        let scheme = scheme::SCHEMES
            .iter()
            .copied()
            .find(|scheme| scheme.name() == catalog.signature.scheme)
            .ok_or_else(|| CatalogError::Inconsistent {
                file: name.to_owned(),
                what: format!("scheme {} is not known", catalog.signature.scheme),
            })?;
        Ok(Self { name, catalog, scheme })
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its signing scheme.
    pub fn scheme(&self) -> &'static dyn Scheme {
        self.scheme
    }

    /// How long a released signature of a type of key can be used, in milliseconds; `None`: without
    /// end.
    pub fn usable_ms(&self, key_type: KeyType) -> Option<u64> {
        self.catalog.signature.facts(key_type).usable_ms
    }

    /// Whether it wants a passphrase beside the signature.
    pub fn needs_passphrase(&self) -> bool {
        self.catalog.signature.needs_passphrase
    }

    /// Whether it wants strictly increasing nonces.
    pub fn needs_nonce(&self) -> bool {
        self.catalog.signature.nonce
    }

    /// Whether it takes one signature at most once, so that what was signed is all that can happen:
    /// cumulative caps hold in `Sign` mode only there. A strictly increasing nonce does that. Client
    /// order ids that a venue never takes twice would do it too, if the vault set them.
    pub fn takes_signatures_once(&self) -> bool {
        self.needs_nonce()
    }

    /// Whether it takes a client order id twice. Only `Never` can carry a cumulative cap.
    pub fn client_order_id_reuse(&self) -> Reuse {
        self.catalog.signature.client_order_id_reuse
    }

    /// The kinds of keys that can be imported.
    pub fn key_types(&self) -> &[KeyType] {
        &self.catalog.signature.key_types
    }

    /// The words for rights of a key; empty when they are not known.
    pub fn rights(&self) -> &[String] {
        &self.catalog.rights
    }

    /// Whether it has this environment.
    pub fn has_environment(&self, environment: Environment) -> bool {
        self.catalog.hosts(environment).is_some()
    }

    /// Reads a request: checks all of it, and says what it means and what its signature would
    /// authorise.
    ///
    /// # Errors
    ///
    /// [`ReadError`] for whatever is not plain, not known or not complete.
    pub fn read(
        &self,
        request: &VenueRequest,
        standing: &Standing<'_>,
    ) -> Result<Reading, ReadError> {
        read::read(self.name, &self.catalog, request, standing)
    }

    /// Takes off what the sender's library added in place of what the vault makes: the placeholder
    /// of the API key, time, nonce, signature, a window that is too wide, and the library's own
    /// headers. All else stays, byte for byte.
    ///
    /// # Errors
    ///
    /// [`ReadError::KeyNotPlaceholder`] where something else stands in the place of the API key,
    /// [`ReadError::PlaceholdersDiffer`] for two credentials in one request.
    pub fn undress(&self, request: &VenueRequest) -> Result<Undressed, ReadError> {
        placeholder::undress(&self.catalog, &self.scheme.placeholders(), request)
    }

    /// The environment that a request's own headers select; absent where none of them does. A
    /// request that was undressed still has these headers, and [`read`](Self::read) refuses them in
    /// any other environment.
    pub fn environment_of(&self, request: &VenueRequest) -> Option<Environment> {
        self.catalog.environment_of(&request.headers)
    }

    /// Where answers of the venue have what is reported of them.
    pub fn response(&self) -> &ResponseFacts {
        &self.catalog.response
    }

    /// The request to an operation that is open to everybody, as it goes out: without any key.
    ///
    /// # Errors
    ///
    /// [`VenueError::EnvironmentUnknown`]; [`VenueError::RequestForm`] for an operation that is not
    /// public, for one that wants a signature, and for a WebSocket.
    pub fn open_request(
        &self,
        request: &VenueRequest,
        environment: Environment,
    ) -> Result<SignedRequest, VenueError> {
        let hosts = self.catalog.hosts(environment).ok_or(VenueError::EnvironmentUnknown)?;
        let operation = self.catalog.operation(&request.method, &request.path);
        let is_open =
            |operation: &&Operation| !operation.signed && operation.class == Class::Public;
        if operation.filter(is_open).is_none() || request.scheme == "wss" {
            return Err(VenueError::RequestForm);
        }
        // Nothing of a moment goes into what has no key and is no frame.
        let moment = Moment {
            at: Timestamp(0),
            nonce: None,
            environment,
            disclose_passphrase: false,
            unique: [0; 16],
        };
        let mut open = self.scheme.unsigned(request, None, &moment)?;
        open.headers.extend(hosts.headers_with(&request.headers));
        Ok(open)
    }

    /// Signs a request that was read and permitted: adds what the vault adds, and returns what
    /// goes out. The bytes that the caller gave are signed as they are.
    ///
    /// # Errors
    ///
    /// [`VenueError::PassphraseNotDisclosed`] where the passphrase would travel beside the
    /// signature and may not; [`VenueError::NonceMissing`]; others for a key or a request that the
    /// scheme cannot sign.
    pub fn sign(
        &self,
        request: &VenueRequest,
        key: &Key<'_>,
        moment: &Moment,
    ) -> Result<SignedRequest, VenueError> {
        let hosts = self.catalog.hosts(moment.environment).ok_or(VenueError::EnvironmentUnknown)?;
        if self.needs_passphrase() {
            if key.passphrase.is_none() {
                return Err(VenueError::PassphraseMissing);
            }
            if !moment.disclose_passphrase {
                return Err(VenueError::PassphraseNotDisclosed);
            }
        }
        let operation = self.catalog.operation(&request.method, &request.path);
        let unsigned = operation.filter(|operation| !operation.signed);
        if unsigned.is_some() || request.scheme == "wss" {
            let mut signed = match unsigned {
                Some(open) => {
                    self.scheme.unsigned(request, open.is_disclosed().then_some(key), moment)?
                }
                None => self.scheme.frame(request, key, moment)?,
            };
            // A frame has no headers, and the socket's own are none of the scheme's.
            if request.scheme != "wss" {
                signed.headers.extend(hosts.headers_with(&request.headers));
            }
            return Ok(signed);
        }
        let wire = self.scheme.wire(request, key, moment)?;
        let string = self.scheme.string_to_sign(&wire, key, moment)?;
        let signature = self.scheme.signature(key, &string)?;
        let mut wire = self.scheme.authenticate(wire, key, moment, &string, &signature)?;
        wire.headers.extend(hosts.headers_with(&request.headers));
        Ok(wire.signed(signature))
    }

    /// The type of a key, from the form of its secret.
    ///
    /// # Errors
    ///
    /// [`VenueError::KeyTypeNotTaken`] for one that the venue does not take; others for a private
    /// key that nobody could use.
    pub fn key_type_of(&self, secret: &SecretBytes) -> Result<KeyType, VenueError> {
        let key_type = self.scheme.key_type_of(secret)?;
        if self.takes(key_type) { Ok(key_type) } else { Err(VenueError::KeyTypeNotTaken) }
    }

    fn takes(&self, key_type: KeyType) -> bool {
        self.key_types().contains(&key_type)
    }

    /// Whether a key is of the venue's form and of the type that is stated, and the scheme computes
    /// its known answers.
    ///
    /// # Errors
    ///
    /// [`VenueError`] says what is wrong with it.
    pub fn check_key(&self, key: &Key<'_>) -> Result<(), VenueError> {
        self.scheme.self_test()?;
        scheme::check_printable(key.api_key.as_bytes(), VenueError::ApiKeyForm)?;
        match key.passphrase {
            Some(passphrase) => {
                scheme::check_printable(passphrase.expose_secret(), VenueError::PassphraseForm)?;
            }
            None if self.needs_passphrase() => return Err(VenueError::PassphraseMissing),
            None => {}
        }
        if self.key_type_of(key.secret)? != key.key_type {
            return Err(VenueError::KeyTypeWrong);
        }
        self.scheme.signature(key, b"countersign").map(|_| ())
    }
}
