//! Certificates and tokens: their time is that of the wall clock. A step while one is renewed locks
//! nobody out once the clock is right again.

use std::time::{Duration, Instant};

use vault_audit::EntryKind;
use vault_client::{Operator, SecretBytes, v1};
use vault_tests::{KRAKEN_SCOPE, PASSPHRASE, TestVault, kraken_balance};

use crate::{DAY, HOUR, World, eventually};

const LIST: &str = "vault.v1.ClientService/List";

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_renews_while_the_clock_is_wrong_is_let_in_when_it_is_right() {
    let world = World::start().await;
    world.vault.import_kraken("kraken-main").await;
    for (name, offset_s) in
        [("hour-ahead", HOUR), ("hour-behind", -HOUR), ("day-ahead", DAY), ("day-behind", -DAY)]
    {
        world.step(0);
        world.vault.bot_identity(name, KRAKEN_SCOPE, &[]).await;
        world.step(offset_s);
        let at_step = world.ask(name, vault_tests::order("kraken-main", kraken_balance())).await;
        let is_over = at_step.err().as_deref() == Some("CERTIFICATE_EXPIRED");
        assert_eq!(is_over, offset_s == DAY, "{name}: a certificate lasts a day");
        world.renew(name).await.unwrap_or_else(|reason| panic!("{name}: {reason}"));
        // The answer to a renewal may be lost: it is asked for again, on the other side of a step.
        world.step(0);
        // Or it came: what it brought is good, or good for a renewal.
        world.sign(name, "kraken-main", kraken_balance()).await.unwrap_or_else(|reason| {
            assert_eq!(reason, "CREDENTIAL_LEASED", "{name}");
            panic!("{name}: the lease of another is not what is tested here")
        });
        tokio::time::sleep(Duration::from_millis(10_200)).await;
    }
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_is_renewed_once_a_minute() {
    let world = World::start().await;
    world.vault.import_kraken("kraken-main").await;
    world.vault.bot_identity("bot", KRAKEN_SCOPE, &[]).await;
    for who in ["bot", "admin"] {
        world.step(0);
        // An enrolment is none.
        assert_eq!(world.renew(who).await, Ok(()), "{who}");
        let entries = world.entries(EntryKind::CertIssued).len();
        for _ in 0..3 {
            assert_eq!(world.renew(who).await, Err("RENEWED_LATELY".to_owned()), "{who}");
        }
        world.step(50);
        assert_eq!(world.renew(who).await, Err("RENEWED_LATELY".to_owned()), "{who}");
        assert_eq!(world.entries(EntryKind::CertIssued).len(), entries, "{who}");
        world.step(61);
        assert_eq!(world.renew(who).await, Ok(()), "{who}");
        // One that lies ahead, because the clock was set back, holds nobody up.
        world.step(-HOUR);
        assert_eq!(world.renew(who).await, Ok(()), "{who}");
        world.step(0);
    }
    // By the first renewal of each, which the clock of now has behind it.
    let error = world.vault.identity("bot").renew().await.expect_err("too early");
    let refusal = error.refusal().expect("a refusal");
    assert_eq!(refusal.reason, "RENEWED_LATELY");
    let wait = refusal.retry_after.expect("it says when");
    assert!(!wait.is_zero() && wait <= Duration::from_secs(60), "{wait:?}");
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_who_renews_while_the_clock_is_wrong_is_let_in_when_it_is_right() {
    let world = World::start().await;
    for offset_s in [HOUR, -HOUR, DAY, -DAY] {
        world.step(offset_s);
        world.renew("admin").await.unwrap_or_else(|reason| panic!("{offset_s}: {reason}"));
        for then_s in [0, offset_s, -offset_s] {
            world.step(then_s);
            let list: Result<v1::ListClientsResponse, _> =
                world.command("admin", LIST, &v1::ListClientsCommand::default()).await;
            list.unwrap_or_else(|reason| panic!("{offset_s}, {then_s}: {reason}"));
        }
    }
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_revoked_stays_revoked_whatever_the_clock_says() {
    let world = World::start().await;
    world.vault.import_kraken("kraken-main").await;
    world.vault.bot_identity("bot", KRAKEN_SCOPE, &[]).await;
    let revoke = v1::RevokeClientCommand { name: "bot".to_owned(), reason: String::new() };
    world.vault.admin().await.revoke_client(revoke).await.expect("revoked");
    for offset_s in [HOUR, -HOUR, DAY, -DAY, 0] {
        world.step(offset_s);
        let answer = world.ask("bot", vault_tests::order("kraken-main", kraken_balance())).await;
        let answer = answer.err();
        assert_eq!(answer.as_deref(), Some("CERTIFICATE_REVOKED"), "at {offset_s}");
        let renewal = world.renew("bot").await.err();
        assert_eq!(renewal.as_deref(), Some("CERTIFICATE_REVOKED"), "at {offset_s}");
    }
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_for_its_time_by_the_wall_clock_and_once_by_any() {
    let world = World::start().await;
    let invite = async |name: &str| world.vault.invite(name, v1::Role::Pricer, "", &[]).await;
    let enroll = async |name: &str, token: &vault_proto::token::Token| {
        world.vault.enroll(name, token).await.map(drop).map_err(|error| match error.refusal() {
            Some(refusal) => refusal.reason.clone(),
            None => panic!("{error:?}"),
        })
    };
    let (one, two) = (invite("one").await, invite("two").await);
    for offset_s in [HOUR, DAY] {
        world.step(offset_s);
        assert_eq!(enroll("one", &one).await, Err("INVITATION_EXPIRED".to_owned()));
    }
    // It was not its time that was over: nothing is used up by a wrong clock.
    world.step(0);
    assert_eq!(enroll("one", &one).await, Ok(()));
    for offset_s in [HOUR, -HOUR, DAY, -DAY, 0] {
        world.step(offset_s);
        let again = enroll("one-again", &one).await;
        assert_eq!(again, Err("INVITATION_USED".to_owned()), "at {offset_s}");
    }
    // As long as the clock is behind, a token that nobody has used lives on: its end is a time of day.
    world.step(-DAY);
    assert_eq!(enroll("two", &two).await, Ok(()));
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_certificate_that_is_renewed_a_day_ahead_is_good_when_the_clock_is_right() {
    const RENEWED_AFTER_S: i64 = 20 * DAY;
    // Made nearly 20 days ago: a day more, and it is renewed.
    let builder = TestVault::builder().key_file().clock_offset_s(HOUR - RENEWED_AFTER_S);
    let mut world = World::with(builder).await;
    world.vault.set_clock_offset_s(0);
    world.vault.restart().await;
    let not_after_ms = |world: &World| world.vault.local().status().server_not_after_ms;
    let first = not_after_ms(&world);
    world.step(DAY);
    eventually("renewed by a clock that is ahead", || not_after_ms(&world) > first).await;
    let second = not_after_ms(&world);
    for offset_s in [0, DAY, -HOUR, 0] {
        world.step(offset_s);
        // Both ends look at the other's certificate: the vault by its clock, this test by the true one.
        let list: Result<v1::ListClientsResponse, _> =
            world.command("admin", LIST, &v1::ListClientsCommand::default()).await;
        list.unwrap_or_else(|reason| panic!("{offset_s}: {reason}"));
    }
    world.step(-DAY);
    world.tick().await;
    assert_eq!(not_after_ms(&world), second, "and kept");
    world.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pause_after_a_wrong_passphrase_is_neither_skipped_nor_prolonged() {
    let mut world = World::start().await;
    world.vault.stop().await;
    world.vault.run().await;
    let attempt = |text: &str| world.vault.local().unseal(text).err().map(|it| it.reason);
    assert_eq!(attempt("not this one").as_deref(), Some("WRONG_PASSPHRASE"));
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let mut failed_at = Instant::now();
    assert_eq!(attempt("nor this").as_deref(), Some("WRONG_PASSPHRASE"));
    // 4 s now, by any clock.
    let (mut failures, mut pause) = (2, Duration::from_secs(4));
    for offset_s in [DAY, HOUR, -HOUR, -DAY] {
        world.step(offset_s);
        loop {
            let asked_at = Instant::now();
            let answer = attempt("nor that");
            if answer.as_deref() == Some("UNSEAL_BACKOFF") {
                break;
            }
            // On a slow machine the pause may be over: then another begins, which is twice as long.
            assert_eq!(answer.as_deref(), Some("WRONG_PASSPHRASE"), "at {offset_s}");
            assert!(failed_at.elapsed() >= pause, "at {offset_s} the pause is skipped");
            (failed_at, failures, pause) = (asked_at, failures + 1, pause * 2);
        }
    }
    tokio::time::sleep(pause + Duration::from_millis(100)).await;
    assert_eq!(attempt(PASSPHRASE), None);
    assert_eq!(world.entries(EntryKind::UnsealDenied).len(), failures);
    world.verify();
}

/// Who has stolen an operator's identity guesses, or only says something wrong whenever he may: on the
/// vault's own host nobody waits for him, before a restart or after it.
#[tokio::test(flavor = "multi_thread")]
async fn attempts_over_the_network_keep_nobody_waiting_on_the_host() {
    let mut world = World::start().await;
    world.vault.stop().await;
    world.vault.run().await;
    let guess = async |world: &World| {
        let operator = Operator::connect(world.vault.identity("admin")).await;
        let guess = SecretBytes::new(b"not this one".to_vec());
        vault_tests::reason(operator.expect("connected").unseal(&guess).await)
    };
    assert_eq!(guess(&world).await, "WRONG_PASSPHRASE");
    // Twice as long as others would have to.
    tokio::time::sleep(Duration::from_millis(4_100)).await;
    let mut failed_at = Instant::now();
    assert_eq!(guess(&world).await, "WRONG_PASSPHRASE");
    let mut pause = Duration::from_secs(8);
    // On a slow machine the pause may be over: then another begins, which is twice as long.
    let mut is_too_early = async |world: &World| {
        let asked_at = Instant::now();
        let answer = guess(world).await;
        if answer == "UNSEAL_BACKOFF" {
            return true;
        }
        assert_eq!(answer, "WRONG_PASSPHRASE");
        assert!(failed_at.elapsed() >= pause, "no pause of {pause:?}");
        (failed_at, pause) = (asked_at, pause * 2);
        false
    };
    while !is_too_early(&world).await {}
    assert_eq!(world.vault.local().status().retry_after_s, 0, "nobody failed here");

    // A restart is no fresh start.
    loop {
        world.vault.stop().await;
        world.vault.run().await;
        if is_too_early(&world).await {
            break;
        }
    }
    world.vault.local().unseal(PASSPHRASE).expect("opened at once");
    world.verify();
}
