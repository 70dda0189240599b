//! The client of an operator.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use prost::Message as _;
use tonic::Request;
use tonic::transport::Channel;
use vault_model::SecretBytes;
use vault_proto::token::Token;
use vault_proto::v1::audit_service_client::AuditServiceClient;
use vault_proto::v1::client_service_client::ClientServiceClient;
use vault_proto::v1::credential_service_client::CredentialServiceClient;
use vault_proto::v1::halt_service_client::HaltServiceClient;
use vault_proto::v1::instrument_service_client::InstrumentServiceClient;
use vault_proto::v1::operator_service_client::OperatorServiceClient;
use vault_proto::v1::price_service_client::PriceServiceClient;
use vault_proto::v1::scope_service_client::ScopeServiceClient;
use vault_proto::v1::seal_service_client::SealServiceClient;
use vault_proto::v1::{self, InviteResult, InviteSpec, Role, SealTicket};
use vault_proto::{sealed, token};
use zeroize::{Zeroize as _, Zeroizing};

use crate::caller;
use crate::command::{NO_RANDOMNESS, signed_command};
use crate::error::ClientError;
use crate::identity::Identity;
use crate::transport;

/// An operator's connection to the vault. Every call is a command signed with the identity's key.
#[derive(Debug)]
pub struct Operator {
    identity: Identity,
    channel: Channel,
}

/// An invitation, and the token that goes to whoever is invited. The token's secret was made here;
/// the vault has only its public half.
#[derive(Debug)]
pub struct Invited {
    /// To be handed over, once.
    pub token: Token,
    /// What the vault answered.
    pub result: InviteResult,
}

/// How a credential is imported.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImportOptions<'a> {
    /// What the secret must turn out to be: `hmac`, `legacy-hmac`, `rsa`, `ed25519` or `es256`.
    /// Empty: whatever it is.
    pub key_type: &'a str,
    /// Do not ask the venue what the key may do.
    pub skip_check: bool,
    /// Store it although it may withdraw.
    pub allow_withdrawals: bool,
}

macro_rules! rpcs {
    ($($(#[$doc:meta])* $name:ident = $client:ident.$rpc:ident $method:literal
        ($command:ident in $request:ident) -> $response:ident within $timeout:ident;)+) => {
        $(
            $(#[$doc])*
            ///
            /// # Errors
            ///
            /// [`ClientError`].
            pub async fn $name(
                &self,
                command: v1::$command,
            ) -> Result<v1::$response, ClientError> {
                let command =
                    signed_command(&self.identity, $method, &command, SystemTime::now())?;
                let mut request = Request::new(v1::$request { command: Some(command) });
                request.set_timeout($timeout);
                let answer = $client::new(self.channel.clone()).$rpc(request).await;
                Ok(answer.map_err(ClientError::from_status)?.into_inner())
            }
        )+
    };
}

macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident from $page:ident($command:ident) -> $response:ident.$rows:ident;)+) => {
        $(
            $(#[$doc])*
            ///
            /// Asks for page after page, from the command's `page_token` to the end: the answer has the
            /// rows of all of them and no `next_page_token`.
            ///
            /// # Errors
            ///
            /// [`ClientError`].
            pub async fn $name(
                &self,
                mut command: v1::$command,
            ) -> Result<v1::$response, ClientError> {
                let mut whole = v1::$response::default();
                let mut asked = HashSet::from([command.page_token.clone()]);
                loop {
                    let page = self.$page(command.clone()).await?;
                    whole.$rows.extend(page.$rows);
                    if page.next_page_token.is_empty() {
                        return Ok(whole);
                    }
                    if !asked.insert(page.next_page_token.clone()) {
                        return Err(ClientError::Protocol("a list does not come to its end"));
                    }
                    command.page_token = page.next_page_token;
                }
            }
        )+
    };
}

impl Operator {
    /// Connects with an operator's identity.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn connect(identity: Identity) -> Result<Self, ClientError> {
        let channel = transport::connect(&identity).await?;
        Ok(Self { identity, channel })
    }

    /// The identity in use.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Asks the vault who it takes this operator for, and from where it sees the calls come.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn whoami(&self) -> Result<v1::WhoamiResponse, ClientError> {
        caller::whoami(self.channel.clone()).await
    }

    rpcs! {
        /// Whether the vault is sealed, and a ticket for the next unseal attempt.
        status = SealServiceClient.status "vault.v1.SealService/Status"
            (StatusCommand in StatusRequest) -> StatusResponse within SHORT;
        /// Opens the vault with a secret that is sealed already; see [`Operator::unseal`].
        unseal_sealed = SealServiceClient.unseal "vault.v1.SealService/Unseal"
            (UnsealCommand in UnsealRequest) -> UnsealResponse within LONG;
        /// Wipes the keys and restarts the vault's processes sealed.
        seal = SealServiceClient.seal "vault.v1.SealService/Seal"
            (SealCommand in SealRequest) -> SealResponse within SHORT;
        /// Gets a single-use ticket to seal a credential to; see [`Operator::import`].
        begin_import = CredentialServiceClient.begin_import
            "vault.v1.CredentialService/BeginImport"
            (BeginImportCommand in BeginImportRequest) -> BeginImportResponse within SHORT;
        /// Stores a credential that is sealed already; see [`Operator::import`].
        import_sealed = CredentialServiceClient.import "vault.v1.CredentialService/Import"
            (ImportCommand in ImportRequest) -> ImportResponse within LONG;
        /// One page of [`Operator::list_credentials`].
        credentials_page = CredentialServiceClient.list "vault.v1.CredentialService/List"
            (ListCredentialsCommand in ListCredentialsRequest) -> ListCredentialsResponse
            within SHORT;
        /// Describes one credential.
        describe_credential = CredentialServiceClient.describe
            "vault.v1.CredentialService/Describe"
            (DescribeCredentialCommand in DescribeCredentialRequest)
            -> DescribeCredentialResponse within SHORT;
        /// Stops every use of a credential.
        disable_credential = CredentialServiceClient.disable "vault.v1.CredentialService/Disable"
            (DisableCredentialCommand in DisableCredentialRequest) -> DisableCredentialResponse
            within SHORT;
        /// Lets a credential be used again.
        enable_credential = CredentialServiceClient.enable "vault.v1.CredentialService/Enable"
            (EnableCredentialCommand in EnableCredentialRequest) -> EnableCredentialResponse
            within SHORT;
        /// Asks the venue what a key may do, and holds that against what is stated.
        check_credential = CredentialServiceClient.check "vault.v1.CredentialService/Check"
            (CheckCredentialCommand in CheckCredentialRequest) -> CheckCredentialResponse
            within LONG;
        /// Makes or replaces a scope.
        put_scope = ScopeServiceClient.put "vault.v1.ScopeService/Put"
            (PutScopeCommand in PutScopeRequest) -> PutScopeResponse within SHORT;
        /// Gets one scope.
        scope = ScopeServiceClient.get "vault.v1.ScopeService/Get"
            (GetScopeCommand in GetScopeRequest) -> GetScopeResponse within SHORT;
        /// One page of [`Operator::list_scopes`].
        scopes_page = ScopeServiceClient.list "vault.v1.ScopeService/List"
            (ListScopesCommand in ListScopesRequest) -> ListScopesResponse within SHORT;
        /// Deletes a scope that no client holds.
        delete_scope = ScopeServiceClient.delete "vault.v1.ScopeService/Delete"
            (DeleteScopeCommand in DeleteScopeRequest) -> DeleteScopeResponse within SHORT;
        /// Judges one request as if a client had sent it; signs nothing.
        explain = ScopeServiceClient.explain "vault.v1.ScopeService/Explain"
            (ExplainCommand in ExplainRequest) -> ExplainResponse within SHORT;
        /// Begins to judge what was recorded by a candidate scope, in place of any replay before.
        start_replay = ScopeServiceClient.start_replay "vault.v1.ScopeService/StartReplay"
            (StartReplayCommand in StartReplayRequest) -> StartReplayResponse within SHORT;
        /// How far a replay is, and what it found.
        replay = ScopeServiceClient.get_replay "vault.v1.ScopeService/GetReplay"
            (GetReplayCommand in GetReplayRequest) -> GetReplayResponse within SHORT;
        /// One page of [`Operator::list_clients`].
        clients_page = ClientServiceClient.list "vault.v1.ClientService/List"
            (ListClientsCommand in ListClientsRequest) -> ListClientsResponse within SHORT;
        /// Describes one client.
        describe_client = ClientServiceClient.describe "vault.v1.ClientService/Describe"
            (DescribeClientCommand in DescribeClientRequest) -> DescribeClientResponse
            within SHORT;
        /// Ends a client: after the answer no signature for it is written to any socket.
        revoke_client = ClientServiceClient.revoke "vault.v1.ClientService/Revoke"
            (RevokeClientCommand in RevokeClientRequest) -> RevokeClientResponse within SHORT;
        /// Invites a client with a token that exists already; see [`Operator::invite_client`].
        invite_client_by_spec = ClientServiceClient.invite "vault.v1.ClientService/Invite"
            (InviteClientCommand in InviteClientRequest) -> InviteClientResponse within SHORT;
        /// Invites an operator with a token that exists already; see [`Operator::invite_operator`].
        invite_operator_by_spec = OperatorServiceClient.invite "vault.v1.OperatorService/Invite"
            (InviteOperatorCommand in InviteOperatorRequest) -> InviteOperatorResponse
            within SHORT;
        /// One page of [`Operator::list_operators`].
        operators_page = OperatorServiceClient.list "vault.v1.OperatorService/List"
            (ListOperatorsCommand in ListOperatorsRequest) -> ListOperatorsResponse within SHORT;
        /// Ends an operator.
        revoke_operator = OperatorServiceClient.revoke "vault.v1.OperatorService/Revoke"
            (RevokeOperatorCommand in RevokeOperatorRequest) -> RevokeOperatorResponse
            within SHORT;
        /// Stops at once what the level forbids.
        halt = HaltServiceClient.halt "vault.v1.HaltService/Halt"
            (HaltCommand in HaltRequest) -> HaltResponse within SHORT;
        /// Ends a halt.
        resume = HaltServiceClient.resume "vault.v1.HaltService/Resume"
            (ResumeCommand in ResumeRequest) -> ResumeResponse within SHORT;
        /// Cancels the open orders of a target that is halted.
        cancel_all = HaltServiceClient.cancel_all "vault.v1.HaltService/CancelAll"
            (CancelAllCommand in CancelAllRequest) -> CancelAllResponse within CANCEL_ALL;
        /// One page of [`Operator::halt_status`].
        halts_page = HaltServiceClient.status "vault.v1.HaltService/Status"
            (HaltStatusCommand in HaltStatusRequest) -> HaltStatusResponse within SHORT;
        /// Adds or replaces instruments, all or none.
        import_instruments = InstrumentServiceClient.import "vault.v1.InstrumentService/Import"
            (ImportInstrumentsCommand in ImportInstrumentsRequest) -> ImportInstrumentsResponse
            within SHORT;
        /// One page of [`Operator::list_instruments`].
        instruments_page = InstrumentServiceClient.list "vault.v1.InstrumentService/List"
            (ListInstrumentsCommand in ListInstrumentsRequest) -> ListInstrumentsResponse
            within SHORT;
        /// Deletes instruments, all or none.
        delete_instruments = InstrumentServiceClient.delete "vault.v1.InstrumentService/Delete"
            (DeleteInstrumentsCommand in DeleteInstrumentsRequest) -> DeleteInstrumentsResponse
            within SHORT;
        /// One page of [`Operator::list_prices`].
        prices_page = PriceServiceClient.list "vault.v1.PriceService/List"
            (ListPricesCommand in ListPricesRequest) -> ListPricesResponse within SHORT;
        /// Makes or replaces a feed of prices.
        put_feed = PriceServiceClient.put_feed "vault.v1.PriceService/PutFeed"
            (PutFeedCommand in PutFeedRequest) -> PutFeedResponse within SHORT;
        /// Deletes a feed, and with it its price.
        delete_feed = PriceServiceClient.delete_feed "vault.v1.PriceService/DeleteFeed"
            (DeleteFeedCommand in DeleteFeedRequest) -> DeleteFeedResponse within SHORT;
        /// The newest signed checkpoint.
        checkpoint = AuditServiceClient.get_checkpoint "vault.v1.AuditService/GetCheckpoint"
            (GetCheckpointCommand in GetCheckpointRequest) -> GetCheckpointResponse within SHORT;
    }

    lists! {
        /// Lists the clients and those who are invited, by name; or the active clients of a scope.
        list_clients from clients_page(ListClientsCommand) -> ListClientsResponse.clients;
        /// Lists the credentials, by name.
        list_credentials from credentials_page(ListCredentialsCommand)
            -> ListCredentialsResponse.credentials;
        /// Lists the halts in force.
        halt_status from halts_page(HaltStatusCommand) -> HaltStatusResponse.halts;
        /// Lists the instruments of a venue, or of all.
        list_instruments from instruments_page(ListInstrumentsCommand)
            -> ListInstrumentsResponse.instruments;
        /// Lists the operators and those who are invited, by name.
        list_operators from operators_page(ListOperatorsCommand)
            -> ListOperatorsResponse.operators;
        /// Lists the feeds and their prices, by pair.
        list_prices from prices_page(ListPricesCommand) -> ListPricesResponse.feeds;
        /// Lists the scopes, by name.
        list_scopes from scopes_page(ListScopesCommand) -> ListScopesResponse.scopes;
    }

    /// Seals a passphrase to the pinned core and opens the vault with it.
    ///
    /// # Errors
    ///
    /// [`ClientError::Ticket`] if the ticket is not the pinned core's: nothing is sent then.
    pub async fn unseal(
        &self,
        passphrase: &SecretBytes,
    ) -> Result<v1::UnsealResponse, ClientError> {
        let status = self.status(v1::StatusCommand {}).await?;
        let ticket = self.checked(status.unseal_ticket, sealed::UNSEAL)?;
        let sealed = sealed::seal(&ticket, &[], passphrase.expose_secret())?;
        self.unseal_sealed(v1::UnsealCommand { ticket_id: ticket.id, sealed }).await
    }

    /// Seals a secret to the pinned core, bound to its metadata, and stores both, once the vault has
    /// asked the venue what the key may do. The secret is wiped, whatever comes of it.
    ///
    /// # Errors
    ///
    /// [`ClientError::Ticket`] if the ticket is not the pinned core's: nothing is sent then.
    /// `CHECK_NOT_POSSIBLE` and `KEY_MAY_WITHDRAW`: nothing is stored then.
    pub async fn import(
        &self,
        metadata: v1::CredentialMetadata,
        secret: v1::CredentialSecret,
    ) -> Result<v1::ImportResponse, ClientError> {
        self.import_as(metadata, secret, &ImportOptions::default()).await
    }

    /// As [`Operator::import`], without asking the venue.
    ///
    /// # Errors
    ///
    /// [`ClientError::Ticket`] if the ticket is not the pinned core's: nothing is sent then.
    pub async fn import_unchecked(
        &self,
        metadata: v1::CredentialMetadata,
        secret: v1::CredentialSecret,
    ) -> Result<v1::ImportResponse, ClientError> {
        let options = ImportOptions { skip_check: true, ..ImportOptions::default() };
        self.import_as(metadata, secret, &options).await
    }

    /// As [`Operator::import`], with options.
    ///
    /// # Errors
    ///
    /// As for [`Operator::import`]; `KEY_TYPE_WRONG` if it is of another type.
    pub async fn import_as(
        &self,
        metadata: v1::CredentialMetadata,
        mut secret: v1::CredentialSecret,
        options: &ImportOptions<'_>,
    ) -> Result<v1::ImportResponse, ClientError> {
        // Room for all of it: bytes that grew would leave a copy behind.
        let mut plain = Zeroizing::new(Vec::with_capacity(secret.encoded_len()));
        let encoded = secret.encode(&mut *plain);
        secret.api_key.zeroize();
        secret.secret.zeroize();
        secret.passphrase.zeroize();
        secret.private_key_pem.zeroize();
        encoded.map_err(|_| ClientError::Protocol("the secret is too long"))?;

        let answer = self.begin_import(v1::BeginImportCommand {}).await?;
        let ticket = self.checked(answer.ticket, sealed::IMPORT)?;
        let sealed = sealed::seal(&ticket, &metadata.encode_to_vec(), &plain)?;
        let command = v1::ImportCommand {
            ticket_id: ticket.id,
            metadata: Some(metadata),
            sealed,
            key_type: options.key_type.to_owned(),
            skip_check: options.skip_check,
            allow_withdrawals: options.allow_withdrawals,
        };
        self.import_sealed(command).await
    }

    /// Makes a token, lets the vault know its public half and returns it. The command's `invite`
    /// is filled in; `lifetime_s` of one that is given is kept.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn invite_client(
        &self,
        mut command: v1::InviteClientCommand,
    ) -> Result<Invited, ClientError> {
        let lifetime_s = command.invite.take().unwrap_or_default().lifetime_s;
        let (token, spec) = self.new_token(lifetime_s)?;
        command.invite = Some(spec);
        let answer = self.invite_client_by_spec(command).await?;
        complete(token, answer.invite)
    }

    /// As [`Operator::invite_client`], for a person.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn invite_operator(
        &self,
        name: &str,
        role: Role,
        lifetime_s: u32,
    ) -> Result<Invited, ClientError> {
        let (token, spec) = self.new_token(lifetime_s)?;
        let command = v1::InviteOperatorCommand {
            name: name.to_owned(),
            role: role.into(),
            invite: Some(spec),
        };
        let answer = self.invite_operator_by_spec(command).await?;
        complete(token, answer.invite)
    }

    /// Streams entries and, last, the checkpoint that covers them.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn export(
        &self,
        command: v1::ExportCommand,
    ) -> Result<EntryStream<v1::ExportResponse>, ClientError> {
        let method = "vault.v1.AuditService/Export";
        let command = signed_command(&self.identity, method, &command, SystemTime::now())?;
        let request = v1::ExportRequest { command: Some(command) };
        let answer = AuditServiceClient::new(self.channel.clone()).export(request).await;
        Ok(EntryStream(answer.map_err(ClientError::from_status)?.into_inner()))
    }

    /// Streams entries as they come.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn tail(
        &self,
        command: v1::TailCommand,
    ) -> Result<EntryStream<v1::TailResponse>, ClientError> {
        let method = "vault.v1.AuditService/Tail";
        let command = signed_command(&self.identity, method, &command, SystemTime::now())?;
        let request = v1::TailRequest { command: Some(command) };
        let answer = AuditServiceClient::new(self.channel.clone()).tail(request).await;
        Ok(EntryStream(answer.map_err(ClientError::from_status)?.into_inner()))
    }

    /// The ticket, if it is signed by the core that was pinned at enrolment.
    fn checked(
        &self,
        ticket: Option<SealTicket>,
        purpose: &str,
    ) -> Result<SealTicket, ClientError> {
        let ticket = ticket.ok_or(ClientError::Protocol("there is no ticket"))?;
        sealed::verify_ticket(&ticket, purpose, self.identity.core_fingerprint())?;
        if ticket.instance_id != self.identity.instance_id() {
            return Err(sealed::SealedError::Ticket.into());
        }
        Ok(ticket)
    }

    /// A token whose address and end are not known yet.
    fn new_token(&self, lifetime_s: u32) -> Result<(Token, InviteSpec), ClientError> {
        let mut id = [0; 16];
        let mut seed = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(&mut id).map_err(|_| NO_RANDOMNESS)?;
        aws_lc_rs::rand::fill(seed.as_mut_slice()).map_err(|_| NO_RANDOMNESS)?;
        let (ca, core) = (self.identity.ca_fingerprint(), self.identity.core_fingerprint());
        let token = token::Token::new(id, seed, *ca, *core, 0, String::new());
        let spec = InviteSpec {
            token_id: id.to_vec(),
            token_public_key: token.public_key().to_vec(),
            lifetime_s,
        };
        Ok((token, spec))
    }
}

fn complete(mut token: Token, result: Option<InviteResult>) -> Result<Invited, ClientError> {
    let result = result.ok_or(ClientError::Protocol("there is no invitation"))?;
    if result.enroll_address.is_empty() || result.enroll_address.len() > 255 {
        return Err(ClientError::Protocol("it names no enrol address"));
    }
    token.address.clone_from(&result.enroll_address);
    token.expires_at_ms = result.expires_at_ms;
    Ok(Invited { token, result })
}

/// Messages that come one after the other.
#[derive(Debug)]
pub struct EntryStream<T>(tonic::Streaming<T>);

impl<T> EntryStream<T> {
    /// The next message; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        self.0.message().await.map_err(ClientError::from_status)
    }
}

const SHORT: Duration = Duration::from_secs(15);
/// Opening a slot is slow on purpose, and a venue may be.
const LONG: Duration = Duration::from_secs(60);
/// Longer than the vault takes at most.
const CANCEL_ALL: Duration = Duration::from_secs(65);
