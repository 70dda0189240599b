//! Starts with a wall clock that was moved meanwhile, on the same boot of the machine and, as far as that
//! can be pretended, after another one.

use std::time::{Duration, Instant, SystemTime};

use vault_audit::EntryKind;
use vault_tests::{KRAKEN_SCOPE, kraken_balance, kraken_order_until};

use crate::{DAY, HOUR, World, nonces_rise};

async fn with_bot(more: &str) -> World {
    let world = World::start().await;
    world.vault.import_kraken("kraken-main").await;
    world.vault.bot_identity("bot", &format!("{KRAKEN_SCOPE}\n{more}"), &[]).await;
    world
}

async fn buy(world: &World) -> Option<String> {
    let deadline = world.now() + Duration::from_secs(1);
    let request = kraken_order_until("XBTUSD", "1", deadline);
    world.sign("bot", "kraken-main", request).await.err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_another_wall_clock_gives_no_cap_back_and_no_nonce_again() {
    let mut world = with_bot("[[cumulative.orders]]\nper = \"6h\"\nat_most = 2\n").await;
    for _ in 0..2 {
        assert_eq!(buy(&world).await, None);
    }
    for offset_s in [DAY, -DAY, HOUR, -HOUR, 0] {
        world.step(offset_s);
        world.vault.restart().await;
        assert_eq!(buy(&world).await.as_deref(), Some("ORDER_RATE_REACHED"), "at {offset_s}");
        world.sign("bot", "kraken-main", kraken_balance()).await.expect("a read");
    }
    let entries = world.vault.log_entries();
    assert_eq!(nonces_rise(&entries).len(), 7);
    let clocks: Vec<u64> = entries
        .iter()
        .filter(|entry| matches!(entry.kind, EntryKind::Sign | EntryKind::LogStarted))
        .map(|entry| entry.detail["clock"].parse().expect("a number"))
        .collect();
    assert!(clocks.is_sorted(), "{clocks:?}");
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "what was not checked is said")]
async fn after_a_reboot_a_window_is_longer_never_shorter_whatever_the_wall_clock_says() {
    const WINDOW: Duration = Duration::from_secs(20);
    // An order is good for a second, and counts for the window after that.
    const BEYOND: Duration = Duration::from_millis(21_500);
    let mut world = with_bot("[[cumulative.orders]]\nper = \"20s\"\nat_most = 1\n").await;
    let boot = world.vault.root().join("boot");
    std::fs::write(&boot, "11111111-2222-3333-4444-555555555555\n").expect("written");
    let bought_at = Instant::now();
    assert_eq!(buy(&world).await, None);
    world.vault.stop().await;
    let ran_before = bought_at.elapsed();
    // Longer than the window: on the same boot it would be over.
    tokio::time::sleep(BEYOND).await;
    world.vault.launch_mut().env.push(("COUNTERSIGN_TEST_BOOT".into(), boot.into()));
    let booted_at = Instant::now();
    let mut checked = 0;
    for offset_s in [DAY, -DAY] {
        world.step(offset_s);
        world.vault.run_and_unseal().await;
        let answer = buy(&world).await;
        if ran_before + booted_at.elapsed() < WINDOW {
            assert_eq!(answer.as_deref(), Some("ORDER_RATE_REACHED"), "at {offset_s}");
            checked += 1;
        } else {
            println!("not checked at {offset_s}: the window has passed, this machine is slow");
        }
        world.vault.stop().await;
    }
    assert!(checked > 0, "this machine is too slow for this test");
    world.step(0);
    world.vault.run_and_unseal().await;
    tokio::time::sleep(BEYOND).await;
    assert_eq!(buy(&world).await, None, "it goes on while a vault runs");
    let started = world.entries(EntryKind::LogStarted);
    let boots: Vec<Option<&String>> =
        started.iter().map(|entry| entry.detail.get("boot")).collect();
    assert!(boots.windows(2).any(|pair| pair[0] != pair[1]), "the boot was another: {boots:?}");
    nonces_rise(&world.vault.log_entries());
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_leased_and_signed_before_a_start_is_known_after_it_whatever_the_wall_clock_says()
{
    let mut world = with_bot("").await;
    world.vault.bot_identity("other", KRAKEN_SCOPE, &[]).await;
    let read = async |world: &World, bot: &str| {
        world.sign(bot, "kraken-main", kraken_balance()).await.err()
    };
    for offset_s in [DAY, -DAY] {
        world.step(0);
        assert_eq!(read(&world, "bot").await, None);
        let leased = SystemTime::now();
        world.step(offset_s);
        world.vault.restart().await;
        let answer = read(&world, "other").await;
        if leased.elapsed().unwrap_or_default() < Duration::from_secs(9) {
            assert_eq!(answer.as_deref(), Some("CREDENTIAL_LEASED"), "at {offset_s}");
        }
        tokio::time::sleep(Duration::from_millis(10_200)).await;
        assert_eq!(read(&world, "other").await, None, "at {offset_s}");
        tokio::time::sleep(Duration::from_millis(10_200)).await;
    }
    world.verify();
}
