//! Signed commands: who may call what, and whether the command is theirs, fresh and used once.

use std::collections::{BTreeSet, HashSet};

use prost::Message;
use vault_ipc::proto::{command, v1};
use vault_model::{Role, Timestamp};

use crate::caller::Caller;
use crate::certificate::SubjectKey;
use crate::error::{CommandProblem, VaultError};
use crate::storage::CommandNonce;

macro_rules! methods {
    ($($(#[$doc:meta])* $method:ident = $name:literal, $roles:expr;)+) => {
        /// An RPC that takes a signed command.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Method {
            $($(#[$doc])* $method,)+
        }

        impl Method {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$method,)+];

            /// `vault.v1.Service/Rpc`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$method => concat!("vault.v1.", $name),)+
                }
            }

            /// Who may call it.
            pub fn roles(self) -> &'static [Role] {
                match self {
                    $(Self::$method => $roles,)+
                }
            }
        }
    };
}

const ADMIN: &[Role] = &[Role::Admin];
const ADMIN_GUARD: &[Role] = &[Role::Admin, Role::Guard];
const AUDITOR: &[Role] = &[Role::Auditor];
const OPERATORS: &[Role] = &[Role::Admin, Role::Auditor, Role::Guard];
const PRICER: &[Role] = &[Role::Pricer];
const ANYBODY: &[Role] = Role::ALL;

methods! {
    /// Streams the log.
    AuditExport = "AuditService/Export", AUDITOR;
    /// The newest checkpoint.
    AuditGetCheckpoint = "AuditService/GetCheckpoint", AUDITOR;
    /// Follows the log.
    AuditTail = "AuditService/Tail", AUDITOR;
    /// Describes a client.
    ClientDescribe = "ClientService/Describe", ADMIN;
    /// Invites a client.
    ClientInvite = "ClientService/Invite", ADMIN;
    /// Lists clients.
    ClientList = "ClientService/List", ADMIN;
    /// Renews the caller's own certificate.
    ClientRenew = "ClientService/Renew", ANYBODY;
    /// Revokes a client.
    ClientRevoke = "ClientService/Revoke", ADMIN;
    /// A ticket for an import.
    CredentialBeginImport = "CredentialService/BeginImport", ADMIN;
    /// Asks the venue what a key may do.
    CredentialCheck = "CredentialService/Check", ADMIN;
    /// Describes a credential.
    CredentialDescribe = "CredentialService/Describe", ADMIN;
    /// Disables a credential.
    CredentialDisable = "CredentialService/Disable", ADMIN;
    /// Enables a credential.
    CredentialEnable = "CredentialService/Enable", ADMIN;
    /// Imports a credential.
    CredentialImport = "CredentialService/Import", ADMIN;
    /// Lists credentials.
    CredentialList = "CredentialService/List", ADMIN;
    /// Cancels open orders.
    HaltCancelAll = "HaltService/CancelAll", ADMIN;
    /// Halts.
    HaltHalt = "HaltService/Halt", ADMIN_GUARD;
    /// Resumes.
    HaltResume = "HaltService/Resume", ADMIN;
    /// Halts in force.
    HaltStatus = "HaltService/Status", ADMIN_GUARD;
    /// Deletes instruments.
    InstrumentDelete = "InstrumentService/Delete", ADMIN;
    /// Approves instruments.
    InstrumentImport = "InstrumentService/Import", ADMIN;
    /// Lists instruments.
    InstrumentList = "InstrumentService/List", ADMIN;
    /// Invites an operator.
    OperatorInvite = "OperatorService/Invite", ADMIN;
    /// Lists operators.
    OperatorList = "OperatorService/List", ADMIN;
    /// Revokes an operator.
    OperatorRevoke = "OperatorService/Revoke", ADMIN;
    /// Deletes a feed of prices.
    PriceDeleteFeed = "PriceService/DeleteFeed", ADMIN;
    /// Lists feeds and prices.
    PriceList = "PriceService/List", ADMIN;
    /// Puts prices.
    PricePut = "PriceService/Put", PRICER;
    /// Makes a feed of prices.
    PricePutFeed = "PriceService/PutFeed", ADMIN;
    /// Deletes a scope.
    ScopeDelete = "ScopeService/Delete", ADMIN;
    /// Judges a request.
    ScopeExplain = "ScopeService/Explain", ADMIN;
    /// Shows a scope.
    ScopeGet = "ScopeService/Get", ADMIN;
    /// How far a replay is.
    ScopeGetReplay = "ScopeService/GetReplay", ADMIN;
    /// Lists scopes.
    ScopeList = "ScopeService/List", ADMIN;
    /// Writes a scope.
    ScopePut = "ScopeService/Put", ADMIN;
    /// Judges what was recorded by a candidate.
    ScopeStartReplay = "ScopeService/StartReplay", ADMIN;
    /// Seals the vault.
    SealSeal = "SealService/Seal", ADMIN_GUARD;
    /// State of the vault.
    SealStatus = "SealService/Status", OPERATORS;
    /// Unseals the vault.
    SealUnseal = "SealService/Unseal", ADMIN;
}

impl Method {
    /// The method of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|method| method.name() == name)
    }

    /// Whether it changes policy: such calls are carried out one after another.
    pub fn is_act(self) -> bool {
        matches!(
            self,
            Self::ClientInvite
                | Self::ClientRenew
                | Self::ClientRevoke
                | Self::CredentialDisable
                | Self::CredentialEnable
                | Self::CredentialImport
                | Self::HaltHalt
                | Self::HaltResume
                | Self::InstrumentDelete
                | Self::InstrumentImport
                | Self::OperatorInvite
                | Self::OperatorRevoke
                | Self::PriceDeleteFeed
                | Self::PricePutFeed
                | Self::ScopeDelete
                | Self::ScopePut
        )
    }

    /// Whether it is an act that only forbids: it goes before all others that wait.
    pub fn is_urgent(self) -> bool {
        matches!(
            self,
            Self::ClientRevoke | Self::CredentialDisable | Self::HaltHalt | Self::OperatorRevoke
        )
    }

    /// Whether it only forbids, stops, or takes risk away: it is heard before all others.
    pub fn stops(self) -> bool {
        self.is_urgent() || matches!(self, Self::HaltCancelAll | Self::SealSeal)
    }

    /// Whether it is heard while the vault is sealed.
    pub fn works_sealed(self) -> bool {
        matches!(self, Self::SealSeal | Self::SealStatus | Self::SealUnseal)
    }

    /// Refuses a caller whose role may not call it.
    ///
    /// # Errors
    ///
    /// [`VaultError::Role`].
    pub fn check_role(self, role: Role) -> Result<(), VaultError> {
        if self.roles().contains(&role) { Ok(()) } else { Err(VaultError::Role(role)) }
    }
}

/// Decodes the body of a command.
///
/// # Errors
///
/// [`VaultError::Command`].
pub fn body<M: Message + Default>(command: &v1::SignedCommand) -> Result<M, VaultError> {
    M::decode(command.body.as_slice()).map_err(|_| VaultError::Command(CommandProblem::Body))
}

/// Nonces of commands that were taken, and marks of approvals that were used. Those of acts are in the
/// database too. Operators have a table of their own: whatever bots send, an operator's command is
/// heard.
///
/// They are kept beyond their end: a wall clock that is put back would make what was over good again.
#[derive(Default)]
pub struct Nonces {
    approvals: Table,
    clients: Table,
    operators: Table,
}

#[derive(Default)]
struct Table {
    nonces: HashSet<Vec<u8>>,
    by_end: BTreeSet<(Timestamp, Vec<u8>)>,
    /// The latest end of those that were forgotten: what ends no later may be one of them.
    forgotten: Timestamp,
}

impl Table {
    /// Takes a nonce; `false` if it was there, or there is no room.
    fn take(&mut self, nonce: &[u8], expires_at: Timestamp, now: Timestamp) -> bool {
        self.make_room(now);
        if self.nonces.len() >= NONCES_MAX || expires_at <= self.forgotten {
            return false;
        }
        self.add(nonce, expires_at)
    }

    /// Whether it was taken, or may have been.
    fn has(&self, nonce: &CommandNonce) -> bool {
        nonce.expires_at <= self.forgotten || self.nonces.contains(&nonce.nonce)
    }

    fn add(&mut self, nonce: &[u8], expires_at: Timestamp) -> bool {
        let is_new = self.nonces.insert(nonce.to_vec());
        if is_new {
            self.by_end.insert((expires_at, nonce.to_vec()));
        }
        is_new
    }

    /// Forgets those that ended first, if there are too many and they are over.
    fn make_room(&mut self, now: Timestamp) {
        while self.nonces.len() >= KEPT_MAX
            && self.by_end.first().is_some_and(|(end, _)| *end <= now)
            && let Some((end, expired)) = self.by_end.pop_first()
        {
            self.nonces.remove(&expired);
            self.forgotten = self.forgotten.max(end);
        }
    }
}

impl Nonces {
    /// Goes on with what the database has kept. It does not say whose a nonce was: each stands in
    /// every table, where those of others meet nothing.
    pub fn resume(nonces: impl IntoIterator<Item = (Vec<u8>, Timestamp)>) -> Self {
        let mut resumed = Self::default();
        for (nonce, expires_at) in nonces {
            for table in [&mut resumed.approvals, &mut resumed.clients, &mut resumed.operators] {
                table.add(&nonce, expires_at);
            }
        }
        resumed
    }

    /// Whether an approval with this mark was used.
    pub fn is_used_up(&self, mark: &CommandNonce) -> bool {
        self.approvals.has(mark)
    }

    /// Remembers approvals of a change that is in the database, and their marks with it.
    pub fn use_up<'a>(
        &mut self,
        marks: impl IntoIterator<Item = &'a CommandNonce>,
        now: Timestamp,
    ) {
        self.approvals.make_room(now);
        for mark in marks {
            // However many there are: each took an act, and one that is forgotten could be replayed.
            self.approvals.add(&mark.nonce, mark.expires_at);
        }
    }

    /// Checks that the command was made for `method` by the holder of `key`, now and for the first
    /// time; its nonce is used up then.
    ///
    /// # Errors
    ///
    /// [`VaultError::Command`].
    pub fn accept(
        &mut self,
        caller: &Caller,
        key: &SubjectKey,
        method: Method,
        command: &v1::SignedCommand,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let refuse = |problem| Err(VaultError::Command(problem));
        if command.method != method.name() {
            return refuse(CommandProblem::Method);
        }
        let signed = command::signing_bytes(
            &command.method,
            &caller.serial.0,
            &command.nonce,
            command.expires_at_ms,
            &command.body,
        );
        let Some(signed) = signed.filter(|bytes| key.verifies(bytes, &command.signature)) else {
            return refuse(CommandProblem::Signature);
        };
        drop(signed);
        let expires_at = Timestamp::from_millis(command.expires_at_ms);
        // A clock that is a little ahead of ours may add as much as a command may live.
        let latest = now.millis().saturating_add(2 * command::LIFETIME_MS_MAX);
        if expires_at <= now || command.expires_at_ms > latest {
            return refuse(CommandProblem::Expired);
        }
        let table = if caller.role.is_operator() { &mut self.operators } else { &mut self.clients };
        if !table.take(&command.nonce, expires_at, now) {
            return refuse(CommandProblem::Replayed);
        }
        Ok(())
    }
}

/// More commands than people, or bots that renew, give in two minutes.
const NONCES_MAX: usize = 1 << 18;
/// Beyond so many, those that are over are forgotten.
const KEPT_MAX: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vault_model::Timestamp;

    use super::{KEPT_MAX, Nonces, Table};
    use crate::storage::CommandNonce;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);
    const MINUTE: Duration = Duration::from_secs(60);
    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn what_was_taken_stays_taken_through_steps_of_the_wall_clock() {
        let mut table = Table::default();
        assert!(table.take(b"one", NOW.plus(MINUTE), NOW));
        // A day ahead, where others are taken, and back.
        assert!(table.take(b"two", NOW.plus(DAY + MINUTE), NOW.plus(DAY)));
        assert!(!table.take(b"one", NOW.plus(MINUTE), NOW));
        assert!(!table.take(b"two", NOW.plus(DAY + MINUTE), NOW.plus(DAY)));
        assert!(table.take(b"three", NOW.plus(MINUTE), NOW), "and others are heard");
        // A day back, where what was over is good again.
        assert!(table.take(b"four", NOW.minus(DAY - MINUTE), NOW.minus(DAY)));
        assert!(!table.take(b"four", NOW.minus(DAY - MINUTE), NOW.minus(DAY)));
    }

    #[test]
    fn what_had_to_be_forgotten_is_refused_with_all_that_ends_no_later() {
        let mut table = Table::default();
        let end = |number: usize| NOW.plus(Duration::from_millis(number as u64));
        let later = NOW.plus(DAY);
        for number in 0..=KEPT_MAX {
            assert!(table.take(&number.to_be_bytes(), end(number + 1), NOW));
        }
        assert_eq!(table.nonces.len(), KEPT_MAX + 1, "nothing goes before its end");
        assert!(table.take(b"later", later.plus(MINUTE), later));
        assert_eq!(table.nonces.len(), KEPT_MAX);
        assert_eq!(table.forgotten, end(2));
        for number in [0, 1, 2, KEPT_MAX] {
            assert!(!table.take(&number.to_be_bytes(), end(number + 1), NOW), "{number}");
        }
        assert!(!table.take(b"never seen", end(2), NOW));
        let never_used = CommandNonce { expires_at: end(2), nonce: b"never seen".to_vec() };
        assert!(table.has(&never_used));
    }

    #[test]
    fn a_start_goes_on_with_what_is_over_too() {
        let over = CommandNonce { expires_at: NOW.minus(DAY), nonce: b"over".to_vec() };
        let mut nonces = Nonces::resume([(over.nonce.clone(), over.expires_at)]);
        assert!(nonces.is_used_up(&over));
        let early = NOW.minus(DAY + MINUTE);
        for table in [&mut nonces.clients, &mut nonces.operators] {
            assert!(!table.take(&over.nonce, over.expires_at, early));
        }
    }
}
