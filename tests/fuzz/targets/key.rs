//! Secrets as owners paste them.

#![no_main]

vault_fuzz::fuzz!("key");
