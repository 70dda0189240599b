//! What a client sends over HTTP/2 besides its calls: frames that cost little to send and something to
//! take, of which the HTTP library takes any number (pings, settings, resets, window updates,
//! priorities, and whatever it does not know). They are counted on their way to it.
//!
//! ```text
//! "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" | frames: u24 BE length | u8 type | u8 flags | u32 stream | length bytes
//! ```
//!
//! Source: RFC 9113, sections 3.4 and 4.1. A connection has a budget of such frames that grows with
//! time, with the calls that it makes and with what it is sent: an honest client stays far below.

use tokio::time::Instant;

use crate::limit::Limits;

const PREFACE_BYTES: usize = 24;
const HEADER_BYTES: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;

const END_STREAM: u8 = 1;

/// What a call is worth: a window update or two, a settings' or ping's answer.
const PER_CALL: u64 = 4;
/// What a reset costs: the call before it has been taken up, and its frames lie with the core.
const PER_RESET: u64 = 8;
/// What is sent to a client is acknowledged by window updates: one for so many bytes is free.
const BYTES_PER_UPDATE: u64 = 1 << 10;

/// Counts the frames of one connection.
#[derive(Debug)]
pub(crate) struct Frames {
    budget: u64,
    burst: u64,
    header: [u8; HEADER_BYTES],
    /// Of the header.
    has: usize,
    per_second: u64,
    refilled_at: Instant,
    /// Of the preface or of a payload.
    skip: usize,
    /// Sent to the client and not counted yet.
    written: u64,
}

/// A client that has sent more of such frames than it may.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Flood;

impl Frames {
    /// For a new connection.
    pub(crate) fn new(limits: &Limits) -> Self {
        let burst = u64::from(limits.control_frames_burst);
        Self {
            budget: burst,
            burst,
            header: [0; HEADER_BYTES],
            has: 0,
            per_second: u64::from(limits.control_frames_per_second),
            refilled_at: Instant::now(),
            skip: PREFACE_BYTES,
            written: 0,
        }
    }

    /// Notes that so much was written to the client.
    pub(crate) fn note_write(&mut self, bytes: usize) {
        self.written += bytes as u64;
        if self.written >= BYTES_PER_UPDATE {
            self.earn(self.written / BYTES_PER_UPDATE);
            self.written %= BYTES_PER_UPDATE;
        }
    }

    /// Looks at what has come, however the stream cuts it.
    ///
    /// # Errors
    ///
    /// [`Flood`].
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Flood> {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let taken = (HEADER_BYTES - self.has).min(bytes.len());
            self.header[self.has..self.has + taken].copy_from_slice(&bytes[..taken]);
            self.has += taken;
            bytes = &bytes[taken..];
            if self.has == HEADER_BYTES {
                self.has = 0;
                let [high, mid, low, kind, flags, ..] = self.header;
                self.skip = (usize::from(high) << 16) | (usize::from(mid) << 8) | usize::from(low);
                self.count(kind, flags)?;
            }
        }
        Ok(())
    }

    fn count(&mut self, kind: u8, flags: u8) -> Result<(), Flood> {
        let cost = match kind {
            HEADERS => {
                self.earn(PER_CALL);
                return Ok(());
            }
            // The library has a budget of its own for empty and for tiny ones.
            DATA if self.skip > 0 || flags & END_STREAM != 0 => return Ok(()),
            RST_STREAM => PER_RESET,
            _ => 1,
        };
        if self.budget < cost {
            self.refill();
        }
        self.budget = self.budget.checked_sub(cost).ok_or(Flood)?;
        Ok(())
    }

    fn refill(&mut self) {
        let passed = u64::try_from(self.refilled_at.elapsed().as_micros()).unwrap_or(u64::MAX);
        let earned = passed.saturating_mul(self.per_second) / 1_000_000;
        if earned > 0 {
            self.refilled_at = Instant::now();
            self.earn(earned);
        }
    }

    fn earn(&mut self, frames: u64) {
        self.budget = self.budget.saturating_add(frames).min(self.burst);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{DATA, END_STREAM, Flood, Frames, HEADERS, RST_STREAM};
    use crate::limit::Limits;

    const PING: u8 = 6;
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    fn frames() -> Frames {
        let limits = Limits {
            control_frames_burst: 100,
            control_frames_per_second: 10,
            ..Limits::default()
        };
        let mut frames = Frames::new(&limits);
        assert_eq!(frames.feed(PREFACE), Ok(()));
        frames
    }

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        // Whatever it looks like, it is no header.
        bytes.resize(9 + usize::from(length), PING);
        bytes
    }

    /// How many of them pass.
    fn passed(frames: &mut Frames, bytes: &[u8]) -> usize {
        let count = (0..10_000).take_while(|_| frames.feed(bytes).is_ok()).count();
        // No connection sees it: the rest of the frame that was one too many.
        frames.skip = 0;
        count
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_then_a_rate() {
        let mut frames = frames();
        assert_eq!(passed(&mut frames, &frame(PING, 0, 8)), 100);
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(passed(&mut frames, &frame(PING, 0, 8)), 30);
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!(passed(&mut frames, &frame(PING, 0, 8)), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn every_kind_but_calls_costs_and_resets_cost_more() {
        for kind in [2, 4, 5, 7, 8, 9, 77, 255] {
            assert_eq!(passed(&mut frames(), &frame(kind, 0, 5)), 100, "{kind}");
        }
        assert_eq!(passed(&mut frames(), &frame(DATA, 0, 0)), 100);
        assert_eq!(passed(&mut frames(), &frame(RST_STREAM, 0, 4)), 12);
        assert_eq!(passed(&mut frames(), &frame(DATA, END_STREAM, 0)), 10_000);
        assert_eq!(passed(&mut frames(), &frame(DATA, 0, 1)), 10_000);
        assert_eq!(passed(&mut frames(), &frame(HEADERS, 0, 1)), 10_000);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_and_answers_pay_for_what_they_cause() {
        let call = [frame(HEADERS, 4, 30), frame(DATA, END_STREAM, 40), frame(PING, 1, 8)];
        let updates = [frame(8, 0, 4), frame(8, 0, 4)];
        let honest = [call.concat(), updates.concat()].concat();
        assert_eq!(passed(&mut frames(), &honest), 10_000);
        let mut reader = frames();
        for _ in 0..10_000 {
            reader.note_write(16 << 10);
            reader.feed(&updates.concat()).expect("for 16 KiB");
        }
        // A call that is reset each time is not paid for.
        let given_up = [frame(HEADERS, 4, 30), frame(RST_STREAM, 0, 4)].concat();
        assert_eq!(passed(&mut frames(), &given_up), 24);
    }

    #[tokio::test(start_paused = true)]
    async fn however_the_stream_cuts_it() {
        let bytes = [frame(HEADERS, 4, 200), frame(PING, 0, 8), frame(DATA, 1, 9)].concat();
        let mut frames = frames();
        let mut fed = 0;
        'all: for _ in 0..1_000 {
            for byte in &bytes {
                if frames.feed(&[*byte]) == Err(Flood) {
                    break 'all;
                }
            }
            fed += 1;
        }
        assert_eq!(fed, 1_000);
        assert_eq!(frames.budget, 99);
        assert_eq!(frames.skip, 0);
    }
}
