//! Catalogues.

#![no_main]

vault_fuzz::fuzz!("catalog");
