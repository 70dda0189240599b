//! What operators add to a catalogue.

#![no_main]

vault_fuzz::fuzz!("addition");
