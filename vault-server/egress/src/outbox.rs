//! Frames that wait to be written to another process.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::mem;
use std::pin::pin;

use prost::Message;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Notify;
use vault_ipc::{FrameError, Kind};

/// A queue of whole frames. All that comes while one write is under way goes out in the next.
pub(crate) struct Outbox {
    bytes_max: usize,
    is_gone: Cell<bool>,
    queue: RefCell<Vec<u8>>,
    /// Bytes that were ever queued.
    queued: Cell<u64>,
    room: Notify,
    wake: Notify,
    /// Bytes that were ever written.
    written: Cell<u64>,
}

/// What one of many that use a queue has in it.
#[derive(Debug, Default)]
pub(crate) struct Share(RefCell<VecDeque<(u64, usize)>>);

impl Outbox {
    /// An empty queue in which there is room below so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            is_gone: Cell::new(false),
            queue: RefCell::default(),
            queued: Cell::new(0),
            room: Notify::new(),
            wake: Notify::new(),
            written: Cell::new(0),
        }
    }

    /// Queues a frame, room or not. What nobody will read is dropped.
    ///
    /// # Errors
    ///
    /// [`FrameError::Header`] if it is too long.
    pub(crate) fn send(
        &self,
        kind: Kind,
        correlation: u64,
        message: &impl Message,
    ) -> Result<(), FrameError> {
        if self.is_gone.get() {
            return Ok(());
        }
        let mut queue = self.queue.borrow_mut();
        let before = queue.len();
        vault_ipc::encode(kind, correlation, message, &mut queue)?;
        self.queued.set(self.queued.get() + (queue.len() - before) as u64);
        self.wake.notify_one();
        Ok(())
    }

    /// As [`Outbox::send`], counted for one of many.
    ///
    /// # Errors
    ///
    /// As for [`Outbox::send`].
    pub(crate) fn send_of(
        &self,
        share: &Share,
        kind: Kind,
        correlation: u64,
        message: &impl Message,
    ) -> Result<(), FrameError> {
        let before = self.queued.get();
        self.send(kind, correlation, message)?;
        let end = self.queued.get();
        share.0.borrow_mut().push_back((end, (end - before) as usize));
        Ok(())
    }

    /// Waits until there is room, and until one of many has less than so many bytes in the queue or on
    /// their way: what it sends holds up nobody else.
    pub(crate) async fn room_of(&self, share: &Share, bytes_max: usize) {
        loop {
            let mut room = pin!(self.room.notified());
            room.as_mut().enable();
            let own: usize = {
                let mut all = share.0.borrow_mut();
                while all.front().is_some_and(|(end, _)| *end <= self.written.get()) {
                    all.pop_front();
                }
                all.iter().map(|(_, bytes)| bytes).sum()
            };
            let has_room = own < bytes_max && self.queue.borrow().len() < self.bytes_max;
            if self.is_gone.get() || has_room {
                return;
            }
            room.await;
        }
    }

    /// Waits until there is room.
    pub(crate) async fn room(&self) {
        loop {
            let mut room = pin!(self.room.notified());
            // Before the look, so that nothing between is missed.
            room.as_mut().enable();
            if self.is_gone.get() || self.queue.borrow().len() < self.bytes_max {
                return;
            }
            room.await;
        }
    }

    /// Writes what is queued until the other process is gone; the queue takes nothing from then on.
    ///
    /// # Errors
    ///
    /// The stream broke otherwise; the same holds then.
    pub(crate) async fn write(
        &self,
        mut stream: impl AsyncWrite + Unpin,
    ) -> Result<(), FrameError> {
        let mut batch = Vec::new();
        loop {
            self.wake.notified().await;
            loop {
                mem::swap(&mut batch, &mut *self.queue.borrow_mut());
                if batch.is_empty() {
                    break;
                }
                self.room.notify_waiters();
                if let Err(error) = stream.write_all(&batch).await {
                    self.is_gone.set(true);
                    self.queue.borrow_mut().clear();
                    self.room.notify_waiters();
                    return if vault_ipc::is_end(&error) { Ok(()) } else { Err(error.into()) };
                }
                self.written.set(self.written.get() + batch.len() as u64);
                self.room.notify_waiters();
                batch.clear();
                // What one large batch took is not kept for ever.
                batch.shrink_to(self.bytes_max.min(1 << 20));
            }
        }
    }
}
