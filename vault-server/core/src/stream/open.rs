//! How a WebSocket begins: who asks, for which socket of which venue, and whether anything could come
//! of it.

use std::sync::Arc;

use ring::rand::SecureRandom;
use vault_ipc::{Kind, StreamCall, StreamDial};
use vault_model::{
    Class, HaltLevel, HaltTarget, Intent, Member, Mode, Name, Reading, Symbols, Timestamp,
    VenueRequest,
};
use vault_policy::{Decision, Denial, Outside, PublicQuestion, judge_public};
use vault_venue::{Opening, ReadError, Socket, SocketKind};

use super::Stream;
use crate::authorize::{Facts, Judged};
use crate::error::VaultError;
use crate::journal::Channel;
use crate::order::{Asked, EXECUTE_LEFT_MIN, Order, model_request, wire_headers};
use crate::storage::{CredentialRow, CredentialState};
use crate::vault::Vault;

impl Vault {
    /// Answers a call for a WebSocket, and asks egress to connect.
    ///
    /// # Errors
    ///
    /// None of a caller's making: those are answered. What is returned ends the process.
    pub(crate) fn open_stream(
        &mut self,
        call: StreamCall,
        correlation: u64,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let Some(caller) = self.admit_bot(&call.caller, correlation, now) else {
            return Ok(());
        };
        let asked = self.asked(&caller, correlation, Mode::Execute, call.deadline_us, now);
        let order = self.stream_order(&caller.name, "", model_request(call.request.clone()))?;
        let mut facts = Facts::default();
        let admitted = self.admit_stream(asked, &order.request, &mut facts).and_then(|admitted| {
            self.streams.take_opening(&caller.name, asked.clock)?;
            Ok(admitted)
        });
        let (socket, credential) = match admitted {
            Ok(admitted) => admitted,
            Err(error) => return self.deny(asked, Some(&order), &facts, &error),
        };

        let dial = StreamDial {
            front_correlation: correlation,
            venue: socket.venue.to_owned(),
            credential: credential.as_ref().map(Name::to_string).unwrap_or_default(),
            url: socket.url.clone(),
            headers: wire_headers(socket.headers.clone()),
            timeout_ms: self.timeout_ms(asked),
            handles: socket.handles.clone(),
            client: caller.name.to_string(),
        };
        // What is kept, and cloned for each message, is what a socket is known by, whatever came with it.
        let dialled = VenueRequest { headers: Vec::new(), body: Vec::new(), ..order.request };
        let via = caller.origin.proxy().unwrap_or("direct").to_owned();
        let mut stream = Stream {
            caller: vault_ipc::Caller { via, ..call.caller },
            client: caller.name.clone(),
            front: correlation,
            socket: Arc::new(socket),
            request: Arc::new(dialled),
            logged_on: None,
            reads: Vec::new(),
            is_crowded: false,
            refused: 0,
        };
        if let (Opening::Read(reading), Some(credential)) = (&stream.socket.opening, credential) {
            let reading = reading.clone();
            let version = self.version_of(&credential);
            stream.remember(credential, version, reading);
        }
        let id = self.executions.number();
        self.streams.begin(id, stream)?;
        self.journal.frame(Channel::Egress, Kind::StreamDial, id, &dial);
        self.journal.answer_encoded(Channel::Front, correlation, Vec::new());
        Ok(())
    }

    /// An order for what comes over a WebSocket: its id is the vault's own.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotFound`] for a credential that cannot be one, or a defect.
    pub(super) fn stream_order(
        &self,
        client: &Name,
        credential: &str,
        request: VenueRequest,
    ) -> Result<Order, VaultError> {
        let mut unique = [0; 12];
        self.rng
            .fill(&mut unique)
            .map_err(|_| VaultError::Internal("the system has no randomness"))?;
        let id = format!("ws-{}", hex::encode(unique));
        Order::new(client, Mode::Execute, &id, credential, request)
    }

    /// Whether a WebSocket may be opened, and by which credential private data comes over it at once.
    fn admit_stream(
        &self,
        asked: Asked<'_>,
        request: &VenueRequest,
        facts: &mut Facts,
    ) -> Result<(Socket, Option<Name>), VaultError> {
        if asked.deadline.is_some_and(|deadline| deadline <= asked.now.plus(EXECUTE_LEFT_MIN)) {
            return Err(VaultError::DeadlineExceeded);
        }
        // A refusal says nothing to an address that the client may not have.
        self.check_networks(asked.caller)?;
        if request.scheme != "wss" {
            return Err(VaultError::Read(ReadError::SchemeNotAllowed));
        }
        let socket = self.registry.socket(&request.host, &request.path, &request.query)?;
        self.admit_socket(asked, &socket, request, facts)?;
        let credential = self.holder(asked, socket.venue, &socket.handles)?;
        if let Opening::Read(reading) = &socket.opening {
            let credential = credential.as_ref().ok_or(VaultError::HandleUnknown)?;
            self.judge_read(asked, &socket, credential, reading, facts)?;
        }
        self.streams.check_room(&asked.caller.name)?;
        Ok((socket, credential))
    }

    /// The version of a credential's key; 0 for one that is not there.
    pub(crate) fn version_of(&self, credential: &Name) -> u32 {
        self.tables().credentials.get(credential).map_or(0, |row| row.version)
    }

    /// The one credential by which the vault got what stands behind these handles, which must be the
    /// client's own; none without handles.
    ///
    /// # Errors
    ///
    /// [`VaultError::HandleUnknown`].
    pub(crate) fn holder(
        &self,
        asked: Asked<'_>,
        venue: &str,
        handles: &[impl AsRef<str>],
    ) -> Result<Option<Name>, VaultError> {
        let mut holder = None;
        for handle in handles {
            let hold = self.holds.look(&asked.caller.name, venue, handle.as_ref(), asked.clock)?;
            let is_present = self.version_of(&hold.credential) == hold.version;
            if !is_present || *holder.get_or_insert(&hold.credential) != &hold.credential {
                return Err(VaultError::HandleUnknown);
            }
        }
        Ok(holder.cloned())
    }

    /// Whether a client may have a socket of a venue at all. What it means that a private one stands
    /// is judged beside that.
    ///
    /// # Errors
    ///
    /// [`VaultError::Deny`]; [`VaultError::NotFound`] for a private one, if the scope names no
    /// credential that could be used on it, and nothing public either.
    pub(super) fn admit_socket(
        &self,
        asked: Asked<'_>,
        socket: &Socket,
        request: &VenueRequest,
        facts: &mut Facts,
    ) -> Result<(), VaultError> {
        if socket.kind == SocketKind::Public {
            return self.judge_channel(asked, socket, request, facts);
        }
        let open = self.opened()?;
        let tables = open.state.tables();
        let client = tables
            .clients
            .get(&asked.caller.name)
            .ok_or(VaultError::Internal("a caller is no client"))?;
        let scope = client.scope.as_ref().and_then(|name| open.scopes.get(name));
        let scope = scope.ok_or(VaultError::NotFound("credential"))?;
        facts.scope = Some((scope.document.name.clone(), scope.revision));
        let is_halted = open.halts.iter().any(|(target, level)| {
            let concerned = match target {
                HaltTarget::All => true,
                HaltTarget::Client(name) => *name == client.name,
                HaltTarget::Venue(name) => name.as_str() == socket.venue,
                HaltTarget::Credential(_) | HaltTarget::Symbol { .. } => false,
            };
            concerned && level == HaltLevel::Nothing
        });
        if is_halted {
            return Err(VaultError::Deny(Denial::HaltNothing));
        }
        if !scope.document.modes.contains(&Mode::Execute) {
            return Err(VaultError::Deny(Denial::ModeNotGranted));
        }
        let own: Vec<&CredentialRow> = scope
            .document
            .credentials
            .iter()
            .filter_map(|name| tables.credentials.get(name))
            .filter(|row| {
                row.venue == socket.venue
                    && row.state == CredentialState::Enabled
                    && socket.environments.contains(&row.environment)
            })
            .collect();
        if own.iter().any(|row| self.serves(socket, row)) {
            return Ok(());
        }
        // Some have channels that are open to everybody beside what takes a log-on.
        match self.judge_channel(asked, socket, request, facts) {
            Err(VaultError::Deny(Denial::ClassNotGranted(_))) if !own.is_empty() => {
                Err(VaultError::Read(ReadError::HostElsewhere))
            }
            Err(VaultError::Deny(Denial::ClassNotGranted(_))) => {
                Err(VaultError::NotFound("credential"))
            }
            judged => judged,
        }
    }

    /// Whether the host of a socket knows a credential.
    pub(super) fn serves(&self, socket: &Socket, credential: &CredentialRow) -> bool {
        let venue = self.registry.venue(socket.venue);
        venue.is_some_and(|venue| venue.serves(credential.account(), socket.host()))
    }

    /// Judges what is public on a socket: the socket itself, or a channel of it.
    ///
    /// # Errors
    ///
    /// [`VaultError::Deny`].
    pub(super) fn judge_channel(
        &self,
        asked: Asked<'_>,
        socket: &Socket,
        request: &VenueRequest,
        facts: &mut Facts,
    ) -> Result<(), VaultError> {
        let open = self.opened()?;
        let client = open
            .state
            .tables()
            .clients
            .get(&asked.caller.name)
            .ok_or(VaultError::Internal("a caller is no client"))?;
        let address =
            asked.caller.origin.address.ok_or(VaultError::Internal("a bot has no address"))?;
        let scope = client.scope.as_ref().and_then(|name| open.scopes.get(name));
        facts.scope = scope.map(|scope| (scope.document.name.clone(), scope.revision));
        let member = Member {
            operation: operation(request).into(),
            class: Class::Public,
            schema_sourced: true,
            intent: Intent {
                products: Some(Vec::new()),
                symbols: Symbols::Named(Vec::new()),
                legs: Vec::new(),
                client_order_id: None,
                client_order_ids: Vec::new(),
                transfers: Vec::new(),
            }
            .into(),
        };
        let Some(scope) = scope else {
            let (operation, class) = (member.operation.to_string(), member.class);
            let outside = Outside { operation, class, stated: true };
            return Err(VaultError::Deny(Denial::ClassNotGranted(outside)));
        };
        let asks_country = scope.document.network.countries.is_some();
        judge_public(&PublicQuestion {
            client: &client.name,
            address,
            venue: socket.venue,
            member: &member,
            scope: &scope.scope,
            client_networks: &client.networks,
            halts: &open.halts,
            country: asks_country.then(|| self.countries.of(address)).flatten(),
        })
        .map_err(VaultError::Deny)
    }

    /// Judges private data that would come over a socket by one of the client's credentials. Nothing
    /// is signed for it.
    ///
    /// # Errors
    ///
    /// As for [`Vault::authorize`].
    pub(super) fn judge_read(
        &self,
        asked: Asked<'_>,
        socket: &Socket,
        credential: &Name,
        reading: &Reading,
        facts: &mut Facts,
    ) -> Result<(), VaultError> {
        let client = self
            .tables()
            .clients
            .get(&asked.caller.name)
            .ok_or(VaultError::Internal("a caller is no client"))?;
        let address =
            asked.caller.origin.address.ok_or(VaultError::Internal("a bot has no address"))?;
        let Asked { mode, now, steady_now, clock, .. } = asked;
        let request = &VenueRequest::default();
        let judged = Judged { client, address, credential, mode, request, now, steady_now, clock };
        let ground = self.ground(judged)?;
        facts.scope = Some((ground.scope.document.name.clone(), ground.scope.revision));
        facts.credential = Some(ground.credential.clone());
        if ground.credential.state == CredentialState::Disabled {
            return Err(VaultError::CredentialDisabled);
        }
        if reading.venue != ground.venue.name()
            || !socket.environments.contains(&ground.credential.environment)
        {
            return Err(VaultError::Read(ReadError::HostUnknown));
        }
        if !self.serves(socket, ground.credential) {
            return Err(VaultError::Read(ReadError::HostElsewhere));
        }
        match vault_policy::judge(&ground.question(judged, reading)) {
            Decision::Allow(_) => Ok(()),
            Decision::Deny(denial) => {
                facts.reading = Some(reading.clone());
                Err(VaultError::Deny(denial))
            }
        }
    }
}

/// What a socket is called in a denial.
pub(super) fn operation(request: &VenueRequest) -> String {
    format!("WSS {}", request.path)
}
