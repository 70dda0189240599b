//! The life of one request: asked for, sent, answered, told of.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::time::{Instant, timeout_at};
use vault_ipc::{Dispatch, Kind, Outcome, VenueBody, VenueEnd, VenueHead};

use crate::finding::Finding;
use crate::flight::Boarded;
use crate::health::{Health, Now, Paused, VenueKey};
use crate::link::Link;
use crate::outbox::Outbox;
use crate::pool::{Lease, Pool, Pools};
use crate::problem::Problem;
use crate::request::VenueRequest;
use crate::response::{Body, is_encoded, passed_on};
use crate::scrub::Scrubber;

/// Bytes of a body in one frame.
const PIECE_BYTES: usize = 64 << 10;
/// Longest body that the core asks for, in bytes.
const CORE_BODY_BYTES: usize = 1 << 20;
/// What a venue must have got, for its silence to count against it. Milliseconds.
const PATIENCE_MS: u32 = 1_000;
/// How often a request is tried that has left no byte.
const TRIES_MAX: u32 = 3;
/// The number of the one request on a connection of HTTP/1.1.
const ONLY: u32 = 1;

/// What every request needs.
pub(crate) struct Sender {
    pub(crate) core: Rc<Outbox>,
    pub(crate) front: Rc<Outbox>,
    pub(crate) health: Rc<RefCell<Health>>,
    pub(crate) pools: Pools,
    pub(crate) response_bytes: u64,
    pub(crate) sources: HashMap<String, IpAddr>,
}

/// What has become of a request so far.
#[derive(Default)]
struct Account {
    attempts: u32,
    body: Vec<u8>,
    finding: Finding,
    latency: Option<Duration>,
    retry_after: Duration,
    sent: bool,
    status: u16,
}

/// An attempt without a response.
struct Failure {
    problem: Problem,
    sent: bool,
    /// The venue's own word that it has not looked at it (RFC 9113, section 8.7).
    is_refused: bool,
}

struct Answer<'a> {
    status: StatusCode,
    headers: HeaderMap,
    body: Body,
    /// Kept to the end: a response may come before all of its request is written.
    _handed: Handed<'a>,
}

/// Forgets the request on its connection, and the connection on the flight, whatever happens.
struct Handed<'a> {
    flight: &'a Boarded,
    link: Rc<Link>,
    request: u32,
}

impl<'a> Handed<'a> {
    fn new(flight: &'a Boarded, link: &Rc<Link>, request: u32, body_bytes: usize) -> Self {
        link.begin(request, body_bytes);
        flight.hand(link, request);
        Self { flight, link: Rc::clone(link), request }
    }

    fn is_sent(&self) -> bool {
        self.link.is_sent(self.request)
    }
}

impl Drop for Handed<'_> {
    fn drop(&mut self) {
        self.flight.take_back();
        self.link.forget(self.request);
    }
}

impl Sender {
    /// Sends a request and tells front and core what became of it, each exactly once.
    pub(crate) async fn send(
        &self,
        dispatch: Dispatch,
        correlation: u64,
        flight: Boarded,
        arrived: Instant,
    ) {
        let mut account = Account::default();
        let key = (host(&dispatch.url), self.source(&dispatch.credential));
        let ended = self.go(&dispatch, &key, &flight, arrived, &mut account).await;
        drop(flight);
        self.tell(&dispatch, correlation, account, ended.err(), arrived);
    }

    /// Tells of a request that was not even begun.
    pub(crate) fn turn_away(&self, dispatch: &Dispatch, correlation: u64, problem: Problem) {
        self.tell(dispatch, correlation, Account::default(), Some(problem), Instant::now());
    }

    fn source(&self, credential: &str) -> Option<IpAddr> {
        self.sources.get(credential).copied()
    }

    async fn go(
        &self,
        dispatch: &Dispatch,
        key: &VenueKey,
        flight: &Boarded,
        arrived: Instant,
        account: &mut Account,
    ) -> Result<(), Problem> {
        let request = VenueRequest::new(dispatch)?;
        let admitted = self.health.borrow_mut().admit(key, &dispatch.class, Now::read());
        let is_trial = admitted.map_err(|Paused(left)| {
            account.retry_after = left;
            Problem::VenuePaused
        })?;
        let deadline = arrived + Duration::from_millis(dispatch.timeout_ms.into());
        let ended = match self.pools.pool(&dispatch.credential, &request.host, key.1) {
            Ok(pool) => {
                self.exchange(dispatch, &request, &pool, key, flight, (arrived, deadline), account)
                    .await
            }
            Err(problem) => Err(problem),
        };
        if is_trial {
            self.health.borrow_mut().tried(key);
        }
        ended
    }

    #[expect(clippy::too_many_arguments, reason = "each is a thing of its own")]
    async fn exchange(
        &self,
        dispatch: &Dispatch,
        request: &VenueRequest,
        pool: &Rc<Pool>,
        key: &VenueKey,
        flight: &Boarded,
        (arrived, deadline): (Instant, Instant),
        account: &mut Account,
    ) -> Result<(), Problem> {
        let mut tries = 0;
        let (lease, answer) = loop {
            tries += 1;
            let lease = tokio::select! {
                biased;
                () = flight.stopped() => Err(Problem::Barrier),
                lease = timeout_at(deadline, pool.lease()) => lease.unwrap_or(Err(Problem::Timeout)),
            };
            let mut lease = lease?;
            let failure = match attempt(&mut lease, request, flight, deadline).await {
                Ok(answer) => {
                    account.sent = true;
                    account.attempts += 1;
                    break (lease, answer);
                }
                Err(failure) => failure,
            };
            account.sent |= failure.sent;
            account.attempts += u32::from(failure.sent);
            // Whatever it was, the connection is of no more use.
            lease.link().retire();
            // A venue that got hardly any time has not failed.
            if failure.problem == Problem::Timeout && dispatch.timeout_ms >= PATIENCE_MS {
                self.health.borrow_mut().failed(key, Now::read());
            }
            let is_lost = failure.problem == Problem::ConnectionLost;
            // Orders never (ADR 28), not even on the venue's word.
            let may_repeat = !failure.sent
                || (dispatch.repeatable && (failure.is_refused || account.attempts < 2));
            if !is_lost || !may_repeat || tries >= TRIES_MAX || flight.is_fenced() {
                return Err(failure.problem);
            }
        };
        account.latency = Some(arrived.elapsed());
        account.status = answer.status.as_u16();
        let wish =
            self.health.borrow_mut().answered(key, account.status, &answer.headers, Now::read());
        account.retry_after = wish.unwrap_or_default();
        // Takes the answer, and with it what follows the request on its connection.
        let passed = self.pass_on(dispatch, answer, deadline, account).await;
        match passed {
            Ok(()) => lease.give_back(),
            Err(_) if matches!(lease, Lease::Plain { .. }) => lease.link().cut(),
            // The stream is reset; others on the connection are not to blame.
            Err(_) => {}
        }
        passed
    }

    /// Passes head and body on.
    async fn pass_on(
        &self,
        dispatch: &Dispatch,
        answer: Answer<'_>,
        deadline: Instant,
        account: &mut Account,
    ) -> Result<(), Problem> {
        let Answer { headers, mut body, _handed, .. } = answer;
        if is_encoded(&headers) {
            return Err(Problem::ResponseEncoded);
        }
        let scrubber = Scrubber::new(&dispatch.secrets);
        if dispatch.front_correlation != 0 {
            let head = VenueHead {
                status: account.status.into(),
                headers: passed_on(&headers, &scrubber),
                latency_us: micros(account.latency.unwrap_or_default()),
            };
            timeout_at(deadline, self.front.room()).await.map_err(|_| Problem::BodyCut)?;
            self.front
                .send(Kind::VenueHead, dispatch.front_correlation, &head)
                .map_err(|_| Problem::ResponseMalformed)?;
        }
        let mut scrubbing = scrubber.stream();
        let mut bytes = 0;
        loop {
            let piece = timeout_at(deadline, body.piece()).await;
            let Some(piece) = piece.unwrap_or(Err(Problem::Timeout))? else { break };
            bytes += piece.len() as u64;
            if bytes > self.response_bytes {
                return Err(Problem::BodyTooLong);
            }
            let certain = scrubbing.push(&piece);
            self.pass_piece(dispatch, &certain, deadline, account).await?;
        }
        let rest = scrubbing.finish();
        self.pass_piece(dispatch, &rest, deadline, account).await
    }

    async fn pass_piece(
        &self,
        dispatch: &Dispatch,
        piece: &[u8],
        deadline: Instant,
        account: &mut Account,
    ) -> Result<(), Problem> {
        account.finding.extend(piece);
        if dispatch.front_correlation == 0 {
            if account.body.len() + piece.len() > CORE_BODY_BYTES {
                return Err(Problem::BodyTooLong);
            }
            account.body.extend_from_slice(piece);
            return Ok(());
        }
        for piece in piece.chunks(PIECE_BYTES) {
            // A front that does not read holds up this body alone.
            timeout_at(deadline, self.front.room()).await.map_err(|_| Problem::BodyCut)?;
            let body = VenueBody { bytes: piece.to_vec() };
            self.front
                .send(Kind::VenueBody, dispatch.front_correlation, &body)
                .map_err(|_| Problem::BodyCut)?;
        }
        Ok(())
    }

    fn tell(
        &self,
        dispatch: &Dispatch,
        correlation: u64,
        account: Account,
        problem: Option<Problem>,
        arrived: Instant,
    ) {
        let code = problem.map(Problem::code).unwrap_or_default();
        if let Some(problem) = problem {
            let (venue, sent, status) = (&dispatch.venue, account.sent, account.status);
            // A bot must not be able to fill what is logged.
            if problem.is_at_will() {
                tracing::debug!(venue, code, sent, status, "request did not end well");
            } else {
                tracing::info!(venue, code, sent, status, "request did not end well");
            }
        }
        if dispatch.front_correlation != 0 {
            let end = VenueEnd {
                problem: code.to_owned(),
                sent: account.sent,
                retry_after_ms: account.retry_after.as_millis().try_into().unwrap_or(u64::MAX),
            };
            // Without regard to room: it is short, and nothing comes after it.
            let sent = self.front.send(Kind::VenueEnd, dispatch.front_correlation, &end);
            debug_assert!(sent.is_ok(), "it is short");
        }
        let [order_id, error_code] =
            account.finding.read(&dispatch.order_id_at, &dispatch.error_code_at);
        if !error_code.is_empty() {
            let key = (host(&dispatch.url), self.source(&dispatch.credential));
            self.health.borrow_mut().refused(&key, &dispatch.venue, &error_code, Now::read());
        }
        let outcome = Outcome {
            status: account.status.into(),
            problem: code.to_owned(),
            sent: account.sent,
            latency_us: micros(account.latency.unwrap_or_else(|| arrived.elapsed())),
            order_id,
            error_code,
            attempts: account.attempts,
            body: account.body,
        };
        let sent = self.core.send(Kind::Outcome, correlation, &outcome);
        debug_assert!(sent.is_ok(), "a body for the core is below the limit of a frame");
    }
}

/// Gives a request to a connection and waits for the head of its response.
async fn attempt<'a>(
    lease: &mut Lease,
    request: &VenueRequest,
    flight: &'a Boarded,
    deadline: Instant,
) -> Result<Answer<'a>, Failure> {
    let unsent = |problem| Failure { problem, sent: false, is_refused: false };
    match lease {
        Lease::Framed(stream) => {
            let head = request.framed().ok_or(unsent(Problem::RequestMalformed))?;
            let ready = timeout_at(deadline, stream.sender().ready()).await;
            let ready = ready.map_err(|_| unsent(Problem::Timeout))?;
            let mut sender = ready.map_err(|_| unsent(Problem::ConnectionLost))?;
            // From here to where the request is with the connection nothing else runs.
            if flight.is_fenced() {
                return Err(unsent(Problem::Barrier));
            }
            let ends = request.body.is_empty();
            let (response, mut body) =
                sender.send_request(head, ends).map_err(|_| unsent(Problem::ConnectionLost))?;
            let number = response.stream_id().as_u32();
            let handed = Handed::new(flight, stream.link(), number, request.body.len());
            if !ends && body.send_data(request.body.clone(), true).is_err() {
                return Err(handed.failure(Problem::ConnectionLost, false));
            }
            match timeout_at(deadline, response).await {
                Ok(Ok(response)) => {
                    let (parts, body) = response.into_parts();
                    Answer::new(parts, Body::Framed(body), handed)
                }
                Ok(Err(error)) => {
                    let is_refused = error.is_remote()
                        && (error.is_go_away()
                            || (error.is_reset()
                                && error.reason() == Some(h2::Reason::REFUSED_STREAM)));
                    let problem = if error.is_library() {
                        Problem::ResponseMalformed
                    } else {
                        Problem::ConnectionLost
                    };
                    Err(handed.failure(problem, is_refused))
                }
                Err(_) => Err(handed.failure(Problem::Timeout, false)),
            }
        }
        Lease::Plain { link, sender, .. } => {
            let whole = request.plain().ok_or(unsent(Problem::RequestMalformed))?;
            if flight.is_fenced() {
                return Err(unsent(Problem::Barrier));
            }
            let handed = Handed::new(flight, link, ONLY, request.body.len());
            let response = sender.send_request(whole);
            match timeout_at(deadline, response).await {
                Ok(Ok(response)) => {
                    let (parts, body) = response.into_parts();
                    Answer::new(parts, Body::Plain(body), handed)
                }
                Ok(Err(error)) if error.is_parse() => {
                    Err(handed.failure(Problem::ResponseMalformed, false))
                }
                Ok(Err(_)) => Err(handed.failure(Problem::ConnectionLost, false)),
                Err(_) => {
                    // What is not written by now never will be.
                    link.cut();
                    Err(handed.failure(Problem::Timeout, false))
                }
            }
        }
    }
}

impl Handed<'_> {
    fn failure(&self, problem: Problem, is_refused: bool) -> Failure {
        let sent = self.is_sent();
        let was_cut = self.link.is_cut() && self.flight.is_fenced();
        if !sent {
            // A library may still hold bytes of it, and would write them after all: what is called
            // unsent must stay so, though others on the connection pay for it.
            self.link.cut();
        }
        let problem = if was_cut && !sent { Problem::Barrier } else { problem };
        Failure { problem, sent, is_refused }
    }
}

impl<'a> Answer<'a> {
    fn new(parts: http::response::Parts, body: Body, handed: Handed<'a>) -> Result<Self, Failure> {
        // Nobody asked for another protocol.
        if parts.status.is_informational() {
            return Err(handed.failure(Problem::ResponseMalformed, false));
        }
        Ok(Self { status: parts.status, headers: parts.headers, body, _handed: handed })
    }
}

fn micros(duration: Duration) -> u64 {
    duration.as_micros().try_into().unwrap_or(u64::MAX)
}

/// The host of a URL, as far as it can be told; what is no URL is refused elsewhere.
fn host(url: &str) -> String {
    let rest = url.strip_prefix("https://").unwrap_or_default();
    rest.split('/').next().unwrap_or_default().to_owned()
}
