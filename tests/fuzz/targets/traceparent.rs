//! The traces that bots say their calls are part of.

#![no_main]

vault_fuzz::fuzz!("traceparent");
