//! What an act is to do, and who asks for it.

use std::collections::BTreeMap;

use vault_audit::{Entry, EntryKind, Hash};
use vault_ipc::proto::v1;
use vault_model::{HaltTarget, Name, Serial};

use crate::approval::Approved;
use crate::caller::{Caller, Origin};
use crate::journal::Channel;
use crate::storage::{Changes, CommandNonce};
use crate::vault::Vault;

/// Whom to answer, and who is to be named in the log.
#[derive(Clone, Debug)]
pub struct Asker {
    /// Where the answer goes.
    pub channel: Channel,
    /// The call it answers.
    pub correlation: u64,
    /// Who, if a certificate says so.
    pub caller: Option<Caller>,
    /// Where from.
    pub origin: Origin,
    /// The command's nonce, kept in the database with the act.
    pub nonce: Option<CommandNonce>,
    /// SHA-256 of the command's signature.
    pub signature_hash: Option<Hash>,
}

impl Asker {
    /// Names the command in the entry of what it did, if that is no act: of acts the database
    /// remembers the nonce, of all else the log.
    pub fn note_command(&self, entry: &mut Entry) {
        if let Some(CommandNonce { expires_at, nonce }) = &self.nonce {
            entry.detail.insert("command".to_owned(), hex::encode(nonce));
            entry.detail.insert("expires_at".to_owned(), expires_at.micros().to_string());
        }
    }
}

/// An act that was found good and is to be carried out.
pub struct Plan {
    /// The RPC, for the log.
    pub operation: &'static str,
    /// Rows to write and delete.
    pub changes: Changes,
    /// Facts for the log.
    pub detail: BTreeMap<String, String>,
    /// Of others than the asker; verified.
    pub approvals: Vec<Approved>,
    /// The credential or scope it is about, for the log.
    pub credential: Option<Name>,
    /// The scope it is about, for the log.
    pub scope: Option<Name>,
    /// Set if the act forbids something: certificates whose connections are cut at the barrier.
    pub barrier: Option<Vec<Serial>>,
    /// What the act halts: WebSockets that it touches end, whatever the halt lets pass.
    pub halts: Option<HaltTarget>,
    /// An entry beside the act's own.
    pub also: Option<(EntryKind, BTreeMap<String, String>)>,
    /// Makes the encoded response.
    pub respond: Respond,
}

/// Makes the encoded response of an act that was carried out.
pub type Respond = Box<dyn FnOnce(&Vault, v1::Change) -> Vec<u8>>;

impl Plan {
    /// A plan with its rows and its answer.
    pub fn new(
        operation: &'static str,
        changes: Changes,
        respond: impl FnOnce(&Vault, v1::Change) -> Vec<u8> + 'static,
    ) -> Self {
        Self {
            operation,
            changes,
            detail: BTreeMap::new(),
            approvals: Vec::new(),
            credential: None,
            scope: None,
            barrier: None,
            halts: None,
            also: None,
            respond: Box::new(respond),
        }
    }
}
