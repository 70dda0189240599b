//! Listings of venues that an admin fetched.

#![no_main]

vault_fuzz::fuzz!("listing");
