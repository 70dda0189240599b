//! From inside the front.

use std::net::TcpListener;

use crate::attack::{Answer, Attacked, control, is_fatal, is_refused, order};
use crate::users;

#[tokio::test(flavor = "multi_thread")]
async fn opening_a_file_is_refused() {
    is_refused("front", |vault| order("open").at(vault.public_file()), libc::EPERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_the_vaults_own_files_is_refused() {
    is_refused("front", |it| order("open").at(it.vault.data().join("vault.db")), libc::EPERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_whether_a_file_is_there_is_refused() {
    is_refused("front", |_| order("stat").at("/bin/sh"), libc::EPERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn executing_ends_it() {
    is_fatal("front", |_| order("execute")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forking_is_refused() {
    is_refused("front", |_| order("fork"), libc::EPERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn starting_a_thread_is_refused() {
    is_refused("front", |_| order("thread"), libc::EPERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tracing_the_core_ends_it() {
    is_fatal("front", |_| order("trace")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_the_memory_of_the_core_is_refused() {
    is_refused("front", |_| order("memory"), libc::EPERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_the_memory_of_the_core_ends_it() {
    is_fatal("front", |_| order("read-other")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_core_ends_it() {
    is_fatal("front", |_| order("kill")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_core_by_its_thread_is_refused() {
    is_refused("front", |_| order("kill-thread"), libc::EPERM).await;
}

/// The kernel sends the owner of a descriptor the signal of one's choice.
#[tokio::test(flavor = "multi_thread")]
async fn having_the_kernel_signal_the_core_is_refused() {
    is_refused("front", |_| order("own-signals"), libc::EPERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connecting_to_the_local_socket_ends_it() {
    is_fatal("front", |it| order("connect-unix").at(&it.vault.ready().socket)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn making_a_socket_ends_it() {
    is_fatal("front", |_| order("socket-inet")).await;
}

/// Datagrams go to any socket with a name, whatever their other end is.
#[tokio::test(flavor = "multi_thread")]
async fn making_a_pair_for_datagrams_is_refused() {
    for user in users() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let _heard = std::os::unix::net::UnixDatagram::bind(&path).expect("bound");
        let attacked = Attacked::start("front", user).await;
        let order = order("datagram").at(&path);
        assert_eq!(attacked.try_it(&order).await, Answer::Refused(libc::EPERM));
        assert_eq!(control(&order), Answer::Did);
    }
}

/// A listening socket that is shut down can be made to connect without `connect`; Landlock does not
/// notice.
#[tokio::test(flavor = "multi_thread")]
async fn connecting_a_listener_by_fast_open_is_refused() {
    for user in users() {
        let target = TcpListener::bind("127.0.0.1:0").expect("bound");
        target.set_nonblocking(true).expect("set");
        let port = target.local_addr().expect("an address").port();
        let attacked = Attacked::start("front", user).await;
        let order = order("fast-open").port(port);
        assert_eq!(attacked.try_it(&order).await, Answer::Refused(libc::EPERM));
        assert!(target.accept().is_err(), "somebody connected");
        assert_eq!(control(&order), Answer::Did);
        assert!(target.accept().is_ok(), "nobody connected");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn making_memory_executable_is_refused() {
    is_refused("front", |_| order("executable-memory"), libc::EPERM).await;
    is_refused("front", |_| order("made-executable"), libc::EPERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn becoming_dumpable_is_refused() {
    is_refused("front", |_| order("dumpable"), libc::EPERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_round_the_filter_ends_it() {
    is_fatal("front", |_| order("ring")).await;
}
