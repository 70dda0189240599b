//! What goes through a WebSocket that stands.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use vault_ipc::{Kind, StreamMessage};

use super::handshake::{MESSAGE_BYTES_MAX, Socket};
use super::{End, InHand, Queued, Stream, Streams};
use crate::link::Link;
use crate::outbox::Share;
use crate::problem::Problem;

/// How long a venue may take to make room for a message.
const WRITE_MAX: Duration = Duration::from_secs(10);
/// How long the answer to a close may take.
const CLOSE_MAX: Duration = Duration::from_secs(1);
/// Bytes of one WebSocket for the front beyond which it is not read on.
const FRONT_BYTES_MAX: usize = 1 << 20;
/// After so many messages in a row others have their turn.
const TURN: u32 = 32;

type Sink = SplitSink<Socket, Message>;

impl Streams {
    /// Reads and writes until one of the two ends.
    pub(super) async fn pump(&self, stream: &Stream, socket: Socket, link: &Rc<Link>) -> End {
        let (mut sink, mut messages) = socket.split();
        tokio::select! {
            biased;
            end = self.read_all(stream, &mut messages) => end,
            problem = self.write_all(stream, &mut sink, link) => problem.into(),
        }
    }

    async fn read_all(&self, stream: &Stream, messages: &mut SplitStream<Socket>) -> End {
        let front = &self.sender.front;
        let share = Share::default();
        let mut turn = 0;
        loop {
            stream.is_held_up.set(true);
            front.room_of(&share, FRONT_BYTES_MAX).await;
            if stream.is_held_up.replace(false) {
                stream.heard_at.set(stream.heard_at.get().max(Instant::now()));
            }
            turn = (turn + 1) % TURN;
            if turn == 0 {
                tokio::task::yield_now().await;
            }
            let Some(message) = messages.next().await else {
                return Problem::ConnectionLost.into();
            };
            stream.heard_at.set(Instant::now());
            let (bytes, binary) = match message {
                Ok(Message::Text(text)) => (Bytes::from(text), false),
                Ok(Message::Binary(bytes)) => (bytes, true),
                // The library answers the first by itself.
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
                Ok(Message::Close(close)) => {
                    // Its answer goes out as the stream is read to its end.
                    let _ = timeout(CLOSE_MAX, messages.next()).await;
                    let code = close.map(|close| u16::from(close.code)).unwrap_or_default();
                    return End { code, problem: None };
                }
                Err(Error::Capacity(_)) => return Problem::MessageTooLong.into(),
                Err(Error::Protocol(_) | Error::Utf8(_)) => {
                    return Problem::ResponseMalformed.into();
                }
                Err(_) => return Problem::ConnectionLost.into(),
            };
            let mut bytes = bytes.to_vec();
            let held = self.sender.holder.borrow().of(&stream.credential);
            stream.mask.borrow().cover(&mut bytes, &held);
            // Handles may be longer than what they stand for.
            if bytes.len() > MESSAGE_BYTES_MAX {
                return Problem::MessageTooLong.into();
            }
            let message = StreamMessage { bytes, binary };
            let sent =
                front.send_of(&share, Kind::StreamMessage, stream.front_correlation, &message);
            if sent.is_err() {
                return Problem::MessageTooLong.into();
            }
        }
    }

    async fn write_all(&self, stream: &Stream, sink: &mut Sink, link: &Rc<Link>) -> Problem {
        let mut number = 0;
        let mut asked_at = None;
        loop {
            let heard_at = stream.heard_at.get();
            let is_asked = asked_at == Some(heard_at);
            let patience = if is_asked { self.idle * 2 } else { self.idle };
            tokio::select! {
                biased;
                queued = stream.next() => {
                    number += 1;
                    if let Err(problem) = self.write(stream, sink, link, queued, number).await {
                        return problem;
                    }
                }
                () = sleep_until(heard_at + patience) => {
                    if stream.is_held_up.get() {
                        // It may have said much, and nobody has listened.
                        stream.heard_at.set(Instant::now());
                    } else if stream.heard_at.get() == heard_at {
                        if is_asked {
                            return Problem::Timeout;
                        }
                        asked_at = Some(heard_at);
                        let asked = timeout(WRITE_MAX, sink.send(Message::Ping(Bytes::new()))).await;
                        match asked {
                            Ok(Ok(())) => {}
                            Ok(Err(_)) => return Problem::ConnectionLost,
                            Err(_) => return Problem::Timeout,
                        }
                    }
                }
            }
        }
    }

    /// Writes one message, all of it or none. What it leaves in hand, [`Streams::settle`] tells of.
    async fn write(
        &self,
        stream: &Stream,
        sink: &mut Sink,
        link: &Rc<Link>,
        Queued { text, flight, outcome, arrived }: Queued,
        number: u32,
    ) -> Result<(), Problem> {
        *stream.in_hand.borrow_mut() = Some(InHand { flight, outcome, arrived, number: None });
        let ready = timeout(WRITE_MAX, poll_fn(|cx| sink.poll_ready_unpin(cx))).await;
        ready.map_err(|_| Problem::Timeout)?.map_err(|_| Problem::ConnectionLost)?;
        // From here to where the message is with the library nothing else runs.
        {
            let mut in_hand = stream.in_hand.borrow_mut();
            let Some(hand) = in_hand.as_mut() else { return Ok(()) };
            if hand.flight.is_fenced() {
                self.tell_outcome(outcome, Some(Problem::Barrier), false, arrived);
                *in_hand = None;
                return Ok(());
            }
            link.begin(number, 0);
            hand.flight.hand(link, number);
            hand.number = Some(number);
        }
        let written = timeout(WRITE_MAX, sink.send(Message::text(text))).await;
        written.map_err(|_| Problem::Timeout)?.map_err(|_| Problem::ConnectionLost)?;
        link.end_message(number);
        drop(stream.in_hand.take());
        link.forget(number);
        self.tell_outcome(outcome, None, true, arrived);
        Ok(())
    }
}

impl Stream {
    /// The next message, as soon as there is one.
    async fn next(&self) -> Queued {
        loop {
            let next = self.queue.borrow_mut().pop_front();
            if let Some(next) = next {
                self.queue_bytes.set(self.queue_bytes.get() - next.text.len());
                return next;
            }
            self.queue_bell.notified().await;
        }
    }
}
