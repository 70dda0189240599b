//! Calls that wait for a lane, and who else waits for them.

use vault_audit::EntryKind;
use vault_ipc::ExecuteCall;

use super::bench::{Bench, ONE, OTHER, answered, caller, execute, kraken_balance, okx_order, sign};
use crate::storage::{Changes, CredentialState};

fn call(bot: u8, id: &str) -> ExecuteCall {
    ExecuteCall { caller: caller(bot), ..execute(id, "kraken-main", kraken_balance()) }
}

fn set_state(bench: &mut Bench, state: CredentialState) {
    let mut rows = bench.vault.tables().credentials.values();
    let mut row = rows.find(|row| row.venue == "kraken").cloned().expect("there");
    row.state = state;
    let mut changes = Changes::new();
    changes.put(row);
    bench.change(&changes);
}

#[test]
fn however_many_are_refused_each_is_a_turn_of_its_own() {
    let mut bench = Bench::new();
    let (id, ..) = bench.execute(1, call(ONE, "first")).sent();
    for number in 0..50 {
        let bot = if number % 2 == 0 { ONE } else { OTHER };
        let seen = bench.execute(100 + number, call(bot, &format!("waits-{number}")));
        assert!(seen.replies.is_empty());
    }
    set_state(&mut bench, CredentialState::Disabled);
    bench.vault.executed(&answered(), id, bench.now).expect("it is on its way");
    let seen = bench.look();
    assert!(seen.replies.is_empty(), "nothing is decided with the outcome");
    assert_eq!(seen.entries.len(), 1);
    assert_eq!(seen.entries[0].kind, EntryKind::ExecuteOutcome);
    for answered in 0..50 {
        // Others are served in between.
        let order = execute(&format!("order-{answered}"), "okx-main", okx_order("1"));
        bench.execute(1_000 + answered, order).sent();
        assert!(bench.lane_turn(), "{answered}");
        assert_eq!(bench.look().reason(), "CREDENTIAL_DISABLED");
    }
    assert!(!bench.lane_turn());
    set_state(&mut bench, CredentialState::Enabled);
    bench.execute(3, call(ONE, "afterwards")).sent();
}

#[test]
fn who_comes_while_a_lane_is_in_line_does_not_overtake() {
    let mut bench = Bench::new();
    let (id, ..) = bench.execute(1, call(ONE, "first")).sent();
    bench.execute(2, call(ONE, "second"));
    bench.vault.executed(&answered(), id, bench.now).expect("it is on its way");
    bench.look();
    let seen = bench.execute(3, call(OTHER, "third"));
    assert!(seen.dispatches.is_empty() && seen.replies.is_empty());
    // Nor is a nonce given to who signs.
    let signed = bench.sign(4, &sign(OTHER, "fourth", "kraken-main", kraken_balance()));
    assert_eq!(signed.reason(), "CREDENTIAL_LEASED");
    assert!(bench.lane_turn());
    let seen = bench.look();
    let (id, second, _) = seen.sent();
    assert_eq!(second.front_correlation, 2);
    assert!(!bench.lane_turn(), "one is on its way");
    let seen = bench.outcome(id, &answered());
    assert_eq!(seen.sent().1.front_correlation, 3);
}

#[test]
fn what_is_taken_back_while_its_lane_is_in_line_is_not_decided() {
    let mut bench = Bench::new();
    let (id, ..) = bench.execute(1, call(ONE, "first")).sent();
    bench.execute(2, call(ONE, "second"));
    bench.vault.executed(&answered(), id, bench.now).expect("it is on its way");
    bench.look();
    assert!(bench.vault.lanes.forget(2));
    assert!(!bench.lane_turn());
    assert!(bench.look().replies.is_empty());
    bench.execute(3, call(OTHER, "third")).sent();
}
