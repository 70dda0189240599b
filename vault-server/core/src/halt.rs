//! Halts: one command stops everything, or one venue, symbol, credential or client.

use std::ops::Bound::{Excluded, Unbounded};

use prost::Message;
use vault_ipc::proto::v1;
use vault_model::{HaltLevel, HaltTarget, Name, Timestamp};
use vault_policy::Grant;

use crate::act::{Asker, Plan};
use crate::client::parse_reason;
use crate::command::{self, Method};
use crate::error::{Conflict, VaultError};
use crate::outstanding::Of;
use crate::page::{Listed, Page};
use crate::stopped::Stopped;
use crate::storage::{Changes, HaltRow, RowKey};
use crate::vault::{CompiledScope, Open, Vault, detail};

impl Vault {
    /// Stops. The answer comes after the barrier.
    ///
    /// # Errors
    ///
    /// [`VaultError::Field`], [`VaultError::NotFound`] for a target that is not there.
    pub(crate) fn halt(
        &mut self,
        command: &v1::SignedCommand,
        asker: Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let command: v1::HaltCommand = command::body(command)?;
        let level = match v1::HaltLevel::try_from(command.level) {
            Ok(v1::HaltLevel::NoNewRisk) => HaltLevel::NoNewRisk,
            Ok(v1::HaltLevel::Nothing) => HaltLevel::Nothing,
            Ok(v1::HaltLevel::Unspecified) | Err(_) => {
                return Err(VaultError::Field("level is not set"));
            }
        };
        let target = parse_target(&command.target)?;
        self.check_target(&target)?;
        let reason = parse_reason(&command.reason)?;
        // Though it may be halted already: nobody who has asked before is to end that.
        self.acts.stops.note(Stopped::Halted(target.clone()), asker.correlation);
        let halts = &self.tables().halts;
        // Each request is held against all of them. What is stopped as a whole is always heard.
        let is_one_of_many = matches!(target, HaltTarget::Symbol { .. });
        if is_one_of_many && halts.len() >= HALTS_MAX && !halts.contains_key(&target) {
            return Err(VaultError::TooManyHalts);
        }
        if let Some(present) = self.tables().halts.get(&target) {
            if present.level == level {
                return Err(VaultError::Conflict(Conflict::AlreadySo));
            }
            if present.level == HaltLevel::Nothing {
                // A guard may halt more, never less: that is Resume, and an admin's.
                return Err(VaultError::Conflict(Conflict::AlreadySo));
            }
        }
        let by = asker
            .caller
            .as_ref()
            .map_or_else(|| "local".to_owned(), |caller| caller.name.to_string());
        let facts = detail([
            ("level", level.to_string()),
            ("reason", reason.clone()),
            ("target", target.to_string()),
        ]);
        let row = HaltRow { at: now, by, level, reason, target: target.clone() };
        let symbol_unknown = match &target {
            HaltTarget::Symbol { venue, symbol } => !self.opened()?.knows_symbol(venue, symbol),
            _ => false,
        };
        let halted = target.clone();
        let mut plan = Plan::new(Method::HaltHalt.name(), Changes::new(), move |vault, change| {
            v1::HaltResponse {
                outstanding: Some(vault.outstanding_of(&target)),
                change: Some(change),
                symbol_unknown,
            }
            .encode_to_vec()
        });
        plan.detail = facts;
        plan.barrier = Some(Vec::new());
        plan.halts = Some(halted);
        plan.changes.put(row);
        self.begin_act(plan, asker, now)
    }

    /// Ends a halt: the one that it names, if it names one.
    ///
    /// # Errors
    ///
    /// [`VaultError::NotFound`] if there is none on the target; [`Conflict::HaltChanged`],
    /// [`Conflict::StoppedSince`].
    pub(crate) fn resume(
        &mut self,
        command: &v1::SignedCommand,
        asker: Asker,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let command: v1::ResumeCommand = command::body(command)?;
        let target = parse_target(&command.target)?;
        let halts = &self.opened()?.state.tables().halts;
        let present = halts.get(&target).ok_or(VaultError::NotFound("halt"))?;
        if command.halted_at_us != 0 && command.halted_at_us != present.at.micros() {
            return Err(VaultError::Conflict(Conflict::HaltChanged));
        }
        self.acts.stops.check(&Stopped::Halted(target.clone()), asker.correlation)?;
        let mut plan = Plan::new(Method::HaltResume.name(), Changes::new(), |_, change| {
            v1::ResumeResponse { change: Some(change) }.encode_to_vec()
        });
        plan.detail = detail([("target", target.to_string())]);
        plan.changes.delete(RowKey::Halt(target));
        self.begin_act(plan, asker, now)
    }

    /// A page of the halts in force, by target.
    ///
    /// # Errors
    ///
    /// [`VaultError::Sealed`], [`VaultError::Field`] for a token that is none.
    pub(crate) fn halt_status(
        &self,
        command: &v1::HaltStatusCommand,
    ) -> Result<v1::HaltStatusResponse, VaultError> {
        let halts = &self.opened()?.state.tables().halts;
        let v1::HaltStatusCommand { page_size, page_token } = command;
        let page = Page::new(Method::HaltStatus, "", *page_size, page_token)?;
        let after: Option<HaltTarget> = page.after(|text| text.parse().ok())?;
        let from = after.as_ref().map_or(Unbounded, Excluded);
        let rows = halts.range::<HaltTarget, _>((from, Unbounded));
        let (halts, next_page_token) =
            page.fill(rows.map(|(target, row)| Ok(Listed::row(target.to_string(), info(row)))))?;
        Ok(v1::HaltStatusResponse { halts, next_page_token })
    }

    pub(crate) fn check_target(&self, target: &HaltTarget) -> Result<(), VaultError> {
        let tables = self.opened()?.state.tables();
        let there = match target {
            HaltTarget::All => true,
            HaltTarget::Client(name) => tables.clients.contains_key(name),
            HaltTarget::Credential(name) => tables.credentials.contains_key(name),
            // Which symbols there are, a venue alone knows: any may be halted.
            HaltTarget::Symbol { venue, .. } => self.registry.venue(venue.as_str()).is_some(),
            HaltTarget::Venue(name) => self.registry.venue(name.as_str()).is_some(),
        };
        if there { Ok(()) } else { Err(VaultError::NotFound("target")) }
    }

    fn outstanding_of(&self, target: &HaltTarget) -> v1::Outstanding {
        let at_venue = |credential: &Name, venue: &Name| {
            self.tables().credentials.get(credential).is_some_and(|row| row.venue == venue.as_str())
        };
        match target {
            HaltTarget::All => self.outstanding(Of::All),
            HaltTarget::Client(name) => self.outstanding(Of::Client(name)),
            HaltTarget::Credential(name) => self.outstanding(Of::Credential(name)),
            // What was signed for which symbol is not kept: all of the venue is the safe answer.
            HaltTarget::Symbol { venue, .. } | HaltTarget::Venue(venue) => {
                self.outstanding(Of::Credentials(&|credential| at_venue(credential, venue)))
            }
        }
    }
}

impl Open {
    /// Whether an approved instrument or a scope names a symbol, be it by another of its names. One
    /// that nobody knows may be mistyped, and then its halt stops nothing.
    fn knows_symbol(&self, venue: &Name, symbol: &str) -> bool {
        let is_named = |compiled: &CompiledScope| match compiled.document.symbols.get(venue) {
            Some(Grant::Only(symbols)) => symbols
                .iter()
                .any(|named| self.market.is_same(venue.as_str(), named.as_str(), symbol)),
            Some(Grant::Every) | None => false,
        };
        self.market.knows(venue.as_str(), symbol) || self.scopes.values().any(is_named)
    }
}

fn info(row: &HaltRow) -> v1::HaltInfo {
    v1::HaltInfo {
        target: row.target.to_string(),
        level: match row.level {
            HaltLevel::NoNewRisk => v1::HaltLevel::NoNewRisk,
            HaltLevel::Nothing => v1::HaltLevel::Nothing,
        }
        .into(),
        reason: row.reason.clone(),
        by: row.by.clone(),
        at_ms: row.at.millis(),
        at_us: row.at.micros(),
    }
}

/// Whether a halt stops all of a target. `venue_of` is that of a credential.
pub(crate) fn covers<'t>(
    halt: &HaltTarget,
    target: &HaltTarget,
    venue_of: impl Fn(&Name) -> Option<&'t str>,
) -> bool {
    match (halt, target) {
        (HaltTarget::All, _) => true,
        (HaltTarget::Venue(venue), HaltTarget::Symbol { venue: of, .. }) => venue == of,
        (HaltTarget::Venue(venue), HaltTarget::Credential(credential)) => {
            venue_of(credential) == Some(venue.as_str())
        }
        (halt, target) => halt == target,
    }
}

pub(crate) fn parse_target(text: &str) -> Result<HaltTarget, VaultError> {
    text.parse().map_err(|_| {
        VaultError::Field(
            "target is all, venue:NAME, symbol:VENUE/SYMBOL, credential:NAME or client:NAME",
        )
    })
}

/// How many halts may be in force before none on one more symbol is taken.
const HALTS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prost::Message;
    use vault_ipc::proto::v1;
    use vault_policy::Grant;

    use crate::act::Asker;
    use crate::caller::Origin;
    use crate::command::Method;
    use crate::error::VaultError;
    use crate::execute::tests::bench::Bench;
    use crate::journal::Channel;
    use crate::storage::CredentialState;

    fn command(body: &impl Message) -> v1::SignedCommand {
        v1::SignedCommand { body: body.encode_to_vec(), ..Default::default() }
    }

    fn asker(correlation: u64) -> Asker {
        Asker {
            channel: Channel::Front,
            correlation,
            caller: None,
            origin: Origin::local(),
            nonce: None,
            signature_hash: None,
        }
    }

    impl Bench {
        fn halt_at(&mut self, correlation: u64, level: v1::HaltLevel) -> Result<(), &'static str> {
            let command = command(&v1::HaltCommand {
                level: level.into(),
                target: "all".to_owned(),
                reason: "test".to_owned(),
            });
            let begun = self.vault.halt(&command, asker(correlation), self.now);
            self.applied(begun)
        }

        fn resume_at(&mut self, correlation: u64, halted_at_us: i64) -> Result<(), &'static str> {
            let target = "all".to_owned();
            let command = command(&v1::ResumeCommand { target, halted_at_us });
            let begun = self.vault.resume(&command, asker(correlation), self.now);
            self.applied(begun)
        }

        fn set_state(
            &mut self,
            correlation: u64,
            state: CredentialState,
        ) -> Result<(), &'static str> {
            let method = match state {
                CredentialState::Disabled => Method::CredentialDisable,
                CredentialState::Enabled => Method::CredentialEnable,
            };
            let (asker, now) = (asker(correlation), self.now);
            let begun = self.vault.set_credential_state(method, "okx-main", state, asker, now);
            self.applied(begun)
        }

        /// An act to its end; or why it did not begin.
        fn applied(&mut self, begun: Result<(), VaultError>) -> Result<(), &'static str> {
            begun.map_err(|error| error.reason())?;
            self.vault.act_committed(Ok(()), self.now).expect("applied");
            for by in [Channel::Egress, Channel::Front] {
                for id in 1..100 {
                    self.vault.barrier_done(id, by);
                }
            }
            self.look();
            Ok(())
        }

        fn halts(&self) -> Vec<v1::HaltInfo> {
            self.vault.halt_status(&Default::default()).expect("open").halts
        }
    }

    use v1::HaltLevel::{NoNewRisk, Nothing};

    #[test]
    fn a_resume_does_not_end_a_halt_that_came_after_it() {
        let mut bench = Bench::new();
        bench.halt_at(1, NoNewRisk).expect("halted");
        // 2 is a Resume that still waits, when 3 is heard before it.
        bench.halt_at(3, Nothing).expect("halted further");
        assert_eq!(bench.resume_at(2, 0), Err("STOPPED_SINCE"));
        assert_eq!(bench.halts().len(), 1);
        bench.resume_at(4, 0).expect("who knows of it may");
        assert!(bench.halts().is_empty());
    }

    #[test]
    fn a_halt_that_changes_nothing_holds_an_older_resume_up_all_the_same() {
        for (present, again) in [(Nothing, Nothing), (Nothing, NoNewRisk), (NoNewRisk, NoNewRisk)] {
            let mut bench = Bench::new();
            bench.halt_at(1, present).expect("halted");
            assert_eq!(bench.halt_at(3, again), Err("ALREADY_SO"));
            assert_eq!(bench.resume_at(2, 0), Err("STOPPED_SINCE"));
            assert_eq!(bench.halts().len(), 1);
            bench.resume_at(4, 0).expect("resumed");
        }
    }

    #[test]
    fn a_resume_ends_the_halt_that_it_names_and_no_other() {
        let mut bench = Bench::new();
        bench.halt_at(1, NoNewRisk).expect("halted");
        let first = bench.halts()[0].at_us;
        assert_eq!(first, bench.now.micros());
        bench.wait(Duration::from_micros(1));
        bench.halt_at(2, Nothing).expect("halted further");
        // Held back by whoever carries it, and given a late number.
        assert_eq!(bench.resume_at(9, first), Err("HALT_CHANGED"));
        let present = bench.halts()[0].at_us;
        assert_eq!(present, first + 1);
        bench.resume_at(10, present).expect("resumed");
        assert_eq!(bench.resume_at(11, present), Err("NOT_FOUND"));
    }

    #[test]
    fn what_was_disabled_later_is_not_enabled_by_an_older_call() {
        let mut bench = Bench::new();
        bench.set_state(1, CredentialState::Disabled).expect("disabled");
        assert_eq!(bench.set_state(3, CredentialState::Disabled), Err("ALREADY_SO"));
        assert_eq!(bench.set_state(2, CredentialState::Enabled), Err("STOPPED_SINCE"));
        bench.set_state(4, CredentialState::Enabled).expect("enabled");
    }

    #[test]
    fn a_symbol_is_known_under_any_of_its_names() {
        let mut bench = Bench::new();
        let knows = |bench: &Bench, venue: &str, symbol: &str| {
            let open = bench.vault.open.as_ref().expect("open");
            open.knows_symbol(&venue.parse().expect("a name"), symbol)
        };
        assert!(!knows(&bench, "kraken", "XXBTZUSD"));
        bench.rescope(|scope| {
            let symbol = "XXBTZUSD".parse().expect("a symbol");
            scope.symbols.insert("kraken".parse().expect("a name"), Grant::Only([symbol].into()));
        });
        for symbol in ["XXBTZUSD", "XBTUSD", "BTC/USD"] {
            assert!(knows(&bench, "kraken", symbol), "{symbol}");
        }
        assert!(!knows(&bench, "kraken", "NOSUCH") && !knows(&bench, "okx", "XXBTZUSD"));
    }
}
