//! The two directions of a channel, for tokio, each woken for its own sake alone.
//!
//! A socket that is registered for reading and writing wakes its process whenever the other end has
//! taken what lay in it, though nobody waits to write: three wake-ups for each order. Here the
//! kernel is asked about room only while there is none.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, Interest, ReadBuf};

use crate::frame::{Decoder, Frame, FrameError, FrameRef, read_count};

/// What comes.
#[derive(Debug)]
pub struct Inlet(AsyncFd<UnixStream>);

/// What goes.
#[derive(Debug)]
pub struct Outlet(Room);

/// The frames that come by a stream.
#[derive(Debug)]
pub struct Frames<S = Inlet> {
    bytes: Vec<u8>,
    came: Instant,
    decoder: Decoder,
    stream: S,
}

#[derive(Debug)]
enum Room {
    /// As far as is known there is some.
    Some(UnixStream),
    /// There was none: the kernel will say when there is.
    None(AsyncFd<UnixStream>),
    /// Registering it failed, and the stream went with that.
    Lost,
}

/// Takes a channel apart, inside a runtime of tokio.
///
/// # Errors
///
/// The operating system's.
pub fn split(stream: UnixStream) -> io::Result<(Inlet, Outlet)> {
    let outlet = stream.try_clone()?;
    Ok((inlet(stream)?, outlet_of(outlet)?))
}

/// The one direction of a channel on which nothing goes.
///
/// # Errors
///
/// The operating system's.
pub fn inlet(stream: UnixStream) -> io::Result<Inlet> {
    stream.set_nonblocking(true)?;
    Ok(Inlet(register(stream, Interest::READABLE)?))
}

/// The one direction of a channel on which nothing comes.
///
/// # Errors
///
/// The operating system's.
pub fn outlet_of(stream: UnixStream) -> io::Result<Outlet> {
    stream.set_nonblocking(true)?;
    Ok(Outlet(Room::Some(stream)))
}

fn register(stream: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    // SAFETY: the stream owns its descriptor, always the same one, and nothing here takes it out or
    // puts another in its place while it is registered.
    let registered = unsafe { AsyncFd::register_with_interest(stream, interest) };
    Ok(registered?)
}

impl<S: AsyncRead + Unpin> Frames<S> {
    /// Those of a stream, of which `read_bytes` are taken at once.
    pub fn new(stream: S, read_bytes: usize) -> Self {
        let (bytes, decoder) = (vec![0; read_bytes], Decoder::default());
        Self { bytes, came: Instant::now(), decoder, stream }
    }

    /// The next frame; `None` once the stream has ended behind a whole one. It is read only if none lies
    /// here any more. What was read is kept if this is dropped before it is done.
    ///
    /// # Errors
    ///
    /// [`FrameError::Header`]; [`FrameError::Io`], which is `UnexpectedEof` if the stream has ended inside
    /// a frame.
    pub async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return Ok(Some(frame));
            }
            if !self.read().await? {
                return Ok(None);
            }
        }
    }

    /// The next frame of what was read, without a copy.
    ///
    /// # Errors
    ///
    /// [`FrameError::Header`].
    pub fn next_ref(&mut self) -> Result<Option<FrameRef<'_>>, FrameError> {
        self.decoder.next_ref()
    }

    /// Reads on, when all frames that were read are taken; `false` once the stream has ended behind a whole
    /// one.
    ///
    /// # Errors
    ///
    /// [`FrameError::Io`], as [`Frames::next`].
    pub async fn read(&mut self) -> Result<bool, FrameError> {
        let count = read_count(self.stream.read(&mut self.bytes).await)?;
        if count == 0 {
            let is_whole = self.decoder.is_empty();
            let cut = || FrameError::Io(io::ErrorKind::UnexpectedEof.into());
            return if is_whole { Ok(false) } else { Err(cut()) };
        }
        self.came = Instant::now();
        self.decoder.extend(&self.bytes[..count]);
        Ok(true)
    }

    /// When the end of the last frame was read.
    pub fn came(&self) -> Instant {
        self.came
    }
}

impl AsyncRead for Inlet {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.0.poll_read_ready(cx))?;
            let bytes = buf.initialize_unfilled();
            let room = bytes.len();
            match guard.try_io(|fd| fd.get_ref().read(bytes)) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Ok(Ok(count)) => {
                    // Less than there was room for: all that lay there. The next comes with an event.
                    if 0 < count && count < room {
                        guard.clear_ready();
                    }
                    buf.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(_would_block) => {}
            }
        }
    }
}

impl Outlet {
    fn poll_io<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&UnixStream) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            match &self.0 {
                Room::Some(stream) => match write(stream) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        let Room::Some(stream) = std::mem::replace(&mut self.0, Room::Lost) else {
                            unreachable!("it was there a line ago")
                        };
                        self.0 = Room::None(register(stream, Interest::WRITABLE)?);
                    }
                    result => return Poll::Ready(result),
                },
                Room::None(full) => {
                    let mut guard = ready!(full.poll_write_ready(cx))?;
                    match guard.try_io(|fd| write(fd.get_ref())) {
                        Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                        Ok(result) => {
                            if let Room::None(full) = std::mem::replace(&mut self.0, Room::Lost) {
                                self.0 = Room::Some(full.into_inner());
                            }
                            return Poll::Ready(result);
                        }
                        Err(_would_block) => {}
                    }
                }
                Room::Lost => return Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            }
        }
    }
}

impl AsyncWrite for Outlet {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_io(cx, |mut stream| stream.write(buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_io(cx, |mut stream| stream.write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = match &self.0 {
            Room::Some(stream) => stream,
            Room::None(full) => full.get_ref(),
            Room::Lost => return Poll::Ready(Ok(())),
        };
        Poll::Ready(stream.shutdown(std::net::Shutdown::Write))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::{Frames, split};
    use crate::{BarrierDone, Frame, FrameError, Kind, encode};

    fn frame(id: u64, bytes: &mut Vec<u8>) {
        encode(Kind::BarrierDone, id, &BarrierDone { id }, bytes).expect("short");
    }

    fn correlations(frames: &[Frame]) -> Vec<u64> {
        frames.iter().map(|frame| frame.correlation).collect()
    }

    #[tokio::test]
    async fn frames_come_one_by_one_however_they_are_cut() {
        let mut bytes = Vec::new();
        (1..=5).for_each(|id| frame(id, &mut bytes));
        for read_bytes in [1, 7, bytes.len(), 1 << 10] {
            let mut frames = Frames::new(bytes.as_slice(), read_bytes);
            let mut all = Vec::new();
            while let Some(frame) = frames.next().await.expect("ours") {
                all.push(frame);
            }
            assert_eq!(correlations(&all), [1, 2, 3, 4, 5]);
            assert!(frames.next().await.expect("ended").is_none(), "and stays so");
        }
    }

    #[tokio::test]
    async fn an_end_inside_a_frame_is_another_than_one_between_two() {
        let mut bytes = Vec::new();
        frame(1, &mut bytes);
        let first = bytes.len();
        frame(2, &mut bytes);
        for end in first + 1..bytes.len() {
            let mut frames = Frames::new(&bytes[..end], 64);
            assert!(frames.next().await.expect("whole").is_some());
            let cut = frames.next().await;
            let is_cut = matches!(&cut, Err(FrameError::Io(error))
                if error.kind() == std::io::ErrorKind::UnexpectedEof);
            assert!(is_cut, "{end}: {cut:?}");
        }
        let mut frames = Frames::new(&bytes[..first], 64);
        assert!(frames.next().await.expect("whole").is_some());
        assert!(frames.next().await.expect("an end").is_none());
        // The other end left unread what it was sent: an end all the same.
        let (ours, theirs) = pair();
        std::io::Write::write_all(&mut &ours, b"never read").expect("written");
        drop(theirs);
        let (inlet, _keep) = split(ours).expect("split");
        assert!(Frames::new(inlet, 64).next().await.expect("an end").is_none());
    }

    #[tokio::test]
    async fn a_header_that_is_not_ours_ends_it_behind_what_came_before() {
        let mut bytes = Vec::new();
        frame(1, &mut bytes);
        bytes.extend([0xff; 64]);
        let mut frames = Frames::new(bytes.as_slice(), 1 << 10);
        assert!(frames.next().await.expect("whole").is_some());
        assert!(matches!(frames.next().await, Err(FrameError::Header)));
    }

    #[tokio::test]
    async fn who_does_not_wait_any_more_loses_nothing() {
        let (ours, mut theirs) = pair();
        let (inlet, _keep) = split(ours).expect("split");
        let mut frames = Frames::new(inlet, 64);
        let mut bytes = Vec::new();
        (1..=3).for_each(|id| frame(id, &mut bytes));
        let mut all = Vec::new();
        // Byte for byte, and dropped as often as nothing has come.
        for byte in bytes {
            std::io::Write::write_all(&mut theirs, &[byte]).expect("written");
            for _ in 0..4 {
                tokio::select! {
                    biased;
                    frame = frames.next() => all.extend(frame.expect("ours")),
                    () = tokio::task::yield_now() => {}
                }
            }
        }
        drop(theirs);
        while let Some(frame) = frames.next().await.expect("ours") {
            all.push(frame);
        }
        assert_eq!(correlations(&all), [1, 2, 3]);
    }

    #[tokio::test]
    async fn frames_of_one_read_came_together() {
        let mut bytes = Vec::new();
        (1..=2).for_each(|id| frame(id, &mut bytes));
        let mut frames = Frames::new(bytes.as_slice(), 1 << 10);
        frames.next().await.expect("ours").expect("one");
        let came = frames.came();
        frames.next().await.expect("ours").expect("another");
        assert_eq!(frames.came(), came);
    }

    fn pair() -> (UnixStream, UnixStream) {
        UnixStream::pair().expect("a pair")
    }

    #[tokio::test]
    async fn all_that_goes_in_comes_out_though_there_is_no_room_for_it() {
        let (ours, theirs) = pair();
        let (mut inlet, _keep) = split(ours).expect("split");
        let (_other, mut outlet) = split(theirs).expect("split");
        // Many times what a socket holds, in pieces that fit its buffer badly.
        let piece: Vec<u8> = (0..65_521u32).map(|n| n as u8).collect();
        let write = async {
            for _ in 0..64 {
                outlet.write_all(&piece).await.expect("written");
            }
            outlet.shutdown().await.expect("shut");
        };
        let read = async {
            let mut all = Vec::new();
            inlet.read_to_end(&mut all).await.expect("read");
            all
        };
        let ((), all) = tokio::join!(write, read);
        assert_eq!(all.len(), 64 * piece.len());
        assert!(all.chunks(piece.len()).all(|chunk| chunk == piece));
    }

    #[tokio::test]
    async fn a_reader_that_waits_hears_of_each_piece_and_of_the_end() {
        let (ours, theirs) = pair();
        let (mut inlet, _keep) = split(ours).expect("split");
        let (other, mut outlet) = split(theirs).expect("split");
        let mut buffer = [0; 64];
        for round in 0..100u8 {
            let (read, ()) = tokio::join!(inlet.read(&mut buffer), async {
                tokio::task::yield_now().await;
                outlet.write_all(&[round; 3]).await.expect("written");
            });
            assert_eq!(&buffer[..read.expect("read")], [round; 3]);
        }
        drop((other, outlet));
        assert_eq!(inlet.read(&mut buffer).await.expect("read"), 0);
    }

    #[tokio::test]
    async fn a_writer_without_room_hears_of_an_end() {
        let (ours, theirs) = pair();
        let (_inlet, mut outlet) = split(ours).expect("split");
        let write = async {
            loop {
                if let Err(error) = outlet.write_all(&[0; 4096]).await {
                    break error;
                }
            }
        };
        let end = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            drop(theirs);
        };
        let (error, ()) = tokio::join!(write, end);
        assert!(crate::is_end(&error), "{error:?}");
    }
}
