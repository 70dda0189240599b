//! What signatures that were released can still do: said in the answer of every act that forbids.

use std::collections::HashMap;
use std::time::Duration;

use vault_ipc::proto::v1;
use vault_model::{ClockTime, Name};

/// Until when signatures are accepted by their venues: of each client, of each credential, and of all
/// that was signed under a scope. An answer is found without a walk through all clients.
#[derive(Default)]
pub struct Released {
    clients: HashMap<Name, Until>,
    credentials: HashMap<Name, Until>,
    scopes: HashMap<Name, Until>,
}

/// What an act concerns.
pub enum Of<'a> {
    /// Everything.
    All,
    /// What one client was given.
    Client(&'a Name),
    /// What was signed with one credential.
    Credential(&'a Name),
    /// What was signed with some credentials.
    Credentials(&'a dyn Fn(&Name) -> bool),
    /// What was signed under a scope, and all that its holders were given before they held it.
    Scope(&'a Name),
}

#[derive(Clone, Copy)]
enum Until {
    Always,
    Time(ClockTime),
}

impl Until {
    fn longer(self, other: Self) -> Self {
        match (self, other) {
            (Self::Time(one), Self::Time(other)) => Self::Time(one.max(other)),
            _ => Self::Always,
        }
    }
}

impl Released {
    /// A signature was released to a client that holds a scope. `usable_ms` is absent if it has no
    /// expiry.
    pub fn add(
        &mut self,
        client: &Name,
        scope: Option<&Name>,
        credential: &Name,
        usable_ms: Option<u64>,
        now: ClockTime,
    ) {
        let until = match usable_ms {
            Some(ms) => Until::Time(now.plus(Duration::from_millis(ms))),
            None => Until::Always,
        };
        note(&mut self.clients, client, until);
        note(&mut self.credentials, credential, until);
        if let Some(scope) = scope {
            note(&mut self.scopes, scope, until);
        }
    }

    /// A client holds a scope from now on.
    pub fn holds(&mut self, client: &Name, scope: &Name) {
        if let Some(until) = self.clients.get(client) {
            note(&mut self.scopes, scope, *until);
        }
    }

    /// What is left of the signatures that an act concerns.
    pub fn outstanding(&self, of: Of<'_>, now: ClockTime) -> v1::Outstanding {
        let longest =
            |untils: &mut dyn Iterator<Item = &Until>| untils.copied().reduce(Until::longer);
        let until = match of {
            Of::All => longest(&mut self.credentials.values()),
            Of::Client(name) => self.clients.get(name).copied(),
            Of::Credential(name) => self.credentials.get(name).copied(),
            Of::Credentials(concerns) => {
                let concerned = self.credentials.iter().filter(|(name, _)| concerns(name));
                longest(&mut concerned.map(|(_, until)| until))
            }
            Of::Scope(name) => self.scopes.get(name).copied(),
        };
        let mut outstanding = v1::Outstanding::default();
        match until {
            None => {}
            Some(Until::Always) => outstanding.without_expiry = true,
            Some(Until::Time(at)) => {
                let left = u64::try_from(at.since(now).as_millis()).unwrap_or(u64::MAX);
                outstanding.usable_for_ms = left;
            }
        }
        outstanding
    }
}

fn note(untils: &mut HashMap<Name, Until>, name: &Name, until: Until) {
    match untils.get_mut(name) {
        // A new version of a credential may sign for a shorter time than the one before it.
        Some(known) => *known = known.longer(until),
        None => {
            untils.insert(name.clone(), until);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vault_model::{ClockTime, Name};

    use super::{Of, Released};

    const NOW: ClockTime = ClockTime(1_000_000_000);

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    #[test]
    fn the_longest_that_is_concerned_is_said_and_nobody_elses() {
        let mut released = Released::default();
        let [one, two, wide, okx, kraken] = ["one", "two", "wide", "okx", "kraken"].map(name);
        released.add(&one, Some(&wide), &okx, Some(30_000), NOW);
        released.add(&two, None, &kraken, Some(5_000), NOW);
        released.add(&one, Some(&wide), &okx, Some(1_000), NOW);
        let later = NOW.plus(Duration::from_secs(1));
        let left = |of: Of<'_>| released.outstanding(of, later).usable_for_ms;

        assert_eq!(left(Of::All), 29_000);
        assert_eq!((left(Of::Client(&one)), left(Of::Client(&two))), (29_000, 4_000));
        assert_eq!((left(Of::Credential(&okx)), left(Of::Credential(&kraken))), (29_000, 4_000));
        assert_eq!((left(Of::Scope(&wide)), left(Of::Scope(&okx))), (29_000, 0));
        assert_eq!(left(Of::Credentials(&|name| *name == kraken)), 4_000);
        assert_eq!(left(Of::Client(&wide)), 0);
    }

    #[test]
    fn what_has_no_expiry_never_has_one_again() {
        let mut released = Released::default();
        let (one, okx) = (name("one"), name("okx"));
        released.add(&one, None, &okx, None, NOW);
        released.add(&one, None, &okx, Some(1_000), NOW);

        for of in [Of::All, Of::Client(&one), Of::Credential(&okx)] {
            assert!(released.outstanding(of, NOW).without_expiry);
        }
    }

    #[test]
    fn who_holds_a_scope_anew_brings_along_what_he_was_given() {
        let mut released = Released::default();
        let [one, old, new, okx] = ["one", "old", "new", "okx"].map(name);
        released.add(&one, Some(&old), &okx, Some(30_000), NOW);
        released.holds(&one, &new);
        released.holds(&name("nobody"), &new);

        for scope in [&old, &new] {
            assert_eq!(released.outstanding(Of::Scope(scope), NOW).usable_for_ms, 30_000);
        }
    }
}
