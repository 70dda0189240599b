//! Frames of another process, cut anywhere.

#![no_main]

vault_fuzz::fuzz!("frame");
