//! How many denials of one caller stand in the log in full; beyond that they are counted.

use std::collections::HashMap;
use std::time::Duration;

use vault_model::{ClockTime, Name};

/// A budget for each client, or each operator: [`BURST`] at once, then [`PER_SECOND`].
#[derive(Default)]
pub struct DenialBudgets(HashMap<Name, Budget>);

struct Budget {
    left: u64,
    at: ClockTime,
}

impl DenialBudgets {
    /// Takes one denial from a caller's budget; `false` if there is none left.
    pub fn take(&mut self, name: &Name, now: ClockTime) -> bool {
        let budget = self.0.entry(name.clone()).or_insert_with(|| Budget { left: BURST, at: now });
        let earned = now.0.saturating_sub(budget.at.0) / EARNED_EVERY_US;
        if earned > 0 {
            budget.left = budget.left.saturating_add(earned).min(BURST);
            budget.at = budget.at.plus(Duration::from_micros(earned * EARNED_EVERY_US));
        }
        if budget.left == 0 {
            return false;
        }
        budget.left -= 1;
        true
    }
}

/// Denials that one may have logged at once.
pub const BURST: u64 = 500;
/// Denials that one may have logged each second, in the long run.
pub const PER_SECOND: u64 = 50;
const EARNED_EVERY_US: u64 = 1_000_000 / PER_SECOND;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vault_model::{ClockTime, Name};

    use super::{BURST, DenialBudgets, PER_SECOND};

    #[test]
    fn a_burst_then_a_rate_each_client_for_itself() {
        let mut budgets = DenialBudgets::default();
        let (loud, quiet): (Name, Name) =
            ("loud".parse().expect("a name"), "quiet".parse().expect("a name"));
        let now = ClockTime(1_800_000_000_000_000);
        let taken = |budgets: &mut DenialBudgets, at| {
            (0..10_000).filter(|_| budgets.take(&loud, at)).count() as u64
        };

        assert_eq!(taken(&mut budgets, now), BURST);
        assert!(budgets.take(&quiet, now));
        assert_eq!(taken(&mut budgets, now.plus(Duration::from_secs(2))), 2 * PER_SECOND);
        assert_eq!(taken(&mut budgets, now), 0);
        assert_eq!(taken(&mut budgets, now.plus(Duration::from_secs(86_400))), BURST);
    }
}
