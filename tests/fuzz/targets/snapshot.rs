//! Bodies of snapshots.

#![no_main]

vault_fuzz::fuzz!("snapshot");
