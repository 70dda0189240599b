//! From inside the exporter, which runs where calls are traced.

use std::net::TcpListener;

use crate::attack::{Answer, Attacked, COLLECTOR, control, is_refused, order};
use crate::users;

#[tokio::test(flavor = "multi_thread")]
async fn opening_a_file_is_refused() {
    is_refused("exporter", |vault| order("open").at(vault.public_file()), libc::EPERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forking_is_refused() {
    is_refused("exporter", |_| order("fork"), libc::EPERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_the_memory_of_the_core_is_refused() {
    is_refused("exporter", |_| order("memory"), libc::EPERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_of_other_kinds_are_refused() {
    is_refused("exporter", |_| order("socket-unix"), libc::EPERM).await;
    is_refused("exporter", |_| order("socket-netlink"), libc::EPERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connecting_by_fast_open_is_refused() {
    let target = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = target.local_addr().expect("an address").port();
    is_refused("exporter", |_| order("fast-open-new").port(port), libc::EPERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exporter_reaches_its_collectors_port_and_no_other() {
    for user in users() {
        let target = TcpListener::bind("127.0.0.1:0").expect("bound");
        target.set_nonblocking(true).expect("set");
        let port = target.local_addr().expect("an address").port();
        let mut attacked = Attacked::start("exporter", user).await;
        let elsewhere = order("connect-tcp").port(port);
        assert_eq!(attacked.try_it(&elsewhere).await, Answer::Refused(libc::EACCES));
        assert!(target.accept().is_err(), "somebody connected");
        assert_eq!(control(&elsewhere), Answer::Did);
        assert!(target.accept().is_ok(), "nobody connected");
        // It may ask there; nobody listens.
        attacked.renew().await;
        let there = order("connect-tcp").port(COLLECTOR);
        assert_eq!(attacked.try_it(&there).await, Answer::Refused(libc::ECONNREFUSED));
    }
}
