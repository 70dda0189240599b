//! The local socket: who may speak, and the way of a call to the core and back.
//!
//! Only root and the owner of the data directory are heard, by the kernel's word on the peer. Only
//! [`Kind::Local`] passes, and `uid` is filled in here. The core trusts nothing else that came this
//! way.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use vault_ipc::{Code, Failure, Frame, HEADER_BYTES, Kind, LocalCall, Reply};

use super::channel::Channel;

/// Clients at a time; others wait in the kernel's queue.
const CLIENTS_MAX: usize = 16;
/// Calls of one client that wait for their replies.
const CALLS_MAX: usize = 4;
/// Longest frame from a client, with its header, in bytes.
const FRAME_BYTES_MAX: usize = HEADER_BYTES + (64 << 10);
/// How long a client may say nothing while nothing is due to it.
const IDLE: Duration = Duration::from_secs(30);
/// How long a call may take. Unsealing takes seconds, on small machines many.
const CALL: Duration = Duration::from_secs(120);

/// The local socket and those who are connected.
#[derive(Debug)]
pub struct Relay {
    listener: UnixListener,
    /// User id of the data directory's owner.
    owner: u32,
    clients: HashMap<u64, Client>,
    calls: HashMap<u64, Origin>,
    /// Names clients and calls; never 0 and never used twice.
    next_id: u64,
}

#[derive(Debug)]
struct Client {
    channel: Channel,
    uid: u32,
    calls: usize,
    heard_at: Instant,
}

/// Where a call came from.
#[derive(Debug)]
struct Origin {
    client: u64,
    correlation: u64,
    called_at: Instant,
}

impl Relay {
    /// Serves a listening socket.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn new(listener: UnixListener, owner: u32) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let (clients, calls) = (HashMap::new(), HashMap::new());
        Ok(Self { listener, owner, clients, calls, next_id: 1 })
    }

    /// What to wait on.
    pub fn poll_fds(&self) -> Vec<PollFd<'_>> {
        let clients = self.clients.values().map(|client| {
            let mut flags = PollFlags::empty();
            if client.calls < CALLS_MAX {
                flags |= PollFlags::IN;
            }
            if client.channel.is_writing() {
                flags |= PollFlags::OUT;
            }
            PollFd::from_borrowed_fd(client.channel.stream().as_fd(), flags)
        });
        let has_room = self.clients.len() < CLIENTS_MAX;
        let listener: Option<BorrowedFd<'_>> = has_room.then(|| self.listener.as_fd());
        let listener = listener.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        clients.chain(listener).collect()
    }

    /// When [`Relay::serve`] must run even if nothing happens.
    pub fn deadline(&self) -> Option<Instant> {
        let idle = self.clients.values().filter(|client| client.calls == 0);
        let idle = idle.map(|client| client.heard_at + IDLE);
        let calls = self.calls.values().map(|origin| origin.called_at + CALL);
        idle.chain(calls).min()
    }

    /// Takes new clients and their calls, and queues the calls for the core.
    pub fn serve(&mut self, core: &mut Channel, now: Instant) {
        self.accept(now);
        self.expire(now);
        let ids: Vec<u64> = self.clients.keys().copied().collect();
        for id in ids {
            if self.take_calls(id, core, now).is_none() {
                self.forget(id);
            }
        }
    }

    /// Gives a reply of the core to whoever called. One that nobody waits for is dropped.
    pub fn reply(&mut self, frame: &Frame) {
        match frame.message::<Reply>() {
            Ok(reply) => self.answer(frame.correlation, &reply),
            Err(_) => self.answer(frame.correlation, &failed("the core's answer does not decode")),
        }
    }

    /// Tells all who wait that no answer will come: the processes are started anew.
    pub fn abandon(&mut self) {
        let waiting: Vec<u64> = self.calls.keys().copied().collect();
        for id in waiting {
            self.answer(id, &failed("the vault was restarted meanwhile"));
        }
    }

    /// Writes what can be written.
    pub fn flush(&mut self) {
        let broken =
            |(id, client): (&u64, &mut Client)| client.channel.flush().is_err().then_some(*id);
        let broken: Vec<u64> = self.clients.iter_mut().filter_map(broken).collect();
        for id in broken {
            self.forget(id);
        }
    }

    fn accept(&mut self, now: Instant) {
        while self.clients.len() < CLIENTS_MAX {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    tracing::warn!(%error, "local socket does not accept");
                    return;
                }
            };
            let Ok(peer) = rustix::net::sockopt::socket_peercred(&stream) else { continue };
            let uid = peer.uid.as_raw();
            if !may_speak(uid, self.owner) {
                tracing::warn!(uid, "a stranger was turned away from the local socket");
                continue;
            }
            if let Ok(channel) = Channel::new(stream) {
                let id = self.next_id();
                self.clients.insert(id, Client { channel, uid, calls: 0, heard_at: now });
            }
        }
    }

    /// `None`: the client is gone, or says what it must not.
    fn take_calls(&mut self, id: u64, core: &mut Channel, now: Instant) -> Option<()> {
        let client = self.clients.get_mut(&id)?;
        let room = CALLS_MAX - client.calls;
        let frames = client.channel.receive(room, FRAME_BYTES_MAX).ok()?;
        let mut calls = Vec::with_capacity(frames.len());
        for frame in frames {
            let fits = frame.kind == Kind::Local
                && frame.correlation != 0
                && HEADER_BYTES + frame.body.len() <= FRAME_BYTES_MAX;
            if !fits {
                return None;
            }
            let mut call: LocalCall = frame.message().ok()?;
            call.uid = client.uid;
            calls.push((frame.correlation, call));
        }
        if client.channel.has_ended() {
            return None;
        }
        if !calls.is_empty() {
            client.heard_at = now;
            client.calls += calls.len();
        }
        for (correlation, call) in calls {
            let call_id = self.next_id();
            core.send(Kind::Local, call_id, &call).ok()?;
            self.calls.insert(call_id, Origin { client: id, correlation, called_at: now });
        }
        Some(())
    }

    fn expire(&mut self, now: Instant) {
        let late = self.calls.iter().filter(|(_, origin)| origin.called_at + CALL <= now);
        let late: Vec<u64> = late.map(|(id, _)| *id).collect();
        for id in late {
            self.answer(id, &failed("the core does not answer"));
        }
        let idle = |client: &Client| client.calls == 0 && client.heard_at + IDLE <= now;
        self.clients.retain(|_, client| !idle(client));
    }

    fn answer(&mut self, call_id: u64, reply: &Reply) {
        let Some(origin) = self.calls.remove(&call_id) else { return };
        let Some(client) = self.clients.get_mut(&origin.client) else { return };
        client.calls -= 1;
        client.heard_at = Instant::now();
        if client.channel.send(Kind::Reply, origin.correlation, reply).is_err() {
            self.forget(origin.client);
        }
    }

    fn forget(&mut self, id: u64) {
        self.clients.remove(&id);
        self.calls.retain(|_, origin| origin.client != id);
    }

    fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

/// Root, and the owner of the data directory.
fn may_speak(uid: u32, owner: u32) -> bool {
    uid == 0 || uid == owner
}

fn failed(message: &str) -> Reply {
    let failure = Failure::new(Code::Unavailable, "CORE_UNAVAILABLE", message)
        .with_hint("ask for the status, then try again");
    Reply { failure: Some(failure), ..Reply::default() }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::path::{Path, PathBuf};
    use std::thread::JoinHandle;
    use std::time::{Duration, Instant};

    use vault_ipc::{Code, Kind, LocalCall, LocalOperation, Reply, State};

    use super::{Channel, IDLE, Relay, may_speak};

    /// A relay with a core that the test plays itself.
    struct Bed {
        relay: Relay,
        to_core: Channel,
        core: UnixStream,
        path: PathBuf,
        _folder: tempfile::TempDir,
    }

    impl Bed {
        fn new(owner: u32) -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("vault.sock");
            let relay = Relay::new(UnixListener::bind(&path).expect("bound"), owner);
            let (to_core, core) = UnixStream::pair().expect("a pair");
            core.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
            Self {
                relay: relay.expect("a relay"),
                to_core: Channel::new(to_core).expect("a channel"),
                core,
                path,
                _folder: folder,
            }
        }

        fn step(&mut self) {
            self.relay.serve(&mut self.to_core, Instant::now());
            self.to_core.flush().expect("flushed");
            for frame in self.to_core.receive(64, usize::MAX).expect("frames") {
                self.relay.reply(&frame);
            }
            self.relay.flush();
        }

        /// The next call that reaches the core.
        fn call(&mut self) -> (u64, LocalCall) {
            self.step();
            let frame = vault_ipc::read(&mut self.core).expect("read").expect("a frame");
            assert_eq!(frame.kind, Kind::Local);
            (frame.correlation, frame.message().expect("a call"))
        }

        fn answer(&mut self, correlation: u64, text: &str) {
            let reply = Reply { response: text.as_bytes().to_vec(), ..Reply::default() };
            vault_ipc::write(&mut self.core, Kind::Reply, correlation, &reply).expect("written");
            self.step();
        }
    }

    fn own_uid() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn connect(path: &Path) -> UnixStream {
        let stream = UnixStream::connect(path).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
        stream
    }

    fn ask(stream: &mut UnixStream, correlation: u64, body: &[u8]) {
        let operation = LocalOperation::Status.into();
        let call = LocalCall { operation, body: body.to_vec(), uid: 4_000_000_000 };
        vault_ipc::write(stream, Kind::Local, correlation, &call).expect("written");
    }

    fn heard(stream: &mut UnixStream) -> (u64, Reply) {
        let frame = vault_ipc::read(stream).expect("read").expect("a frame");
        (frame.correlation, frame.message().expect("a reply"))
    }

    fn is_cut(stream: &mut UnixStream) -> bool {
        matches!(stream.read(&mut [0; 1]), Ok(0))
            || matches!(vault_ipc::read(stream), Err(vault_ipc::FrameError::Io(_)))
    }

    #[test]
    fn calls_of_several_clients_find_their_way_back() {
        let mut bed = Bed::new(own_uid());
        let (mut one, mut two) = (connect(&bed.path), connect(&bed.path));
        ask(&mut one, 7, b"one");
        let (first, call) = bed.call();
        assert_eq!((call.body.as_slice(), call.uid), (b"one".as_slice(), own_uid()));
        ask(&mut two, 7, b"two");
        let (second, call) = bed.call();
        assert_eq!(call.body, b"two");
        assert_ne!(first, second);

        bed.answer(second, "to two");
        bed.answer(first, "to one");

        assert_eq!(heard(&mut one), (7, Reply { response: b"to one".into(), ..Reply::default() }));
        assert_eq!(heard(&mut two), (7, Reply { response: b"to two".into(), ..Reply::default() }));
    }

    #[test]
    fn other_frames_cut_the_client_and_reach_nobody() {
        let mut bed = Bed::new(own_uid());
        let mut clients: Vec<UnixStream> = (0..4).map(|_| connect(&bed.path)).collect();
        vault_ipc::write(&mut clients[0], Kind::Shutdown, 1, &State::default()).expect("written");
        ask(&mut clients[1], 0, b"no correlation");
        clients[2].write_all(&[0xff; 64]).expect("written");
        ask(&mut clients[3], 1, &vec![0; 65 << 10]);

        bed.step();

        for (at, client) in clients.iter_mut().enumerate() {
            assert!(is_cut(client), "client {at}");
        }
        bed.core.set_nonblocking(true).expect("set");
        let nothing = bed.core.read(&mut [0; 1]).expect_err("nothing came");
        assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    }

    #[test]
    fn root_and_the_owner_are_heard_and_nobody_else() {
        for (uid, owner, heard) in [(0, 7, true), (7, 7, true), (8, 7, false), (8, 0, false)] {
            assert_eq!(may_speak(uid, owner), heard, "{uid} {owner}");
        }
        // Root cannot play a stranger.
        if own_uid() != 0 {
            let mut bed = Bed::new(own_uid() + 1);
            let mut client = connect(&bed.path);
            bed.step();
            assert!(is_cut(&mut client));
        }
    }

    #[test]
    fn those_who_wait_hear_of_a_restart() {
        let mut bed = Bed::new(own_uid());
        let mut client = connect(&bed.path);
        ask(&mut client, 3, b"");
        bed.call();

        bed.relay.abandon();
        bed.step();

        let (correlation, reply) = heard(&mut client);
        assert_eq!(correlation, 3);
        assert_eq!(reply.failure.expect("a failure").code(), Code::Unavailable);
    }

    #[test]
    fn the_silent_are_cut_and_those_who_wait_are_not() {
        let mut bed = Bed::new(own_uid());
        let (mut silent, mut waiting) = (connect(&bed.path), connect(&bed.path));
        ask(&mut waiting, 1, b"");
        let (correlation, _) = bed.call();
        assert!(bed.relay.deadline().expect("one") <= Instant::now() + IDLE);

        bed.relay.serve(&mut bed.to_core, Instant::now() + IDLE);

        assert!(is_cut(&mut silent));
        bed.answer(correlation, "late");
        assert_eq!(heard(&mut waiting).1.response, b"late");
    }

    #[test]
    fn answers_to_those_who_left_are_dropped() {
        let mut bed = Bed::new(own_uid());
        let mut client = connect(&bed.path);
        ask(&mut client, 1, b"");
        let (correlation, _) = bed.call();
        drop(client);
        bed.step();
        bed.answer(correlation, "nobody");

        let mut next = connect(&bed.path);
        ask(&mut next, 1, b"next");
        let (correlation, _) = bed.call();
        bed.answer(correlation, "next");
        assert_eq!(heard(&mut next).1.response, b"next");
    }

    #[test]
    fn a_call_in_pieces_is_one_call() {
        let mut bed = Bed::new(own_uid());
        let client = connect(&bed.path);
        let mut bytes = Vec::new();
        let call = LocalCall { operation: 1, body: vec![5; 40 << 10], uid: 0 };
        vault_ipc::encode(Kind::Local, 2, &call, &mut bytes).expect("fits");
        let mut writer = client.try_clone().expect("cloned");
        let writer: JoinHandle<()> = std::thread::spawn(move || {
            for piece in bytes.chunks(1_000) {
                writer.write_all(piece).expect("written");
            }
        });
        let until = Instant::now() + Duration::from_secs(5);
        while !writer.is_finished() && Instant::now() < until {
            bed.step();
        }
        writer.join().expect("written");

        assert_eq!(bed.call().1.body.len(), 40 << 10);
    }
}
