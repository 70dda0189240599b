//! A slice: what is decided of the front's calls between two looks at the sockets.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use super::{CoreError, Input, Round};
use crate::dispatch::Next;
use crate::turn::{Served, Turn, Turns};

impl Round<'_> {
    /// Takes an input of another thread.
    pub(super) fn hear(&mut self, input: Input, turns: &mut Turns) -> Result<Next, CoreError> {
        match input {
            Input::Signed(done) => {
                self.vault.ahead.returned();
                turns.signed(done);
                Ok(Next::Continue)
            }
            input => self.take(input),
        }
    }

    /// Decides what is next in line, for about [`SLICE`], or half of it if that is a [`LUMP`].
    pub(super) fn slice(&mut self, turns: &mut Turns) -> Result<Next, CoreError> {
        self.vault.line_up_lanes(turns);
        if turns.is_empty() {
            return Ok(Next::Continue);
        }
        let slice_began = Instant::now();
        let (mut began, mut decided) = (slice_began, 0);
        while let Some((turn, served)) = turns.next() {
            let next = self.serve(turn, served, turns)?;
            if next != Next::Continue {
                return Ok(next);
            }
            let ended = Instant::now();
            turns.charge(served, ended - began);
            self.vault.line_up_lanes(turns);
            decided += 1;
            let enough = if decided < LUMP { SLICE } else { SLICE / 2 };
            if ended - slice_began >= enough {
                break;
            }
            began = ended;
        }
        Ok(Next::Continue)
    }

    fn serve(&mut self, turn: Turn, served: Served, turns: &mut Turns) -> Result<Next, CoreError> {
        let (frame, queue) = match (turn, served) {
            (Turn::Lane(credential), _) => return self.take(Input::Lane(credential)),
            (Turn::Behind(frame), Served::Client(queue)) => {
                let now = self.look_at_clock();
                match self.vault.look_ahead(&frame, now) {
                    Some(job) => turns.set_aside(queue, frame, job),
                    None => turns.put_back(queue, frame),
                }
                return Ok(Next::Continue);
            }
            (Turn::Frame(frame), Served::Client(queue)) => {
                if turns.may_set_aside(queue) {
                    self.vault.ahead.begin();
                }
                (frame, queue)
            }
            (Turn::Signed(frame, ready), Served::Client(queue)) => {
                self.vault.ahead.bring(ready);
                (frame, queue)
            }
            // Only what is a client's is set aside.
            (Turn::Behind(frame) | Turn::Frame(frame) | Turn::Signed(frame, _), _) => {
                return self.take(Input::Front(frame));
            }
        };
        let next = self.take_frame(&frame)?;
        if let Some(job) = self.vault.ahead.end() {
            turns.set_aside(queue, frame, job);
        }
        Ok(next)
    }
}

/// How long the front's calls are decided before the next look at the sockets; the last of them may
/// take longer.
const SLICE: Duration = Duration::from_millis(1);
/// So many calls are worth a sync and the waking of front and client: to wait for more of them would only
/// keep those waiting.
const LUMP: usize = 48;
