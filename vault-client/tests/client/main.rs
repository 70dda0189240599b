//! The library and `vaultctl` against a vault in this process, which checks what a vault checks of
//! its callers' bytes and decides nothing; and against golden files made by other software.

mod fake;
mod golden;
mod library;
mod vaultctl;
