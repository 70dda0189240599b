//! Short forms of what `vault-siege` does at length: each attack for a second or two, and what must hold
//! however slow the machine is. An operator is answered in the middle of it, the vault ends what it has
//! to end, no process grows without bound, and afterwards everybody gets in and is served.

use std::sync::Arc;
use std::time::{Duration, Instant};

use vault_client::v1;
use vault_tests::siege::{Attack, Done, Effort, Memory, Resident, Target};
use vault_tests::{OKX_SCOPE, TestVault, okx_balance, okx_order, order};

/// What the fixed limits let a process take on, generously.
const GROWTH_BYTES_MAX: u64 = 512 << 20;
/// Longer than anything takes; only a defect waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A vault under attack.
struct Siege {
    vault: TestVault,
    before: Resident,
    memory: Memory,
    done: Arc<Done>,
}

impl Siege {
    /// Attacks, and has an operator look, halt and resume in the middle of it.
    async fn of(attack: Attack, count: u64, time: Duration) -> Self {
        let vault = TestVault::start().await;
        vault.import_okx("okx-main").await;
        let good = vault.bot("good", OKX_SCOPE, &[]).await;
        let traitor = vault.bot_identity("traitor", OKX_SCOPE, &[]).await;
        good.sign(order("okx-main", okx_balance())).await.expect("signed");
        let before = Resident::look(vault.ready());
        let memory = Memory::watch(vault.ready());
        let done = Arc::new(Done::default());

        let target = Target::new(vault.ready(), &traitor);
        let effort = Effort { count, until: Instant::now() + time };
        let (attacked, counted) = (target.clone(), Arc::clone(&done));
        let attacking = tokio::spawn(async move { attack.run(&attacked, effort, &counted).await });
        while done.sent() == 0 && done.connections() == 0 && !attacking.is_finished() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let admin = vault.admin().await;
        let mut answered = 0;
        while !attacking.is_finished() || answered == 0 {
            admin.status(v1::StatusCommand {}).await.expect("an operator is answered");
            let halt = v1::HaltCommand {
                level: v1::HaltLevel::Nothing.into(),
                target: "client:traitor".to_owned(),
                reason: "siege".to_owned(),
            };
            admin.halt(halt).await.expect("a halt is heard");
            let resume =
                v1::ResumeCommand { target: "client:traitor".to_owned(), ..Default::default() };
            admin.resume(resume).await.expect("resumed");
            answered += 1;
        }
        attacking.await.expect("no panic");
        Self { vault, before, memory, done }
    }

    /// What must hold after every attack.
    async fn withstood(&self) {
        let growth = self.memory.most().growth(&self.before);
        assert!(growth < GROWTH_BYTES_MAX, "a process grew by {growth} bytes");

        let come = async { self.vault.connect("auditor").await.status(v1::StatusCommand {}).await };
        tokio::time::timeout(PATIENCE, come).await.expect("in time").expect("an operator gets in");
        let bot = self.vault.connect_bot("good").await;
        bot.sign(order("okx-main", okx_order("BTC-USDT", "0.001"))).await.expect("signed");
        let lines = self.vault.stderr().lines().count();
        assert!(lines < 200, "{lines} lines on stderr");
        self.vault.verify();
    }
}

/// A second of frames on a few connections: the vault has to end them, again and again.
async fn is_ended(attack: Attack) {
    let siege = Siege::of(attack, 4, Duration::from_secs(2)).await;
    let (connections, ended) = (siege.done.connections(), siege.done.ended());
    assert!(ended >= 4, "{ended} of {connections} connections ended, {} frames", siege.done.sent());
    siege.withstood().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn continuation_frames_without_end_end_the_connection() {
    is_ended(Attack::Continuation).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_with_nothing_in_them_end_the_connection() {
    is_ended(Attack::EmptyFrames).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_without_end_end_the_connection_and_are_not_logged() {
    is_ended(Attack::Pings).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_without_end_end_the_connection() {
    is_ended(Attack::Settings).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_opened_by_the_byte_end_the_connection() {
    is_ended(Attack::WindowUpdates).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_taken_back_at_once_end_the_connection() {
    is_ended(Attack::RapidReset).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_slow_strangers_keep_nobody_out() {
    let siege = Siege::of(Attack::Slowloris, 600, Duration::from_secs(4)).await;
    let (connections, ended) = (siege.done.connections(), siege.done.ended());
    assert!(connections >= 600, "{connections}");
    assert!(ended >= 100, "{ended} of {connections} were ended");
    siege.withstood().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_bad_handshakes_keep_nobody_out_and_leave_no_trace_in_the_log() {
    let siege = Siege::of(Attack::Handshakes, 1_000, PATIENCE).await;
    assert_eq!(siege.done.connections(), 1_000);
    assert!(siege.done.ended() >= 300, "{} were refused", siege.done.ended());
    siege.withstood().await;
    let denied = siege.vault.log_entries();
    let denied = denied.iter().filter(|entry| entry.kind == vault_audit::EntryKind::AuthDenied);
    assert_eq!(denied.count(), 0, "who has not shown who he is does not reach the core");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_asks_for_too_much_keeps_no_operator_waiting() {
    let siege = Siege::of(Attack::Overload, 256, Duration::from_secs(2)).await;
    assert!(siege.done.answered() > 0);
    siege.withstood().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_end_together_keep_no_operator_waiting() {
    let siege = Siege::of(Attack::LateEnds, 8, Duration::from_secs(3)).await;
    assert!(siege.done.sent() >= 8 * 128, "{} calls", siege.done.sent());
    siege.withstood().await;
}
