//! The life of one request: asked for, sent, answered, told of.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use tokio::time::{Instant, timeout_at};
use vault_ipc::proto::v1::Header;
use vault_ipc::{Dispatch, Kind, Outcome, REPORTS_MAX, Report, VenueBody, VenueEnd, VenueHead};

use crate::asker::Asker;
use crate::finding::Finding;
use crate::flight::Boarded;
use crate::health::{Health, Now, Paused, VenueKey};
use crate::hold::{Held, Holder, conceal};
use crate::link::Link;
use crate::outbox::Outbox;
use crate::pointer;
use crate::pool::{Lease, Pool, Pools};
use crate::problem::Problem;
use crate::request::VenueRequest;
use crate::response::{Body, is_encoded, passed_on};
use crate::scrub::Scrubber;

/// Bytes of a body in one frame.
const PIECE_BYTES: usize = 64 << 10;
/// Longest body that is looked into for the core, in bytes.
const CORE_BODY_BYTES: usize = 4 << 20;
/// Longest body in which texts are held back, in bytes.
const HELD_BODY_BYTES: usize = 64 << 10;
/// What a venue must have got, for its silence to count against it. Milliseconds.
pub(crate) const PATIENCE_MS: u32 = 5_000;
/// How often a request is tried that has left no byte.
const TRIES_MAX: u32 = 3;
/// The number of the one request on a connection of HTTP/1.1.
const ONLY: u32 = 1;

/// What every request needs.
pub(crate) struct Sender {
    pub(crate) core: Rc<Outbox>,
    pub(crate) front: Rc<Outbox>,
    pub(crate) health: Rc<RefCell<Health>>,
    pub(crate) holder: Rc<RefCell<Holder>>,
    pub(crate) pools: Pools,
    pub(crate) response_bytes: u64,
    pub(crate) sources: HashMap<String, IpAddr>,
}

/// What has become of a request so far.
#[derive(Default)]
struct Account {
    attempts: u32,
    /// Of a request of the core's own.
    body: Vec<u8>,
    finding: Finding,
    held: Vec<String>,
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
        mut dispatch: Dispatch,
        correlation: u64,
        flight: Boarded,
        arrived: Instant,
    ) {
        let mut account = Account::default();
        let key = (host(&dispatch.url), self.source(&dispatch.credential));
        let begun = self.health.borrow_mut().begin(&key, &dispatch.venue, Now::read());
        let revealed = self.reveal(&mut dispatch);
        let ended = match &revealed {
            Ok(revealed) => {
                self.go(&dispatch, revealed, &key, &flight, arrived, &mut account).await
            }
            Err(problem) => Err(*problem),
        };
        drop(flight);
        if begun {
            self.health.borrow_mut().end(&key, ended.err());
        }
        self.tell(&dispatch, correlation, account, ended.err(), arrived);
    }

    /// Tells of a request that was not even begun.
    pub(crate) fn turn_away(&self, dispatch: &Dispatch, correlation: u64, problem: Problem) {
        self.tell(dispatch, correlation, Account::default(), Some(problem), Instant::now());
    }

    pub(crate) fn source(&self, credential: &str) -> Option<IpAddr> {
        self.sources.get(credential).copied()
    }

    /// Puts in what handles stand for.
    fn reveal(&self, dispatch: &mut Dispatch) -> Result<Vec<Rc<Held>>, Problem> {
        if dispatch.handles.is_empty() {
            return Ok(Vec::new());
        }
        let mut url = std::mem::take(&mut dispatch.url).into_bytes();
        let mut places = [&mut url, &mut dispatch.body];
        let now = std::time::Instant::now();
        let found =
            self.holder.borrow().reveal(&dispatch.venue, &dispatch.handles, &mut places, now);
        dispatch.url = String::from_utf8(url).map_err(|_| Problem::RequestMalformed)?;
        found
    }

    async fn go(
        &self,
        dispatch: &Dispatch,
        revealed: &[Rc<Held>],
        key: &VenueKey,
        flight: &Boarded,
        arrived: Instant,
        account: &mut Account,
    ) -> Result<(), Problem> {
        let request = VenueRequest::new(dispatch)?;
        let asker = Asker::new(&dispatch.client, &dispatch.class);
        let admitted = self.health.borrow_mut().admit(key, &asker, Now::read());
        let is_trial = admitted.map_err(|Paused(left)| {
            account.retry_after = left;
            Problem::VenuePaused
        })?;
        let deadline = arrived + Duration::from_millis(dispatch.timeout_ms.into());
        let ended = match self.pools.pool(&dispatch.credential, &request.host, key.1) {
            Ok(pool) => {
                let times = (arrived, deadline);
                let venue = (key, &asker);
                self.exchange(dispatch, revealed, &request, &pool, venue, flight, times, account)
                    .await
            }
            Err(problem) => Err(problem),
        };
        if is_trial {
            self.health.borrow_mut().tried(key, &asker);
        }
        ended
    }

    #[expect(clippy::too_many_arguments, reason = "each is a thing of its own")]
    async fn exchange(
        &self,
        dispatch: &Dispatch,
        revealed: &[Rc<Held>],
        request: &VenueRequest,
        pool: &Rc<Pool>,
        (key, asker): (&VenueKey, &Asker),
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
                lease = timeout_at(deadline, pool.lease(asker)) => lease.unwrap_or(Err(Problem::Timeout)),
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
                self.health.borrow_mut().failed(key, asker, Now::read());
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
        let (status, headers) = (account.status, &answer.headers);
        let wish = self.health.borrow_mut().answered(key, asker, status, headers, Now::read());
        account.retry_after = wish.unwrap_or_default();
        // Takes the answer, and with it what follows the request on its connection.
        let passed = self.pass_on(dispatch, revealed, answer, deadline, account).await;
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
        revealed: &[Rc<Held>],
        answer: Answer<'_>,
        deadline: Instant,
        account: &mut Account,
    ) -> Result<(), Problem> {
        let Answer { headers, mut body, _handed, .. } = answer;
        if is_encoded(&headers) {
            return Err(Problem::ResponseEncoded);
        }
        if !dispatch.holds.is_empty() || !revealed.is_empty() {
            return self
                .pass_on_held(dispatch, revealed, &headers, &mut body, deadline, account)
                .await;
        }
        let scrubber = self.scrubber(dispatch, &[]);
        self.pass_head(dispatch, passed_on(&headers, &scrubber), deadline, account).await?;
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

    /// Passes head and body on with handles where texts stood that authorise. Nothing of the response
    /// is passed on before all of it was looked into.
    async fn pass_on_held(
        &self,
        dispatch: &Dispatch,
        revealed: &[Rc<Held>],
        headers: &HeaderMap,
        body: &mut Body,
        deadline: Instant,
        account: &mut Account,
    ) -> Result<(), Problem> {
        let mut bytes = Vec::new();
        loop {
            let piece = timeout_at(deadline, body.piece()).await;
            let piece = piece.unwrap_or(Err(Problem::Timeout));
            // Half of it cannot be told from what authorises.
            let Some(piece) = piece.map_err(|_| Problem::HoldFailed)? else { break };
            if bytes.len() + piece.len() > HELD_BODY_BYTES {
                return Err(Problem::HoldFailed);
            }
            bytes.extend_from_slice(&piece);
        }
        account.finding.extend(&bytes);
        let mut held = self.hold(dispatch, &bytes, account)?;
        account.held = held.iter().map(|held| held.handle.clone()).collect();
        held.extend(revealed.iter().map(Rc::clone));
        // Letters written by their numbers would hide a text from what follows.
        if memchr::memmem::find(&bytes, b"\\u").is_some() && !account.held.is_empty() {
            return Err(Problem::HoldFailed);
        }
        conceal(&mut bytes, &held);
        // Whatever says it otherwise is struck out.
        let scrubber = self.scrubber(dispatch, &held);
        scrubber.scrub(&mut bytes);
        let mut head = passed_on(headers, &scrubber);
        for header in head.iter_mut().filter(|header| header.name == "content-length") {
            header.value = bytes.len().to_string();
        }
        self.pass_head(dispatch, head, deadline, account).await?;
        account.finding = Finding::default();
        self.pass_piece(dispatch, &bytes, deadline, account).await
    }

    /// Keeps what the core wants kept of a body.
    fn hold(
        &self,
        dispatch: &Dispatch,
        bytes: &[u8],
        account: &Account,
    ) -> Result<Vec<Rc<Held>>, Problem> {
        let pointers = dispatch.holds.iter().map(|hold| &hold.at);
        let found = pointer::find(bytes, pointers, dispatch.holds.len()).ok();
        let is_read = found.is_some();
        let found = found.map(|findings| findings.found).unwrap_or_default();
        let is_of = (dispatch.venue.as_str(), dispatch.credential.as_str());
        let mut all = Vec::new();
        for (at, hold) in dispatch.holds.iter().enumerate() {
            let Some(found) = found.iter().find(|found| found.at == at) else {
                // An error says no key. That it is one, the venue must have said.
                let [_, error_code] = account.finding.read(&[], &dispatch.error_code_at);
                let is_optional = hold.optional && is_read;
                if is_optional || account.status >= 400 || !error_code.is_empty() {
                    continue;
                }
                return Err(Problem::HoldFailed);
            };
            let now = std::time::Instant::now();
            let held = if found.is_text {
                let named = (hold.owner.as_str(), hold.handle.as_str());
                self.holder.borrow_mut().hold(is_of, named, &found.text, now)
            } else {
                None
            };
            all.push(held.ok_or(Problem::HoldFailed)?);
        }
        Ok(all)
    }

    /// Looks for what authorised the request, and for what is held for its credential.
    fn scrubber(&self, dispatch: &Dispatch, also: &[Rc<Held>]) -> Scrubber {
        let held = self.holder.borrow().of(&dispatch.credential);
        let texts = held.iter().chain(also).map(|held| held.text.as_str());
        Scrubber::new(dispatch.secrets.iter().map(String::as_str).chain(texts))
    }

    async fn pass_head(
        &self,
        dispatch: &Dispatch,
        headers: Vec<Header>,
        deadline: Instant,
        account: &Account,
    ) -> Result<(), Problem> {
        if dispatch.front_correlation == 0 {
            return Ok(());
        }
        let latency_us = micros(account.latency.unwrap_or_default());
        let head = VenueHead { status: account.status.into(), headers, latency_us };
        timeout_at(deadline, self.front.room()).await.map_err(|_| Problem::BodyCut)?;
        self.front
            .send(Kind::VenueHead, dispatch.front_correlation, &head)
            .map_err(|_| Problem::ResponseMalformed)
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
        let (problem, report, report_cut) = report(dispatch, &account, problem);
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
            report,
            report_cut,
            held: account.held,
        };
        if self.core.send(Kind::Outcome, correlation, &outcome).is_err() {
            // As many values as may be, each as long as may be, are longer than a frame.
            let short = Outcome { report: Vec::new(), report_cut: true, ..outcome };
            let sent = self.core.send(Kind::Outcome, correlation, &short);
            debug_assert!(sent.is_ok(), "without its report it is short");
        }
    }
}

/// What the core wants to know of a response to a request of its own. A body that says nothing
/// clearly is a problem: the core must not take silence for an empty list.
fn report(
    dispatch: &Dispatch,
    account: &Account,
    problem: Option<Problem>,
) -> (Option<Problem>, Vec<Report>, bool) {
    if dispatch.front_correlation != 0 || dispatch.report_at.is_empty() || problem.is_some() {
        return (problem, Vec::new(), false);
    }
    let Ok(findings) = pointer::find(&account.body, &dispatch.report_at, REPORTS_MAX) else {
        return (Some(Problem::ResponseMalformed), Vec::new(), false);
    };
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let report = findings.found.into_iter().map(|found| Report {
        at: number(found.at),
        row: number(found.row),
        value: found.text,
    });
    (None, report.collect(), findings.is_cut)
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

pub(crate) fn micros(duration: Duration) -> u64 {
    duration.as_micros().try_into().unwrap_or(u64::MAX)
}

/// The host of a URL, as far as it can be told; what is no URL is refused elsewhere.
fn host(url: &str) -> String {
    let rest = url.strip_prefix("https://").unwrap_or_default();
    rest.split('/').next().unwrap_or_default().to_owned()
}
