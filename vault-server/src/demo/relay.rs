//! A TCP relay on loopback: shows the vault another source address, and tells when a connection
//! through it has ended. It passes bytes and understands none.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A relay that runs until it is dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    ended: watch::Receiver<u32>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Listens on a free port and passes every connection on to `target`, from `source`, which is
    /// one of this machine's addresses.
    pub async fn start(target: SocketAddr, source: Ipv4Addr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (count, ended) = watch::channel(0);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let count = count.clone();
                tokio::spawn(async move {
                    // How it ended says nothing: a cut connection may well end with an error.
                    let _ = pass(stream, target, source).await;
                    count.send_modify(|count| *count += 1);
                });
            }
        });
        Ok(Self { address, ended, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until a connection has ended.
    pub async fn connection_ended(&self) {
        // An error means that all tasks are gone, and their connections with them.
        let _ = self.ended.clone().wait_for(|count| *count > 0).await;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(mut near: TcpStream, target: SocketAddr, source: Ipv4Addr) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((source, 0)))?;
    let mut far = socket.connect(target).await?;
    copy_bidirectional(&mut near, &mut far).await.map(|_| ())
}
