//! The log says what the clock did, and is whole whatever it did. What is done by a schedule goes on.

use std::time::{Duration, Instant, SystemTime};

use vault_audit::EntryKind;
use vault_client::v1;
use vault_tests::{KRAKEN_SCOPE, TestVault, kraken_balance};

use crate::{STEPS, World, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn every_step_is_in_the_log_with_its_size_and_checkpoints_go_on() {
    let world = World::start().await;
    world.vault.import_kraken("kraken-main").await;
    world.vault.bot_identity("bot", KRAKEN_SCOPE, &[]).await;
    world.tick().await;
    let mut at_s = 0;
    let mut expected = Vec::new();
    let mut allowed = Vec::new();
    for offset_s in STEPS {
        let begun = Instant::now();
        world.step(offset_s);
        expected.push((offset_s - at_s) * 1_000_000);
        at_s = offset_s;
        let signed =
            world.sign("bot", "kraken-main", kraken_balance()).await.expect("signed").receipt.index;
        // Before the next step: of two between two looks the vault would make one.
        let has_all = || world.entries(EntryKind::ClockJump).len() >= expected.len();
        eventually("the step is in the log", has_all).await;
        // Held up between a look at the one clock and at the other, the vault takes that for a part of it.
        allowed.push(Duration::from_secs(2) + begun.elapsed());
        let until = Instant::now() + Duration::from_secs(60);
        while size(&world).await <= signed {
            assert!(Instant::now() < until, "no checkpoint signs entry {signed}, at {offset_s}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let off = by_how_much(&world);
        assert!(off < Duration::from_secs(300), "entries have the wall clock's time: {off:?}");
    }
    let jumps = world.entries(EntryKind::ClockJump);
    let jumps: Vec<i64> =
        jumps.iter().map(|it| it.detail["jump_us"].parse().expect("a number")).collect();
    assert_eq!(jumps.len(), expected.len(), "{jumps:?}");
    for ((jump, expected), allowed) in jumps.iter().zip(&expected).zip(&allowed) {
        let off = Duration::from_micros((jump - expected).unsigned_abs());
        assert!(off < *allowed, "{jump} for {expected}, within {allowed:?}");
    }
    // The verifier stumbles over no time that goes back, now or in another life.
    let mut world = world;
    world.vault.restart().await;
    world.verify();
}

/// How many entries the newest checkpoint signs.
async fn size(world: &World) -> u64 {
    let method = "vault.v1.AuditService/GetCheckpoint";
    let checkpoint: v1::GetCheckpointResponse =
        world.command("auditor", method, &v1::GetCheckpointCommand {}).await.expect("one");
    let note = checkpoint.checkpoint.expect("one").note;
    note.lines().nth(1).and_then(|it| it.parse().ok()).expect("a size")
}

/// How far the newest entry's time is from the vault's wall clock.
fn by_how_much(world: &World) -> Duration {
    let entries = world.vault.log_entries();
    let newest = entries.last().expect("an entry").ts.micros().unsigned_abs();
    let at = SystemTime::UNIX_EPOCH + Duration::from_micros(newest);
    let now = world.now();
    now.duration_since(at).unwrap_or_else(|early| early.duration())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schedule_of_checks_survives_steps_of_the_clock() {
    // Nobody is there: what counts is that the venue is asked, and when.
    let builder = TestVault::builder().config("credential_check", "every_h", 1).config(
        "egress",
        "override",
        nowhere(),
    );
    let world = World::with(builder).await;
    world.vault.import_kraken("kraken-main").await;
    let asked = || world.entries(EntryKind::CredentialCheck).len();
    // What must not happen has two looks to happen in.
    let pause = async || {
        world.tick().await;
        world.tick().await;
    };
    pause().await;
    let begun = asked();
    world.step(crate::DAY);
    eventually("a day has passed by the wall clock", || asked() > begun).await;
    pause().await;
    let ahead = asked();
    // Put back: what was asked tomorrow does not count for a day.
    world.step(0);
    eventually("it is asked again", || asked() > ahead).await;
    let back = asked();
    pause().await;
    assert_eq!(asked(), back, "and then in its order again");
    world.verify();
}

/// All venues at a port of this machine where nobody listens.
fn nowhere() -> Vec<toml::Value> {
    let place = [("host", "*"), ("connect", "127.0.0.1:9")];
    let place = place.map(|(key, value)| (key.to_owned(), value.into()));
    vec![toml::Value::Table(place.into_iter().collect())]
}
