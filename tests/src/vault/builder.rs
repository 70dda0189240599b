//! What may be special about a vault.

use std::ffi::OsString;

use toml::{Table, Value};

use super::{TestVault, set};
use crate::server::Launch;

/// What a test may want otherwise. `TestVault::builder().segment_bytes(65_536).start().await`.
#[derive(Debug)]
pub struct Builder {
    pub(super) launch: Launch,
    pub(super) config: Table,
    pub(super) clock_offset_s: i64,
    pub(super) key_file: bool,
    sealed: bool,
}

impl Builder {
    pub(super) fn new() -> Self {
        let builder = Self {
            launch: Launch::default(),
            config: Table::new(),
            clock_offset_s: 0,
            key_file: false,
            sealed: false,
        };
        // A nearly full disk of the machine is no reason to fail.
        builder.config("audit", "disk_free_min_bytes", 1 << 20)
    }

    /// Size of a log segment; at least 65,536.
    #[must_use]
    pub fn segment_bytes(self, bytes: u32) -> Self {
        self.config("audit", "segment_bytes", i64::from(bytes))
    }

    /// A line of `config.toml`: `key = value` in `[section]`.
    #[must_use]
    pub fn config(mut self, section: &str, key: &str, value: impl Into<Value>) -> Self {
        set(&mut self.config, section, key, value.into());
        self
    }

    /// A variable of the server's environment. The children get `LD_PRELOAD` and what begins with
    /// `COUNTERSIGN_TEST_`, and no others.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.launch.env.push((key.into(), value.into()));
        self
    }

    /// Words before the server's own command line: `["strace", "-f", "-o", "/tmp/trace"]`. Holds
    /// for `run` alone, not for `init`.
    #[must_use]
    pub fn wrapper<W: Into<OsString>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.launch.wrapper = words.into_iter().map(Into::into).collect();
        self
    }

    /// Runs everything as this user and group; needs root.
    #[must_use]
    pub fn user(mut self, user: u32, group: u32) -> Self {
        self.launch.user = Some((user, group));
        self
    }

    /// Added to the vault's clock, from `init` on. See [`TestVault::set_clock_offset_s`].
    #[must_use]
    pub fn clock_offset_s(mut self, seconds: i64) -> Self {
        self.clock_offset_s = seconds;
        self
    }

    /// Makes a key file too, with which the vault opens itself at every start.
    #[must_use]
    pub fn key_file(mut self) -> Self {
        self.key_file = true;
        self
    }

    /// Leaves the vault sealed, and nobody enrolled.
    #[must_use]
    pub fn sealed(mut self) -> Self {
        self.sealed = true;
        self
    }

    /// Makes the vault, starts it, and unless [`Builder::sealed`] was asked for unseals it and
    /// enrols the admin `admin`, the auditor `auditor` and the guard `guard`.
    ///
    /// # Panics
    ///
    /// If any of it fails.
    pub async fn start(self) -> TestVault {
        let sealed = self.sealed;
        let mut vault = TestVault::init(self);
        if sealed {
            vault.run().await;
        } else {
            vault.run_and_unseal().await;
            vault.enroll_operators().await;
        }
        vault
    }
}
