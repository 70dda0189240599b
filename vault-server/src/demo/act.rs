//! What people and bots do in it, each act a call of the client library.

use vault_client::proto::token::Token;
use vault_client::v1::{
    CredentialMetadata, CredentialSecret, InviteClientCommand, PutScopeCommand, Role, Scope,
    VenueRequest,
};
use vault_client::{
    Client, ClientError, EnrollOptions, Identity, Operator, Refusal, SignOrder, Signed, post,
};

use super::mismatch::{Mismatch, instead_of};
use super::relay::Relay;
use super::vault::Place;

/// Enrols somebody, whose identity is kept under this name.
pub async fn enroll(
    place: &Place,
    token: &Token,
    name: &str,
    address: &str,
) -> Result<Identity, Mismatch> {
    // The tokens of `init` cannot name a port that was chosen at start.
    let options = EnrollOptions { address: Some(address.to_owned()), ..EnrollOptions::default() };
    Identity::enroll(token, &place.identity(name), &options)
        .await
        .map_err(instead_of("an enrolment with the token"))
}

/// A live key of which nothing is stated: it may do everything, so what stops a withdrawal is the
/// vault alone.
pub fn metadata(name: &str, venue: &str) -> CredentialMetadata {
    CredentialMetadata {
        name: name.to_owned(),
        venue: venue.to_owned(),
        environment: "live".to_owned(),
        // OKX wants the passphrase beside the signature, and here it is the bot who sends.
        disclose_passphrase: venue == "okx",
        ..CredentialMetadata::default()
    }
}

/// Imports a credential and returns what its secret was found to be.
pub async fn import(
    admin: &Operator,
    metadata: CredentialMetadata,
    secret: CredentialSecret,
) -> Result<String, Mismatch> {
    let imported =
        admin.import_unchecked(metadata, secret).await.map_err(instead_of("an import"))?;
    Ok(imported.key_type)
}

/// Makes a scope.
pub async fn put_scope(admin: &Operator, scope: Scope) -> Result<(), Mismatch> {
    let command = PutScopeCommand { scope: Some(scope), ..Default::default() };
    admin.put_scope(command).await.map(|_| ()).map_err(instead_of("a scope"))
}

/// Invites a bot under a scope.
pub async fn invite(admin: &Operator, name: &str, scope: &str) -> Result<Token, Mismatch> {
    invite_as(admin, name, Role::Bot, scope).await
}

/// Invites somebody of this role; bots alone have a scope.
pub async fn invite_as(
    admin: &Operator,
    name: &str,
    role: Role,
    scope: &str,
) -> Result<Token, Mismatch> {
    let command = InviteClientCommand {
        name: name.to_owned(),
        role: role.into(),
        scope: scope.to_owned(),
        networks: vec!["127.0.0.1/32".to_owned()],
        invite: None,
    };
    let invited = admin.invite_client(command).await.map_err(instead_of("an invitation"))?;
    Ok(invited.token)
}

/// Connects as somebody who is enrolled.
pub async fn connect(identity: Identity) -> Result<Client, Mismatch> {
    Client::connect(identity).await.map_err(instead_of("the bot connects"))
}

/// A bot's identity in another hand, whose connections take the relay.
pub async fn through(place: &Place, name: &str, relay: &Relay) -> Result<Client, Mismatch> {
    let expected = "a connection through the relay";
    let identity = Identity::load(&place.identity(name)).map_err(instead_of(expected))?;
    let identity = identity.with_address(relay.address().to_string());
    Client::connect(identity).await.map_err(instead_of(expected))
}

/// A POST.
pub fn request(url: &str, body: &str) -> Result<VenueRequest, Mismatch> {
    post(url, body).map_err(instead_of("a URL of a venue"))
}

/// Asks for a signature, which must be given.
pub async fn signed(
    bot: &Client,
    credential: &str,
    request: VenueRequest,
) -> Result<Signed, Mismatch> {
    let order = SignOrder { request_id: None, credential: credential.to_owned(), request };
    bot.sign(order).await.map_err(instead_of("a signature"))
}

/// Asks for a signature, which must be refused for this reason.
pub async fn refusal(
    bot: &Client,
    credential: &str,
    request: VenueRequest,
    reason: &str,
) -> Result<Refusal, Mismatch> {
    let order = SignOrder { request_id: None, credential: credential.to_owned(), request };
    let expected = format!("a refusal with the reason {reason}");
    match bot.sign(order).await {
        Ok(_) => Err(Mismatch::new(expected, "a signature")),
        Err(ClientError::Refused(refusal)) if refusal.reason == reason => Ok(*refusal),
        Err(ClientError::Refused(refusal)) => Err(Mismatch::new(expected, refusal)),
        Err(error) => Err(Mismatch::new(expected, crate::child::chain(&error))),
    }
}

/// Words as a command has them.
pub fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}
