//! Finds rows without a walk through their table: an act of one client must not cost what all clients
//! are.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::time::Duration;

use vault_model::{HaltLevel, Name, Serial, Timestamp};

use super::hex::Hex;
use super::row::{
    CertificateRow, CertificateState, ClientRow, CredentialRow, CredentialState, HaltRow, Holder,
    HolderState, InviteRow,
};
use super::state::Tables;
use super::table::RowKey;

/// Kept in step with the tables by whoever writes a row into them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Index {
    /// Certificates by the one that they renew.
    children: BTreeSet<(Serial, Serial)>,
    /// Active clients by scope.
    clients_of: BTreeMap<Name, BTreeSet<Name>>,
    /// Certificates by holder.
    held: BTreeSet<(Holder, Serial)>,
    /// Invitations by name.
    invites_of: BTreeSet<(Name, Hex<16>)>,
    /// Invitations by who made them.
    made: BTreeSet<(String, Hex<16>)>,
    /// Certificates by when nobody can use them any more.
    certificate_ends: BTreeSet<(Timestamp, Serial)>,
    /// Invitations by when nobody can use them any more.
    invite_ends: BTreeSet<(Timestamp, Hex<16>)>,
    count: Count,
}

/// How many rows there are of each kind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Count {
    /// Clients: active, revoked.
    pub clients: [usize; 2],
    /// Credentials: enabled, disabled.
    pub credentials: [usize; 2],
    /// Halts: no new risk, nothing.
    pub halts: [usize; 2],
}

impl Index {
    pub(super) fn certificate(
        &mut self,
        old: Option<&CertificateRow>,
        new: Option<&CertificateRow>,
    ) {
        if let Some(row) = old {
            self.held.remove(&(row.holder.clone(), row.serial));
            self.certificate_ends.remove(&(certificate_end(row), row.serial));
            if let Some(parent) = row.parent {
                self.children.remove(&(parent, row.serial));
            }
        }
        if let Some(row) = new {
            self.held.insert((row.holder.clone(), row.serial));
            self.certificate_ends.insert((certificate_end(row), row.serial));
            if let Some(parent) = row.parent {
                self.children.insert((parent, row.serial));
            }
        }
    }

    pub(super) fn client(&mut self, old: Option<&ClientRow>, new: Option<&ClientRow>) {
        if let Some((scope, name)) = old.and_then(holder)
            && let Some(names) = self.clients_of.get_mut(scope)
        {
            names.remove(name);
            if names.is_empty() {
                self.clients_of.remove(scope);
            }
        }
        if let Some((scope, name)) = new.and_then(holder) {
            if !self.clients_of.contains_key(scope) {
                self.clients_of.insert(scope.clone(), BTreeSet::new());
            }
            self.clients_of.get_mut(scope).map(|names| names.insert(name.clone()));
        }
        let place = |row: &ClientRow| usize::from(row.state != HolderState::Active);
        moved(&mut self.count.clients, old.map(place), new.map(place));
    }

    pub(super) fn credential(&mut self, old: Option<&CredentialRow>, new: Option<&CredentialRow>) {
        let place = |row: &CredentialRow| usize::from(row.state != CredentialState::Enabled);
        moved(&mut self.count.credentials, old.map(place), new.map(place));
    }

    pub(super) fn halt(&mut self, old: Option<&HaltRow>, new: Option<&HaltRow>) {
        let place = |row: &HaltRow| usize::from(row.level != HaltLevel::NoNewRisk);
        moved(&mut self.count.halts, old.map(place), new.map(place));
    }

    pub(super) fn invite(&mut self, old: Option<&InviteRow>, new: Option<&InviteRow>) {
        if let Some(row) = old {
            self.invites_of.remove(&(row.name.clone(), row.token_id));
            self.made.remove(&(row.created_by.clone(), row.token_id));
            self.invite_ends.remove(&(invite_end(row), row.token_id));
        }
        if let Some(row) = new {
            self.invites_of.insert((row.name.clone(), row.token_id));
            self.made.insert((row.created_by.clone(), row.token_id));
            self.invite_ends.insert((invite_end(row), row.token_id));
        }
    }
}

impl Tables {
    /// The certificates of a holder.
    pub fn certificates_of(
        &self,
        holder: &Holder,
    ) -> impl Iterator<Item = &CertificateRow> + use<'_> {
        let first = (holder.clone(), Serial([0; 16]));
        let last = (holder.clone(), Serial([0xff; 16]));
        let held = self.index.held.range(first..=last);
        held.filter_map(|(_, serial)| self.certificates.get(serial))
    }

    /// The certificates that renew one.
    pub fn renewals_of(&self, parent: Serial) -> impl Iterator<Item = &CertificateRow> {
        let children =
            self.index.children.range((parent, Serial([0; 16]))..=(parent, Serial([0xff; 16])));
        children.filter_map(|(_, serial)| self.certificates.get(serial))
    }

    /// The active clients of a scope, by name.
    pub fn clients_of(&self, scope: &Name) -> impl Iterator<Item = &ClientRow> + use<'_> {
        let names = self.index.clients_of.get(scope).into_iter().flatten();
        names.filter_map(|name| self.clients.get(name))
    }

    /// How many active clients a scope has.
    pub fn client_count_of(&self, scope: &Name) -> usize {
        self.index.clients_of.get(scope).map_or(0, BTreeSet::len)
    }

    /// The active clients of a scope whose names come after one, by name.
    pub fn clients_of_after(
        &self,
        scope: &Name,
        after: Option<&Name>,
    ) -> impl Iterator<Item = &ClientRow> + use<'_> {
        let from = after.map_or(Unbounded, |name| Excluded(name.clone()));
        let names = self.index.clients_of.get(scope).into_iter();
        names
            .flat_map(move |names| names.range((from.clone(), Unbounded)))
            .filter_map(|name| self.clients.get(name))
    }

    /// The names after one that have an invitation, good or not, each once.
    pub fn invited_after(&self, after: Option<&Name>) -> impl Iterator<Item = &Name> + use<'_> {
        let from = after.map_or(Unbounded, |name| Excluded((name.clone(), Hex([0xff; 16]))));
        let mut last = None;
        self.index
            .invites_of
            .range((from, Unbounded))
            .filter_map(move |(name, _)| (last.replace(name) != Some(name)).then_some(name))
    }

    /// The invitations of a name, of clients and operators alike.
    pub fn invites_of(&self, name: &str) -> impl Iterator<Item = &InviteRow> + use<'_> {
        let all = |name: Name| (name.clone(), Hex([0; 16]))..=(name, Hex([0xff; 16]));
        // What is no name has none.
        let range = name.parse().ok().map(all);
        let ids = range.into_iter().flat_map(|range| self.index.invites_of.range(range));
        ids.filter_map(|(_, token_id)| self.invites.get(token_id))
    }

    /// The invitations that somebody has made.
    pub fn invites_by(&self, maker: &str) -> impl Iterator<Item = &InviteRow> + use<'_> {
        let all = (maker.to_owned(), Hex([0; 16]))..=(maker.to_owned(), Hex([0xff; 16]));
        self.index.made.range(all).filter_map(|(_, token_id)| self.invites.get(token_id))
    }

    /// Rows that nobody can use any more, those of long ago first: certificates that can be neither
    /// used nor renewed, and invitations that ran out or were used long ago.
    pub fn stale(&self, now: Timestamp) -> impl Iterator<Item = RowKey> {
        let certificates =
            self.index.certificate_ends.iter().take_while(move |(end, _)| *end < now);
        let invites = self.index.invite_ends.iter().take_while(move |(end, _)| *end < now);
        let certificates = certificates.map(|(_, serial)| RowKey::Certificate(*serial));
        certificates.chain(invites.map(|(_, token_id)| RowKey::Invite(*token_id)))
    }

    /// How many rows there are of each kind.
    pub fn count(&self) -> Count {
        self.index.count
    }
}

/// A client that holds a scope.
fn holder(row: &ClientRow) -> Option<(&Name, &Name)> {
    let scope = row.scope.as_ref().filter(|_| row.state == HolderState::Active)?;
    Some((scope, &row.name))
}

fn moved(count: &mut [usize; 2], old: Option<usize>, new: Option<usize>) {
    if let Some(place) = old {
        count[place] -= 1;
    }
    if let Some(place) = new {
        count[place] += 1;
    }
}

fn certificate_end(row: &CertificateRow) -> Timestamp {
    match row.state {
        CertificateState::Revoked => row.not_after,
        CertificateState::Active | CertificateState::Superseded => {
            row.not_after.plus(CERTIFICATE_KEPT)
        }
    }
}

fn invite_end(row: &InviteRow) -> Timestamp {
    row.expires_at.max(row.used_at.unwrap_or_default()).plus(INVITE_KEPT)
}

/// Longer than a certificate may be renewed after its end.
const CERTIFICATE_KEPT: Duration = Duration::from_secs(8 * 24 * 3_600);
/// Longer than an enrolment may be repeated.
const INVITE_KEPT: Duration = Duration::from_secs(24 * 3_600);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use vault_model::{Name, Role, Serial, Timestamp};

    use super::{CertificateState, Holder, HolderState};
    use crate::storage::row::{CredentialState, InviteRow};
    use crate::storage::sample::{rows, state_mac};
    use crate::storage::state::tests::empty;
    use crate::storage::{Changes, Hex, Row, RowKey, State, Tables};

    fn name(number: u8) -> Name {
        format!("name-{}", number % 5).parse().expect("a name")
    }

    /// A row of one of few names, serials and times, so that acts meet.
    fn row(kind: u8, number: u8, other: u8, flag: bool) -> Row {
        let mut row = rows()
            .into_iter()
            .find(|row| {
                let of = |row: &Row| match row {
                    Row::Certificate(_) => 0,
                    Row::Client(_) => 1,
                    Row::Credential(_) => 2,
                    Row::Halt(_) => 3,
                    Row::Invite(_) => 4,
                    Row::Operator(_) => 5,
                    _ => u8::MAX,
                };
                of(row) == kind % 6
            })
            .expect("a row of each");
        let at = Timestamp(i64::from(other % 4) * 86_400_000_000);
        match &mut row {
            Row::Certificate(row) => {
                row.serial = Serial([number % 7; 16]);
                row.parent = flag.then_some(Serial([other % 7; 16]));
                row.holder = match other % 2 {
                    0 => Holder::Client(name(other)),
                    _ => Holder::Operator(name(other)),
                };
                row.state = match other % 3 {
                    0 => CertificateState::Active,
                    1 => CertificateState::Revoked,
                    _ => CertificateState::Superseded,
                };
                row.not_after = at;
            }
            Row::Client(row) => {
                row.name = name(number);
                row.scope = flag.then(|| name(other));
                row.state = if other.is_multiple_of(3) {
                    HolderState::Revoked
                } else {
                    HolderState::Active
                };
            }
            Row::Credential(row) => {
                row.name = name(number);
                row.state = match flag {
                    true => CredentialState::Enabled,
                    false => CredentialState::Disabled,
                };
            }
            Row::Invite(row) => {
                row.token_id = Hex([number % 7; 16]);
                row.name = name(other);
                row.created_by = name(number).to_string();
                row.role = if flag { Role::Bot } else { Role::Guard };
                row.expires_at = at;
                row.used_at = flag.then_some(at);
            }
            Row::Operator(row) => row.name = name(number),
            _ => {}
        }
        row
    }

    fn same<T: Ord>(one: impl Iterator<Item = T>, other: impl Iterator<Item = T>) -> bool {
        one.collect::<BTreeSet<T>>() == other.collect()
    }

    /// Each look-up finds what a walk through the table does.
    fn agrees(tables: &Tables) -> bool {
        let serial = |row: &super::CertificateRow| row.serial;
        let token = |row: &InviteRow| row.token_id;
        let (certificates, invites) = (&tables.certificates, &tables.invites);
        let by_holder = certificates.values().all(|known| {
            let of = certificates.values().filter(|row| row.holder == known.holder);
            same(tables.certificates_of(&known.holder).map(serial), of.map(serial))
        });
        let by_parent = (0..7).all(|number| {
            let parent = Serial([number; 16]);
            let of = certificates.values().filter(|row| row.parent == Some(parent));
            same(tables.renewals_of(parent).map(serial), of.map(serial))
        });
        let by_name = (0..5).all(|number| {
            let name = name(number);
            let of = invites.values().filter(|row| row.name == name);
            let by = invites.values().filter(|row| row.created_by == name.as_str());
            let clients = tables.clients.values().filter(|row| {
                row.scope.as_ref() == Some(&name) && row.state == HolderState::Active
            });
            same(tables.invites_of(name.as_str()).map(token), of.map(token))
                && same(tables.invites_by(name.as_str()).map(token), by.map(token))
                && same(
                    tables.clients_of(&name).map(|row| row.name.clone()),
                    clients.map(|row| row.name.clone()),
                )
        });
        let count = tables.count();
        let sums = [count.clients, count.credentials, count.halts].map(|[one, other]| one + other);
        let active = tables.clients.values().filter(|row| row.state == HolderState::Active);
        by_holder
            && by_parent
            && by_name
            && sums == [tables.clients.len(), tables.credentials.len(), tables.halts.len()]
            && count.clients[0] == active.count()
    }

    fn stale_by_walk(tables: &Tables, now: Timestamp) -> BTreeSet<RowKey> {
        let certificates = tables.certificates.values();
        let certificates = certificates.filter(|row| super::certificate_end(row) < now);
        let invites = tables.invites.values().filter(|row| super::invite_end(row) < now);
        certificates
            .map(|row| RowKey::Certificate(row.serial))
            .chain(invites.map(|row| RowKey::Invite(row.token_id)))
            .collect()
    }

    /// Kind, number, another number, whether one or the other, whether it goes.
    type Change = (u8, u8, u8, bool, bool);

    fn acts() -> impl Strategy<Value = Vec<Vec<Change>>> {
        let change = (any::<u8>(), any::<u8>(), any::<u8>(), any::<bool>(), any::<bool>());
        prop::collection::vec(prop::collection::vec(change, 1..6), 1..16)
    }

    proptest! {
        #[test]
        fn after_each_act_a_look_up_finds_what_a_walk_does(acts in acts()) {
            let mut state: State = empty();
            for act in acts {
                let mut changes = Changes::new();
                for (kind, number, other, flag, deletes) in act {
                    let row = row(kind, number, other, flag);
                    let key = row.key();
                    if deletes && state.has(&key) {
                        changes.delete(key);
                    } else if !deletes {
                        changes.put(row);
                    }
                }
                let _ = state.apply(&changes, &state_mac()).expect("applies");
                prop_assert!(agrees(state.tables()));
                for days in [0, 1, 2, 3, 9, 10, 20] {
                    let now = Timestamp(days * 86_400_000_000 + 1);
                    let stale: BTreeSet<RowKey> = state.tables().stale(now).collect();
                    prop_assert_eq!(stale, stale_by_walk(state.tables(), now));
                }
            }
        }
    }
}
