//! URLs of venues in the paths of proxied requests.

#![no_main]

vault_fuzz::fuzz!("proxy");
