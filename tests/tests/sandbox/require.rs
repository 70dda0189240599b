//! A kernel that lacks something.

use std::ffi::OsString;
use std::process::Output;

use vault_tests::TestVault;

use crate::{built, users};

/// A vault on a kernel without something; not started yet.
async fn without(what: &str, user: Option<(u32, u32)>) -> TestVault {
    let mut builder = TestVault::builder().sealed();
    if let Some((user, group)) = user {
        builder = builder.user(user, group);
    }
    let mut vault = builder.start().await;
    vault.stop().await;
    vault.launch_mut().wrapper = vec![built().without.clone().into(), what.into()];
    vault
}

/// Runs it with the switch; it must end by itself.
fn run_required(vault: &mut TestVault) -> Output {
    let data = vault.data();
    let words: [OsString; 4] =
        ["run".into(), "--data".into(), data.into(), "--require-hardening".into()];
    vault.launch_mut().command(&words).output().expect("runs")
}

async fn is_required(what: &str, name: &str) {
    for user in users() {
        let mut vault = without(what, user).await;
        let output = run_required(&mut vault);
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stdout.is_empty(), "it never was ready");
        let said = String::from_utf8_lossy(&output.stderr);
        let error = format!("error: hardening is required, and this system has no {name}\n");
        assert!(
            said.contains(&error) && said.contains("hint: docs/reference/sandbox.md"),
            "{said}"
        );

        vault.set_config("hardening", "require", true);
        let refused = vault.try_run().await.expect_err("it refuses");
        assert!(refused.stderr.contains(&error), "{}", refused.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_landlock_a_vault_that_requires_it_does_not_start() {
    is_required("landlock", "Landlock").await;
}

/// A kernel that promises it: each process looks at what it got.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_switched_on_is_absent_too() {
    for user in users() {
        let mut vault = without("landlock-in-use", user).await;
        let output = run_required(&mut vault);
        assert_eq!(output.status.code(), Some(70));
        assert!(output.stdout.is_empty(), "it never was ready");
        let said = String::from_utf8_lossy(&output.stderr);
        // Whichever of them is first.
        assert!(said.contains("error: hardening is required, and the "), "{said}");
        assert!(said.contains(" has no Landlock\n"), "{said}");
        assert!(said.contains("ended with exit status 1; everything is stopped"), "{said}");

        vault.run().await;
        assert!(vault.local().status().hardening.iter().all(|row| row.landlock_abi == 0));
        vault.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_seccomp_a_vault_that_requires_it_does_not_start() {
    is_required("seccomp", "seccomp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_landlock_another_starts_and_says_so() {
    for kernel in ["landlock", "old-landlock"] {
        for user in users() {
            let mut vault = without(kernel, user).await;
            vault.run().await;
            vault.unseal();
            for row in vault.local().status().hardening {
                assert_eq!(row.landlock_abi, 0, "{row:?}");
                assert!(row.seccomp && row.dumps_off && row.no_capabilities, "{row:?}");
            }
            vault.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_seccomp_another_starts_and_says_so() {
    for user in users() {
        let mut vault = without("seccomp", user).await;
        vault.run().await;
        vault.unseal();
        let rows = vault.local().status().hardening;
        assert_eq!(rows.len(), 4);
        for row in rows {
            assert!(!row.seccomp, "{row:?}");
            assert_eq!(row.landlock_abi > 0, row.process != "supervisor", "{row:?}");
        }
        vault.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_everything_a_vault_that_requires_it_starts() {
    for user in users() {
        let mut builder = TestVault::builder().config("hardening", "require", true);
        if let Some((user, group)) = user {
            builder = builder.user(user, group);
        }
        let mut vault = builder.start().await;
        // After a seal as well.
        vault.guard().await.seal(Default::default()).await.expect("sealed");
        assert_eq!(vault.restarted().await.state, "sealed");
        vault.unseal();
        vault.stop().await;
    }
}
