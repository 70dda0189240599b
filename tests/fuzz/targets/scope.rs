//! Scopes as operators write them.

#![no_main]

vault_fuzz::fuzz!("scope");
