//! The library and `vaultctl` against a vault in this process, which checks what a vault checks of
//! its callers' bytes and decides nothing; against golden files made by other software; and what
//! needs no vault.

mod catalog;
mod fake;
mod golden;
mod library;
mod list;
mod market;
mod scope;
mod vaultctl;
