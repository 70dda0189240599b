//! Requests to any venue, with nothing plain about them.

#![no_main]

vault_fuzz::fuzz!("venue");
