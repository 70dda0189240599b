//! Scopes as they cross the wire.

#![no_main]

vault_fuzz::fuzz!("wire");
