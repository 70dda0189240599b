//! One line a step, as it happens: for people or for machines.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::timeout;

use super::mismatch::Mismatch;

/// Who reads it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reader {
    /// One JSON object a line, on stdout.
    Machine,
    /// Aligned lines on stdout.
    Person,
    /// Aligned lines on stderr: stdout is for data.
    PersonBesideData,
}

/// A step did not hold. It has been reported.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stopped;

/// What a step gives to the later ones, and a few words on it for the reader: the first line stands
/// behind the step's name, others below it.
pub type Done<T> = Result<(T, String), Mismatch>;

/// The lines so far.
#[derive(Debug)]
pub struct Report {
    reader: Reader,
    started_at: Instant,
    steps: u32,
}

impl Report {
    /// Nothing yet.
    pub fn new(reader: Reader) -> Self {
        Self { reader, started_at: Instant::now(), steps: 0 }
    }

    /// Does one step and reports what came of it.
    ///
    /// # Errors
    ///
    /// [`Stopped`] if it did not hold, or took longer than 30 s.
    pub async fn step<T>(
        &mut self,
        name: &str,
        work: impl Future<Output = Done<T>>,
    ) -> Result<T, Stopped> {
        self.steps += 1;
        let begun_at = Instant::now();
        let done = timeout(STEP, work).await.unwrap_or_else(|_| {
            Err(Mismatch::new(format!("an end within {} s", STEP.as_secs()), "none yet"))
        });
        let took = begun_at.elapsed();
        match done {
            Ok((value, detail)) => {
                self.held(name, &detail, took);
                Ok(value)
            }
            Err(mismatch) => {
                self.failed(name, &mismatch, took);
                Err(Stopped)
            }
        }
    }

    /// Says how it went altogether.
    pub fn end(&self, ok: bool) {
        let (steps, took) = (self.steps, self.started_at.elapsed());
        if self.reader == Reader::Machine {
            self.value(&json!({ "ok": ok, "steps": steps, "elapsed_ms": millis(took) }));
        } else if ok {
            self.line(&format!("\nall {steps} steps held, in {}", duration(took)));
        } else {
            self.line(&format!("\nstep {steps} did not hold"));
        }
    }

    /// Gives out data.
    pub fn data(&self, value: &Value) {
        match self.reader {
            Reader::Machine => self.value(value),
            // A closed stdout is the reader's affair.
            _ => drop(writeln!(io::stdout().lock(), "{value:#}")),
        }
    }

    /// Says something to a person; machines do not hear it.
    pub fn talk(&self, words: &str) {
        if self.reader != Reader::Machine {
            self.line(words);
        }
    }

    fn held(&self, name: &str, detail: &str, took: Duration) {
        if self.reader == Reader::Machine {
            return self.value(&json!({
                "step": self.steps,
                "name": name,
                "ok": true,
                "detail": detail,
                "elapsed_ms": millis(took),
            }));
        }
        let mut lines = detail.lines();
        let text = lines.next().map(|first| format!("{name}: {first}"));
        self.line(&row('✓', self.steps, text.as_deref().unwrap_or(name), took));
        for more in lines {
            self.line(&format!("       {more}"));
        }
    }

    fn failed(&self, name: &str, mismatch: &Mismatch, took: Duration) {
        let Mismatch { expected, found } = mismatch;
        if self.reader == Reader::Machine {
            return self.value(&json!({
                "step": self.steps,
                "name": name,
                "ok": false,
                "expected": expected,
                "found": found,
                "elapsed_ms": millis(took),
            }));
        }
        self.line(&row('✗', self.steps, name, took));
        self.line(&format!("       expected: {expected}"));
        self.line(&format!("       found:    {found}"));
    }

    fn value(&self, value: &Value) {
        let mut out = io::stdout().lock();
        let _ = writeln!(out, "{value}").and_then(|()| out.flush());
    }

    fn line(&self, text: &str) {
        let _ = match self.reader {
            Reader::PersonBesideData => writeln!(io::stderr().lock(), "{text}"),
            Reader::Machine | Reader::Person => writeln!(io::stdout().lock(), "{text}"),
        };
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn row(mark: char, step: u32, text: &str, took: Duration) -> String {
    format!(" {mark} {step:>2}  {text:<WIDTH$} {:>8}", duration(took))
}

fn duration(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    match time.as_millis() {
        0..10 => format!("{millis:.1} ms"),
        10..10_000 => format!("{millis:.0} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

/// Longer than any step takes on a slow machine: what hangs is reported, not waited for.
const STEP: Duration = Duration::from_secs(30);
/// Room for a step's words, in characters.
const WIDTH: usize = 78;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Mismatch, Reader, Report, Stopped, duration, row};

    #[test]
    fn rows_line_up() {
        let short = row('✓', 1, "short", Duration::from_micros(2_340));
        let long = row('✗', 21, &"long ".repeat(15), Duration::from_millis(31_400));

        assert_eq!(short.chars().count(), long.chars().count());
        assert!(short.starts_with(" ✓  1  short ") && short.ends_with("   2.3 ms"));
        assert!(long.starts_with(" ✗ 21  long ") && long.ends_with("   31.4 s"));
        assert_eq!(duration(Duration::from_millis(412)), "412 ms");
    }

    #[test]
    fn a_step_that_does_not_hold_stops_the_rest() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(async {
            let mut report = Report::new(Reader::PersonBesideData);
            let held = report.step("one", async { Ok((7, String::new())) }).await;
            assert_eq!(held, Ok(7));
            let wrong = async { Err::<((), _), _>(Mismatch::new("a refusal", "a signature")) };
            assert_eq!(report.step("two", wrong).await, Err(Stopped));
        });
    }
}
