//! Lines of a log.

#![no_main]

vault_fuzz::fuzz!("entry");
