//! The front over real sockets, with a core that each test plays itself.

mod barrier;
mod call;
mod execute;
mod half_come;
mod handshake;
mod support;
mod venue_proxy;
mod websocket;
