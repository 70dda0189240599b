//! The strict readers of JSON and of forms.

#![no_main]

vault_fuzz::fuzz!("reader");
