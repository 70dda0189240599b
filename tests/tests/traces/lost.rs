//! Collectors that are away, slow or not willing, and an exporter that is gone: the vault signs.

use vault_client::Client;
use vault_tests::{TestVault, okx_order, order};

use crate::collector::{Answer, Collector};
use crate::{bot, builder, figure, roots, until};

/// Ends a process at once.
fn kill(pid: i32) {
    // SAFETY: a plain system call.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
}

const UP: &str = "countersign_traces_collector_up";
const AT_COLLECTOR: &str = r#"countersign_spans_dropped_total{reason="collector"}"#;

async fn sign(bot: &Client, count: usize) {
    for _ in 0..count {
        bot.sign(order("okx-main", okx_order("BTC-USDT", "1"))).await.expect("signed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_the_vault_signs_and_counts_what_is_lost() {
    let collector = Collector::away().await;
    let mut vault = builder(&collector, 1.0).start().await;
    let bot = bot(&vault).await;
    sign(&bot, 20).await;
    until(&vault, AT_COLLECTOR, |spans| spans > 0.0).await;
    assert_eq!(figure(&vault, UP).await, 0.0);
    sign(&bot, 20).await;
    // It is said once, not for each.
    let said = vault.stderr().matches("spans do not get to their collector").count();
    assert_eq!(said, 1, "{}", vault.stderr());
    vault.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_hangs_holds_nobody_up() {
    let collector = Collector::start(Answer::Hang).await;
    let mut vault =
        builder(&collector, 1.0).config("tracing", "max_per_second", 10_000).start().await;
    let bot = bot(&vault).await;
    sign(&bot, 1).await;
    // It has them, and says nothing.
    while collector.heads().is_empty() {
        sign(&bot, 1).await;
    }
    let mut signed = 0;
    // Far more than may wait anywhere: what is too much is counted.
    while signed < 2_048 {
        let orders = (0..256).map(|_| order("okx-main", okx_order("BTC-USDT", "1"))).collect();
        bot.sign_batch(orders).await.expect("answered");
        signed += 256;
    }
    until(&vault, AT_COLLECTOR, |spans| spans > 0.0).await;
    vault.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_collector_refuses_is_counted_and_not_sent_again() {
    let collector = Collector::start(Answer::Refuse("400 Bad Request")).await;
    let vault = builder(&collector, 1.0).start().await;
    let bot = bot(&vault).await;
    sign(&bot, 1).await;
    until(&vault, AT_COLLECTOR, |spans| spans > 0.0).await;
    assert_eq!(figure(&vault, UP).await, 0.0);
    assert_eq!(figure(&vault, "countersign_spans_exported_total").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exporter_that_is_killed_takes_nothing_along_and_has_another_after_it() {
    let collector = Collector::start(Answer::Take).await;
    let mut vault = builder(&collector, 1.0).start().await;
    let bot = bot(&vault).await;
    sign(&bot, 1).await;
    let spans = collector.until(|spans| !roots(spans, "countersign.sign").is_empty()).await;
    until(&vault, "countersign_spans_exported_total", |count| count >= spans.len() as f64).await;
    assert_eq!(figure(&vault, UP).await, 1.0);

    kill(vault.ready().pid_exporter.expect("there is one"));
    sign(&bot, 5).await;
    vault.await_stderr("no spans until another is started").await;

    // Spans come again, and figures go on where they were.
    vault.await_stderr("there is an exporter again").await;
    let before = figure(&vault, "countersign_spans_exported_total").await;
    assert!(before >= spans.len() as f64, "{before}");
    let told = roots(&collector.spans(), "countersign.sign").len();
    sign(&bot, 1).await;
    collector.until(|spans| roots(spans, "countersign.sign").len() > told).await;
    until(&vault, "countersign_spans_exported_total", |count| count > before).await;
    until(&vault, UP, |up| up == 1.0).await;
    assert!(vault.stderr().contains("another exporter is started"), "{}", vault.stderr());
    vault.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_its_way_when_the_vault_stops_gets_there() {
    let collector = Collector::start(Answer::Take).await;
    let mut vault = builder(&collector, 1.0).start().await;
    let bot = bot(&vault).await;
    sign(&bot, 3).await;
    vault.stop().await;
    collector.until(|spans| roots(spans, "countersign.sign").len() == 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_elsewhere_ends_the_start() {
    let mut vault: TestVault = TestVault::builder().sealed().start().await;
    vault.stop().await;
    vault.set_config("tracing", "otlp_endpoint", "http://192.0.2.1:4318");
    let refused = vault.try_run().await.expect_err("no loopback address");
    assert!(refused.stderr.contains("otlp_endpoint must be http://"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("192.0.2.1"), "{}", refused.stderr);
}
