//! Lists of a vault that has many of everything.

use std::collections::BTreeSet;
use std::process::Command;

use vault_client::v1;
use vault_tests::growth::{self, Size};
use vault_tests::{OKX_SCOPE, TestVault, okx_balance, vaultctl};

use crate::sign;

const SIZE: Size =
    Size { clients: 1_200, credentials: 1_100, scopes: 2, entries: 0, days: 1, is_lean: true };

/// A vault with a bot that has signed, and [`SIZE`] beside it.
async fn grown() -> TestVault {
    let mut vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let bot = vault.bot("bot", OKX_SCOPE, &[]).await;
    sign(&bot, "okx-main", okx_balance()).await.expect("signed");
    drop(bot);
    vault.stop().await;
    let data = vault.data();
    let grown = tokio::task::spawn_blocking(move || growth::grow(&data, &SIZE).map(drop));
    grown.await.expect("no panic").expect("grown");
    vault.run_and_unseal().await;
    vault
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_longer_than_a_page_is_told_whole() {
    let vault = grown().await;
    let admin = vault.admin().await;

    let page = admin.clients_page(v1::ListClientsCommand::default()).await.expect("a page");
    assert!(page.clients.len() < 1_000, "each with its certificate: {}", page.clients.len());
    assert!(!page.next_page_token.is_empty());
    let clients = admin.list_clients(v1::ListClientsCommand::default()).await.expect("a list");
    let names: Vec<&str> = clients.clients.iter().map(|client| client.name.as_str()).collect();
    assert_eq!((names.len(), names[0], names[1_200]), (1_201, "bot", "client-001199"));
    assert!(names.is_sorted());

    let credentials = v1::ListCredentialsCommand { page_size: 300, ..Default::default() };
    let page = admin.credentials_page(credentials.clone()).await.expect("a page");
    assert_eq!(page.credentials.len(), 300);
    let credentials = admin.list_credentials(credentials).await.expect("a list").credentials;
    assert_eq!(credentials.len(), 1_101);

    let scope = v1::GetScopeCommand { name: "scope-000000".to_owned() };
    let scope = admin.scope(scope).await.expect("there").scope.expect("said");
    assert_eq!((scope.clients.len(), scope.client_count), (100, 600));
    let command = v1::ListClientsCommand { scope: "scope-000000".to_owned(), ..Default::default() };
    let holders = admin.list_clients(command).await.expect("a list").clients;
    assert_eq!(holders.len(), 600);
    assert!(holders.iter().all(|client| client.scope == "scope-000000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_goes_on_while_clients_come_and_go() {
    let vault = grown().await;
    let admin = vault.admin().await;
    let mut command = v1::ListClientsCommand { page_size: 400, ..Default::default() };
    let mut told = Vec::new();
    for nth in 0.. {
        let page = admin.clients_page(command.clone()).await.expect("a page");
        told.extend(page.clients.into_iter().map(|client| client.name));
        if page.next_page_token.is_empty() {
            break;
        }
        command.page_token = page.next_page_token;
        // The one at the token, and some before and after it.
        let last = told.last().expect("a page has rows").clone();
        let revoke = v1::RevokeClientCommand { name: last, reason: String::new() };
        admin.revoke_client(revoke).await.expect("revoked");
        for name in [format!("a-{nth}"), format!("z-{nth}")] {
            vault.invite(&name, v1::Role::Bot, "okx-demo", &[]).await;
        }
    }
    let once: BTreeSet<&str> = told.iter().map(String::as_str).collect();
    assert_eq!(once.len(), told.len(), "nobody twice");
    assert_eq!(told.iter().filter(|name| name.starts_with("client-")).count(), 1_200);
    assert!(once.contains("bot") && once.contains("z-0") && !once.contains("a-0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn vaultctl_shows_all_of_a_long_list() {
    let vault = grown().await;
    let shown = |words: &[&str]| {
        let output = Command::new(vaultctl())
            .env_clear()
            .arg("--identity")
            .arg(vault.identity_folder("admin"))
            .args(words)
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let value: serde_json::Value =
        serde_json::from_str(&shown(&["client", "list", "--json"])).expect("JSON");
    assert_eq!(value["clients"].as_array().map(Vec::len), Some(1_201));
    assert_eq!(shown(&["client", "list"]).lines().count(), 1 + 1_201);
    let value: serde_json::Value =
        serde_json::from_str(&shown(&["scope", "get", "scope-000001", "--json"])).expect("JSON");
    assert_eq!(value["scope"]["clients"].as_array().map(Vec::len), Some(600));
}
