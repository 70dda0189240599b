//! The services: each checks its command and answers with little.

use std::pin::Pin;
use std::sync::atomic::Ordering;

use prost::Message;
use ring::signature::{ED25519, UnparsedPublicKey};
use tonic::{Code, Request, Response, Status};
use vault_client::v1;
use vault_client::v1::audit_service_server::AuditService;
use vault_client::v1::client_service_server::ClientService;
use vault_client::v1::credential_service_server::CredentialService;
use vault_client::v1::halt_service_server::HaltService;
use vault_client::v1::scope_service_server::ScopeService;
use vault_client::v1::seal_service_server::SealService;
use vault_client::v1::sign_service_server::SignService;
use vault_proto::sealed::{IMPORT, UNSEAL};

use super::{Fake, INSTANCE, Peer, refusal, serial_and_key};

/// Every scope is at the same revision, and its shadow differs as often.
/// Names the first of its clients alone.
fn info(scope: v1::Scope, clients: &[v1::ClientInfo]) -> v1::ScopeInfo {
    let holders = clients.iter().filter(|client| client.scope == scope.name);
    v1::ScopeInfo {
        clients: holders.clone().take(1).map(|client| client.name.clone()).collect(),
        client_count: holders.count() as u64,
        scope: Some(scope),
        revision: 3,
        shadow_judged: 5,
        shadow_diverged: 2,
        ..Default::default()
    }
}

pub(super) fn peer<T>(request: &Request<T>) -> Option<Peer> {
    request.extensions().get::<Peer>().cloned()
}

impl Fake {
    /// Breaks the caller's connection, if the test wants that.
    fn break_if_due(&self, peer: Option<&Peer>) -> Result<(), Status> {
        let mut state = self.state();
        if state.breaks > 0 {
            state.breaks -= 1;
            peer.expect("a connection").broken.store(true, Ordering::SeqCst);
            return Err(Status::aborted("never written"));
        }
        Ok(())
    }
}

macro_rules! not_here {
    ($($name:ident: $request:ident -> $response:ident;)+) => {
        $(
            // As `async_trait` would write it, which does not look into macros.
            fn $name<'a, 'b>(
                &'a self,
                _request: Request<v1::$request>,
            ) -> Pin<Box<dyn Future<Output = Result<Response<v1::$response>, Status>> + Send + 'b>>
            where
                'a: 'b,
                Self: 'b,
            {
                Box::pin(async { Err(Status::unimplemented("not in this vault")) })
            }
        )+
    };
}

#[tonic::async_trait]
impl ClientService for Fake {
    async fn invite(
        &self,
        request: Request<v1::InviteClientRequest>,
    ) -> Result<Response<v1::InviteClientResponse>, Status> {
        let method = "vault.v1.ClientService/Invite";
        let peer = peer(&request);
        let command: v1::InviteClientCommand =
            self.command(method, peer.as_ref(), request.into_inner().command)?;
        let role = command.role();
        let spec = command.invite.expect("a spec");
        let invitation = (spec.token_public_key, command.name, role);
        self.state().invitations.insert(spec.token_id, invitation);
        let invite = v1::InviteResult {
            change: None,
            expires_at_ms: i64::from(spec.lifetime_s),
            enroll_address: self.address().to_owned(),
        };
        Ok(Response::new(v1::InviteClientResponse { invite: Some(invite) }))
    }

    async fn enroll(
        &self,
        request: Request<v1::EnrollRequest>,
    ) -> Result<Response<v1::EnrollResponse>, Status> {
        let peer = peer(&request);
        let request = request.into_inner();
        let invitation = self.state().invitations.get(&request.token_id).cloned();
        let (public_key, name, role) =
            invitation.ok_or_else(|| refusal(Code::NotFound, "TOKEN_UNKNOWN", "no token", &[]))?;
        let token_id = request.token_id.as_slice().try_into().expect("16 bytes");
        let message = vault_proto::enroll::signing_bytes(token_id, &request.csr).expect("short");
        UnparsedPublicKey::new(&ED25519, &public_key)
            .verify(&message, &request.proof)
            .map_err(|_| Status::unauthenticated("no proof"))?;
        let certificate = self.issue(&request.csr);
        self.break_if_due(peer.as_ref())?;
        let core_public_key =
            if self.state().other_core { vec![1; 32] } else { self.core_public_key() };
        Ok(Response::new(v1::EnrollResponse {
            certificate,
            ca_certificate: self.0.ca_der.clone(),
            name,
            role: role.into(),
            not_after_ms: 0,
            core_public_key,
            instance_id: INSTANCE.to_vec(),
            address: self.address().to_owned(),
        }))
    }

    async fn renew(
        &self,
        request: Request<v1::RenewRequest>,
    ) -> Result<Response<v1::RenewResponse>, Status> {
        let peer = peer(&request);
        let command: v1::RenewCommand = self.command(
            "vault.v1.ClientService/Renew",
            peer.as_ref(),
            request.into_inner().command,
        )?;
        Ok(Response::new(v1::RenewResponse {
            certificate: self.issue(&command.csr),
            ca_certificate: self.0.ca_der.clone(),
            not_after_ms: 0,
        }))
    }

    async fn list(
        &self,
        request: Request<v1::ListClientsRequest>,
    ) -> Result<Response<v1::ListClientsResponse>, Status> {
        let peer = peer(&request);
        let command: v1::ListClientsCommand = self.command(
            "vault.v1.ClientService/List",
            peer.as_ref(),
            request.into_inner().command,
        )?;
        let state = self.state();
        let mut clients = state.clients.clone();
        clients.retain(|info| command.scope.is_empty() || info.scope == command.scope);
        // A token is how many there were before.
        let before = command.page_token.parse().unwrap_or(0);
        let rows = state.page_rows.unwrap_or(clients.len()).max(1);
        let end = clients.len().min(before + rows);
        let next_page_token = match () {
            () if state.pages_in_a_ring > 0 => {
                format!("again-{}", state.commands.len() % state.pages_in_a_ring)
            }
            () if end < clients.len() => end.to_string(),
            () => String::new(),
        };
        let clients = clients.drain(before..end).collect();
        Ok(Response::new(v1::ListClientsResponse { clients, next_page_token }))
    }

    not_here! {
        describe: DescribeClientRequest -> DescribeClientResponse;
        revoke: RevokeClientRequest -> RevokeClientResponse;
        whoami: WhoamiRequest -> WhoamiResponse;
    }
}

#[tonic::async_trait]
impl SealService for Fake {
    async fn status(
        &self,
        request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        let peer = peer(&request);
        let _: v1::StatusCommand = self.command(
            "vault.v1.SealService/Status",
            peer.as_ref(),
            request.into_inner().command,
        )?;
        Ok(Response::new(v1::StatusResponse {
            state: v1::SealState::Sealed.into(),
            node: "n\u{1b}[2J".to_owned(),
            unseal_ticket: Some(self.ticket(UNSEAL)),
            ..Default::default()
        }))
    }

    async fn unseal(
        &self,
        request: Request<v1::UnsealRequest>,
    ) -> Result<Response<v1::UnsealResponse>, Status> {
        let peer = peer(&request);
        let command: v1::UnsealCommand = self.command(
            "vault.v1.SealService/Unseal",
            peer.as_ref(),
            request.into_inner().command,
        )?;
        self.open(&command.ticket_id, &[], &command.sealed)?;
        Ok(Response::new(v1::UnsealResponse { state_rev: 5 }))
    }

    not_here! { seal: SealRequest -> SealResponse; }
}

#[tonic::async_trait]
impl CredentialService for Fake {
    async fn begin_import(
        &self,
        request: Request<v1::BeginImportRequest>,
    ) -> Result<Response<v1::BeginImportResponse>, Status> {
        let peer = peer(&request);
        let _: v1::BeginImportCommand = self.command(
            "vault.v1.CredentialService/BeginImport",
            peer.as_ref(),
            request.into_inner().command,
        )?;
        let ticket = Some(self.ticket(IMPORT));
        Ok(Response::new(v1::BeginImportResponse { ticket }))
    }

    async fn import(
        &self,
        request: Request<v1::ImportRequest>,
    ) -> Result<Response<v1::ImportResponse>, Status> {
        let peer = peer(&request);
        let command: v1::ImportCommand = self.command(
            "vault.v1.CredentialService/Import",
            peer.as_ref(),
            request.into_inner().command,
        )?;
        let metadata = command.metadata.expect("metadata").encode_to_vec();
        self.open(&command.ticket_id, &metadata, &command.sealed)?;
        Ok(Response::new(v1::ImportResponse { change: None, version: 1, ..Default::default() }))
    }

    async fn list(
        &self,
        request: Request<v1::ListCredentialsRequest>,
    ) -> Result<Response<v1::ListCredentialsResponse>, Status> {
        let peer = peer(&request);
        let _: v1::ListCredentialsCommand = self.command(
            "vault.v1.CredentialService/List",
            peer.as_ref(),
            request.into_inner().command,
        )?;
        match self.state().credentials.clone() {
            Some(credentials) => {
                Ok(Response::new(v1::ListCredentialsResponse { credentials, ..Default::default() }))
            }
            None => Err(Status::unimplemented("not here")),
        }
    }

    not_here! {
        check: CheckCredentialRequest -> CheckCredentialResponse;
        describe: DescribeCredentialRequest -> DescribeCredentialResponse;
        disable: DisableCredentialRequest -> DisableCredentialResponse;
        enable: EnableCredentialRequest -> EnableCredentialResponse;
    }
}

#[tonic::async_trait]
impl ScopeService for Fake {
    async fn get(
        &self,
        request: Request<v1::GetScopeRequest>,
    ) -> Result<Response<v1::GetScopeResponse>, Status> {
        let peer = peer(&request);
        let command: v1::GetScopeCommand =
            self.command("vault.v1.ScopeService/Get", peer.as_ref(), request.into_inner().command)?;
        let stored = self.state().scopes.get(&command.name).cloned();
        let empty = v1::Scope { name: command.name, ..Default::default() };
        let scope = stored.unwrap_or(empty);
        let info = info(scope, &self.state().clients);
        Ok(Response::new(v1::GetScopeResponse { scope: Some(info) }))
    }

    async fn delete(
        &self,
        request: Request<v1::DeleteScopeRequest>,
    ) -> Result<Response<v1::DeleteScopeResponse>, Status> {
        let peer = peer(&request);
        let _: v1::DeleteScopeCommand = self.command(
            "vault.v1.ScopeService/Delete",
            peer.as_ref(),
            request.into_inner().command,
        )?;
        Ok(Response::new(v1::DeleteScopeResponse { change: None }))
    }

    async fn put(
        &self,
        request: Request<v1::PutScopeRequest>,
    ) -> Result<Response<v1::PutScopeResponse>, Status> {
        let peer = peer(&request);
        let _: v1::PutScopeCommand =
            self.command("vault.v1.ScopeService/Put", peer.as_ref(), request.into_inner().command)?;
        let answer = v1::PutScopeResponse { revision: 1, widens: true, ..Default::default() };
        Ok(Response::new(answer))
    }

    async fn explain(
        &self,
        request: Request<v1::ExplainRequest>,
    ) -> Result<Response<v1::ExplainResponse>, Status> {
        let peer = peer(&request);
        let command: v1::ExplainCommand = self.command(
            "vault.v1.ScopeService/Explain",
            peer.as_ref(),
            request.into_inner().command,
        )?;
        let allowed = command.request.expect("a request").method == "GET";
        Ok(Response::new(v1::ExplainResponse { allowed, ..Default::default() }))
    }

    async fn list(
        &self,
        request: Request<v1::ListScopesRequest>,
    ) -> Result<Response<v1::ListScopesResponse>, Status> {
        let peer = peer(&request);
        let _: v1::ListScopesCommand = self.command(
            "vault.v1.ScopeService/List",
            peer.as_ref(),
            request.into_inner().command,
        )?;
        let state = self.state();
        let scopes = state.scopes.values().cloned();
        let scopes = scopes.map(|scope| info(scope, &state.clients)).collect();
        Ok(Response::new(v1::ListScopesResponse { scopes, ..Default::default() }))
    }

    async fn start_replay(
        &self,
        request: Request<v1::StartReplayRequest>,
    ) -> Result<Response<v1::StartReplayResponse>, Status> {
        let peer = peer(&request);
        let _: v1::StartReplayCommand = self.command(
            "vault.v1.ScopeService/StartReplay",
            peer.as_ref(),
            request.into_inner().command,
        )?;
        Ok(Response::new(v1::StartReplayResponse { replay: 7, entries: 0 }))
    }

    async fn get_replay(
        &self,
        request: Request<v1::GetReplayRequest>,
    ) -> Result<Response<v1::GetReplayResponse>, Status> {
        let peer = peer(&request);
        let command: v1::GetReplayCommand = self.command(
            "vault.v1.ScopeService/GetReplay",
            peer.as_ref(),
            request.into_inner().command,
        )?;
        let mut state = self.state();
        if command.replay != 7 || state.replays.is_empty() {
            return Err(refusal(Code::NotFound, "NOT_FOUND", "replay not found", &[]));
        }
        Ok(Response::new(state.replays.remove(0)))
    }
}

#[tonic::async_trait]
impl HaltService for Fake {
    async fn halt(
        &self,
        request: Request<v1::HaltRequest>,
    ) -> Result<Response<v1::HaltResponse>, Status> {
        let peer = peer(&request);
        let command: v1::HaltCommand =
            self.command("vault.v1.HaltService/Halt", peer.as_ref(), request.into_inner().command)?;
        // It knows one symbol.
        let target = command.target.as_str();
        let symbol_unknown = target.starts_with("symbol:") && target != "symbol:okx/BTC-USDT";
        Ok(Response::new(v1::HaltResponse { symbol_unknown, ..v1::HaltResponse::default() }))
    }

    async fn status(
        &self,
        request: Request<v1::HaltStatusRequest>,
    ) -> Result<Response<v1::HaltStatusResponse>, Status> {
        let peer = peer(&request);
        let _: v1::HaltStatusCommand = self.command(
            "vault.v1.HaltService/Status",
            peer.as_ref(),
            request.into_inner().command,
        )?;
        Ok(Response::new(v1::HaltStatusResponse::default()))
    }

    not_here! {
    cancel_all: CancelAllRequest -> CancelAllResponse;
    resume: ResumeRequest -> ResumeResponse; }
}

#[tonic::async_trait]
impl SignService for Fake {
    async fn sign(
        &self,
        request: Request<v1::SignRequest>,
    ) -> Result<Response<v1::SignResponse>, Status> {
        let peer = peer(&request);
        let certificate = peer.as_ref().and_then(|peer| peer.certificate.clone());
        let (serial, _) = serial_and_key(&certificate.expect("a certificate"));
        self.state().signs.push((request.into_inner(), serial));
        self.break_if_due(peer.as_ref())?;
        if let Some(refusal) = self.state().refusal.take() {
            return Err(refusal);
        }
        Ok(Response::new(signed()))
    }

    /// Signs what names a credential; of a batch for `lossy` one result is lost.
    async fn sign_batch(
        &self,
        request: Request<v1::SignBatchRequest>,
    ) -> Result<Response<v1::SignBatchResponse>, Status> {
        let requests = request.into_inner().requests;
        let is_lossy = requests.iter().any(|request| request.credential == "lossy");
        let lost = usize::from(is_lossy);
        let results = requests.into_iter().skip(lost).map(result).collect();
        Ok(Response::new(v1::SignBatchResponse { results }))
    }

    type SignStreamStream = Stream<v1::SignResult>;

    /// The same, as they come.
    async fn sign_stream(
        &self,
        request: Request<tonic::Streaming<v1::SignRequest>>,
    ) -> Result<Response<Self::SignStreamStream>, Status> {
        use tokio_stream::StreamExt as _;
        Ok(Response::new(Box::pin(request.into_inner().map(|request| request.map(result)))))
    }
}

fn signed() -> v1::SignResponse {
    v1::SignResponse {
        request: Some(v1::SignedRequest {
            method: "GET".to_owned(),
            url: "https://www.okx.com/api/v5/account/balance".to_owned(),
            headers: vec![v1::Header { name: "ok-access-sign".into(), value: "sig".into() }],
            body: Vec::new(),
        }),
        usable_for_ms: Some(30_000),
        receipt: Some(v1::Receipt {
            log_origin: "v.example/audit/n/0".to_owned(),
            index: 4,
            leaf_hash: vec![0xab; 32],
        }),
        seq: 5,
        notional_usd: "30000".to_owned(),
        limits_left: vec![v1::LimitLeft { limit: "orders/1m".into(), left: "9".into() }],
    }
}

fn result(request: v1::SignRequest) -> v1::SignResult {
    use v1::sign_result::Result as Outcome;
    let result = match request.credential.is_empty() {
        false => Outcome::Signed(signed()),
        true => Outcome::Failure(v1::SignFailure {
            code: Code::NotFound.into(),
            message: "no such credential".to_owned(),
            reason: "NOT_FOUND".to_owned(),
            metadata: [("entry_index", "9"), ("retry_after_ms", "250")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        }),
    };
    v1::SignResult { request_id: request.request_id, result: Some(result) }
}

type Stream<T> = Pin<Box<dyn tokio_stream::Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl AuditService for Fake {
    type ExportStream = Stream<v1::ExportResponse>;
    type TailStream = Stream<v1::TailResponse>;

    async fn export(
        &self,
        request: Request<v1::ExportRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        let peer = peer(&request);
        let _: v1::ExportCommand = self.command(
            "vault.v1.AuditService/Export",
            peer.as_ref(),
            request.into_inner().command,
        )?;
        let messages: Vec<_> = self.state().export.iter().cloned().map(Ok).collect();
        Ok(Response::new(Box::pin(tokio_stream::iter(messages))))
    }

    async fn tail(
        &self,
        _request: Request<v1::TailRequest>,
    ) -> Result<Response<Self::TailStream>, Status> {
        Err(Status::unimplemented("not in this vault"))
    }

    not_here! { get_checkpoint: GetCheckpointRequest -> GetCheckpointResponse; }
}
