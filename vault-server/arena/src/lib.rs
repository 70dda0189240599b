//! Locked memory for secrets.
