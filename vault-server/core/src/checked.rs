//! What venues have said of keys: the newest for each, rebuilt from the log at start. Nothing of it
//! is in the database.
//!
//! A key is known by its credential and by when it was imported: what was said of one key, stored
//! in the end or not, never holds for another.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use vault_model::{Name, NotPacked, Pack, Timestamp, Unpack};
use vault_venue::KeyFacts;

use crate::history::Noted;
use crate::snapshot;
use crate::vault::detail;

/// What a venue said of a key.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Checked {
    /// When it was asked last.
    pub at: Timestamp,
    /// Of the last answer that could be read, if there was one.
    pub facts: Option<KeyFacts>,
    /// The answer said more than was stated: closures may be larger than the vault takes them to be.
    pub drifted: bool,
    /// Why there was no answer the last time, `A-Z0-9_`.
    pub problem: Option<String>,
}

impl Checked {
    /// As an entry's `detail` has it. `imported_at` is that of the key, `findings` are codes.
    pub fn detail(
        &self,
        imported_at: Timestamp,
        trigger: &str,
        findings: &[&str],
    ) -> BTreeMap<String, String> {
        let mut detail = detail([
            ("drifted", word(self.drifted)),
            ("imported_at", imported_at.micros().to_string()),
            ("trigger", trigger.to_owned()),
        ]);
        let mut say = |name: &str, text: String| {
            if !text.is_empty() {
                detail.insert(name.to_owned(), text);
            }
        };
        say("findings", findings.join(","));
        if let Some(facts) = &self.facts {
            // That there was an answer is told by this one: it may say that there is no right.
            say("answered", word(true));
            say("rights", facts.rights.join(","));
            say("unsaid", facts.unsaid.join(","));
            say("unseen", facts.unseen.join(","));
            say("foreign", facts.foreign.join(","));
            say("withdrawals", facts.withdrawals.map_or_else(String::new, word));
            say("transfers", facts.transfers.map_or_else(String::new, word));
            say("ip_bound", facts.ip_bound.map_or_else(String::new, word));
            let expires_at = facts.expires_at.map(|at| at.micros().to_string());
            say("expires_at", expires_at.unwrap_or_default());
            for (name, is_so) in
                [("expiry_unread", facts.expiry_unread), ("nonce_window", facts.nonce_window)]
            {
                say(name, if is_so { word(true) } else { String::new() });
            }
        }
        detail
    }

    /// Reads what [`Checked::detail`] wrote, and for which key.
    fn read(
        at: Timestamp,
        problem: Option<String>,
        noted: &Noted<'_>,
    ) -> Option<(Timestamp, Self)> {
        let imported_at = Timestamp(noted.imported_at.as_ref()?.parse().ok()?);
        let list = |text: &Option<std::borrow::Cow<'_, str>>| -> Vec<String> {
            text.iter().flat_map(|text| text.split(',')).map(str::to_owned).collect()
        };
        let flag = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(|is| is == "yes");
        let facts = noted.answered.as_ref().map(|_| KeyFacts {
            rights: list(&noted.rights),
            unsaid: list(&noted.unsaid),
            unseen: list(&noted.unseen),
            foreign: list(&noted.foreign),
            withdrawals: flag(&noted.withdrawals),
            transfers: flag(&noted.transfers),
            ip_bound: flag(&noted.ip_bound),
            expires_at: noted.expires_at.as_ref().and_then(|at| at.parse().ok()).map(Timestamp),
            expiry_unread: flag(&noted.expiry_unread) == Some(true),
            nonce_window: flag(&noted.nonce_window) == Some(true),
        });
        let drifted = flag(&noted.drifted) == Some(true);
        Some((imported_at, Self { at, facts, drifted, problem }))
    }

    fn pack(&self, pack: &mut Pack<'_>) {
        let Self { at, facts, drifted, problem } = self;
        pack.timestamp(*at);
        pack.option(facts.as_ref(), pack_facts);
        pack.flag(*drifted);
        pack.option(problem.as_deref(), Pack::text);
    }

    fn unpack(unpack: &mut Unpack<'_>) -> Result<Self, NotPacked> {
        Ok(Self {
            at: unpack.timestamp()?,
            facts: unpack.option(unpack_facts)?,
            drifted: unpack.flag()?,
            problem: unpack.option(|unpack| unpack.text().map(str::to_owned))?,
        })
    }
}

fn pack_facts(pack: &mut Pack<'_>, facts: &KeyFacts) {
    let KeyFacts {
        rights,
        unsaid,
        unseen,
        foreign,
        withdrawals,
        transfers,
        ip_bound,
        expires_at,
        expiry_unread,
        nonce_window,
    } = facts;
    for words in [rights, unsaid, unseen, foreign] {
        pack.len(words.len());
        words.iter().for_each(|word| pack.text(word));
    }
    for said in [withdrawals, transfers, ip_bound] {
        pack.option(*said, Pack::flag);
    }
    pack.option(*expires_at, Pack::timestamp);
    pack.flag(*expiry_unread);
    pack.flag(*nonce_window);
}

fn unpack_facts(unpack: &mut Unpack<'_>) -> Result<KeyFacts, NotPacked> {
    let words = |unpack: &mut Unpack<'_>| -> Result<Vec<String>, NotPacked> {
        let length = unpack.len(1)?;
        (0..length).map(|_| unpack.text().map(str::to_owned)).collect()
    };
    Ok(KeyFacts {
        rights: words(unpack)?,
        unsaid: words(unpack)?,
        unseen: words(unpack)?,
        foreign: words(unpack)?,
        withdrawals: unpack.option(Unpack::flag)?,
        transfers: unpack.option(Unpack::flag)?,
        ip_bound: unpack.option(Unpack::flag)?,
        expires_at: unpack.option(Unpack::timestamp)?,
        expiry_unread: unpack.flag()?,
        nonce_window: unpack.flag()?,
    })
}

fn word(is_so: bool) -> String {
    if is_so { "yes" } else { "no" }.to_owned()
}

/// The newest of each key.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Checks {
    keys: HashMap<Name, HashMap<Timestamp, Checked>>,
    /// Credentials whose present key has drifted.
    drifted: BTreeSet<Name>,
}

impl Checks {
    /// What is known of the key of a credential that was imported then.
    pub fn of(&self, credential: &Name, imported_at: Timestamp) -> Option<&Checked> {
        self.keys.get(credential)?.get(&imported_at)
    }

    /// Keeps what a venue said of a key.
    pub fn put(&mut self, credential: &Name, imported_at: Timestamp, checked: Checked) {
        self.keys.entry(credential.clone()).or_default().insert(imported_at, checked);
    }

    /// Takes up an entry of the log; `problem` is its reason. One that does not say which key it is
    /// about is left out.
    pub fn resume(
        &mut self,
        credential: &Name,
        at: Timestamp,
        problem: Option<String>,
        noted: &Noted<'_>,
    ) {
        if let Some((imported_at, checked)) = Checked::read(at, problem, noted) {
            self.put(credential, imported_at, checked);
        }
    }

    /// Writes what the log says of it, for a snapshot. Which keys are present only the database says.
    pub fn pack(&self, pack: &mut Pack<'_>) {
        let Self { keys, drifted: _ } = self;
        let name = |pack: &mut Pack<'_>, name: &Name| pack.text(name.as_str());
        snapshot::pack_map(keys, pack, name, |pack, keys| {
            let time = |pack: &mut Pack<'_>, at: &Timestamp| pack.timestamp(*at);
            snapshot::pack_map(keys, pack, time, |pack, checked| checked.pack(pack));
        });
    }

    /// Reads what [`Checks::pack`] wrote.
    ///
    /// # Errors
    ///
    /// [`NotPacked`].
    pub fn unpack(unpack: &mut Unpack<'_>) -> Result<Self, NotPacked> {
        let keys = snapshot::unpack_map(unpack, Unpack::name, |unpack| {
            snapshot::unpack_map(unpack, Unpack::timestamp, Checked::unpack)
        })?;
        Ok(Self { keys, drifted: BTreeSet::new() })
    }

    /// Whether the present key of a credential has drifted.
    pub fn set_drifted(&mut self, credential: &Name, is_drifted: bool) {
        if !is_drifted {
            self.drifted.remove(credential);
        } else if !self.drifted.contains(credential) {
            self.drifted.insert(credential.clone());
        }
    }

    /// The credentials whose present keys have drifted, by name.
    pub fn drifted(&self) -> impl Iterator<Item = &Name> {
        self.drifted.iter()
    }

    /// Whether the present key of a credential has rights that are not stated, as far as is known.
    pub fn is_drifted(&self, credential: &Name) -> bool {
        self.drifted.contains(credential)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use vault_model::{Name, Timestamp};
    use vault_venue::KeyFacts;

    use super::{Checked, Checks};
    use crate::history::Noted;

    const IMPORTED: Timestamp = Timestamp(1_700_000_000_000_000);
    const AT: Timestamp = Timestamp(1_800_000_000_000_000);

    fn resumed(checks: &mut Checks, checked: &Checked, detail: &BTreeMap<String, String>) {
        let credential: Name = "main".parse().expect("a name");
        let json = serde_json::to_string(detail).expect("JSON");
        let noted: Noted<'_> = serde_json::from_str(&json).expect("reads");
        checks.resume(&credential, AT, checked.problem.clone(), &noted);
    }

    #[test]
    fn what_the_log_has_is_what_was_said() {
        let credential: Name = "main".parse().expect("a name");
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let all = KeyFacts {
            rights: words(&["enableFutures", "enableReading"]),
            unsaid: words(&["a"]),
            unseen: words(&["b", "c"]),
            foreign: words(&["d e"]),
            withdrawals: Some(true),
            transfers: Some(false),
            ip_bound: Some(false),
            expires_at: Some(AT),
            expiry_unread: true,
            nonce_window: true,
        };
        let asked = Checked { at: AT, ..Checked::default() };
        for checked in [
            Checked { facts: Some(all), drifted: true, ..asked.clone() },
            // A key without any right is another thing than no answer.
            Checked { facts: Some(KeyFacts::default()), ..asked.clone() },
            Checked { problem: Some("TIMEOUT".to_owned()), ..asked.clone() },
        ] {
            let detail = checked.detail(IMPORTED, "schedule", &["NO_IP_BINDING"]);
            let mut checks = Checks::default();
            resumed(&mut checks, &checked, &detail);
            assert_eq!(checks.of(&credential, IMPORTED), Some(&checked));
            // Of another key nothing is known.
            assert_eq!(checks.of(&credential, AT), None);
        }
        let mut checks = Checks::default();
        let mut detail = asked.detail(IMPORTED, "operator", &[]);
        detail.remove("imported_at");
        resumed(&mut checks, &asked, &detail);
        assert_eq!(checks.of(&credential, IMPORTED), None);
    }
}
