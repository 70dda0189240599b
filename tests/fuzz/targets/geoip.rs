//! Databases of countries.

#![no_main]

vault_fuzz::fuzz!("geoip");
