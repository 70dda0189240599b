//! Messages of bots on WebSockets.

#![no_main]

vault_fuzz::fuzz!("socket_message");
