//! The alarm's program, started by a real vault.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;
use vault_tests::TestVault;

use crate::SOON;

/// A program that a vault may start, and what it was told.
struct Program {
    folder: TempDir,
}

impl Program {
    /// A script of the shell, which has read its line into `$line`.
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let program = Self { folder };
        let told = program.folder.path().join("told");
        let text = format!(
            "#!/bin/sh\nread -r line\nenv > {0}.env\nls /proc/self/fd > {0}.fd\necho \"$line\" >> {0}\n{text}\n",
            told.display()
        );
        // By a process of its own: a file that is open here for writing is so in every process that another
        // test has just forked, and cannot be started so long.
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", r#"printf %s "$1" > "$2" && chmod 755 "$2""#, "sh", &text]);
        assert!(shell.arg(program.path()).status().expect("a shell").success());
        program
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("alarm")
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    /// All lines so far.
    fn told(&self) -> Vec<Value> {
        let text = self.read("told");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Waits until it was told this.
    async fn hears(&self, kind: &str, state: &str) -> Value {
        let end = Instant::now() + SOON;
        loop {
            let told = self.told();
            let found = told.iter().find(|line| line["kind"] == kind && line["state"] == state);
            if let Some(line) = found {
                return line.clone();
            }
            assert!(Instant::now() < end, "{kind} {state} is not among {told:?}");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
}

async fn start(program: &Program) -> TestVault {
    TestVault::builder().env("COUNTERSIGN_ALARM", program.path()).sealed().start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_vault_raises_an_alarm_and_an_unsealed_one_ends_it() {
    let program = Program::new("exit 0");
    let vault = start(&program).await;
    let raised = program.hears("SEALED", "raised").await;
    assert_eq!(raised["severity"], "critical");
    assert_eq!(raised["vault"], "127.0.0.1");
    assert_eq!(raised["text"], "the vault is sealed: nothing is signed");
    assert!(raised["at_ms"].as_u64() >= raised["since_ms"].as_u64());
    vault.unseal();
    program.hears("SEALED", "resolved").await;

    // It got nothing of the vault's but its line.
    let mut environment: Vec<String> =
        program.read("told.env").lines().map(str::to_owned).collect();
    // Of the shell's own.
    environment.retain(|line| {
        !["PWD=", "SHLVL=", "OLDPWD=", "_="].iter().any(|own| line.starts_with(own))
    });
    let [path] = environment.as_slice() else { panic!("{environment:?}") };
    assert!(path.starts_with("PATH=/usr/local/sbin:"), "{path}");
    // Standard input, output and error, and the folder that `ls` reads.
    assert_eq!(program.read("told.fd").lines().collect::<Vec<_>>(), ["0", "1", "2", "3"]);
    assert_eq!(program.told().iter().filter(|line| line["kind"] == "SEALED").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_ends_says_so_before() {
    let program = Program::new("exit 0");
    let mut vault = start(&program).await;
    // SAFETY: a plain system call on a process that the harness started.
    unsafe { libc::kill(vault.ready().pid_core, libc::SIGKILL) };
    let ended = program.hears("ENDED", "raised").await;
    let text = ended["text"].as_str().expect("a text");
    assert!(text.contains("the core was killed by signal 9 (SIGKILL)"), "{text}");
    assert!(!vault.ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_fails_or_hangs_is_said_and_keeps_nothing_up() {
    for text in ["exit 3", "exec sleep 600"] {
        let program = Program::new(text);
        let mut vault = start(&program).await;
        program.hears("SEALED", "raised").await;
        let end = Instant::now() + SOON;
        while !vault.stderr().contains("the alarm's program has failed") {
            assert!(Instant::now() < end, "{text}: {}", vault.stderr());
            // It serves meanwhile.
            vault.local().status();
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        vault.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_others_could_change_ends_the_start() {
    let program = Program::new("exit 0");
    let mut vault = start(&program).await;
    vault.stop().await;
    fs::set_permissions(program.path(), fs::Permissions::from_mode(0o777)).expect("set");
    let refused = vault.try_run().await.expect_err("refused");
    assert!(refused.stderr.contains("must be writable by its owner alone"), "{}", refused.stderr);
    // Nor one that the core could write.
    let inside = vault.data().join("alarm");
    fs::copy(program.path(), &inside).expect("copied");
    fs::set_permissions(&inside, fs::Permissions::from_mode(0o755)).expect("set");
    vault.launch_mut().env = vec![("COUNTERSIGN_ALARM".into(), inside.into())];
    let refused = vault.try_run().await.expect_err("refused");
    assert!(refused.stderr.contains("outside the data directory"), "{}", refused.stderr);
}
