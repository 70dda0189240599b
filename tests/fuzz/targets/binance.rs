//! Requests to Binance.

#![no_main]

vault_fuzz::fuzz!("binance");
