//! Signs as the front reads them.

#![no_main]

vault_fuzz::fuzz!("sign");
