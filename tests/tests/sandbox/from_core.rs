//! From inside the core.

use crate::attack::{Answer, Attacked, control, is_fatal, is_refused, order};
use crate::users;

#[tokio::test(flavor = "multi_thread")]
async fn opening_a_socket_ends_it() {
    is_fatal("core", |_| order("socket-inet")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_a_local_socket_ends_it() {
    is_fatal("core", |_| order("socket-unix")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn executing_ends_it() {
    is_fatal("core", |_| order("execute")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forking_is_refused() {
    is_refused("core", |_| order("fork"), libc::EPERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_a_file_outside_the_data_directory_is_refused() {
    is_refused("core", |vault| order("open").at(vault.public_file()), libc::EACCES).await;
    is_refused("core", |_| order("open").at("/etc/passwd"), libc::EACCES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn opening_a_file_inside_it_works() {
    for user in users() {
        let attacked = Attacked::start("core", user).await;
        let order = order("open").at(attacked.vault.data().join("config.toml"));
        assert_eq!(attacked.try_it(&order).await, Answer::Did);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn making_a_file_outside_the_data_directory_is_refused() {
    for user in users() {
        let folder = tempfile::tempdir().expect("a folder");
        open_to_all(folder.path());
        let order = order("create").at(folder.path().join("new"));
        let attacked = Attacked::start("core", user).await;
        assert_eq!(attacked.try_it(&order).await, Answer::Refused(libc::EACCES));
        assert_eq!(control(&order), Answer::Did);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn making_memory_executable_is_refused() {
    is_refused("core", |_| order("executable-memory"), libc::EPERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn becoming_dumpable_is_refused() {
    is_refused("core", |_| order("dumpable"), libc::EPERM).await;
}

fn open_to_all(folder: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o777)).expect("set");
}
