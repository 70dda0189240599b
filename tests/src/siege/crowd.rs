//! Strangers: sockets that say too little, and handshakes that come to nothing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::{Done, Effort, Target};

/// Handshakes at a time.
const HANDSHAKES_AT_A_TIME: u64 = 48;
/// Of so many handshakes one is played to its end, which costs the attacker as much as the vault.
const PLAYED_OUT: u64 = 16;
/// How long an attacker waits for the vault's part of a handshake.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

/// Holds so many sockets, and makes each anew when the vault ends it. Half come from one address, half
/// from 250; a third each go to bots', operators' and enrolment's listener.
pub(super) async fn slowloris(target: &Target, effort: Effort, done: &Arc<Done>) {
    let hello = hello(target);
    let mut sockets = JoinSet::new();
    for number in 0..effort.count {
        let (target, done, hello) = (target.clone(), Arc::clone(done), hello.clone());
        sockets.spawn(async move {
            let from = match number % 2 {
                0 => Ipv4Addr::new(127, 0, 0, 2),
                _ => Ipv4Addr::new(127, 0, 1, u8::try_from(1 + number / 2 % 250).expect("small")),
            };
            let to = listener(&target, number / 2);
            // Not all at the same moment.
            tokio::time::sleep(Duration::from_micros(number * 200)).await;
            while Instant::now() < effort.until {
                let late = tokio::time::sleep_until(effort.until.into());
                tokio::select! {
                    () = hold(to, from, &hello, number / 6, &done) => Done::add(&done.ended, 1),
                    () = late => return,
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
    while sockets.join_next().await.is_some() {}
}

/// One socket until the vault ends it.
async fn hold(to: SocketAddr, from: Ipv4Addr, hello: &[u8], manner: u64, done: &Done) {
    let Ok(mut tcp) = connect(to, from).await else { return };
    Done::add(&done.connections, 1);
    let first = match manner % 4 {
        0 => 0,
        1 => 1,
        2 => 100,
        _ => hello.len(),
    };
    if tcp.write_all(&hello[..first]).await.is_err() {
        return;
    }
    Done::add(&done.sent, first as u64);
    let mut bytes = [0; 4096];
    let mut said = first;
    loop {
        // Whoever has begun goes on by a byte a second.
        match tokio::time::timeout(Duration::from_secs(1), tcp.read(&mut bytes)).await {
            Ok(Ok(0) | Err(_)) => return,
            Ok(Ok(_)) => {}
            Err(_) if manner % 4 == 2 && said < hello.len() - 1 => {
                if tcp.write_all(&hello[said..=said]).await.is_err() {
                    return;
                }
                said += 1;
            }
            Err(_) => {}
        }
    }
}

/// So many handshakes in all, each from another address of 127.0.0.0/8, to the three listeners.
pub(super) async fn handshakes(target: &Target, effort: Effort, done: &Arc<Done>) {
    let hello = hello(target);
    let next = Arc::new(AtomicU64::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..HANDSHAKES_AT_A_TIME.min(effort.count) {
        let (target, done, hello) = (target.clone(), Arc::clone(done), hello.clone());
        let next = Arc::clone(&next);
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= effort.count || Instant::now() >= effort.until {
                    return;
                }
                let attempt = handshake(&target, number, &hello, &done);
                if matches!(tokio::time::timeout(PATIENCE, attempt).await, Ok(Ok(())) | Err(_)) {
                    continue;
                }
                Done::add(&done.ended, 1);
            }
        });
    }
    while workers.join_next().await.is_some() {}
}

/// One handshake. An error: the vault has refused it.
async fn handshake(target: &Target, number: u64, hello: &[u8], done: &Done) -> io::Result<()> {
    let octet = |of: u64| u8::try_from(1 + of % 250).expect("small");
    let from = Ipv4Addr::new(127, octet(number), octet(number / 250), octet(number / 62_500));
    let mut tcp = connect(listener(target, number / 3), from).await?;
    Done::add(&done.connections, 1);
    Done::add(&done.sent, 1);
    if number.is_multiple_of(PLAYED_OUT) {
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(&target.stranger));
        let name = ServerName::from(IpAddr::from([127, 0, 0, 1]));
        let mut tls = connector.connect(name, tcp).await?;
        // Without a certificate where one is asked for, the end comes now; else for this.
        tls.write_all(b"no preface of any protocol at all, and long enough").await?;
        while tls.read(&mut [0; 4096]).await? > 0 {}
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    match number % 3 {
        0 => tcp.write_all(&[22, 3, 1, 0, 5, 1, 0, 0, 1, 0]).await?,
        _ => tcp.write_all(hello).await?,
    }
    // The vault's part has been computed when its first byte is here.
    if tcp.read(&mut [0; 4096]).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if number % 3 == 1 {
        // An application's record where the handshake's second half belongs.
        tcp.write_all(&[23, 3, 3, 0, 20]).await?;
        tcp.write_all(&[0x5a; 20]).await?;
        while tcp.read(&mut [0; 4096]).await? > 0 {}
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

fn listener(target: &Target, number: u64) -> SocketAddr {
    match number % 3 {
        0 => target.bot,
        1 => target.operator,
        _ => target.enroll,
    }
}

async fn connect(to: SocketAddr, from: Ipv4Addr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    // Nothing stays behind in the kernel: the next may come at once.
    socket.set_zero_linger()?;
    socket.connect(to).await
}

/// A hello as every client of ours begins, to be said again and again.
fn hello(target: &Target) -> Vec<u8> {
    let name = ServerName::from(IpAddr::from([127, 0, 0, 1]));
    let mut client = rustls::ClientConnection::new(Arc::clone(&target.stranger), name)
        .expect("a client's configuration");
    let mut hello = Vec::new();
    client.write_tls(&mut hello).expect("written to memory");
    hello
}
