//! What a barrier waits for and what it cuts, and how many connections and calls there may be.

use std::sync::Arc;
use std::time::Duration;

use super::{Registered, Registry};
use crate::caller::Facts;

const LONG: Duration = Duration::from_secs(60);

fn enter(registry: &Arc<Registry>, serial: u8) -> Registered {
    registry.enter(Facts::for_test([serial; 16]), 128, 2).expect("below the limit")
}

#[tokio::test]
async fn passes_at_once_when_nothing_is_released() {
    let registry = Arc::new(Registry::default());
    let _open = enter(&registry, 1);

    assert!(registry.barrier(&[]).is_none());
}

#[tokio::test]
async fn waits_for_the_drop_and_then_for_the_flush() {
    let registry = Arc::new(Registry::default());
    let open = enter(&registry, 1);
    let hold = registry.hold(open.connection());
    let wait = registry.barrier(&[]).expect("a reply is held");
    let passed = tokio::spawn(wait.passed(LONG));

    open.connection().settle();
    tokio::task::yield_now().await;
    assert!(!passed.is_finished());

    open.connection().note_write();
    drop(hold);
    open.connection().settle();
    tokio::task::yield_now().await;
    assert!(!passed.is_finished());

    open.connection().note_flush();
    tokio::task::yield_now().await;
    assert!(!passed.is_finished());

    open.connection().settle();
    passed.await.expect("passes");
    assert!(!open.connection().is_cut());
}

#[tokio::test]
async fn does_not_wait_for_replies_after_it() {
    let registry = Arc::new(Registry::default());
    let open = enter(&registry, 1);
    let before = registry.hold(open.connection());
    let wait = registry.barrier(&[]).expect("a reply is held");
    let after = registry.hold(open.connection());

    drop(before);
    open.connection().settle();
    wait.passed(LONG).await;
    assert!(!open.connection().is_cut());

    let wait = registry.barrier(&[]).expect("the later reply is held");
    drop(after);
    open.connection().settle();
    wait.passed(LONG).await;
    assert!(registry.barrier(&[]).is_none());
}

#[tokio::test(start_paused = true)]
async fn cuts_what_does_not_settle_and_only_that() {
    let registry = Arc::new(Registry::default());
    let slow = enter(&registry, 1);
    let good = enter(&registry, 2);
    let _held = registry.hold(slow.connection());

    let wait = registry.barrier(&[]).expect("a reply is held");
    wait.passed(Duration::from_millis(250)).await;

    assert!(slow.connection().is_cut());
    assert!(!good.connection().is_cut());
    assert!(registry.barrier(&[]).is_none());
}

#[tokio::test]
async fn cuts_by_serial_without_waiting() {
    let registry = Arc::new(Registry::default());
    let revoked = enter(&registry, 1);
    let other = enter(&registry, 2);
    let _held = registry.hold(revoked.connection());

    assert!(registry.barrier(&[vec![1; 16]]).is_none());
    assert!(revoked.connection().is_cut());
    assert!(!other.connection().is_cut());
}

#[tokio::test]
async fn a_connection_that_ends_is_not_waited_for() {
    let registry = Arc::new(Registry::default());
    let open = enter(&registry, 1);
    let _held = registry.hold(open.connection());
    let wait = registry.barrier(&[]).expect("a reply is held");
    let passed = tokio::spawn(wait.passed(LONG));

    tokio::task::yield_now().await;
    drop(open);
    passed.await.expect("passes");
}

#[test]
fn a_connection_has_so_many_calls_and_no_more() {
    let registry = Arc::new(Registry::default());
    let open = registry.enter(Facts::for_test([1; 16]), 2, 1).expect("below the limit");
    let connection = open.connection();
    let first = connection.begin_call().expect("the first");
    let _second = connection.begin_call().expect("the second");
    assert!(connection.begin_call().is_none());
    drop(first);
    let _third = connection.begin_call().expect("free again");
    assert!(connection.begin_call().is_none());
}

#[test]
fn a_certificate_has_so_many_connections_and_no_more() {
    let registry = Arc::new(Registry::default());
    let first = enter(&registry, 1);
    let _second = enter(&registry, 1);

    assert!(registry.enter(Facts::for_test([1; 16]), 128, 2).is_none());
    drop(first);
    let _again = enter(&registry, 1);
}
