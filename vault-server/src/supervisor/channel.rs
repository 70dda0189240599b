//! One end of a stream of frames that never blocks.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;

use prost::Message;
use vault_ipc::{Decoder, Frame, FrameError, Kind};

/// Bytes taken from the stream at once.
const READ_BYTES: usize = 16 << 10;

/// A stream, what came in pieces and what waits to be written.
#[derive(Debug)]
pub struct Channel {
    stream: UnixStream,
    decoder: Decoder,
    /// Bytes that came and are no whole frame yet, headers included.
    incomplete_bytes: usize,
    outgoing: Vec<u8>,
    ended: bool,
}

impl Channel {
    /// Takes over a stream and sets it nonblocking.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            decoder: Decoder::default(),
            incomplete_bytes: 0,
            outgoing: Vec::new(),
            ended: false,
        })
    }

    /// The stream, to wait on.
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// The other end will send nothing more.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether bytes wait to be written.
    pub fn is_writing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Queues a frame.
    ///
    /// # Errors
    ///
    /// [`FrameError::Header`] if it is too long.
    pub fn send(
        &mut self,
        kind: Kind,
        correlation: u64,
        message: &impl Message,
    ) -> Result<(), FrameError> {
        vault_ipc::encode(kind, correlation, message, &mut self.outgoing)
    }

    /// Writes what the stream takes now.
    ///
    /// # Errors
    ///
    /// The stream broke.
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.outgoing.is_empty() {
            match self.stream.write(&self.outgoing) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => drop(self.outgoing.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes what is there: at most `frames_max` frames, each of at most `frame_bytes_max` bytes
    /// with its header.
    ///
    /// # Errors
    ///
    /// [`FrameError`]: the stream is of no more use.
    pub fn receive(
        &mut self,
        frames_max: usize,
        frame_bytes_max: usize,
    ) -> Result<Vec<Frame>, FrameError> {
        let mut frames = Vec::new();
        let mut bytes = [0; READ_BYTES];
        loop {
            while frames.len() < frames_max
                && let Some(frame) = self.decoder.next_frame()?
            {
                self.incomplete_bytes -= vault_ipc::HEADER_BYTES + frame.body.len();
                frames.push(frame);
            }
            if frames.len() >= frames_max || self.ended {
                return Ok(frames);
            }
            if self.incomplete_bytes > frame_bytes_max {
                return Err(FrameError::Header);
            }
            match self.stream.read(&mut bytes) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    self.decoder.extend(&bytes[..count]);
                    self.incomplete_bytes += count;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(frames),
                Err(error) if vault_ipc::is_end(&error) => self.ended = true,
                Err(error) => return Err(error.into()),
            }
        }
    }
}
