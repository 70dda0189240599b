//! Starts, seals, crashes, health.

use std::collections::BTreeSet;

use tonic::Code;
use vault_audit::EntryKind;
use vault_client::{SecretBytes, v1};
use vault_tests::{OKX_SCOPE, PASSPHRASE, TestVault, okx_balance, reason, wire};

use crate::{halt_on, of_kind, resume_on, sign, sign_anew};

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_is_sealed_and_opened_again() {
    let mut vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let bot = vault.bot("bot", OKX_SCOPE, &[]).await;
    sign(&bot, "okx-main", okx_balance()).await.expect("signed");
    let state_rev = vault.state_rev();

    vault.guard().await.seal(v1::SealCommand {}).await.expect("sealed");
    assert_eq!(vault.restarted().await.state, "sealed");
    let refused = sign_anew(&bot, "okx-main", okx_balance()).await;
    assert_eq!(reason(refused), "SEALED");
    let admin = vault.admin().await;
    let status = admin.status(v1::StatusCommand {}).await.expect("a status");
    assert_eq!(status.state(), v1::SealState::Sealed);
    assert!(status.development);
    let passphrase = SecretBytes::new(PASSPHRASE.into());
    assert_eq!(reason(vault.guard().await.unseal(&passphrase).await), "ROLE");
    let opened = admin.unseal(&passphrase).await.expect("unsealed");
    assert_eq!(opened.state_rev, state_rev);
    assert_eq!(reason(admin.unseal_sealed(v1::UnsealCommand::default()).await), "ALREADY_UNSEALED");
    sign_anew(&bot, "okx-main", okx_balance()).await.expect("signed");

    let entries = vault.log_entries();
    assert_eq!(of_kind(&entries, EntryKind::Seal).len(), 1);
    assert_eq!(of_kind(&entries, EntryKind::Unseal).len(), 2);
    vault.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_halts_and_revocations() {
    let mut vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let halted = vault.bot("halted", OKX_SCOPE, &[]).await;
    let revoked = vault.bot("revoked", OKX_SCOPE, &[]).await;
    for bot in [&halted, &revoked] {
        sign(bot, "okx-main", okx_balance()).await.expect("signed");
    }
    let admin = vault.admin().await;
    admin.halt(halt_on("client:halted", v1::HaltLevel::Nothing)).await.expect("halted");
    let revoke = v1::RevokeClientCommand { name: "revoked".to_owned(), reason: String::new() };
    admin.revoke_client(revoke).await.expect("revoked");
    let state_rev = vault.state_rev();

    vault.restart().await;
    assert_eq!(vault.state_rev(), state_rev);
    let halted = vault.connect_bot("halted").await;
    assert_eq!(reason(sign(&halted, "okx-main", okx_balance()).await), "HALT_NOTHING");
    let revoked = vault.connect_bot("revoked").await;
    assert_eq!(reason(sign_anew(&revoked, "okx-main", okx_balance()).await), "CERTIFICATE_REVOKED");

    // Through a crash as well.
    let status = vault.kill_core().await;
    assert!(!status.success());
    vault.run_and_unseal().await;
    let halted = vault.connect_bot("halted").await;
    assert_eq!(reason(sign(&halted, "okx-main", okx_balance()).await), "HALT_NOTHING");
    vault.admin().await.resume(resume_on("client:halted")).await.expect("resumed");
    sign(&halted, "okx-main", okx_balance()).await.expect("signed");
    vault.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_opens_the_vault_at_every_start_but_not_after_a_seal() {
    let mut vault = TestVault::builder().key_file().start().await;
    assert_eq!(vault.ready().state, "unsealed");
    vault.stop().await;
    assert_eq!(vault.run().await.state, "unsealed");

    vault.admin().await.seal(v1::SealCommand {}).await.expect("sealed");
    assert_eq!(vault.restarted().await.state, "sealed", "a person sealed it, a person opens it");
    vault.unseal();
    vault.stop().await;

    // Another file opens nothing; the vault runs on, sealed, and the passphrase still opens it.
    std::fs::write(vault.root().join("unseal.key"), [7; 64]).expect("written");
    assert_eq!(vault.run().await.state, "sealed");
    let slots = vault.local().status().slots;
    let kinds: Vec<_> = slots.iter().map(|slot| slot.kind.as_str()).collect();
    assert_eq!(kinds, ["passphrase", "key_file"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_whether_it_is_open_and_reflection_what_there_is() {
    use tonic_health::ServingStatus;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    let mut vault = TestVault::start().await;
    vault.bot_identity("bot", OKX_SCOPE, &[]).await;
    let check = async |vault: &TestVault, expected: ServingStatus| {
        let (admin, bot) = (vault.identity("admin"), vault.identity("bot"));
        let ready = vault.ready();
        let doors = [
            (ready.bot, Some(&bot), "vault.v1.SignService"),
            (ready.operator, Some(&admin), "vault.v1.ScopeService"),
            (ready.enroll, None, "vault.v1.ClientService"),
        ];
        for (address, identity, service) in doors {
            let channel = wire::channel(wire::tls(&admin, identity), address, None).await;
            let mut health = HealthClient::new(channel.expect("connected"));
            for service in ["", service] {
                let request = HealthCheckRequest { service: service.to_owned() };
                let answer = health.check(request).await.expect("an answer").into_inner();
                assert_eq!(answer.status, expected as i32, "{service} at {address}");
            }
        }
    };
    check(&vault, ServingStatus::Serving).await;

    let admin = vault.identity("admin");
    let tls = || wire::tls(&admin, Some(&admin));
    let channel = wire::channel(tls(), vault.ready().operator, None).await.expect("connected");
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(channel);
    let mut answers = reflection
        .server_reflection_info(tokio_stream::iter([list]))
        .await
        .expect("reflection")
        .into_inner();
    let answer = answers.message().await.expect("an answer").expect("one");
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("no list: {answer:?}");
    };
    let services: BTreeSet<_> = list.service.into_iter().map(|service| service.name).collect();
    assert!(services.contains("vault.v1.ScopeService"), "{services:?}");
    assert!(!services.contains("vault.v1.SignService"), "not on this listener: {services:?}");

    vault.admin().await.seal(v1::SealCommand {}).await.expect("sealed");
    vault.restarted().await;
    check(&vault, ServingStatus::NotServing).await;
    let channel = wire::channel(wire::tls(&admin, None), vault.ready().enroll, None).await;
    let channel = channel.expect("connected");
    let reflection = wire::call(
        &channel,
        "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        Vec::new(),
    );
    assert_eq!(reflection.await.expect_err("not here").code, Code::Unimplemented);
}

#[tokio::test(flavor = "multi_thread")]
async fn init_changes_nothing_where_a_vault_is() {
    let mut vault = TestVault::start().await;
    let data = vault.data();
    let text = data.to_str().expect("plain");
    let words = ["init", "--data", text, "--development", "--kdf-light", "--generate-passphrase"];
    vault.stop().await;
    let database = std::fs::read(data.join("vault.db")).expect("read");
    let output = vault.server_command(&words, None);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("in use"), "{said}");
    assert_eq!(std::fs::read(data.join("vault.db")).expect("read"), database);
    vault.run_and_unseal().await;

    let light = vault.root().join("light");
    let light = light.to_str().expect("plain");
    let words = ["init", "--data", light, "--kdf-light", "--generate-passphrase"];
    assert!(!vault.server_command(&words, None).status.success());
    assert!(!std::path::Path::new(light).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_vault_runs_on_a_folder() {
    let vault = TestVault::start().await;
    let data = vault.data();
    let output = vault.server_command(&["run", "--data", data.to_str().expect("plain")], None);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("already"), "{said}");
    assert_eq!(vault.local().status().state(), v1::SealState::Unsealed);
}

#[tokio::test(flavor = "multi_thread")]
async fn if_one_process_dies_all_end_with_a_clear_last_line() {
    for which in ["core", "front"] {
        let mut vault = TestVault::start().await;
        let ready = vault.ready();
        vault.kill(if which == "core" { ready.pid_core } else { ready.pid_front });
        let (status, said) = vault.ended_saying().await;
        assert!(status.code().is_some_and(|code| code != 0), "{which}: {status}");
        let last = said.lines().rfind(|line| !line.trim().is_empty()).expect("a last line");
        assert!(last.contains(which) && last.contains("SIGKILL"), "{which}: {last}");
        vault.run_and_unseal().await;
    }
}

/// The fields of `/proc/PID/task/TID/stat` behind the name, for each thread of a process.
fn threads(process: &str) -> Vec<Vec<String>> {
    let folder = std::fs::read_dir(format!("/proc/{process}/task"));
    let stat = |thread: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(thread.ok()?.path().join("stat")).ok()?;
        let (_, fields) = text.rsplit_once(')')?;
        Some(fields.split_whitespace().map(str::to_owned).collect())
    };
    folder.map(|threads| threads.filter_map(stat).collect()).unwrap_or_default()
}

/// The children of a process of a name.
fn children_named(parent: i32, name: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").expect("processes");
    let pids = all.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    pids.filter(|pid| {
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        // Field 4 of the whole line.
        let is_child = |fields: &Vec<String>| fields[1] == parent.to_string();
        comm.trim() == name && threads(pid).first().is_some_and(is_child)
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn processors_are_kept_awake_by_what_gives_way_to_everything() {
    const SCHED_IDLE: &str = "5";
    let mut vault = TestVault::builder().config("latency", "keep_awake", true).start().await;
    let supervisor = vault.ready().pid;
    let awake = children_named(supervisor, "vault-awake");
    let [awake] = awake.as_slice() else { panic!("one process: {awake:?}") };
    let threads = threads(awake);
    let processors = std::thread::available_parallelism().expect("processors").get();
    assert_eq!(threads.len(), processors);
    // Field 41: the scheduling policy.
    assert!(threads.iter().all(|fields| fields[38] == SCHED_IDLE), "{threads:?}");

    // It outlives the processes that a Seal starts anew, and ends with the vault.
    vault.guard().await.seal(v1::SealCommand {}).await.expect("sealed");
    vault.restarted().await;
    assert_eq!(children_named(supervisor, "vault-awake"), std::slice::from_ref(awake));
    vault.stop().await;
    assert!(self::threads(awake).is_empty());

    vault.run().await;
    assert!(!children_named(vault.ready().pid, "vault-awake").is_empty());
    vault.stop().await;
    let plain = TestVault::start().await;
    assert_eq!(children_named(plain.ready().pid, "vault-awake"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_starter_has_open_is_not_the_processes() {
    const OPEN: &str = "/etc/passwd";
    let script = format!("exec 9<{OPEN}; exec \"$@\"");
    let vault = TestVault::builder().wrapper(["sh", "-c", &script, "sh"]).start().await;
    let has = |pid: i32| {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors");
        let links = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        links.filter(|link| link.as_os_str() == OPEN).count()
    };
    let ready = vault.ready();
    assert_eq!(has(ready.pid), 1, "it was handed over");
    for pid in [ready.pid_front, ready.pid_core, ready.pid_egress] {
        assert_eq!(has(pid), 0);
    }
}
