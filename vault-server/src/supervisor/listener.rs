//! Listening sockets: bound before anything is started, kept across restarts.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use rustix::fs::{Mode, OFlags};
use vault_ipc::Listener;

use crate::config::{Listen, Metrics, Ports};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;
/// Longest path that surely fits a socket's address.
const SOCKET_PATH_BYTES_MAX: usize = 100;

/// A socket cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({key} in config.toml)")]
pub struct BindError {
    /// As configured.
    pub address: SocketAddr,
    /// Which.
    pub key: &'static str,
    /// Why.
    pub source: io::Error,
}

/// One bound socket.
#[derive(Debug)]
pub struct Bound {
    /// Which services it offers.
    pub kind: Listener,
    /// The address it really has.
    pub address: SocketAddr,
    /// Empty for direct connections.
    pub proxied_from: Vec<IpNet>,
    /// Bound and listening.
    pub socket: TcpListener,
}

/// All TCP listeners.
#[derive(Debug)]
pub struct Listeners {
    /// Bot, operator, enroll; then, if configured, the proxied one.
    all: Vec<Bound>,
    /// Where figures are asked for, if anywhere.
    pub metrics: Option<(TcpListener, SocketAddr)>,
    /// The ports they have.
    pub ports: Ports,
}

impl Listeners {
    /// Binds every address, or none.
    ///
    /// # Errors
    ///
    /// [`BindError`] for the first that cannot be bound.
    pub fn bind(listen: &Listen, metrics: &Metrics) -> Result<Self, BindError> {
        let direct = |key, address, kind| bind(key, address, kind, Vec::new());
        let bot = direct("listen.bot", listen.bot, Listener::Bot)?;
        let operator = direct("listen.operator", listen.operator, Listener::Operator)?;
        let enroll = direct("listen.enroll", listen.enroll, Listener::Enroll)?;
        let ports = Ports {
            bot: bot.address.port(),
            enroll: enroll.address.port(),
            operator: operator.address.port(),
        };
        let mut all = vec![bot, operator, enroll];
        if let (Some(address), Some(networks)) = (&listen.bot_proxied, &listen.proxied_from) {
            let networks = networks.get_ref().clone();
            all.push(bind("listen.bot_proxied", *address.get_ref(), Listener::Bot, networks)?);
        }
        let metrics = match &metrics.listen {
            Some(address) => {
                let key = "metrics.listen";
                let bound = bind(key, *address.get_ref(), Listener::Unspecified, Vec::new())?;
                Some((bound.socket, bound.address))
            }
            None => None,
        };
        Ok(Self { all, metrics, ports })
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Bound> {
        self.all.iter()
    }

    /// The address of the direct listener of a kind.
    pub fn address(&self, kind: Listener) -> Option<SocketAddr> {
        let is_it = |bound: &&Bound| bound.kind == kind && bound.proxied_from.is_empty();
        self.all.iter().find(is_it).map(|bound| bound.address)
    }

    /// The address of the proxied listener, if there is one.
    pub fn proxied_address(&self) -> Option<SocketAddr> {
        self.all.iter().find(|bound| !bound.proxied_from.is_empty()).map(|bound| bound.address)
    }
}

fn bind(
    key: &'static str,
    address: SocketAddr,
    kind: Listener,
    proxied_from: Vec<IpNet>,
) -> Result<Bound, BindError> {
    let error = |source| BindError { address, key, source };
    let socket = TcpListener::bind(address).map_err(error)?;
    rustix::net::listen(&socket, BACKLOG).map_err(|source| error(source.into()))?;
    let address = socket.local_addr().map_err(error)?;
    Ok(Bound { kind, address, proxied_from, socket })
}

/// Binds the local socket, mode 0600. The caller holds the data directory's lock, so that a socket
/// that lies there is a dead one.
///
/// # Errors
///
/// The operating system's.
pub fn bind_local(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (short, _folder) = shorten(path)?;
    let listener = UnixListener::bind(short)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Connects to a local socket.
///
/// # Errors
///
/// The operating system's.
pub fn connect_local(path: &Path) -> io::Result<UnixStream> {
    let (short, _folder) = shorten(path)?;
    UnixStream::connect(short)
}

/// A name for a socket that fits its address, however long the path is, and what keeps it valid.
fn shorten(path: &Path) -> io::Result<(PathBuf, Option<OwnedFd>)> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    if path.as_os_str().len() <= SOCKET_PATH_BYTES_MAX {
        return Ok((path.to_owned(), None));
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags, Mode::empty())?;
    let short = format!("/proc/self/fd/{}", folder.as_raw_fd());
    Ok((Path::new(&short).join(name), Some(folder)))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::fs::PermissionsExt as _;

    use vault_ipc::Listener;

    use super::{Listeners, bind_local, connect_local};
    use crate::config::{Listen, Metrics};

    fn any_port() -> Listen {
        let any = "127.0.0.1:0".parse().expect("an address");
        Listen { bot: any, enroll: any, operator: any, ..Listen::default() }
    }

    #[test]
    fn port_0_becomes_a_port() {
        let listeners = Listeners::bind(&any_port(), &Metrics::default()).expect("bound");

        assert_ne!(listeners.ports.bot, 0);
        let bot = listeners.address(Listener::Bot).expect("a listener");
        assert_eq!(bot.port(), listeners.ports.bot);
        assert_eq!(listeners.proxied_address(), None);
    }

    #[test]
    fn a_taken_address_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("bound");
        let operator = taken.local_addr().expect("an address");
        let listen = Listen { operator, ..any_port() };
        let error = Listeners::bind(&listen, &Metrics::default()).expect_err("taken");

        assert_eq!(
            error.to_string(),
            format!("cannot listen on {operator} (listen.operator in config.toml)")
        );
    }

    #[test]
    fn a_long_path_and_a_dead_socket_do_no_harm() {
        let folder = tempfile::tempdir().expect("a folder");
        let deep = folder.path().join("d".repeat(120));
        std::fs::create_dir(&deep).expect("made");
        let path = deep.join("vault.sock");
        for _ in 0..2 {
            let listener = bind_local(&path).expect("bound");
            let mode = std::fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            connect_local(&path).expect("connected");
            // A child that another test forks just now holds the socket until its exec; a socket
            // that is shut down is dead whoever holds it.
            rustix::net::shutdown(&listener, rustix::net::Shutdown::Both).expect("shut down");
        }
        assert!(connect_local(&path).is_err());
    }
}
