//! Bytes in, bytes out: envelope encryption and message authentication. No I/O, no clock; random
//! numbers come in as an argument.

pub mod envelope;
pub mod mac;
pub mod stack;
pub(crate) mod unique;
