//! Requests to OKX.

#![no_main]

vault_fuzz::fuzz!("okx");
