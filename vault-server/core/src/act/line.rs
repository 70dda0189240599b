//! Calls that wait until the act under way has ended.

use std::collections::VecDeque;

use prost::Message as _;
use vault_ipc::{CommandCall, EnrollCall, LocalCall};

use crate::error::VaultError;

/// A call that may become an act; kept while another act is under way.
#[derive(Clone, Debug)]
pub enum ActCall {
    /// An import whose key was checked.
    Checked(u64),
    /// A signed command.
    Command(CommandCall),
    /// An enrolment.
    Enroll(EnrollCall),
    /// A call over the local socket.
    Local(LocalCall),
}

impl ActCall {
    /// What it takes to keep it, about, in bytes.
    fn bytes(&self) -> usize {
        match self {
            // What it imports is kept elsewhere, and bounded there.
            Self::Checked(_) => 0,
            Self::Command(call) => call.encoded_len(),
            Self::Enroll(call) => call.encoded_len(),
            Self::Local(call) => call.encoded_len(),
        }
    }
}

/// A call that waits for the act under way.
struct Waiting {
    call: ActCall,
    bytes: usize,
    correlation: u64,
    /// Who may have one waiting call alone: a client's serial, or a token's id.
    alone: Option<Vec<u8>>,
}

/// How a call waits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Lane {
    /// One call for each of these (a client's serial, a token's id) at a time.
    Alone(Vec<u8>),
    /// An operator's.
    Operator,
    /// An operator's that forbids something.
    Urgent,
}

/// Those that wait, each in its order.
#[derive(Default)]
pub struct Line {
    /// Of operators who forbid something: they go first, whatever else waits.
    urgent: VecDeque<Waiting>,
    waiting: VecDeque<Waiting>,
}

impl Line {
    /// Keeps a call.
    ///
    /// # Errors
    ///
    /// [`VaultError::TooManyActs`].
    pub fn wait(&mut self, call: ActCall, correlation: u64, lane: Lane) -> Result<(), VaultError> {
        let (queue, alone) = match lane {
            Lane::Urgent => (&mut self.urgent, None),
            Lane::Operator => (&mut self.waiting, None),
            Lane::Alone(who) => (&mut self.waiting, Some(who)),
        };
        let has_one =
            alone.is_some() && queue.iter().any(|waiting| waiting.alone.as_ref() == alone.as_ref());
        // Nobody has looked at its signature yet: whoever speaks for the front may have made it.
        let bytes = call.bytes();
        let waiting_bytes: usize = queue.iter().map(|waiting| waiting.bytes).sum();
        if has_one
            || queue.len() >= WAITING_MAX
            || waiting_bytes.saturating_add(bytes) > WAITING_BYTES_MAX
        {
            return Err(VaultError::TooManyActs);
        }
        queue.push_back(Waiting { call, bytes, correlation, alone });
        Ok(())
    }

    /// The next call.
    pub fn next(&mut self) -> Option<(ActCall, u64)> {
        let next = self.urgent.pop_front().or_else(|| self.waiting.pop_front())?;
        Some((next.call, next.correlation))
    }
}

/// Calls that may wait, of those that only forbid and of all others.
const WAITING_MAX: usize = 1_024;
/// Their bytes.
const WAITING_BYTES_MAX: usize = 32 << 20;
