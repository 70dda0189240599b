//! What the services share: a call becomes a frame, an answer becomes a message.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, stream};
use prost::Message;
use tokio::time::Instant;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use vault_ipc::proto::{FILE_DESCRIPTOR_SET, v1};
use vault_ipc::{
    Caller, Chunk, Code, CommandCall, EncodedSignCall, EnrollCall, Failure, Kind, Listener,
    PullCall, SignCall, WhoamiCall,
};

use crate::convert::{Commanded, FromChunk};
use crate::core::{Answered, Asked, Core, answered};
use crate::gate::{Deadline, busy, came_to, late};
use crate::health::Healths;
use crate::limit::ListenerLimits;
use crate::place::{Place, Places};
use crate::registry::{Connection, Hold, Holds};
use crate::sign::SIGN_STREAM_PATH;
use crate::status::from_failure;
use crate::trace::Call;

/// How long to wait before asking again when a tail has nothing new.
const TAIL_PAUSE: Duration = Duration::from_millis(100);

/// Longest request for descriptors, in bytes: a name. Any number of them come in one call, so each lies
/// here until it is whole.
const REFLECTION_BYTES_MAX: usize = 4 << 10;

/// Batches and streams of Signs whose answers are not read yet, of all clients; of one an eighth.
const MANY_MAX: usize = 128;

/// A stream of messages to a client.
pub(crate) type Messages<M> = Pin<Box<dyn Stream<Item = Result<M, Status>> + Send>>;

/// Implements the services of one kind of listener.
#[derive(Clone, Debug)]
pub(crate) struct Handler {
    call_max: Duration,
    /// Places for calls at the core. Taken when a request has come whole: who sends slowly, or does
    /// not read answers, holds places of their own connection only.
    calls: Places,
    core: Core,
    execute_bytes_max: usize,
    /// As `calls`, for those that wait for a venue.
    executes: Places,
    listener: Listener,
    /// For batches and streams of Signs: what they are answered is long, and lies here until it is
    /// read.
    many: Places,
}

/// The names of the services on a kind of listener.
pub(crate) fn served(listener: Listener) -> &'static [&'static str] {
    match listener {
        Listener::Bot => &[
            v1::client_service_server::SERVICE_NAME,
            v1::execute_service_server::SERVICE_NAME,
            v1::price_service_server::SERVICE_NAME,
            v1::sign_service_server::SERVICE_NAME,
        ],
        Listener::Enroll => &[v1::client_service_server::SERVICE_NAME],
        Listener::Operator => &[
            v1::audit_service_server::SERVICE_NAME,
            v1::client_service_server::SERVICE_NAME,
            v1::credential_service_server::SERVICE_NAME,
            v1::halt_service_server::SERVICE_NAME,
            v1::instrument_service_server::SERVICE_NAME,
            v1::operator_service_server::SERVICE_NAME,
            v1::price_service_server::SERVICE_NAME,
            v1::scope_service_server::SERVICE_NAME,
            v1::seal_service_server::SERVICE_NAME,
        ],
        Listener::Unspecified => &[],
    }
}

/// The services of a kind of listener, with health on all and reflection for operators.
pub(crate) fn routes(handler: &Handler, healths: &Healths, message_bytes_max: usize) -> Routes {
    let listener = handler.listener;
    let mut routes = Routes::default();
    macro_rules! add {
        ($($module:ident::$server:ident)+) => {
            $(routes = routes.add_service(
                v1::$module::$server::new(handler.clone())
                    .max_decoding_message_size(message_bytes_max),
            );)+
        };
    }
    match listener {
        Listener::Bot => {
            add!(
                client_service_server::ClientServiceServer
                execute_service_server::ExecuteServiceServer
                price_service_server::PriceServiceServer
                sign_service_server::SignServiceServer
            );
        }
        Listener::Enroll => {
            add!(client_service_server::ClientServiceServer);
        }
        Listener::Operator => {
            add!(
                audit_service_server::AuditServiceServer
                client_service_server::ClientServiceServer
                credential_service_server::CredentialServiceServer
                halt_service_server::HaltServiceServer
                instrument_service_server::InstrumentServiceServer
                operator_service_server::OperatorServiceServer
                price_service_server::PriceServiceServer
                scope_service_server::ScopeServiceServer
                seal_service_server::SealServiceServer
            );
            let mut reflection = tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET);
            for name in served(listener) {
                reflection = reflection.with_service_name(*name);
            }
            let reflection = reflection.build_v1().expect("our own descriptors decode");
            let bytes_max = REFLECTION_BYTES_MAX.min(message_bytes_max);
            routes = routes.add_service(reflection.max_decoding_message_size(bytes_max));
        }
        Listener::Unspecified => {}
    }
    if let Some(health) = healths.server(listener) {
        routes = routes.add_service(health.max_decoding_message_size(message_bytes_max));
    }
    routes.prepare()
}

/// Whether a path is that of an RPC that asks a venue.
pub(crate) fn is_execute(path: &str) -> bool {
    path.strip_prefix('/')
        .and_then(|path| path.strip_prefix(v1::execute_service_server::SERVICE_NAME))
        .is_some_and(|rest| rest.starts_with('/'))
}

/// Whether a path is that of an RPC with any number of requests.
pub(crate) fn is_stream(path: &str) -> bool {
    path == SIGN_STREAM_PATH || path.starts_with("/grpc.reflection.")
}

impl Handler {
    /// A handler for a kind of listener; `execute_bytes_max` is the longest body of a venue's
    /// response in one message.
    pub(crate) fn new(
        listener: Listener,
        core: &Core,
        limits: &ListenerLimits,
        execute_bytes_max: usize,
    ) -> Self {
        let calls = match listener {
            // All who enrol are strangers, and so one client.
            Listener::Enroll => Places::with_share(limits.calls, limits.calls),
            // In the core they wait behind each other alone; a whole batch fits.
            Listener::Bot => Places::with_share(limits.calls, limits.calls.div_ceil(4)),
            Listener::Operator | Listener::Unspecified => Places::new(limits.calls),
        };
        Self {
            call_max: limits.call,
            calls,
            core: core.clone(),
            execute_bytes_max,
            executes: Places::new(limits.executes),
            listener,
            many: Places::with_share(MANY_MAX, MANY_MAX.div_ceil(8)),
        }
    }

    pub(crate) fn many_places(&self) -> &Places {
        &self.many
    }

    /// The same for callers who are no operators, where operators are heard: they get places of their
    /// own, and an eighth as many.
    pub(crate) fn for_clients(&self) -> Self {
        Self { calls: self.calls.part(), ..self.clone() }
    }

    /// How long a call may take.
    pub(crate) fn call_max(&self) -> Duration {
        self.call_max
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }

    pub(crate) fn execute_bytes_max(&self) -> usize {
        self.execute_bytes_max
    }

    pub(crate) fn executes(&self) -> &Places {
        &self.executes
    }

    pub(crate) fn listener(&self) -> Listener {
        self.listener
    }

    /// Passes a signed command on; `method` is the RPC that was called.
    pub(crate) async fn command<Q: Commanded, R: Message + Default>(
        &self,
        method: &'static str,
        request: Request<Q>,
    ) -> Result<Response<R>, Status> {
        let connection = connection(&request)?;
        let call = command_call(&connection, method, request)?;
        self.call(&connection, Kind::Command, call).await
    }

    /// Passes an enrolment on.
    pub(crate) async fn enroll(
        &self,
        request: Request<v1::EnrollRequest>,
    ) -> Result<Response<v1::EnrollResponse>, Status> {
        let connection = connection(&request)?;
        let call = EnrollCall {
            address: connection.facts().address_bytes(),
            via: connection.facts().via().to_owned(),
            request: request.into_inner(),
        };
        self.call(&connection, Kind::Enroll, call).await
    }

    /// A place for a call at the core, if there is one.
    pub(crate) fn place(&self, connection: &Connection) -> Option<Place> {
        self.calls.take(connection.facts().holder())
    }

    /// Passes an encoded [`v1::SignRequest`] on; its answer is an encoded [`v1::SignResponse`]. `ends` as
    /// in [`Core::begin_sign`].
    ///
    /// # Errors
    ///
    /// As [`Core::call`].
    pub(crate) fn begin_sign(
        &self,
        connection: &Arc<Connection>,
        call: EncodedSignCall,
        place: Place,
        deadline: &Deadline,
        ends: Option<Instant>,
    ) -> Result<Asked, Box<Failure>> {
        self.core.begin_sign(connection, call, place, ends, deadline.trace.clone())
    }

    /// Passes a Sign on that came over the router.
    pub(crate) async fn sign_routed(
        &self,
        request: Request<v1::SignRequest>,
    ) -> Result<Response<v1::SignResponse>, Status> {
        let (connection, deadline) = (connection(&request)?, deadline(&request)?);
        let call = sign_call(&connection, caller(&connection)?, &deadline, request.into_inner());
        let asked = self.ask(&connection, Kind::Sign, call, deadline.trace.clone());
        let answered = came_to(&deadline, answered(asked).await)?;
        Ok(responded(decoded(answered.response.as_slice())?, answered.hold))
    }

    /// Passes on whose call it is, and from where.
    pub(crate) async fn whoami(
        &self,
        request: Request<v1::WhoamiRequest>,
    ) -> Result<Response<v1::WhoamiResponse>, Status> {
        let connection = connection(&request)?;
        drop(request);
        let call = WhoamiCall { caller: caller(&connection)? };
        self.call(&connection, Kind::Whoami, call).await
    }

    /// Passes a signed command on that is answered with entries, and pulls until their end.
    pub(crate) async fn entries<Q: Commanded, R: FromChunk + Send + 'static>(
        &self,
        method: &'static str,
        request: Request<Q>,
    ) -> Result<Response<Messages<R>>, Status> {
        let connection = connection(&request)?;
        let call = command_call(&connection, method, request)?;
        let answered = self.answered(&connection, Kind::Command, call).await?;
        let first: Chunk = decoded(answered.response.as_slice())?;
        let entries = Entries {
            connection,
            handler: self.clone(),
            ended: false,
            first: Some(first),
            grant: 0,
            next_index: 0,
        };
        let messages = stream::try_unfold(entries, |mut entries| async move {
            let chunk = entries.next().await.map_err(from_failure)?;
            Ok(chunk.map(|chunk| (R::from_chunk(chunk), entries)))
        });
        Ok(Response::new(Box::pin(messages)))
    }

    async fn call<R: Message + Default>(
        &self,
        connection: &Arc<Connection>,
        kind: Kind,
        message: impl Message,
    ) -> Result<Response<R>, Status> {
        let answered = self.answered(connection, kind, message).await?;
        Ok(responded(decoded(answered.response.as_slice())?, answered.hold))
    }

    async fn answered(
        &self,
        connection: &Arc<Connection>,
        kind: Kind,
        message: impl Message,
    ) -> Result<Answered, Status> {
        let asked = self.ask(connection, kind, message, None);
        answered(asked).await.map_err(|failure| from_failure(*failure))
    }

    /// Takes a place, and asks the core.
    ///
    /// # Errors
    ///
    /// There is no place, or as [`Core::call`].
    pub(crate) fn ask(
        &self,
        connection: &Arc<Connection>,
        kind: Kind,
        message: impl Message,
        trace: Option<Arc<Call>>,
    ) -> Result<Asked, Box<Failure>> {
        let place = self.place(connection).ok_or_else(busy)?;
        self.core.call(connection, kind, message, place, trace)
    }
}

/// An export or a tail under way.
struct Entries {
    connection: Arc<Connection>,
    handler: Handler,
    ended: bool,
    /// Came with the answer to the command.
    first: Option<Chunk>,
    grant: u64,
    next_index: u64,
}

impl Entries {
    /// The next chunk with something in it; `None` at the end.
    async fn next(&mut self) -> Result<Option<Chunk>, Failure> {
        loop {
            if self.ended {
                return Ok(None);
            }
            let chunk = match self.first.take() {
                Some(first) => {
                    self.grant = first.grant;
                    first
                }
                None => self.pull().await?,
            };
            self.ended = chunk.end;
            let after = chunk.first_index.saturating_add(chunk.entries.len() as u64);
            // Never backwards, whatever an empty chunk says.
            self.next_index = self.next_index.max(after);
            if !chunk.entries.is_empty() || chunk.checkpoint.is_some() {
                return Ok(Some(chunk));
            }
            if !self.ended {
                tokio::time::sleep(TAIL_PAUSE).await;
            }
        }
    }

    async fn pull(&self) -> Result<Chunk, Failure> {
        let call = PullCall { grant: self.grant, from_index: self.next_index };
        let asked = self.handler.ask(&self.connection, Kind::Pull, call, None);
        let answered = tokio::time::timeout(self.handler.call_max, answered(asked)).await;
        let answered = answered.map_err(|_| late())?.map_err(|failure| *failure)?;
        Chunk::decode(answered.response.as_slice()).map_err(|_| undecodable())
    }
}

fn command_call<Q: Commanded>(
    connection: &Connection,
    method: &'static str,
    request: Request<Q>,
) -> Result<CommandCall, Status> {
    let caller = caller(connection)?;
    let command = request.into_inner().into_command().ok_or_else(|| {
        from_failure(Failure::new(
            Code::BadRequest,
            "COMMAND_MISSING",
            "the request carries no signed command",
        ))
    })?;
    Ok(CommandCall { caller, method: method.to_owned(), command })
}

pub(crate) fn connection<Q>(request: &Request<Q>) -> Result<Arc<Connection>, Status> {
    request.extensions().get().map(Arc::clone).ok_or_else(|| {
        from_failure(Failure::new(Code::Internal, "INTERNAL", "a call without its connection"))
    })
}

/// The deadline of a call.
pub(crate) fn deadline<Q>(request: &Request<Q>) -> Result<Deadline, Status> {
    request.extensions().get().cloned().ok_or_else(|| {
        from_failure(Failure::new(Code::Internal, "INTERNAL", "a call without its deadline"))
    })
}

/// One Sign, as the core is asked for it.
pub(crate) fn sign_call(
    connection: &Connection,
    caller: Caller,
    deadline: &Deadline,
    request: v1::SignRequest,
) -> SignCall {
    let queued_us = connection.metrics().decoded(deadline.began);
    let traced = deadline.queued();
    SignCall { caller, deadline_us: deadline.unix_us, queued_us, request, traced }
}

pub(crate) fn caller(connection: &Connection) -> Result<Caller, Status> {
    connection.facts().caller().ok_or_else(|| from_failure(no_certificate()))
}

/// The failure of a caller who has shown no certificate.
pub(crate) fn no_certificate() -> Failure {
    Failure::new(Code::Unauthenticated, "CERTIFICATE_MISSING", "a client certificate is needed")
}

/// A response, with the hold of what it releases.
fn responded<R>(response: R, hold: Option<Hold>) -> Response<R> {
    let mut response = Response::new(response);
    if let Some(hold) = hold {
        // `gate/body.rs` ties it to the encoded bytes.
        response.extensions_mut().insert(Arc::new(Holds::of(hold)));
    }
    response
}

pub(crate) fn decoded<R: Message + Default>(response: &[u8]) -> Result<R, Status> {
    R::decode(response).map_err(|_| from_failure(undecodable()))
}

pub(crate) fn undecodable() -> Failure {
    Failure::new(Code::Internal, "INTERNAL", "the core's answer does not decode")
}

#[cfg(test)]
mod tests;
