//! A venue: its catalogue and its signing scheme.

use vault_model::{
    Class, Environment, Mode, Reading, SecretBytes, SignedRequest, Timestamp, VenueRequest,
};

use crate::cancel_all::{self, Step};
use crate::catalog::{Catalog, CatalogError, Operation, Part, ResponseFacts, Reuse};
use crate::error::{ReadError, VenueError};
use crate::key::{KeyType, PrivateKey};
use crate::own::{Account, Answer, OwnRequest};
use crate::placeholder::{self, Undressed};
use crate::read::{self, Standing};
use crate::rights::{self, Finding, Findings, KeyFacts};
use crate::scheme::{self, Scheme};
use crate::socket::{self, Message, MessageId, Socket};

/// An API key, unwrapped.
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
    /// The private key in the secret, if [`Venue::private_key`] has parsed it before. Absent: whoever
    /// signs parses it.
    pub private_key: Option<&'a PrivateKey>,
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

/// A text and its signature, which was computed before it was asked for.
#[derive(Eq, PartialEq)]
pub struct SignedText {
    /// What [`Venue::text_to_sign`] gave.
    pub text: Vec<u8>,
    /// Its signature, decoded.
    pub signature: Vec<u8>,
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

    /// The requests that ask the venue what a key of this type may do; none where it cannot be
    /// asked.
    pub fn check<'a>(&self, account: impl Into<Account<'a>>, key_type: KeyType) -> Vec<OwnRequest> {
        rights::check(&self.catalog, account.into(), key_type).into_iter().collect()
    }

    /// What the answers to [`check`](Self::check), in its order, say of the key.
    ///
    /// # Errors
    ///
    /// A code, for [`check_not_possible`](Self::check_not_possible): `CHECK_NOT_POSSIBLE`,
    /// `NO_ANSWER`, `NOT_PERMITTED`, `VENUE_REFUSED`, `ANSWER_CUT`, `ANSWER_UNREADABLE`.
    pub fn key_facts(&self, answers: &[Answer]) -> Result<KeyFacts, &'static str> {
        rights::facts(&self.catalog, answers.first().ok_or("CHECK_NOT_POSSIBLE")?)
    }

    /// What is wrong with a key: holds what the venue says against the rights that are stated of
    /// it. Absent: none are stated, and all count as held.
    pub fn findings(
        &self,
        facts: &KeyFacts,
        stated: Option<&[String]>,
        now: Timestamp,
    ) -> Findings {
        rights::findings(&self.catalog, facts, stated, now)
    }

    /// The finding that the venue could not be asked, or not understood, with the code of why.
    pub fn check_not_possible(&self, problem: &str) -> Finding {
        rights::not_possible(&self.catalog, problem)
    }

    /// The first requests of cancelling all open orders that a key with these rights (absent: any)
    /// can have: looks, and cancels where the venue cancels all without a look. With a symbol, in
    /// the venue's own spelling: of that one alone.
    ///
    /// # Errors
    ///
    /// A code: `CANCEL_ALL_NOT_POSSIBLE`, `SYMBOL_ALONE_NOT_POSSIBLE`, `SYMBOL_NOT_PLAIN`,
    /// `SYMBOL_UNKNOWN`.
    pub fn looks<'a>(
        &self,
        account: impl Into<Account<'a>>,
        rights: Option<&[String]>,
        symbol: Option<&str>,
    ) -> Result<Vec<OwnRequest>, &'static str> {
        cancel_all::looks(self.name, &self.catalog, account.into(), rights, symbol)
    }

    /// What the answer to a look makes necessary. After the cancels the same look is sent again,
    /// until it shows nothing, at most [`OwnRequest::rounds`] times.
    ///
    /// # Errors
    ///
    /// A code: `NO_ANSWER`, `NOT_PERMITTED` (a key that may not look there: nothing to cancel with
    /// it), `VENUE_REFUSED`, `NO_LOOK`.
    pub fn cancels<'a>(
        &self,
        account: impl Into<Account<'a>>,
        look: &OwnRequest,
        answer: &Answer,
    ) -> Result<Step, &'static str> {
        cancel_all::cancels(self.name, &self.catalog, account.into(), look, answer)
    }

    /// What the answer to a cancel says: how many orders it has cancelled, where the venue tells.
    ///
    /// # Errors
    ///
    /// A code: `NO_ANSWER`, `NOT_PERMITTED`, `VENUE_REFUSED`.
    pub fn cancelled(
        &self,
        cancel: &OwnRequest,
        answer: &Answer,
    ) -> Result<Option<u32>, &'static str> {
        cancel_all::cancelled(&self.catalog, cancel, answer)
    }

    /// Whether it has this environment.
    pub fn has_environment(&self, environment: Environment) -> bool {
        self.catalog.hosts(environment).is_some()
    }

    /// Whether a host of it, of requests or of WebSockets, knows an account.
    pub fn serves(&self, account: Account<'_>, host: &str) -> bool {
        let hosts = self.catalog.hosts(account.environment);
        hosts.is_some_and(|hosts| hosts.sites.serve(account.sites, host))
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

    /// As [`read`](Self::read), in the way in which the request is to reach the venue. The signature of
    /// what the vault itself sends reaches nobody else: the closure is the stated operation alone. A
    /// capability in its answer stays with the vault ([`Operation::kept`]): the operation is of class
    /// `read` then.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read).
    pub fn read_in(
        &self,
        mode: Mode,
        request: &VenueRequest,
        standing: &Standing<'_>,
    ) -> Result<Reading, ReadError> {
        if mode == Mode::Sign {
            return self.read(request, standing);
        }
        let mut reading = read::read_alone(self.name, &self.catalog, request, standing)?;
        let stated = self.catalog.operation(&request.method, &request.path);
        if stated.is_some_and(|operation| operation.kept) {
            let Reading { stated, closure, .. } = &mut reading;
            for member in closure.iter_mut().filter(|member| member.operation == stated.operation) {
                member.class = Class::Read;
            }
            stated.class = Class::Read;
        }
        Ok(reading)
    }

    /// Where the answer to a request has a capability that the vault keeps: a JSON pointer; and
    /// whether the answer may come without it. What has a handle in it already brings no other.
    pub fn hold(&self, request: &VenueRequest) -> Option<(&str, bool)> {
        let operation = self.catalog.operation(&request.method, &request.path)?;
        let at = operation.held.as_deref()?;
        // What has a handle in it may be answered with another text all the same: the old one has run
        // out, and the venue has made a new one.
        Some((at, operation.may_lack_held || !self.handles_in(request).is_empty()))
    }

    /// The handles in the parameters of a request. What does not look like one is there too: it is
    /// for the reader to refuse, or for whoever keeps handles.
    pub fn handles_in<'r>(&self, request: &'r VenueRequest) -> Vec<&'r str> {
        let operation = self.catalog.operation(&request.method, &request.path);
        let Some(name) = operation.and_then(|operation| operation.handle.as_deref()) else {
            return Vec::new();
        };
        placeholder::values_of(request, name)
    }

    /// Reads a message of a bot on a WebSocket.
    ///
    /// # Errors
    ///
    /// [`ReadError`] for whatever is not plain, not known or not complete: it goes nowhere.
    pub fn read_message(&self, socket: &Socket, text: &str) -> Result<Message, ReadError> {
        socket::read(self, socket, text)
    }

    /// The id of a message that was refused, for the answer to it; absent where none can be told.
    pub fn message_id(&self, text: &str) -> Option<MessageId> {
        socket::message_id(self, text)
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
        self.sign_given(request, key, moment, None)
    }

    /// As [`sign`](Self::sign), with a signature that was computed before. It is used if it is of the
    /// very text that is to be signed; else one is computed. Whose key it is of is for the caller to
    /// know.
    ///
    /// # Errors
    ///
    /// Those of [`sign`](Self::sign).
    pub fn sign_given(
        &self,
        request: &VenueRequest,
        key: &Key<'_>,
        moment: &Moment,
        given: Option<&SignedText>,
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
            if unsigned.is_none() {
                tell_no_key(&mut signed.secrets, key);
            }
            return Ok(signed);
        }
        let wire = self.scheme.wire(request, key, moment)?;
        let string = self.scheme.string_to_sign(&wire, key, moment)?;
        let signature = match given {
            Some(given) if given.text == string => given.signature.clone(),
            _ => self.scheme.signature(key, &string)?,
        };
        let mut wire = self.scheme.authenticate(wire, key, moment, &string, &signature)?;
        wire.headers.extend(hosts.headers_with(&request.headers));
        tell_no_key(&mut wire.secrets, key);
        Ok(wire.signed(signature))
    }

    /// The text that [`sign`](Self::sign) signs, for whoever computes the signature elsewhere. Absent
    /// for what takes none, and for messages of WebSockets.
    ///
    /// # Errors
    ///
    /// Those of [`sign`](Self::sign) for a key or a request that the scheme cannot sign.
    pub fn text_to_sign(
        &self,
        request: &VenueRequest,
        key: &Key<'_>,
        moment: &Moment,
    ) -> Result<Option<Vec<u8>>, VenueError> {
        let operation = self.catalog.operation(&request.method, &request.path);
        if operation.is_some_and(|operation| !operation.signed) || request.scheme == "wss" {
            return Ok(None);
        }
        let wire = self.scheme.wire(request, key, moment)?;
        self.scheme.string_to_sign(&wire, key, moment).map(Some)
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

    /// Parses the private key in a secret, for [`Key::private_key`]; nothing of a shared secret.
    ///
    /// # Errors
    ///
    /// [`VenueError::KeyTypeWrong`] if it is of another type than stated; others for a private key that
    /// nobody could use.
    pub fn private_key(&self, key: &Key<'_>) -> Result<Option<PrivateKey>, VenueError> {
        self.scheme.private_key(key)
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

/// Has the API key struck out of the answer as well: at some venues it opens streams by itself, and
/// a bot that was never told it must not learn it from an echo.
fn tell_no_key(secrets: &mut Vec<String>, key: &Key<'_>) {
    if !secrets.iter().any(|secret| secret == key.api_key) {
        secrets.push(key.api_key.to_owned());
    }
}
