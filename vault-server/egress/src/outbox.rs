//! Frames that wait to be written to another process.

use std::cell::{Cell, RefCell};
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
    room: Notify,
    wake: Notify,
}

impl Outbox {
    /// An empty queue in which there is room below so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            is_gone: Cell::new(false),
            queue: RefCell::default(),
            room: Notify::new(),
            wake: Notify::new(),
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
        vault_ipc::encode(kind, correlation, message, &mut self.queue.borrow_mut())?;
        self.wake.notify_one();
        Ok(())
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

    /// Writes what is queued, for ever.
    ///
    /// # Errors
    ///
    /// The stream broke; the queue takes nothing from then on.
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
                    return Err(error.into());
                }
                batch.clear();
                // What one large batch took is not kept for ever.
                batch.shrink_to(self.bytes_max.min(1 << 20));
            }
        }
    }
}
