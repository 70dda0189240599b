//! How fast a bot may speak.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// A bucket of tokens that fills steadily.
#[derive(Debug)]
pub(super) struct Pace {
    burst: f64,
    filled_at: Instant,
    per_second: f64,
    /// Below 0 if more was taken than there was.
    tokens: f64,
}

const TICK: Duration = Duration::from_millis(1);

impl Pace {
    /// A full bucket.
    pub(super) fn new(burst: u32, per_second: u32, now: Instant) -> Self {
        let [burst, per_second] = [burst, per_second.max(1)].map(f64::from);
        Self { burst, filled_at: now, per_second, tokens: burst }
    }

    /// Takes `count` tokens, be they there or not.
    pub(super) fn take(&mut self, count: usize, now: Instant) {
        self.fill(now);
        // Far below what a float counts exactly.
        self.tokens -= count as f64;
    }

    /// When there is a whole token; `None` if there is one now.
    pub(super) fn due(&mut self, now: Instant) -> Option<Instant> {
        self.fill(now);
        let missing = 1.0 - self.tokens;
        // Timers count in milliseconds.
        let left = || Duration::from_secs_f64(missing / self.per_second).max(TICK);
        (missing > 0.0).then(|| now + left())
    }

    fn fill(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.tokens = (self.tokens + since * self.per_second).min(self.burst);
        self.filled_at = now;
    }
}

/// A stream of which so many bytes are read in a second and no more, whatever they say: frames that
/// make no message would cost us time without end.
#[derive(Debug)]
pub(super) struct Paced<T> {
    inner: T,
    pace: Pace,
    sleep: Pin<Box<Sleep>>,
}

impl<T> Paced<T> {
    pub(super) fn new(inner: T, pace: Pace) -> Self {
        Self { inner, pace, sleep: Box::pin(tokio::time::sleep(Duration::ZERO)) }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Paced<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = &mut *self;
        let now = Instant::now();
        if let Some(due) = this.pace.due(now) {
            this.sleep.as_mut().reset(due);
            std::task::ready!(this.sleep.as_mut().poll(cx));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut this.inner).poll_read(cx, buf);
        this.pace.take(buf.filled().len() - before, now);
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Paced<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    use super::{Pace, Paced};

    #[tokio::test(start_paused = true)]
    async fn a_burst_and_then_so_many_in_a_second() {
        let start = Instant::now();
        let mut pace = Pace::new(3, 10, start);
        for _ in 0..3 {
            assert_eq!(pace.due(start), None);
            pace.take(1, start);
        }
        assert_eq!(pace.due(start), Some(start + Duration::from_millis(100)));
        let later = start + Duration::from_millis(100);
        assert_eq!(pace.due(later), None);
        pace.take(1, later);
        assert_eq!(pace.due(later), Some(later + Duration::from_millis(100)));
        // It holds no more than a burst.
        let much_later = later + Duration::from_secs(60);
        pace.take(3, much_later);
        assert!(pace.due(much_later).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_taken_too_much_is_waited_for() {
        let start = Instant::now();
        let mut pace = Pace::new(10, 10, start);
        pace.take(30, start);
        assert_eq!(pace.due(start), Some(start + Duration::from_millis(2100)));
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_are_read_at_their_pace() {
        let start = Instant::now();
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        theirs.write_all(&[7; 1000]).await.expect("room");
        let mut paced = Paced::new(ours, Pace::new(100, 100, start));
        let mut piece = [0; 100];
        let mut whole = Vec::new();
        while whole.len() < 1000 {
            let count = paced.read(&mut piece).await.expect("there");
            whole.extend_from_slice(&piece[..count]);
        }
        assert_eq!(whole, [7; 1000]);
        let took = start.elapsed();
        assert!((8..=10).contains(&took.as_secs()), "{took:?}");
    }
}
