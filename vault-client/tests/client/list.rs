//! Lists that come in pages.

use std::collections::BTreeSet;

use vault_client::v1::{self, Role};
use vault_client::{ClientError, EnrollOptions, Identity, Operator};

use crate::fake::Fake;
use crate::vaultctl::{Home, code, json, stderr, stdout};

const LIST: &str = "vault.v1.ClientService/List";

fn client(name: &str, state: &str) -> v1::ClientInfo {
    v1::ClientInfo {
        name: name.to_owned(),
        role: Role::Bot.into(),
        scope: "mm".to_owned(),
        state: state.to_owned(),
        created_at_ms: if state == "active" { 1_700_000_000_000 } else { 0 },
        ..Default::default()
    }
}

/// A vault with five clients, two on a page.
async fn fake() -> Fake {
    let fake = Fake::start().await;
    fake.state().clients = ["a", "b", "c", "d", "e"].map(|name| client(name, "active")).to_vec();
    fake.state().page_rows = Some(2);
    fake
}

async fn operator(fake: &Fake) -> Operator {
    let folder = tempfile::tempdir().expect("a folder");
    let token = fake.token("alice", Role::Admin);
    let identity = Identity::enroll(&token, folder.path(), &EnrollOptions::default()).await;
    Operator::connect(identity.expect("enrolled")).await.expect("connected")
}

#[tokio::test(flavor = "multi_thread")]
async fn all_pages_are_asked_for_each_with_a_command_of_its_own() {
    let fake = fake().await;
    let operator = operator(&fake).await;
    let command = v1::ListClientsCommand { page_size: 7, ..Default::default() };
    let listed = operator.list_clients(command).await.expect("a list");
    let names: Vec<&str> = listed.clients.iter().map(|client| client.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
    assert_eq!(listed.next_page_token, "");

    let state = fake.state();
    let nonces: BTreeSet<&[u8]> = state.commands.iter().map(|one| one.nonce.as_slice()).collect();
    assert_eq!((state.commands.len(), nonces.len()), (3, 3));
    let last: v1::ListClientsCommand = state.last(LIST).expect("a command");
    assert_eq!((last.page_size, last.page_token.as_str()), (7, "4"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_alone_can_be_asked_for_and_a_list_begins_where_it_is_told_to() {
    let fake = fake().await;
    let operator = operator(&fake).await;
    let page = operator.clients_page(v1::ListClientsCommand::default()).await.expect("a page");
    assert_eq!((page.clients.len(), page.next_page_token.as_str()), (2, "2"));
    let command = v1::ListClientsCommand { page_token: page.next_page_token, ..Default::default() };
    let rest = operator.list_clients(command).await.expect("the rest");
    assert_eq!(rest.clients.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_stands_still_or_goes_round_is_not_followed_for_ever() {
    for ring in 1..4 {
        let fake = fake().await;
        fake.state().pages_in_a_ring = ring;
        let operator = operator(&fake).await;
        let refused = operator.list_clients(v1::ListClientsCommand::default()).await;
        assert!(matches!(refused, Err(ClientError::Protocol(_))), "{refused:?}");
        assert_eq!(fake.state().commands.len(), ring + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn vaultctl_shows_all_pages_as_one_list() {
    let fake = fake().await;
    fake.state().clients.insert(0, client("0-invited", "invited"));
    let home = Home::enrolled(&fake, "alice", Role::Admin).await;
    let output = home.run(&["client", "list"]).await;
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let text = stdout(&output);
    let names: Vec<&str> =
        text.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    // Who is not there yet comes last.
    assert_eq!(names, ["a", "b", "c", "d", "e", "0-invited"]);

    let value = json(&stdout(&home.run(&["client", "list", "--json"]).await));
    assert_eq!(value["clients"].as_array().map(Vec::len), Some(6));
    assert!(value.get("next_page_token").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn vaultctl_names_all_clients_of_a_scope() {
    let fake = fake().await;
    fake.state()
        .scopes
        .insert("mm".to_owned(), v1::Scope { name: "mm".to_owned(), ..Default::default() });
    let home = Home::enrolled(&fake, "alice", Role::Admin).await;
    let value = json(&stdout(&home.run(&["scope", "list", "--json"]).await));
    let all = serde_json::json!(["a", "b", "c", "d", "e"]);
    assert_eq!(value["scopes"][0]["clients"], all);
    let last: v1::ListClientsCommand = fake.state().last(LIST).expect("a command");
    assert_eq!(last.scope, "mm");
    let value = json(&stdout(&home.run(&["scope", "get", "mm", "--json"]).await));
    assert_eq!(value["scope"]["clients"], all);
}
