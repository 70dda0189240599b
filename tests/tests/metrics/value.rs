//! Figures move with what happens.

use vault_client::v1;
use vault_tests::{okx_order, okx_withdrawal, order, reason};

use crate::{Figures, bot, builder, lost_request, of, text, until};

const SIGNED: &str = r#"countersign_client_requests_total{client="bot",outcome="signed"}"#;
const DENIED: &str = r#"countersign_client_requests_total{client="bot",outcome="denied"}"#;
const EXECUTED: &str = r#"countersign_client_requests_total{client="bot",outcome="executed"}"#;
const BOT_OK: &str = r#"countersign_calls_total{listener="bot",code="OK"}"#;
const BOT_DENIED: &str = r#"countersign_calls_total{listener="bot",code="PERMISSION_DENIED"}"#;
const WITHDRAWALS: &str = r#"countersign_denials_total{reason="CLASS_NOT_GRANTABLE"}"#;
const SEALED: &str = r#"countersign_seal_state{state="sealed"}"#;
const UNSEALED: &str = r#"countersign_seal_state{state="unsealed"}"#;
const CORE_START: &str = "countersign_start_timestamp_seconds";

fn stage(figures: &Figures, stage: &str) -> f64 {
    of(figures, &format!(r#"countersign_stage_seconds_count{{stage="{stage}"}}"#))
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_and_denials_are_counted_where_they_belong() {
    let vault = builder().start().await;
    let bot = bot(&vault).await;
    let before = until(&vault, |figures| of(figures, UNSEALED) == 1.0).await;
    assert_eq!((of(&before, SIGNED), of(&before, WITHDRAWALS)), (0.0, 0.0));
    assert_eq!(of(&before, SEALED), 0.0);
    assert_eq!(of(&before, r#"countersign_clients{state="active"}"#), 1.0);
    assert_eq!(of(&before, r#"countersign_credentials{state="enabled"}"#), 1.0);

    for _ in 0..3 {
        bot.sign(order("okx-main", okx_order("BTC-USDT", "1"))).await.expect("signed");
    }
    for _ in 0..2 {
        let denied = bot.sign(order("okx-main", okx_withdrawal())).await;
        assert_eq!(reason(denied), "CLASS_NOT_GRANTABLE");
    }
    bot.execute(lost_request()).await.expect_err("nobody is there");

    let after = until(&vault, |figures| {
        of(figures, EXECUTED) == 1.0
            && figures.keys().any(|name| name.starts_with("countersign_venue_requests_total{"))
    })
    .await;
    assert_eq!((of(&after, SIGNED), of(&after, DENIED), of(&after, WITHDRAWALS)), (3.0, 2.0, 2.0));
    // Two ways of asking: both denials have this status.
    let more = |name: &str| of(&after, name) - of(&before, name);
    assert_eq!((more(BOT_OK), more(BOT_DENIED)), (3.0, 2.0));
    for (name, at_least) in [("decode", 5.0), ("hop", 5.0), ("decide", 5.0), ("sync", 1.0)] {
        let more = stage(&after, name) - stage(&before, name);
        assert!(more >= at_least, "{name}: {more}");
    }
    assert_eq!(stage(&after, "sign") - stage(&before, "sign"), 3.0);
    assert_eq!(stage(&after, "release") - stage(&before, "release"), 3.0);
    let entries = more("countersign_log_entries_total");
    assert!((6.0..60.0).contains(&entries), "{entries}");
    // What was put on disk was put there by syncs that were counted.
    let synced: f64 = ["decisions", "writer"]
        .map(|thread| more(&format!(r#"countersign_batch_entries_sum{{thread="{thread}"}}"#)))
        .iter()
        .sum();
    assert_eq!(synced, entries);
    assert!(of(&after, "countersign_log_disk_free_bytes") > 0.0);
    for process in ["core", "egress", "front", "supervisor"] {
        for figure in ["cpu_seconds_total", "memory_peak_bytes"] {
            let name = format!(r#"countersign_process_{figure}{{process="{process}"}}"#);
            until(&vault, |figures| figures.get(&name).is_some_and(|used| *used > 0.0)).await;
        }
    }
    for queue in ["clients", "operators", "urgent"] {
        assert_eq!(of(&after, &format!(r#"countersign_turns_waiting{{queue="{queue}"}}"#)), 0.0);
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.expect("after 1970").as_secs_f64();
    for which in ["ca", "operator", "server"] {
        let name = format!(
            r#"countersign_certificate_not_after_timestamp_seconds{{certificate="{which}"}}"#
        );
        assert!(of(&after, &name) > now, "{which}");
    }
    assert!((now - of(&after, CORE_START)).abs() < 600.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_vault_says_that_it_is() {
    let mut vault = builder().start().await;
    bot(&vault).await;
    let open = until(&vault, |figures| of(figures, UNSEALED) == 1.0).await;
    let halt = v1::HaltCommand {
        level: v1::HaltLevel::Nothing.into(),
        target: "venue:okx".to_owned(),
        reason: "a test".to_owned(),
    };
    let _: v1::HaltResponse = vault.command("vault.v1.HaltService/Halt", &halt).await;
    let halted = r#"countersign_halts{level="NOTHING"}"#;
    assert_eq!(of(&open, halted), 0.0);
    until(&vault, |figures| of(figures, halted) == 1.0).await;

    let seal = v1::SealCommand::default();
    let _: v1::SealResponse = vault.command("vault.v1.SealService/Seal", &seal).await;
    vault.restarted().await;
    let sealed = until(&vault, |figures| of(figures, SEALED) == 1.0).await;
    assert_eq!((of(&sealed, UNSEALED), of(&sealed, "countersign_core_up")), (0.0, 1.0));
    assert!(of(&sealed, CORE_START) >= of(&open, CORE_START));
    vault.unseal();
    until(&vault, |figures| of(figures, UNSEALED) == 1.0 && of(figures, halted) == 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_core_that_does_not_answer_is_said_to_be_down() {
    let vault = builder().start().await;
    until(&vault, |figures| of(figures, UNSEALED) == 1.0).await;
    let core = vault.ready().pid_core;
    // SAFETY: a plain system call on a process that the harness started.
    let send = |signal| unsafe { libc::kill(core, signal) };
    assert_eq!(send(libc::SIGSTOP), 0);
    let down = until(&vault, |figures| of(figures, "countersign_core_up") == 0.0).await;
    assert!(!down.keys().any(|name| name.starts_with("countersign_seal_state")));
    assert!(down.contains_key("countersign_calls_waiting"), "what the front knows is there");
    assert_eq!(send(libc::SIGCONT), 0);
    until(&vault, |figures| of(figures, UNSEALED) == 1.0).await;
    // Buckets of a histogram grow.
    let text = text(&vault).await;
    let buckets: Vec<f64> = text
        .lines()
        .filter(|line| line.starts_with(r#"countersign_stage_seconds_bucket{stage="sync""#))
        .map(|line| line.rsplit_once(' ').expect("a number").1.parse().expect("a number"))
        .collect();
    assert!(buckets.len() > 20 && buckets.is_sorted(), "{buckets:?}");
}
