//! One WebSocket, from the 101 to its last byte: the bot's messages to the core, the venue's to the
//! bot.
//!
//! The two ways do not wait for each other, but for two things. A bot that speaks too fast, or while
//! the core has too much to do, is not read. A bot that does not read loses its WebSocket, and nobody
//! else's.

use std::future::{Future, poll_fn};
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, Stream};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use vault_ipc::StreamMessage;

use super::link::{Link, Next, problem};
use super::pace::{Pace, Paced};
use super::{End, Outgoing};
use crate::io::Io;
use crate::limit::{Limits, WebSocketLimits};
use crate::registry::{Connection, Hold};

/// A connection that is to become a WebSocket as soon as the 101 is written.
#[derive(Debug)]
pub(crate) struct Upgrade {
    pub(crate) link: Link,
    pub(crate) on: OnUpgrade,
}

/// Where a connection's upgrade waits for the task that serves it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Upgrades(Arc<Mutex<Option<Upgrade>>>);

impl Upgrades {
    pub(crate) fn put(&self, upgrade: Upgrade) {
        *self.0.lock().expect("no panic while locked") = Some(upgrade);
    }

    pub(crate) fn take(&self) -> Option<Upgrade> {
        self.0.lock().expect("no panic while locked").take()
    }
}

/// Serves a WebSocket of which hyper is done, until it ends or its connection is cut.
pub(crate) async fn serve<T>(upgrade: Upgrade, connection: &Connection, limits: &Limits)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Upgrade { link, on } = upgrade;
    // hyper is gone: either it has handed the connection over, or it never will.
    let Ok(upgraded) = on.await else { return };
    let Ok(parts) = upgraded.downcast::<TokioIo<Io<T>>>() else {
        tracing::error!("an upgraded connection is not ours");
        return;
    };
    let (io, read) = (parts.io.into_inner(), parts.read_buf);
    let relay = Relay::new(io, &read, link, limits).await;
    let mut relay = pin!(relay.run());
    poll_fn(|cx| {
        connection.register_task(cx.waker());
        if connection.is_cut() {
            return Poll::Ready(());
        }
        connection.begin_turn();
        let polled = relay.as_mut().poll(cx);
        if polled.is_pending() {
            connection.settle();
        }
        polled
    })
    .await;
}

/// Read from the socket at once, in bytes.
const READ_BYTES: usize = 8 << 10;

/// Gathered before it is written to the socket, in bytes.
const WRITE_BYTES: usize = 16 << 10;

/// How long the venue's word of an end may take once the core has told of it.
const ORPHAN: Duration = Duration::from_secs(1);

/// How long to wait for a core that has too much to do.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// How much is read of a bot that has been told why it is not heard any more, in bytes.
const DEAF_BYTES_MAX: usize = 1 << 20;

struct Relay<T> {
    close: Duration,
    /// When the bot has last said anything.
    heard_at: Instant,
    keepalive: Duration,
    keepalive_timeout: Duration,
    link: Link,
    messages: Pace,
    orphan_until: Option<Instant>,
    phase: Phase,
    /// The bot was asked whether it is there.
    pinged: bool,
    sleep: Pin<Box<Sleep>>,
    /// A message of the bot that the core could not take yet, and when to try again.
    waiting: Option<(StreamMessage, Instant)>,
    ws: WebSocketStream<Paced<Io<T>>>,
}

enum Phase {
    Open,
    /// The bot has closed it: our answer is on its way.
    ByBot {
        until: Instant,
    },
    ByUs(Closing),
}

/// An end of ours.
struct Closing {
    /// The bot has said what is no WebSocket: what comes of it is read and dropped.
    is_deaf: bool,
    /// Bytes dropped so far.
    deaf_bytes: usize,
    /// To be written yet.
    frame: Option<Option<CloseFrame>>,
    /// Until the frame is on the socket.
    hold: Option<Hold>,
    until: Instant,
}

/// The connection is of no use any more.
struct Gone;

impl<T: AsyncRead + AsyncWrite + Unpin> Relay<T> {
    async fn new(io: Io<T>, read: &Bytes, link: Link, limits: &Limits) -> Self {
        let WebSocketLimits { bot_message_bytes, close, .. } = limits.websocket;
        let WebSocketLimits { bytes_burst, bytes_per_second, .. } = limits.websocket;
        let WebSocketLimits { messages_burst, messages_per_second, .. } = limits.websocket;
        let now = Instant::now();
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(WRITE_BYTES)
            .max_message_size(Some(bot_message_bytes))
            .max_frame_size(Some(bot_message_bytes));
        let io = Paced::new(io, Pace::new(bytes_burst, bytes_per_second, now));
        let ws =
            WebSocketStream::from_partially_read(io, read.to_vec(), Role::Server, Some(config));
        Self {
            close,
            heard_at: now,
            keepalive: limits.keepalive_interval,
            keepalive_timeout: limits.keepalive_timeout,
            link,
            messages: Pace::new(messages_burst, messages_per_second, now),
            orphan_until: None,
            phase: Phase::Open,
            pinged: false,
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
            waiting: None,
            ws: ws.await,
        }
    }

    async fn run(mut self) {
        poll_fn(|cx| self.poll(cx)).await;
        // Told if there is room to: nobody waits for it.
        poll_fn(|cx| {
            let _ = Pin::new(self.ws.get_mut()).poll_shutdown(cx);
            Poll::Ready(())
        })
        .await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = Instant::now();
            let passed = self.pass(cx, now);
            let due = match passed {
                Err(Gone) => return Poll::Ready(()),
                Ok(due) => due,
            };
            if self.sleep.deadline() != due {
                self.sleep.as_mut().reset(due);
            }
            ready!(self.sleep.as_mut().poll(cx));
        }
    }

    /// Moves what can be moved; returns when to look again at the latest.
    fn pass(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<Instant, Gone> {
        let mut due = self.write(cx, now)?;
        due = due.min(self.read(cx, now)?);
        // What was read may have ended it.
        due = due.min(self.write(cx, now)?);
        Ok(due.min(self.keep_alive(cx, now)?))
    }

    /// Writes what there is for the bot, as far as the socket takes it.
    fn write(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<Instant, Gone> {
        let mut due = far(now);
        loop {
            if matches!(self.phase, Phase::Open)
                && let Some(end) = self.link.abrupt_end(cx)
            {
                self.end(end, now);
            }
            if Pin::new(&mut self.ws).poll_ready(cx).map_err(|_| Gone)?.is_pending() {
                break;
            }
            match self.next(cx, now, &mut due) {
                Some(message) => {
                    Pin::new(&mut self.ws).start_send(message).map_err(|_| Gone)?;
                }
                None => break,
            }
        }
        let flushed = Pin::new(&mut self.ws).poll_flush(cx).map_err(|_| Gone)?;
        match &mut self.phase {
            Phase::Open => {}
            Phase::ByBot { until } => {
                if now >= *until {
                    return Err(Gone);
                }
                due = due.min(*until);
            }
            Phase::ByUs(closing) => {
                if now >= closing.until {
                    return Err(Gone);
                }
                due = due.min(closing.until);
                if flushed.is_ready() && closing.frame.is_none() {
                    // The bot is told, and nothing waits behind it.
                    closing.hold = None;
                }
            }
        }
        Ok(due)
    }

    /// The next message to write.
    fn next(&mut self, cx: &mut Context<'_>, now: Instant, due: &mut Instant) -> Option<Message> {
        loop {
            match &mut self.phase {
                Phase::Open => {}
                Phase::ByBot { .. } => return None,
                Phase::ByUs(closing) => return closing.frame.take().map(Message::Close),
            }
            match self.link.poll_next(cx) {
                Poll::Pending => return None,
                Poll::Ready(Next::Message(outgoing)) => match message(outgoing) {
                    Some(message) => return Some(message),
                    None => self.close(CloseCode::Error, "RESPONSE_MALFORMED", now),
                },
                Poll::Ready(Next::End(end)) => self.end(end, now),
                Poll::Ready(Next::Orphan) => {
                    let until = *self.orphan_until.get_or_insert(now + ORPHAN);
                    if now < until {
                        *due = until.min(*due);
                        return None;
                    }
                    self.link.forget();
                    self.close(CloseCode::Error, "CONNECTION_LOST", now);
                }
            }
        }
    }

    /// Reads what the bot says, as fast as it may speak.
    fn read(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<Instant, Gone> {
        loop {
            if let Phase::ByUs(closing) = &mut self.phase
                && closing.is_deaf
            {
                return drop_read(&mut self.ws, closing, cx).map(|()| far(now));
            }
            if matches!(self.phase, Phase::Open) {
                if let Some((message, again_at)) = self.waiting.take() {
                    if now < again_at {
                        self.waiting = Some((message, again_at));
                        return Ok(again_at);
                    }
                    if let ControlFlow::Break(due) = self.say(message, now) {
                        return Ok(due);
                    }
                }
                if let Some(due) = self.messages.due(now) {
                    return Ok(due);
                }
            }
            let read = match Pin::new(&mut self.ws).poll_next(cx) {
                Poll::Pending => return Ok(far(now)),
                Poll::Ready(None) => return Err(Gone),
                Poll::Ready(Some(read)) => read,
            };
            (self.heard_at, self.pinged) = (now, false);
            self.messages.take(1, now);
            match (read, &self.phase) {
                (Ok(Message::Text(text)), Phase::Open) => {
                    let bytes = Bytes::from(text).into();
                    let message = StreamMessage { bytes, binary: false };
                    if let ControlFlow::Break(due) = self.say(message, now) {
                        return Ok(due);
                    }
                }
                (Ok(Message::Binary(bytes)), Phase::Open) => {
                    // For the core to refuse, as whatever else it does not take.
                    let message = StreamMessage { bytes: bytes.into(), binary: true };
                    if let ControlFlow::Break(due) = self.say(message, now) {
                        return Ok(due);
                    }
                }
                (Ok(Message::Close(frame)), Phase::Open) => {
                    self.link.end(frame.map_or(0, |frame| frame.code.into()), "");
                    self.phase = Phase::ByBot { until: now + self.close };
                }
                // Pings are answered below us.
                (Ok(_), _) => {}
                (Err(error), Phase::Open) => {
                    let (code, reason) = match error {
                        Error::Capacity(_) => (CloseCode::Size, "MESSAGE_TOO_LONG"),
                        Error::Utf8(_) => (CloseCode::Invalid, "MESSAGE_NOT_UTF8"),
                        Error::Protocol(error) if !is_reset(&error) => {
                            (CloseCode::Protocol, "WEBSOCKET_MALFORMED")
                        }
                        _ => return Err(Gone),
                    };
                    self.close(code, reason, now);
                    if let Phase::ByUs(closing) = &mut self.phase {
                        closing.is_deaf = true;
                    }
                }
                (Err(_), _) => return Err(Gone),
            }
        }
    }

    /// Passes a message on, or keeps it until the core takes it.
    fn say(&mut self, message: StreamMessage, now: Instant) -> ControlFlow<Instant> {
        match self.link.send(message) {
            Ok(()) => ControlFlow::Continue(()),
            Err(message) => {
                let again_at = now + BUSY_PAUSE;
                self.waiting = Some((message, again_at));
                ControlFlow::Break(again_at)
            }
        }
    }

    /// Asks a silent bot whether it is there, and gives up one that does not answer.
    fn keep_alive(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<Instant, Gone> {
        if !matches!(self.phase, Phase::Open) {
            return Ok(far(now));
        }
        let ask_at = self.heard_at + self.keepalive;
        let gone_at = ask_at + self.keepalive_timeout;
        if now >= gone_at {
            self.link.end(0, "TIMEOUT");
            return Err(Gone);
        }
        if now < ask_at {
            return Ok(ask_at);
        }
        if !self.pinged && Pin::new(&mut self.ws).poll_ready(cx).map_err(|_| Gone)?.is_ready() {
            self.pinged = true;
            let ping = Message::Ping(Bytes::new());
            Pin::new(&mut self.ws).start_send(ping).map_err(|_| Gone)?;
            let _ = Pin::new(&mut self.ws).poll_flush(cx).map_err(|_| Gone)?;
        }
        Ok(gone_at)
    }

    /// Ends it as core or venue want it.
    fn end(&mut self, end: End, now: Instant) {
        match end {
            End::Cut { failure, hold } => {
                self.link.forget();
                self.close(CloseCode::Policy, &failure.reason, now);
                if let Phase::ByUs(closing) = &mut self.phase {
                    closing.hold = Some(hold);
                }
            }
            End::Unread => self.close(CloseCode::Again, "NOT_READ", now),
            End::Venue(end) => {
                let code = u16::try_from(end.code).unwrap_or(0);
                match problem(&end) {
                    "" => {
                        self.link.end(code, "");
                        let frame = (code != 0).then(|| frame(CloseCode::from(code), ""));
                        self.close_with(frame, now);
                    }
                    problem => self.close(CloseCode::Error, problem, now),
                }
            }
        }
    }

    /// Ends it with a code and its reason, which core and bot are told.
    fn close(&mut self, code: CloseCode, reason: &str, now: Instant) {
        self.link.end(code.into(), reason);
        self.close_with(Some(frame(code, reason)), now);
    }

    fn close_with(&mut self, frame: Option<CloseFrame>, now: Instant) {
        self.waiting = None;
        self.phase = Phase::ByUs(Closing {
            is_deaf: false,
            deaf_bytes: 0,
            frame: Some(frame),
            hold: None,
            until: now + self.close,
        });
    }
}

/// Reads what a bot sends that is not heard any more, so that it comes to read why.
fn drop_read<T: AsyncRead + AsyncWrite + Unpin>(
    ws: &mut WebSocketStream<Paced<Io<T>>>,
    closing: &mut Closing,
    cx: &mut Context<'_>,
) -> Result<(), Gone> {
    let mut bytes = [0; 4096];
    loop {
        let mut buf = ReadBuf::new(&mut bytes);
        match Pin::new(ws.get_mut()).poll_read(cx, &mut buf) {
            Poll::Pending => return Ok(()),
            Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                closing.deaf_bytes += buf.filled().len();
                if closing.deaf_bytes > DEAF_BYTES_MAX {
                    return Err(Gone);
                }
            }
            Poll::Ready(_) => return Err(Gone),
        }
    }
}

/// Later than anything that is waited for.
fn far(now: Instant) -> Instant {
    now + Duration::from_secs(60 * 60)
}

fn is_reset(error: &tokio_tungstenite::tungstenite::error::ProtocolError) -> bool {
    matches!(
        error,
        tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake
    )
}

/// A close frame that may be sent: codes that stand for what was never sent are none.
fn frame(code: CloseCode, reason: &str) -> CloseFrame {
    let code = if code.is_allowed() { code } else { CloseCode::Error };
    // A control frame has room for 125 bytes, of which the code takes two.
    let reason = if reason.len() <= 123 { reason } else { "" };
    CloseFrame { code, reason: reason.to_owned().into() }
}

/// `None` for a text that is none.
fn message(outgoing: Outgoing) -> Option<Message> {
    let Outgoing { bytes, is_binary } = outgoing;
    if is_binary {
        return Some(Message::Binary(bytes));
    }
    Utf8Bytes::try_from(bytes).ok().map(Message::Text)
}
