//! The harness of the end-to-end tests: it starts the real binary, each vault in a folder and on
//! ports of its own, so that tests may run side by side.
//!
//! ```no_run
//! use vault_tests::{OKX_SCOPE, TestVault, okx_order, order};
//!
//! # async fn example() {
//! let vault = TestVault::start().await;                     // unsealed; admin, auditor, guard
//! vault.import_okx("okx-main").await;                       // a key that the mocks know
//! let bot = vault.bot("mm-1", OKX_SCOPE, &[]).await;        // scope, invitation, enrolment
//! let signed = bot.sign(order("okx-main", okx_order("BTC-USDT", "1"))).await.expect("signed");
//! vault.mocks().accept(&signed.request).await;              // a venue that checks everything
//! assert_eq!(vault.verify().unsigned_entries, 0);           // the log, exported and verified
//! # }
//! ```
//!
//! - [`TestVault::builder`] for what is special: [`Builder::segment_bytes`], [`Builder::env`]
//!   (`LD_PRELOAD`), [`Builder::wrapper`] (`strace`), [`Builder::user`], [`Builder::config`],
//!   [`Builder::clock_offset_s`], [`Builder::key_file`], [`Builder::sealed`].
//! - [`TestVault::admin`], [`TestVault::auditor`] and [`TestVault::guard`] are
//!   [`vault_client::Operator`]s; [`TestVault::bot`] gives a [`vault_client::Client`].
//! - [`TestVault::restart`], [`TestVault::stop`], [`TestVault::kill_core`],
//!   [`TestVault::kill_all`], [`TestVault::kill_while_starting`], [`TestVault::run`], [`TestVault::try_run`],
//!   [`TestVault::run_and_unseal`], [`TestVault::restarted`]. Ports stay the same.
//! - [`TestVault::log_entries`] and [`TestVault::verify`] work on the files, whether the vault runs
//!   or not.
//! - [`siege`] attacks it, and sees what that does to others.
//! - [`growth`] makes it large.
//! - [`wire`] calls any RPC by name with any bytes, from any certificate and loopback address.
//! - [`reason`] is the reason code of a call that must have been refused.
//! - [`sign_patiently`] and [`patiently`] ask again where a stalled disk made a call late.
//!
//! `COUNTERSIGN_VAULT_SERVER` names a server binary to use instead of the workspace's own, which is
//! built first where needed. Processes are killed when the value is dropped; if the test failed, the
//! vault's stderr is printed.

mod binary;
pub mod growth;
pub mod local;
mod port;
mod server;
pub mod siege;
mod vault;
mod venue;
pub mod wire;

pub use binary::{vault_server, vaultctl};
pub use port::Port;
pub use server::{Launch, NotStarted, Ready, Server};
pub use vault::{
    Builder, Made, PASSPHRASE, TestVault, is_late, order, patiently, receipt, scope, sign_patiently,
};
pub use venue::{
    KRAKEN_KEY, KRAKEN_SCOPE, KRAKEN_SECRET, Mocks, OKX_KEY, OKX_PASSPHRASE, OKX_SCOPE, OKX_SECRET,
    kraken_balance, kraken_deadline, kraken_metadata, kraken_moment, kraken_order,
    kraken_order_until, kraken_post, kraken_secret, okx_balance, okx_batch, okx_cancel,
    okx_metadata, okx_order, okx_order_body, okx_post, okx_secret, okx_withdrawal,
};
pub use wire::{Refused, reason};
