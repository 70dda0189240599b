//! Checkpoints and verifier keys of an export.

#![no_main]

vault_fuzz::fuzz!("note");
