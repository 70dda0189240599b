//! What pricers put into a feed.

#![no_main]

vault_fuzz::fuzz!("price");
