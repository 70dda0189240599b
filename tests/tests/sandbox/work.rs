//! What a vault does for its people, it does inside the sandbox.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use vault_client::{ExecuteOrder, v1};
use vault_mock_venue::{Account, MockConfig, MockVenues, Tls, Venue};
use vault_tests::{
    OKX_KEY, OKX_PASSPHRASE, OKX_SCOPE, OKX_SECRET, PASSPHRASE, TestVault, okx_balance, order,
    vault_server,
};

use crate::attack::{Answer, Attacked, order as attempt};
use crate::users;

/// As [`OKX_SCOPE`], and the vault sends.
fn scope() -> String {
    OKX_SCOPE.replace("[\"sign\"]", "[\"sign\", \"execute\"]")
}

#[tokio::test(flavor = "multi_thread")]
async fn it_signs_executes_seals_opens_rotates_and_exports() {
    for user in users() {
        let mocks = okx();
        let ca = tempfile::tempdir().expect("a folder");
        fs::set_permissions(ca.path(), fs::Permissions::from_mode(0o755)).expect("set");
        let roots = ca.path().join("ca.pem");
        fs::write(&roots, mocks.ca_pem().expect("an authority")).expect("written");
        fs::set_permissions(&roots, fs::Permissions::from_mode(0o644)).expect("set");
        let place = toml::Table::from_iter([
            ("host".to_owned(), "*".into()),
            ("connect".to_owned(), mocks.tls_address().expect("TLS").to_string().into()),
            ("ca_file".to_owned(), roots.to_str().expect("plain").into()),
        ]);
        let mut builder = TestVault::builder()
            .config("hardening", "require", true)
            .config("egress", "override", vec![toml::Value::Table(place)])
            // So that segments are ended, named and made anew.
            .segment_bytes(65_536)
            .key_file();
        if let Some((user, group)) = user {
            builder = builder.user(user, group);
        }
        let mut vault = builder.start().await;
        // The key file lies outside the data directory.
        assert_eq!(vault.ready().state, "unsealed", "{user:?}");
        vault.import_okx("okx-main").await;
        let bot = vault.bot("bot", &scope(), &[]).await;
        for _ in 0..120 {
            bot.sign(order("okx-main", okx_balance())).await.expect("signed");
        }
        let execute = || ExecuteOrder {
            credential: "okx-main".to_owned(),
            request: okx_balance(),
            ..Default::default()
        };
        assert_eq!(bot.execute(execute()).await.expect("executed").status, 200);

        vault.guard().await.seal(v1::SealCommand {}).await.expect("sealed");
        assert_eq!(vault.restarted().await.state, "sealed");
        vault.unseal();
        let bot = vault.connect_bot("bot").await;
        assert_eq!(bot.execute(execute()).await.expect("executed").status, 200);
        let segments = fs::read_dir(vault.data().join("audit")).expect("the log");
        let is_segment = |name: &str| name.starts_with("seg-");
        let segments = segments.filter(|entry| {
            entry.as_ref().is_ok_and(|entry| is_segment(&entry.file_name().to_string_lossy()))
        });
        assert!(segments.count() > 1, "a segment was ended");

        let mut export =
            vault.auditor().await.export(v1::ExportCommand::default()).await.expect("an export");
        let mut entries = 0;
        while let Some(message) = export.next().await.expect("open") {
            entries += message.entries.len();
        }
        assert!(entries > 120);
        vault.restart().await;
        vault.verify();
        vault.stop().await;
        assert!(mocks.accepted().len() >= 2);
    }
}

fn okx() -> MockVenues {
    let account = Account {
        venue: Venue::Okx,
        api_key: OKX_KEY.to_owned(),
        secret: OKX_SECRET.to_owned(),
        passphrase: Some(OKX_PASSPHRASE.to_owned()),
        demo: false,
    };
    let clock = Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    });
    let config = MockConfig { tls: Some(Tls::made()), ..MockConfig::new(vec![account], clock) };
    MockVenues::start(config).expect("a mock venue")
}

/// One that is no development vault derives its key with 512 MiB.
#[test]
fn it_derives_a_key_of_full_strength() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let run = |words: &[&str], input: &str| {
        use std::io::Write as _;
        let mut child = Command::new(vault_server())
            .args(words)
            .arg("--data")
            .arg(&data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("runs");
        child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("written");
        child
    };
    let finished = |words: &[&str], input: &str| {
        let output = run(words, input).wait_with_output().expect("ended");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let secret = format!("{PASSPHRASE}\n");
    let any = ["--bot-address", "--operator-address", "--enroll-address"];
    let mut words = vec!["init", "--passphrase-stdin", "--name", "127.0.0.1"];
    words.extend(any.iter().flat_map(|option| [*option, "127.0.0.1:0"]));
    finished(&words, &secret);

    let mut vault = run(&["run", "--require-hardening"], "");
    let socket = data.join("vault.sock");
    for _ in 0..600 {
        if socket.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    finished(&["unseal", "--passphrase-stdin"], &secret);
    let text = finished(&["status"], "");
    assert!(text.starts_with("vault ") && text.contains(" unsealed\n"), "{text}");
    assert!(text.contains("sandbox of core") && !text.contains("MISSING"), "{text}");
    assert!(!text.contains("DEVELOPMENT"), "{text}");

    let pid = i32::try_from(vault.id()).expect("a process id");
    // SAFETY: the process is our child and was not waited for.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGTERM) }, 0);
    assert!(vault.wait().expect("ended").success());
}

/// The key file may be read, and not what lies beside it.
#[tokio::test(flavor = "multi_thread")]
async fn beside_a_configured_file_nothing_can_be_read() {
    for user in users() {
        let mut attacked = Attacked::start("core", user).await;
        let beside = attacked.public_file();
        let named = beside.with_file_name("unseal.key");
        fs::copy(&beside, &named).expect("copied");
        attacked.vault.stop().await;
        attacked.vault.set_config("unseal", "key_file", named.to_str().expect("plain"));
        attacked.vault.run().await;
        let answer = attacked.try_it(&attempt("open").at(&beside)).await;
        assert_eq!(answer, Answer::Refused(libc::EACCES));

        attacked.renew().await;
        assert_eq!(attacked.try_it(&attempt("open").at(&named)).await, Answer::Did);
    }
}
