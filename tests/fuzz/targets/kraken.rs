//! Requests to Kraken.

#![no_main]

vault_fuzz::fuzz!("kraken");
