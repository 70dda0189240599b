//! From inside the egress.

use std::net::TcpListener;

use crate::attack::{Answer, Attacked, control, is_fatal, is_refused, order};
use crate::users;

#[tokio::test(flavor = "multi_thread")]
async fn opening_a_file_is_refused() {
    is_refused("egress", |vault| order("open").at(vault.public_file()), libc::EPERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_the_vaults_own_files_is_refused() {
    is_refused("egress", |it| order("open").at(it.vault.data().join("vault.db")), libc::EPERM)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn executing_ends_it() {
    is_fatal("egress", |_| order("execute")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forking_is_refused() {
    is_refused("egress", |_| order("fork"), libc::EPERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tracing_the_core_ends_it() {
    is_fatal("egress", |_| order("trace")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_the_memory_of_the_core_is_refused() {
    is_refused("egress", |_| order("memory"), libc::EPERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_the_memory_of_the_core_ends_it() {
    is_fatal("egress", |_| order("read-other")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_core_ends_it() {
    is_fatal("egress", |_| order("kill")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connecting_to_the_local_socket_is_refused() {
    is_refused("egress", |it| order("connect-unix").at(&it.vault.ready().socket), libc::EPERM)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn making_a_socket_of_another_family_is_refused() {
    is_refused("egress", |_| order("socket-unix"), libc::EPERM).await;
    is_refused("egress", |_| order("socket-netlink"), libc::EPERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn binding_a_port_is_refused() {
    is_refused("egress", |_| order("listen"), libc::EACCES).await;
}

/// Without a port of its own a socket gets one from the kernel; Landlock does not notice.
#[tokio::test(flavor = "multi_thread")]
async fn listening_ends_it() {
    is_fatal("egress", |_| order("listen-unbound")).await;
}

/// The vault's own listeners are such a port.
#[tokio::test(flavor = "multi_thread")]
async fn connecting_to_a_port_of_no_venue_is_refused() {
    for user in users() {
        let target = TcpListener::bind("127.0.0.1:0").expect("bound");
        target.set_nonblocking(true).expect("set");
        let port = target.local_addr().expect("an address").port();
        let attacked = Attacked::start("egress", user).await;
        let order = order("connect-tcp").port(port);
        assert_eq!(attacked.try_it(&order).await, Answer::Refused(libc::EACCES));
        assert!(target.accept().is_err(), "somebody connected");
        assert_eq!(control(&order), Answer::Did);
        assert!(target.accept().is_ok(), "nobody connected");
    }
}

/// Landlock does not notice that this connects.
#[tokio::test(flavor = "multi_thread")]
async fn connecting_by_fast_open_is_refused() {
    let target = TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = target.local_addr().expect("an address").port();
    is_refused("egress", |_| order("fast-open-new").port(port), libc::EPERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn making_memory_executable_is_refused() {
    is_refused("egress", |_| order("executable-memory"), libc::EPERM).await;
}
