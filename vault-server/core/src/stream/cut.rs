//! How WebSockets end: by one of their ends, or because something that they stand on does not hold
//! any more.

use vault_ipc::{Failure, Kind, StreamCut};
use vault_model::{Class, HaltLevel, HaltTarget, Mode, Timestamp};
use vault_policy::{Denial, Outside};
use vault_venue::SocketKind;

use super::open::operation;
use super::{Read, Stream};
use crate::authorize::Facts;
use crate::caller::{Use, identify};
use crate::error::{StreamProblem, VaultError};
use crate::journal::Channel;
use crate::vault::Vault;

impl Vault {
    /// The front's end of a WebSocket is gone, or nobody waits for it any more. What ended already
    /// is not looked for: its end and ours may cross.
    pub(crate) fn stream_left(&mut self, front: u64) {
        if let Some(id) = self.streams.leave(front) {
            self.journal.frame(Channel::Egress, Kind::StreamCut, id, &StreamCut::default());
        }
    }

    /// The venue's end of a WebSocket is gone.
    ///
    /// # Errors
    ///
    /// [`VaultError::Internal`] for one that was not open.
    pub(crate) fn stream_ended(&mut self, id: u64) -> Result<(), VaultError> {
        if self.streams.end(id) {
            Ok(())
        } else {
            Err(VaultError::Internal("egress ended a stream that was not open"))
        }
    }

    /// Cuts the WebSockets that the clock has ended.
    pub(crate) fn cut_expired_streams(&mut self, now: Timestamp) {
        self.cut_where(|vault, stream| {
            identify(vault.tables(), &stream.caller, Use::Call, now).err()
        });
    }

    /// Cuts the WebSockets that may not go on after a change of policy: those that a halt touches,
    /// and those whose client could not open them again, log on and read what they read. To be
    /// called before the barrier, so that its confirmation holds for them too.
    pub(crate) fn cut_streams(&mut self, halted: Option<&HaltTarget>, now: Timestamp) {
        self.cut_where(|vault, stream| {
            if let Some(error) = halted.and_then(|target| vault.halted(stream, target)) {
                return Some(error);
            }
            vault.stands(stream, now).err()
        });
    }

    /// Cuts one, for a reason that its bot is told.
    pub(super) fn cut_stream(&mut self, id: u64, error: &VaultError) {
        let Some(stream) = self.streams.open.get(&id) else {
            return;
        };
        let front = stream.front;
        if self.streams.leave(front).is_none() {
            return;
        }
        let cut = StreamCut { failure: Some(Failure::from(error)) };
        self.journal.frame(Channel::Front, Kind::StreamCut, front, &cut);
        self.journal.frame(Channel::Egress, Kind::StreamCut, id, &StreamCut::default());
    }

    fn cut_where(&mut self, over: impl Fn(&Self, &Stream) -> Option<VaultError>) {
        for id in self.streams.whole() {
            let stream = self.streams.open.get(&id);
            if let Some(error) = stream.and_then(|stream| over(self, stream)) {
                self.cut_stream(id, &error);
            }
        }
    }

    /// Why a halt cuts a WebSocket. One of new risk cuts it as well: what was sent on it before can
    /// still be on its way. Its bot may come back, and is judged message by message.
    fn halted(&self, stream: &Stream, target: &HaltTarget) -> Option<VaultError> {
        let venue = stream.socket.venue;
        let touches = match target {
            HaltTarget::All => true,
            HaltTarget::Client(name) => *name == stream.client,
            // By which credential requests came that are signed one by one is not kept.
            HaltTarget::Credential(name) => {
                let is_of_venue =
                    || self.tables().credentials.get(name).is_some_and(|row| row.venue == venue);
                let mut known = stream.credentials().peekable();
                match known.peek() {
                    Some(_) => known.any(|one| one == name),
                    None => stream.socket.kind != SocketKind::Public && is_of_venue(),
                }
            }
            // Which symbols came over it is not kept: any of the venue's is the safe answer.
            HaltTarget::Symbol { venue: halted, .. } | HaltTarget::Venue(halted) => {
                halted.as_str() == venue
            }
        };
        if !touches {
            return None;
        }
        let level = self.tables().halts.get(target).map(|row| row.level);
        Some(VaultError::Deny(match level {
            Some(HaltLevel::NoNewRisk) => {
                let operation = operation(&stream.request);
                Denial::HaltNoNewRisk(Outside { operation, class: Class::Read, stated: true })
            }
            Some(HaltLevel::Nothing) | None => Denial::HaltNothing,
        }))
    }

    /// Whether a WebSocket could be opened again as it is.
    fn stands(&self, stream: &Stream, now: Timestamp) -> Result<(), VaultError> {
        let caller = identify(self.tables(), &stream.caller, Use::Call, now)?;
        self.check_networks(&caller)?;
        let asked = self.asked(&caller, stream.front, Mode::Execute, 0, now);
        self.admit_socket(asked, &stream.socket, &stream.request, &mut Facts::default())?;
        if stream.is_crowded {
            return Err(VaultError::Stream(StreamProblem::Changed));
        }
        let again = |read: &Read| {
            let mut facts = Facts::default();
            self.judge_read(asked, &stream.socket, &read.credential, &read.reading, &mut facts)?;
            if self.version_of(&read.credential) == read.version {
                Ok(())
            } else {
                Err(VaultError::Stream(StreamProblem::Changed))
            }
        };
        for read in &stream.reads {
            again(read)?;
        }
        if let Some(logged_on) = &stream.logged_on {
            again(&logged_on.read)?;
        }
        Ok(())
    }
}
