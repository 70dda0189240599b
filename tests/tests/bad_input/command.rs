//! Operators' commands: replayed, expired, too large, garbled.

use std::time::{Duration, SystemTime};

use prost::Message as _;
use tonic::Code;
use vault_client::{signed_command, v1};
use vault_tests::{OKX_SCOPE, Refused, TestVault, scope, wire};

use crate::channel;

const PUT: &str = "vault.v1.ScopeService/Put";
const LIST: &str = "vault.v1.ScopeService/List";

fn put_scope() -> v1::PutScopeCommand {
    v1::PutScopeCommand { scope: Some(scope(OKX_SCOPE)), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_good_once_even_across_a_restart() {
    let mut vault = TestVault::start().await;
    let admin = vault.identity("admin");
    let first = channel(&admin).await;
    let put = signed_command(&admin, PUT, &put_scope(), SystemTime::now()).expect("signed");
    let put = wire::request(Some(put));
    let list = signed_command(&admin, LIST, &v1::ListScopesCommand::default(), SystemTime::now());
    let list = wire::request(Some(list.expect("signed")));
    wire::call(&first, PUT, put.clone()).await.expect("once");
    wire::call(&first, LIST, list.clone()).await.expect("once");
    let state_rev = vault.state_rev();

    let replayed = |outcome: Result<Vec<u8>, Refused>| outcome.expect_err("replayed").reason;
    let second = channel(&admin).await;
    for channel in [&first, &second] {
        assert_eq!(replayed(wire::call(channel, PUT, put.clone()).await), "COMMAND_REPLAYED");
        assert_eq!(replayed(wire::call(channel, LIST, list.clone()).await), "COMMAND_REPLAYED");
    }
    vault.restart().await;
    let third = channel(&admin).await;
    assert_eq!(replayed(wire::call(&third, PUT, put).await), "COMMAND_REPLAYED");
    assert_eq!(vault.state_rev(), state_rev);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_has_its_time() {
    let vault = TestVault::start().await;
    let admin = vault.identity("admin");
    let channel = channel(&admin).await;
    let state_rev = vault.state_rev();
    let minutes = |count: u64| Duration::from_secs(60 * count);
    for (what, at) in [
        ("expired", SystemTime::now() - minutes(1)),
        ("long expired", SystemTime::UNIX_EPOCH),
        ("too far ahead", SystemTime::now() + minutes(3)),
        ("years ahead", SystemTime::now() + minutes(60 * 24 * 400)),
    ] {
        let outcome: Result<v1::PutScopeResponse, _> =
            wire::command(&channel, &admin, PUT, &put_scope(), at).await;
        assert_eq!(outcome.expect_err(what).reason, "COMMAND_EXPIRED", "{what}");
    }
    assert_eq!(vault.state_rev(), state_rev);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_has_its_form() {
    let vault = TestVault::start().await;
    let admin = vault.identity("admin");
    let channel = channel(&admin).await;
    let state_rev = vault.state_rev();

    // The body is signed by the admin, and is no message all the same.
    #[derive(Clone, PartialEq, prost::Message)]
    struct Other {
        #[prost(uint64, tag = "1")]
        scope: u64,
    }
    let other = Other { scope: 7 };
    let outcome: Result<v1::PutScopeResponse, _> =
        wire::command(&channel, &admin, PUT, &other, SystemTime::now()).await;
    assert_eq!(outcome.expect_err("no such body").reason, "COMMAND_BODY");

    let good = signed_command(&admin, PUT, &put_scope(), SystemTime::now()).expect("signed");
    for nonce in [Vec::new(), vec![1; 15], vec![1; 17]] {
        let bent = v1::SignedCommand { nonce, ..good.clone() };
        let refused = wire::call(&channel, PUT, wire::request(Some(bent))).await;
        assert_eq!(refused.expect_err("a nonce is 16 bytes").reason, "COMMAND_SIGNATURE");
    }
    let large = v1::SignedCommand { body: vec![0; 2 << 20], ..good.clone() };
    let refused = wire::call(&channel, PUT, wire::request(Some(large))).await;
    let refused = refused.expect_err("too large");
    assert_eq!(refused.code, Code::OutOfRange, "{refused:?}");
    for garbage in
        [vec![0xff; 64], vec![0x0a, 0x10, 0x01], v1::SealTicket::default().encode_to_vec()]
    {
        let refused = wire::call(&channel, PUT, garbage).await.expect_err("garbage");
        let fits = refused.reason == "COMMAND_MISSING"
            || matches!(refused.code, Code::Internal | Code::InvalidArgument);
        assert!(fits, "{refused:?}");
    }
    assert_eq!(vault.state_rev(), state_rev);
    wire::call(&channel, PUT, wire::request(Some(good))).await.expect("none of it used it up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_token_is_one_that_the_vault_gave() {
    let vault = TestVault::start().await;
    vault.put_scope(OKX_SCOPE).await;
    let admin = vault.identity("admin");
    let channel = channel(&admin).await;
    // Every list has these fields, under these numbers or the next.
    #[derive(Clone, PartialEq, prost::Message)]
    struct List {
        #[prost(string, tag = "2")]
        page_token: String,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    struct ListOf {
        #[prost(string, tag = "3")]
        page_token: String,
    }
    let long = "QUJD".repeat(10_000);
    for token in ["1", "=", "AAAA", "vault.v1.ScopeService/List", "../..", "\u{1f512}", &long] {
        let page_token = token.to_owned();
        for method in [
            "ClientService/List",
            "CredentialService/List",
            "HaltService/Status",
            "OperatorService/List",
            "PriceService/List",
            "ScopeService/List",
        ] {
            let list = List { page_token: page_token.clone() };
            let refused = refusal(&channel, &admin, method, &list).await;
            assert_eq!(refused, (Code::InvalidArgument, "BAD_FIELD".to_owned()), "{method}");
        }
        let refused =
            refusal(&channel, &admin, "InstrumentService/List", &ListOf { page_token }).await;
        assert_eq!(refused, (Code::InvalidArgument, "BAD_FIELD".to_owned()), "{token}");
    }
    // No size is too large: the vault gives what it gives.
    for page_size in [1, u32::MAX] {
        let list = v1::ListScopesCommand { page_size, ..Default::default() };
        let page: v1::ListScopesResponse =
            wire::command(&channel, &admin, LIST, &list, SystemTime::now()).await.expect("a page");
        assert_eq!((page.scopes.len(), page.next_page_token.as_str()), (1, ""));
    }
}

async fn refusal(
    channel: &tonic::transport::Channel,
    admin: &vault_client::Identity,
    method: &str,
    body: &impl prost::Message,
) -> (Code, String) {
    let method = format!("vault.v1.{method}");
    let outcome: Result<v1::ListScopesResponse, _> =
        wire::command(channel, admin, &method, body, SystemTime::now()).await;
    let refused = outcome.expect_err("no token of the vault's");
    (refused.code, refused.reason)
}
