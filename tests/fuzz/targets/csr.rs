//! CSRs from whoever enrols or renews.

#![no_main]

vault_fuzz::fuzz!("csr");
