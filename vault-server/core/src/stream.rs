//! WebSockets to venues, through the proxy. The front has the bot's end and egress the venue's; what
//! the bot writes comes through here, message by message, and is judged as a request is. What the
//! venue writes goes from egress to the front.
//!
//! A WebSocket is known from the call that asks for it until egress says that it has ended. It begins
//! with a front's number; between core and egress it has one of the core's. It is cut as soon as
//! anything that it stands on does not hold any more: certificate, network, scope, credential, halt.
//!
//! They are in memory only: a restart ends them all.

mod cut;
mod message;
mod open;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use vault_model::{ClockTime, Name, Reading, VenueRequest};
use vault_venue::{MessageId, Socket};

use crate::error::{StreamProblem, VaultError};

/// The WebSockets that there are.
#[derive(Default)]
pub struct Streams {
    of_client: HashMap<Name, usize>,
    /// Those whose front end is open: the front's numbers, and ours.
    of_front: HashMap<u64, u64>,
    /// All whose venue end may be open, by our numbers.
    open: HashMap<u64, Stream>,
    /// Messages whose outcome is awaited, by its correlation.
    awaited: HashMap<u64, Awaited>,
    /// What each client has left of openings, and since when.
    openings: HashMap<Name, (u32, ClockTime)>,
}

/// A message with an entry, until egress says whether it was written.
struct Awaited {
    front: u64,
    /// Index of its entry.
    intent: u64,
    id: Option<MessageId>,
}

/// A WebSocket.
struct Stream {
    /// Who holds the bot's end, as the front saw it.
    caller: vault_ipc::Caller,
    client: Name,
    /// The front's number.
    front: u64,
    socket: Arc<Socket>,
    /// As it was asked for: for the log.
    request: Arc<VenueRequest>,
    logged_on: Option<LoggedOn>,
    /// What private data may come in, but by the log-on.
    reads: Vec<Arc<Read>>,
    /// There was more to remember than is remembered: the next change of policy ends it.
    is_crowded: bool,
    refused: u32,
}

/// A credential by which a venue knows a WebSocket.
#[derive(Clone)]
struct LoggedOn {
    credential: Name,
    read: Arc<Read>,
}

/// Private data that a client may read, by which credential.
#[derive(Debug)]
struct Read {
    credential: Name,
    /// Of the key: a new one ends what stands on an old one.
    version: u32,
    reading: Reading,
}

impl Streams {
    /// Whether one more of a client may be opened.
    ///
    /// # Errors
    ///
    /// [`StreamProblem::TooMany`].
    fn check_room(&self, client: &Name) -> Result<(), VaultError> {
        let of_client = self.of_client.get(client).copied().unwrap_or(0);
        if of_client >= CLIENT_STREAMS_MAX || self.open.len() >= STREAMS_MAX {
            return Err(VaultError::Stream(StreamProblem::TooMany));
        }
        Ok(())
    }

    /// Takes one of a client's openings: [`OPENINGS_MAX`] at once, and one more with every second. Each
    /// is a connection from the address that all clients share, and venues count those.
    ///
    /// # Errors
    ///
    /// [`StreamProblem::TooMany`].
    fn take_opening(&mut self, client: &Name, now: ClockTime) -> Result<(), VaultError> {
        let (left, since) = self.openings.entry(client.clone()).or_insert((OPENINGS_MAX, now));
        let seconds = now.since(*since).as_secs();
        if seconds > 0 {
            let more = u32::try_from(seconds).unwrap_or(u32::MAX);
            (*left, *since) = (left.saturating_add(more).min(OPENINGS_MAX), now);
        }
        *left = left.checked_sub(1).ok_or(VaultError::Stream(StreamProblem::TooMany))?;
        Ok(())
    }

    /// One is being opened.
    ///
    /// # Errors
    ///
    /// [`VaultError::Internal`] for a number that the front has given to another.
    fn begin(&mut self, id: u64, stream: Stream) -> Result<(), VaultError> {
        if self.of_front.insert(stream.front, id).is_some() {
            return Err(VaultError::Internal("the front gave two streams one number"));
        }
        *self.of_client.entry(stream.client.clone()).or_default() += 1;
        self.open.insert(id, stream);
        Ok(())
    }

    /// The front's end is gone; returns our number, if it was there.
    fn leave(&mut self, front: u64) -> Option<u64> {
        self.of_front.remove(&front)
    }

    /// The venue's end is gone too; whether it was there.
    fn end(&mut self, id: u64) -> bool {
        let Some(stream) = self.open.remove(&id) else {
            return false;
        };
        // The front may have given its number to another since it left this one.
        if self.of_front.get(&stream.front) == Some(&id) {
            self.of_front.remove(&stream.front);
        }
        if let Some(count) = self.of_client.get_mut(&stream.client) {
            *count -= 1;
            if *count == 0 {
                self.of_client.remove(&stream.client);
            }
        }
        true
    }

    /// One whose both ends are open, by the front's number.
    fn of_front(&mut self, front: u64) -> Option<(u64, &mut Stream)> {
        let id = *self.of_front.get(&front)?;
        self.open.get_mut(&id).map(|stream| (id, stream))
    }

    /// Whose one is of which the front's end is open, by the front's number.
    pub(crate) fn client_of(&self, front: u64) -> Option<&Name> {
        self.open.get(self.of_front.get(&front)?).map(|stream| &stream.client)
    }

    /// Our numbers of those whose both ends are open.
    fn whole(&self) -> Vec<u64> {
        let mut ids: Vec<u64> = self.of_front.values().copied().collect();
        // One order for all: what is decided of the same things comes out the same.
        ids.sort_unstable();
        ids
    }
}

impl Stream {
    /// Remembers private data that may come in from now on.
    fn remember(&mut self, credential: Name, version: u32, reading: Reading) {
        // Symbols do not restrict what may be read.
        let (operation, products) = (&reading.stated.operation, &reading.stated.products);
        let known = |read: &Arc<Read>| {
            let stated = &read.reading.stated;
            read.credential == credential
                && (&stated.operation, &stated.products) == (operation, products)
        };
        if self.reads.iter().any(known) {
            return;
        }
        if self.reads.len() >= READS_MAX {
            self.is_crowded = true;
            return;
        }
        self.reads.push(Arc::new(Read { credential, version, reading }));
    }

    /// By which credentials private data may come in.
    fn credentials(&self) -> impl Iterator<Item = &Name> {
        let logged_on = self.logged_on.iter().map(|logged_on| &logged_on.credential);
        logged_on.chain(self.reads.iter().map(|read| &read.credential))
    }
}

/// How many WebSockets there may be.
pub const STREAMS_MAX: usize = 4_096;
/// Of these, how many of one client.
pub const CLIENT_STREAMS_MAX: usize = 64;
/// How many WebSockets a client may open at once, having opened none for long.
const OPENINGS_MAX: u32 = 128;
/// After so many refused messages a WebSocket is cut.
pub const REFUSED_MAX: u32 = 100;
/// Kinds of private data that are remembered of one WebSocket.
const READS_MAX: usize = 64;
/// The longest message taken from a bot.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
