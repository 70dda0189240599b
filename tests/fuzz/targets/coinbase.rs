//! Requests to Coinbase.

#![no_main]

vault_fuzz::fuzz!("coinbase");
