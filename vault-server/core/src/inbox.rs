//! What the decision thread waits for: frames of front and egress, which it takes from their sockets
//! itself, and what other threads have for it. To have those frames read by other threads would cost
//! a wake-up more for each.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use vault_ipc::{Decoder, Frame, FrameError};

use crate::run::Input;

/// Where other threads put what they have for the decision thread.
#[derive(Clone)]
pub struct InputSender {
    inputs: Sender<Input>,
    bell: Arc<UnixStream>,
}

/// The decision thread has ended.
#[derive(Clone, Copy, Debug)]
pub struct Gone;

impl InputSender {
    /// Hands an input over.
    ///
    /// # Errors
    ///
    /// [`Gone`].
    pub fn send(&self, input: Input) -> Result<(), Gone> {
        self.inputs.send(input).map_err(|_| Gone)?;
        // A bell that is full was rung and not heard yet.
        match (&*self.bell).write(&[1]) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(_) => Err(Gone),
        }
    }
}

/// The other end of it, and what comes of the sockets.
pub struct Inbox {
    bell: UnixStream,
    others: Receiver<Input>,
}

/// A socket that the decision thread reads.
pub struct Socket {
    decoder: Decoder,
    stream: UnixStream,
}

/// What there is to do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ready {
    /// Egress has sent something, or closed.
    pub egress: bool,
    /// The front has.
    pub front: bool,
}

/// Makes an inbox.
///
/// # Errors
///
/// The operating system's.
pub fn inbox() -> io::Result<(InputSender, Inbox)> {
    let (bell, ringer) = UnixStream::pair()?;
    bell.set_nonblocking(true)?;
    ringer.set_nonblocking(true)?;
    let (inputs, others) = channel();
    Ok((InputSender { inputs, bell: Arc::new(ringer) }, Inbox { bell, others }))
}

impl Inbox {
    /// Waits until there is something to do, at most until a time.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn wait(
        &self,
        egress: &Socket,
        front: Option<&Socket>,
        until: Instant,
    ) -> io::Result<Ready> {
        let mut all = vec![
            PollFd::new(&self.bell, PollFlags::IN),
            PollFd::new(&egress.stream, PollFlags::IN),
        ];
        all.extend(front.map(|front| PollFd::new(&front.stream, PollFlags::IN)));
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        match poll(&mut all, Some(&left)) {
            Ok(_) => {}
            // Looked at again.
            Err(Errno::INTR) => return Ok(Ready::default()),
            Err(error) => return Err(error.into()),
        }
        let is_ready = |place: usize| all.get(place).is_some_and(|fd| !fd.revents().is_empty());
        if is_ready(0) {
            // Before the inputs are taken, so that none is missed.
            let _ = (&self.bell).read(&mut [0; 64]);
        }
        Ok(Ready { egress: is_ready(1), front: is_ready(2) })
    }

    /// The next input of another thread, if there is one.
    pub fn next(&self) -> Option<Input> {
        self.others.try_recv().ok()
    }
}

impl Socket {
    /// Reads from a stream that may block; it is not asked to here.
    pub fn new(stream: UnixStream) -> Self {
        Self { decoder: Decoder::default(), stream }
    }

    /// Takes what has arrived, into `bytes`. Says whether the other end has closed.
    ///
    /// # Errors
    ///
    /// [`FrameError::Io`].
    pub fn fill(&mut self, bytes: &mut [u8]) -> Result<bool, FrameError> {
        // The flags of the stream are those of the writer's handle on it, which blocks.
        match rustix::net::recv(&self.stream, &mut *bytes, RecvFlags::DONTWAIT) {
            // A reset is an end too: the other process has left unread what it was sent.
            Ok((0, _)) | Err(Errno::CONNRESET) if self.decoder.is_empty() => Ok(true),
            Ok((0, _)) | Err(Errno::CONNRESET) => {
                Err(io::Error::from(ErrorKind::UnexpectedEof).into())
            }
            Ok((count, _)) => {
                self.decoder.extend(&bytes[..count]);
                Ok(false)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(false),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    /// The next whole frame of it.
    ///
    /// # Errors
    ///
    /// [`FrameError::Header`].
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        self.decoder.next_frame()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;
    use std::time::{Duration, Instant};

    use vault_ipc::{Kind, State};

    use super::{Ready, Socket, inbox};
    use crate::run::Input;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    #[test]
    fn wakes_for_frames_inputs_and_the_time() {
        let (sender, inbox) = inbox().expect("an inbox");
        let (egress, _egress) = UnixStream::pair().expect("a pair");
        let (front, mut theirs) = UnixStream::pair().expect("a pair");
        let (egress, mut front) = (Socket::new(egress), Socket::new(front));
        let idle = inbox.wait(&egress, Some(&front), soon()).expect("waited");
        assert_eq!(idle, Ready::default());

        let mut bytes = Vec::new();
        for correlation in [7, 8] {
            vault_ipc::encode(Kind::State, correlation, &State { sealed: true }, &mut bytes)
                .expect("short");
        }
        let (first, rest) = bytes.split_at(20);
        theirs.write_all(first).expect("written");
        let late = Instant::now() + Duration::from_secs(60);
        let ready = inbox.wait(&egress, Some(&front), late).expect("waited");
        assert_eq!(ready, Ready { egress: false, front: true });
        // Unless the front is not to be heard now.
        assert_eq!(inbox.wait(&egress, None, soon()).expect("waited"), Ready::default());

        let mut room = [0; 64];
        let mut taken = Vec::new();
        assert!(!front.fill(&mut room).expect("filled"));
        theirs.write_all(rest).expect("written");
        assert!(!front.fill(&mut room).expect("filled"));
        while let Some(frame) = front.next_frame().expect("frames") {
            taken.push(frame.correlation);
        }
        assert_eq!(taken, [7, 8]);
        assert!(!front.fill(&mut room).expect("nothing more is there"));
        drop(theirs);
        assert!(front.fill(&mut room).expect("closed"));

        for _ in 0..100_000 {
            sender.send(Input::Committed(Ok(()))).expect("taken");
        }
        inbox.wait(&egress, None, late).expect("woken");
        assert!(matches!(inbox.next(), Some(Input::Committed(Ok(())))));
    }

    #[test]
    fn an_end_with_frames_left_unread_is_an_end() {
        let (mut ours, theirs) = UnixStream::pair().expect("a pair");
        ours.write_all(b"never read").expect("written");
        drop(theirs);
        assert!(Socket::new(ours).fill(&mut [0; 64]).expect("closed"));
    }

    #[test]
    fn an_end_inside_a_frame_is_no_end_in_order() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let mut socket = Socket::new(ours);
        theirs.write_all(&[1, 0, 0]).expect("written");
        drop(theirs);
        assert!(!socket.fill(&mut [0; 64]).expect("three bytes"));
        assert!(socket.fill(&mut [0; 64]).is_err());
    }
}
