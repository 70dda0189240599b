//! Requests to Bybit.

#![no_main]

vault_fuzz::fuzz!("bybit");
