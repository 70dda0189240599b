//! Whatever strangers, bots, operators or whoever holds the disk may hand the vault: each gets a
//! clear error, and nothing changes.

mod act;
mod command;
mod disk;
mod identity;
mod market;
mod request;
mod stream;

use std::time::{Duration, Instant};

use tonic::transport::Channel;
use vault_client::{Client, Identity};
use vault_tests::{OKX_SCOPE, TestVault, wire};

/// A vault with an OKX key and a bot that may use it.
async fn with_bot() -> (TestVault, Client) {
    let vault = TestVault::start().await;
    vault.import_okx("okx-main").await;
    let bot = vault.bot("bot", OKX_SCOPE, &[]).await;
    (vault, bot)
}

/// A raw channel of an identity to its own listener.
async fn channel(identity: &Identity) -> Channel {
    let to = identity.address().parse().expect("an address");
    wire::channel(wire::tls(identity, Some(identity)), to, None).await.expect("connected")
}

/// Waits until something holds; entries that count what strangers did come about once a second.
async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < until, "{what}: never");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
