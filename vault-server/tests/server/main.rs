//! The binary from outside: arguments, exit codes, and the life of its processes.

mod audit;
mod bed;
mod catalog;
mod init;
mod life;
mod usage;
