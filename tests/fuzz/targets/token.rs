//! Invite tokens that people paste.

#![no_main]

vault_fuzz::fuzz!("token");
