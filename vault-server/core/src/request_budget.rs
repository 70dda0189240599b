//! How many requests of one client are signed or sent that are no orders.
//!
//! Every such request is in the log for good, and no cap of a scope bounds reads: without this, one
//! client that may read could fill the disk, and then nothing is signed for anybody.
//!
//! Orders, amendments and cancels cost nothing: they have caps, and to cancel must always be possible.
//! But what was signed and could not be sent is in the log twice and has moved nothing: it costs one,
//! whatever it was, and a client that owes for more than it has waits before anything more is logged
//! for it.

use std::collections::HashMap;
use std::time::Duration;

use vault_model::{Class, ClockTime, Name};

use crate::config::RequestLimits;
use crate::error::VaultError;

/// A budget for each client.
pub struct RequestBudgets {
    by_client: HashMap<Name, Budget>,
    limits: RequestLimits,
}

struct Budget {
    /// Below 0: owed for what could not be sent.
    left: i64,
    at: ClockTime,
}

impl RequestBudgets {
    /// Full budgets for all.
    pub fn new(limits: RequestLimits) -> Self {
        Self { by_client: HashMap::new(), limits }
    }

    /// Takes a request of a class from a client's budget.
    ///
    /// # Errors
    ///
    /// [`VaultError::RequestsExhausted`] if nothing is left; for an order or a cancel, if the client
    /// owes.
    pub fn take(&mut self, client: &Name, class: Class, now: ClockTime) -> Result<(), VaultError> {
        self.look(client, class, now)?;
        if !is_order(class) {
            self.budget(client, now).left -= 1;
        }
        Ok(())
    }

    /// As [`RequestBudgets::take`], and takes nothing.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn look(&mut self, client: &Name, class: Class, now: ClockTime) -> Result<(), VaultError> {
        if is_order(class) && !self.by_client.contains_key(client) {
            return Ok(());
        }
        let least = if is_order(class) { 0 } else { 1 };
        let every_us = self.earned_every_us();
        let left = self.budget(client, now).left;
        if left < least {
            let missing = u64::try_from(least - left).unwrap_or(0);
            let retry_after_ms = missing.saturating_mul(every_us).div_ceil(1_000);
            return Err(VaultError::RequestsExhausted { retry_after_ms });
        }
        Ok(())
    }

    /// Notes that a logged request of a client was not sent.
    pub fn unsent(&mut self, client: &Name, now: ClockTime) {
        let budget = self.budget(client, now);
        budget.left = budget.left.saturating_sub(1);
    }

    /// A client's, with what was earned until now.
    fn budget(&mut self, client: &Name, now: ClockTime) -> &mut Budget {
        let (burst, every_us) = (i64::from(self.limits.burst), self.earned_every_us());
        if !self.by_client.contains_key(client) {
            self.by_client.insert(client.clone(), Budget { left: burst, at: now });
        }
        let budget = self.by_client.get_mut(client).expect("just put there");
        let earned = now.0.saturating_sub(budget.at.0) / every_us;
        if earned > 0 {
            let more = i64::try_from(earned).unwrap_or(i64::MAX);
            budget.left = budget.left.saturating_add(more).min(burst);
            budget.at = budget.at.plus(Duration::from_micros(earned * every_us));
        }
        budget
    }

    fn earned_every_us(&self) -> u64 {
        (1_000_000 / u64::from(self.limits.per_second.max(1))).max(1)
    }
}

fn is_order(class: Class) -> bool {
    matches!(class, Class::Cancel | Class::Trade)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vault_model::{Class, ClockTime, Name};

    use super::RequestBudgets;
    use crate::config::RequestLimits;
    use crate::error::VaultError;

    const NOW: ClockTime = ClockTime(1_800_000_000_000_000);
    const LIMITS: RequestLimits = RequestLimits { burst: 100, per_second: 10 };

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    #[test]
    fn a_look_takes_nothing_and_sees_what_taking_would() {
        let mut budgets = RequestBudgets::new(LIMITS);
        for _ in 0..1_000 {
            budgets.look(&name("one"), Class::Read, NOW).expect("nothing is taken");
        }
        assert_eq!(taken(&mut budgets, Class::Read, NOW), 100);
        assert!(budgets.look(&name("one"), Class::Read, NOW).is_err());
        assert!(budgets.look(&name("one"), Class::Trade, NOW).is_ok());
        budgets.unsent(&name("one"), NOW);
        assert!(budgets.look(&name("one"), Class::Trade, NOW).is_err());
    }

    fn taken(budgets: &mut RequestBudgets, class: Class, now: ClockTime) -> u32 {
        let mut taken = 0;
        while taken < 1_000 && budgets.take(&name("one"), class, now).is_ok() {
            taken += 1;
        }
        taken
    }

    #[test]
    fn a_burst_then_a_rate_each_client_for_itself() {
        let mut budgets = RequestBudgets::new(LIMITS);
        assert_eq!(taken(&mut budgets, Class::Read, NOW), 100);
        assert_eq!(taken(&mut budgets, Class::Account, NOW), 0, "all classes from one");
        budgets.take(&name("other"), Class::Read, NOW).expect("another's");
        let later = NOW.plus(Duration::from_secs(3));
        assert_eq!(taken(&mut budgets, Class::Read, later), 30);
        let much_later = NOW.plus(Duration::from_secs(86_400));
        assert_eq!(taken(&mut budgets, Class::Read, much_later), 100);
        match budgets.take(&name("one"), Class::Read, much_later) {
            Err(VaultError::RequestsExhausted { retry_after_ms }) => {
                assert_eq!(retry_after_ms, 100);
            }
            other => panic!("{other:?}"),
        }
        let in_time = much_later.plus(Duration::from_millis(100));
        budgets.take(&name("one"), Class::Read, in_time).expect("as it was told");
    }

    #[test]
    fn orders_and_cancels_cost_nothing() {
        let mut budgets = RequestBudgets::new(LIMITS);
        assert_eq!(taken(&mut budgets, Class::Trade, NOW), 1_000);
        assert_eq!(taken(&mut budgets, Class::Cancel, NOW), 1_000);
        assert!(budgets.by_client.is_empty());
        assert_eq!(taken(&mut budgets, Class::Read, NOW), 100);
        assert_eq!(taken(&mut budgets, Class::Trade, NOW), 1_000);
        assert_eq!(taken(&mut budgets, Class::Cancel, NOW), 1_000);
    }

    #[test]
    fn what_is_not_sent_costs_one_whatever_it_was() {
        let mut budgets = RequestBudgets::new(LIMITS);
        for _ in 0..100 {
            budgets.unsent(&name("one"), NOW);
        }
        assert_eq!(taken(&mut budgets, Class::Read, NOW), 0);
        assert_eq!(taken(&mut budgets, Class::Cancel, NOW), 1_000, "nothing is owed");
        // What was under way comes to nothing too.
        for _ in 0..20 {
            budgets.unsent(&name("one"), NOW);
        }
        for class in [Class::Cancel, Class::Read, Class::Trade] {
            assert_eq!(taken(&mut budgets, class, NOW), 0, "{class}");
        }
        assert_eq!(taken(&mut budgets, Class::Cancel, NOW.plus(Duration::from_secs(1))), 0);
        assert_eq!(taken(&mut budgets, Class::Cancel, NOW.plus(Duration::from_secs(2))), 1_000);
    }
}
