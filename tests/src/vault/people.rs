//! Operators, bots and pricers of a vault, and the keys that bots sign with.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use vault_client::{Client, ClientError, EnrollOptions, Identity, Operator, SignOrder, Signed, v1};
use vault_policy::ScopeDocument;
use vault_proto::token::Token;

use super::{Made, TestVault};
use crate::venue::{self, Mocks};

impl TestVault {
    /// Enrols the first admin and auditor with the tokens of `init`, and a guard.
    ///
    /// # Panics
    ///
    /// If any of it fails.
    pub async fn enroll_operators(&self) {
        for who in ["admin", "auditor"] {
            self.enroll(who, &self.made.token(who)).await.expect("enrolled");
        }
        self.operator("guard", v1::Role::Guard).await;
    }

    /// Enrols into the folder [`TestVault::identity_folder`].
    ///
    /// # Errors
    ///
    /// The vault's refusal.
    pub async fn enroll(&self, name: &str, token: &Token) -> Result<Identity, ClientError> {
        let folder = self.identity_folder(name);
        Identity::enroll(token, &folder, &EnrollOptions::default()).await
    }

    /// Where an identity lies.
    pub fn identity_folder(&self, name: &str) -> PathBuf {
        self.root().join("identities").join(name)
    }

    /// An identity that has enrolled.
    ///
    /// # Panics
    ///
    /// If it has not.
    pub fn identity(&self, name: &str) -> Identity {
        Identity::load(&self.identity_folder(name)).expect("an identity")
    }

    /// A new connection of an operator who has enrolled.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    pub async fn connect(&self, name: &str) -> Operator {
        patiently(|| Operator::connect(self.identity(name))).await.expect("connected")
    }

    /// The first admin's connection, made when it is first asked for.
    pub async fn admin(&self) -> Arc<Operator> {
        self.connected("admin").await
    }

    /// The first auditor's connection.
    pub async fn auditor(&self) -> Arc<Operator> {
        self.connected("auditor").await
    }

    /// The guard's connection.
    pub async fn guard(&self) -> Arc<Operator> {
        self.connected("guard").await
    }

    async fn connected(&self, name: &str) -> Arc<Operator> {
        let known = self.operators().get(name).cloned();
        if let Some(operator) = known {
            return operator;
        }
        let operator = Arc::new(self.connect(name).await);
        self.operators().insert(name.to_owned(), Arc::clone(&operator));
        operator
    }

    pub(super) fn operators(&self) -> MutexGuard<'_, HashMap<String, Arc<Operator>>> {
        self.operators.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Invites and enrols an operator.
    ///
    /// # Panics
    ///
    /// If any of it fails.
    pub async fn operator(&self, name: &str, role: v1::Role) -> Identity {
        let invited = self.invite_operator(name, role).await;
        self.enroll(name, &invited).await.expect("enrolled")
    }

    /// Invites an operator.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub async fn invite_operator(&self, name: &str, role: v1::Role) -> Token {
        let (token, spec) = self.new_token();
        let command = v1::InviteOperatorCommand {
            name: name.to_owned(),
            role: role.into(),
            invite: Some(spec),
        };
        let answer: v1::InviteOperatorResponse =
            self.command("vault.v1.OperatorService/Invite", &command).await;
        completed(token, answer.invite)
    }

    /// Invites a client. `scope` is empty for a pricer; no networks do not narrow.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub async fn invite(
        &self,
        name: &str,
        role: v1::Role,
        scope: &str,
        networks: &[&str],
    ) -> Token {
        let (token, spec) = self.new_token();
        let command = v1::InviteClientCommand {
            name: name.to_owned(),
            role: role.into(),
            scope: scope.to_owned(),
            networks: networks.iter().map(ToString::to_string).collect(),
            invite: Some(spec),
        };
        let answer: v1::InviteClientResponse =
            self.command("vault.v1.ClientService/Invite", &command).await;
        completed(token, answer.invite)
    }

    /// Puts the scope (TOML), invites and enrols a bot that holds it, and connects it.
    ///
    /// # Panics
    ///
    /// If any of it fails.
    pub async fn bot(&self, name: &str, scope_toml: &str, networks: &[&str]) -> Client {
        let identity = self.bot_identity(name, scope_toml, networks).await;
        Client::connect(identity).await.expect("connected")
    }

    /// As [`TestVault::bot`], without the connection.
    ///
    /// # Panics
    ///
    /// If any of it fails.
    pub async fn bot_identity(&self, name: &str, scope_toml: &str, networks: &[&str]) -> Identity {
        let scope = self.put_scope(scope_toml).await;
        let token = self.invite(name, v1::Role::Bot, &scope, networks).await;
        self.enroll(name, &token).await.expect("enrolled")
    }

    /// A new connection of a bot that has enrolled.
    ///
    /// # Panics
    ///
    /// If it cannot be made.
    pub async fn connect_bot(&self, name: &str) -> Client {
        patiently(|| Client::connect(self.identity(name))).await.expect("connected")
    }

    /// Invites and enrols a pricer.
    ///
    /// # Panics
    ///
    /// If any of it fails.
    pub async fn pricer(&self, name: &str) -> Identity {
        let token = self.invite(name, v1::Role::Pricer, "", &[]).await;
        self.enroll(name, &token).await.expect("enrolled")
    }

    /// Makes or replaces a scope; returns its name.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub async fn put_scope(&self, scope_toml: &str) -> String {
        let scope = scope(scope_toml);
        let name = scope.name.clone();
        let command = v1::PutScopeCommand { scope: Some(scope), ..Default::default() };
        let _: v1::PutScopeResponse = self.command("vault.v1.ScopeService/Put", &command).await;
        name
    }

    fn new_token(&self) -> (Token, v1::InviteSpec) {
        let (mut id, mut seed) = ([0; 16], [0; 32]);
        aws_lc_rs::rand::fill(&mut id).expect("randomness");
        aws_lc_rs::rand::fill(&mut seed).expect("randomness");
        let Made { ca_fingerprint, core_fingerprint, .. } = self.made;
        let token = Token::new(id, seed.into(), ca_fingerprint, core_fingerprint, 0, String::new());
        let spec = v1::InviteSpec {
            token_id: id.to_vec(),
            token_public_key: token.public_key().to_vec(),
            lifetime_s: 0,
        };
        (token, spec)
    }

    /// An admin's command that must succeed, signed by the vault's clock; `method` is
    /// `vault.v1.ScopeService/Put`.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub async fn command<R: prost::Message + Default>(
        &self,
        method: &str,
        body: &impl prost::Message,
    ) -> R {
        let admin = self.identity("admin");
        let config = crate::wire::tls(&admin, Some(&admin));
        let channel = crate::wire::channel(config, self.ready().operator, None).await;
        let channel = channel.expect("connected");
        match crate::wire::command(&channel, &admin, method, body, self.now()).await {
            Ok(response) => response,
            Err(refused) => panic!("{method}: {refused:?}"),
        }
    }

    /// Imports the OKX key that the mock venues know.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub async fn import_okx(&self, name: &str) -> v1::ImportResponse {
        let import = self.admin().await;
        let import = import.import_unchecked(venue::okx_metadata(name), venue::okx_secret());
        import.await.expect("imported")
    }

    /// Imports the Kraken key that the mock venues know.
    ///
    /// # Panics
    ///
    /// If it is refused.
    pub async fn import_kraken(&self, name: &str) -> v1::ImportResponse {
        let import = self.admin().await;
        let import = import.import_unchecked(venue::kraken_metadata(name), venue::kraken_secret());
        import.await.expect("imported")
    }

    /// Mock venues that accept these keys, by the vault's clock.
    pub fn mocks(&self) -> Mocks {
        Mocks::start(self.clock_offset_s)
    }
}

/// What a bot asks for, with an id that the client makes.
pub fn order(credential: &str, request: v1::VenueRequest) -> SignOrder {
    SignOrder { request_id: None, credential: credential.to_owned(), request }
}

/// Whether there was no answer in time. A disk that stalls makes a call late with nothing wrong.
pub fn is_late(error: &ClientError) -> bool {
    match error.refusal() {
        Some(refusal) => refusal.reason == "DEADLINE_EXCEEDED",
        None => matches!(error, ClientError::Timeout),
    }
}

/// Asks until there is an answer in time, for a minute.
///
/// # Errors
///
/// As of what is asked.
pub async fn patiently<T, F>(mut ask: impl FnMut() -> F) -> Result<T, ClientError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        match ask().await {
            Err(error) if is_late(&error) && Instant::now() < until => {}
            answer => return answer,
        }
    }
}

/// Has a request signed, and asks again with the same id while the answer is late: it is signed once.
///
/// # Errors
///
/// As for [`Client::sign`].
pub async fn sign_patiently(bot: &Client, mut order: SignOrder) -> Result<Signed, ClientError> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    order.request_id.get_or_insert_with(|| format!("patient-{number}"));
    patiently(|| bot.sign(order.clone())).await
}

/// A scope in TOML as the wire has it.
///
/// # Panics
///
/// If it is none.
pub fn scope(toml: &str) -> v1::Scope {
    vault_wire::scope_to_wire(&ScopeDocument::from_toml(toml).expect("a scope"))
}

fn completed(mut token: Token, result: Option<v1::InviteResult>) -> Token {
    let result = result.expect("an invitation");
    token.address = result.enroll_address;
    token.expires_at_ms = result.expires_at_ms;
    token
}
