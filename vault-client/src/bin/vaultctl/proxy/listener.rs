//! Where bots connect.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;

use super::relay::{Sidecar, serve};

/// Connections served at once.
const CONNECTIONS_MAX: usize = 512;
/// How long to leave a socket alone that cannot accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An address to listen on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Listen {
    /// `HOST:PORT`.
    Tcp(SocketAddr),
    /// `unix:PATH`.
    Unix(PathBuf),
}

impl Listen {
    /// Whether nobody on another machine can reach it.
    pub fn is_private(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl FromStr for Listen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() {
                Err("no path after unix:")
            } else {
                Ok(Self::Unix(path.into()))
            };
        }
        text.parse().map(Self::Tcp).map_err(|_| "neither ADDRESS:PORT nor unix:PATH")
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A bound socket. A Unix socket's file goes with it.
pub struct Listener {
    address: Listen,
    socket: Socket,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// Binds. A Unix socket is the owner's alone; one that was left behind is replaced.
    pub fn bind(listen: &Listen) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => {
                let socket = std::net::TcpListener::bind(address)?;
                socket.set_nonblocking(true)?;
                let address = Listen::Tcp(socket.local_addr()?);
                Ok(Self { address, socket: Socket::Tcp(TcpListener::from_std(socket)?) })
            }
            Listen::Unix(path) => {
                let left = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
                if left && std::os::unix::net::UnixStream::connect(path).is_err() {
                    std::fs::remove_file(path)?;
                }
                let before = rustix::process::umask(rustix::fs::Mode::from(0o177));
                let bound = UnixListener::bind(path);
                rustix::process::umask(before);
                Ok(Self { address: listen.clone(), socket: Socket::Unix(bound?) })
            }
        }
    }

    /// The address it really has.
    pub fn address(&self) -> Listen {
        self.address.clone()
    }

    /// Serves for ever.
    pub async fn serve(self, sidecar: Arc<Sidecar>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let sidecar = Arc::clone(&sidecar);
            let failed = match &self.socket {
                Socket::Tcp(socket) => match socket.accept().await {
                    Ok((stream, _)) => {
                        // Without it small requests wait for the acknowledgement of those before.
                        let _ = stream.set_nodelay(true);
                        tokio::spawn(async move {
                            serve(stream, sidecar).await;
                            drop(place);
                        });
                        None
                    }
                    Err(error) => Some(error),
                },
                Socket::Unix(socket) => match socket.accept().await {
                    Ok((stream, _)) => {
                        tokio::spawn(async move {
                            serve(stream, sidecar).await;
                            drop(place);
                        });
                        None
                    }
                    Err(error) => Some(error),
                },
            };
            if failed.is_some() {
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listen::Unix(path) = &self.address {
            // The next start replaces it.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Listen;

    #[test]
    fn knows_what_others_can_reach() {
        for (text, private) in [
            ("127.0.0.1:7080", true),
            ("127.9.9.9:1", true),
            ("[::1]:7080", true),
            ("[::ffff:127.0.0.1]:7080", true),
            ("unix:/run/x.sock", true),
            ("0.0.0.0:7080", false),
            ("[::]:7080", false),
            ("192.0.2.1:7080", false),
        ] {
            let listen: Listen = text.parse().expect("an address");
            assert_eq!(listen.is_private(), private, "{text}");
            assert_eq!(listen.to_string(), text);
        }
        for text in ["", "localhost:7080", "7080", "unix:", "127.0.0.1"] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }
}
