//! What must hold, in one place: ratios within one run, and what is aimed at.

use serde_json::{Value, json};

use crate::figure::{Rounds, Table, ratio};

/// A bound on a ratio.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bar {
    what: &'static str,
    sense: Sense,
    bar: f64,
    aim: f64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sense {
    AtLeast,
    AtMost,
}

const fn at_least(what: &'static str, bar: f64, aim: f64) -> Bar {
    Bar { what, sense: Sense::AtLeast, bar, aim }
}

const fn at_most(what: &'static str, bar: f64, aim: f64) -> Bar {
    Bar { what, sense: Sense::AtMost, bar, aim }
}

pub(crate) const HMAC_BY_PINNED: Bar =
    at_least("sign-hmac, calls/s by the pinned echo's", 0.55, 0.75);
pub(crate) const HMAC_BY_OWN: Bar = at_least("sign-hmac, calls/s by the own echo's", 0.42, 0.55);
pub(crate) const ED25519_BY_PINNED: Bar =
    at_least("sign-ed25519, calls/s by the pinned echo's", 0.42, 0.55);
pub(crate) const P256_BY_PINNED: Bar =
    at_least("sign-p256, calls/s by the pinned echo's", 0.35, 0.45);
/// Of what is allowed: the echo's median, two syncs and 20 µs; aimed at is another sum, below.
pub(crate) const ALONE: Bar =
    at_most("sign-hmac alone, p50 by echo's p50 + 2 syncs + 20 µs", 1.0, 1.0);
/// The sum that is aimed at.
pub(crate) const ALONE_AIM: Bar =
    at_most("sign-hmac alone, p50 by echo's p50 + 1 sync + 60 µs (the aim)", f64::INFINITY, 1.0);
pub(crate) const OPEN_P99: Bar =
    at_most("sign-hmac at 20,000/s, p99 by the pinned echo's", 2.0, 1.3);
pub(crate) const FAIR_P99: Bar =
    at_most("p99 of 50/s, beside a client at full blast by alone", 2.0, 2.0);
pub(crate) const GROWTH: Bar =
    at_least("sign-hmac, calls/s with 100,000 clients by those with 10", 0.9, 0.97);
/// In milliseconds: a difference, no ratio.
pub(crate) const ADMIN_P999: Bar =
    at_most("sign-hmac at 10,000/s, p99.9 with an admin less that without, ms", 2.0, 0.5);
pub(crate) const MEMORY_GROWTH: Bar =
    at_most("memory that all processes keep, at the end by after the warm-up", 1.02, 1.01);
pub(crate) const BAO_CALLS: Bar = at_least("sign-hmac, calls/s by OpenBao's", 6.0, 10.0);
pub(crate) const BAO_CPU: Bar = at_most("sign-hmac, server's CPU a call by OpenBao's", 0.1, 0.1);
pub(crate) const BAO_P99: Bar = at_most("sign-hmac, p99 by OpenBao's", 0.3, 0.3);
pub(crate) const BAO_MEMORY: Bar =
    at_most("sign-hmac, memory of all processes (PSS) by OpenBao's", 0.5, 0.5);
pub(crate) const BAO_BATCH: Bar =
    at_least("batch of 64, signatures/s by OpenBao's batch", 3.0, 5.0);

/// Connections and streams of the bars by calls a second; the second is for HMAC alone.
pub(crate) const LOADS: [(usize, usize); 2] = [(8, 16), (32, 8)];
/// The rate of [`OPEN_P99`].
pub(crate) const OPEN_RATE: u64 = 20_000;
/// The rate of [`ADMIN_P999`].
pub(crate) const ADMIN_RATE: u64 = 10_000;
/// The clients of [`GROWTH`].
pub(crate) const GROWTH_CLIENTS: u64 = 100_000;
/// What is allowed alone above the echo and two syncs, in microseconds.
pub(crate) const ALONE_US: f64 = 20.0;
/// What is aimed at alone above the echo and one sync.
pub(crate) const ALONE_AIM_US: f64 = 60.0;

/// A ratio as it was found, held against a bar or none.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    what: String,
    load: String,
    found: Rounds,
    bar: Option<Bar>,
}

impl Judged {
    pub(crate) fn new(bar: &Bar, load: impl Into<String>, found: Rounds) -> Self {
        Self { what: bar.what.to_owned(), load: load.into(), found, bar: Some(*bar) }
    }

    /// A ratio that nothing is asked of.
    pub(crate) fn free(what: impl Into<String>, load: impl Into<String>, found: Rounds) -> Self {
        Self { what: what.into(), load: load.into(), found, bar: None }
    }

    /// Whether the median is not even half as good as it must be. What is not a number is lost too.
    pub(crate) fn is_grossly_lost(&self) -> bool {
        let median = self.found.median();
        match self.bar {
            None => false,
            Some(Bar { sense: Sense::AtLeast, bar, .. }) => median.is_nan() || median < bar / 2.0,
            Some(Bar { sense: Sense::AtMost, bar, .. }) => median.is_nan() || median > bar * 2.0,
        }
    }

    fn is_met(&self, bound: impl Fn(&Bar) -> f64) -> Option<bool> {
        let bar = self.bar?;
        let median = self.found.median();
        Some(match bar.sense {
            Sense::AtLeast => median >= bound(&bar),
            Sense::AtMost => median <= bound(&bar),
        })
    }

    fn json(&self) -> Value {
        json!({
            "what": self.what,
            "load": self.load,
            "ratio": self.found.json(),
            "bar": self.bar.map(|bar| bar.bar).filter(|bar| bar.is_finite()),
            "aim": self.bar.map(|bar| bar.aim),
            "met": self.is_met(|bar| bar.bar),
            "aim_met": self.is_met(|bar| bar.aim),
        })
    }

    fn cells(&self) -> Vec<String> {
        let bound = |bar: Option<f64>, sense: Sense| match bar {
            Some(bar) if bar.is_finite() => {
                let word = if sense == Sense::AtLeast { "at least" } else { "at most" };
                format!("{word} {bar}")
            }
            _ => "-".to_owned(),
        };
        let sense = self.bar.map_or(Sense::AtLeast, |bar| bar.sense);
        let yes = |met: Option<bool>| match met {
            None => "-",
            Some(true) => "yes",
            Some(false) => "no",
        };
        vec![
            self.what.clone(),
            self.load.clone(),
            ratio(&self.found),
            bound(self.bar.map(|bar| bar.bar), sense),
            yes(self.is_met(|bar| bar.bar)).to_owned(),
            bound(self.bar.map(|bar| bar.aim), sense),
            yes(self.is_met(|bar| bar.aim)).to_owned(),
        ]
    }
}

pub(crate) fn table(judged: &[Judged]) -> String {
    let mut table = Table::new(&["Ratio", "Load", "Found", "Bar", "Met", "Aim", "Reached"]);
    for one in judged {
        table.row(&one.cells());
    }
    table.text().to_owned()
}

pub(crate) fn json(judged: &[Judged]) -> Value {
    judged.iter().map(Judged::json).collect()
}

#[cfg(test)]
mod tests {
    use super::{BAO_MEMORY, HMAC_BY_PINNED, Judged};
    use crate::figure::Rounds;

    fn rounds(values: &[f64]) -> Rounds {
        values.iter().copied().collect()
    }

    #[test]
    fn half_of_a_bar_is_no_gross_loss_and_less_is() {
        for (bar, found, is_lost) in [
            (&HMAC_BY_PINNED, 0.275, false),
            (&HMAC_BY_PINNED, 0.274, true),
            (&BAO_MEMORY, 1.0, false),
            (&BAO_MEMORY, 1.1, true),
            (&HMAC_BY_PINNED, f64::NAN, true),
            (&BAO_MEMORY, f64::NAN, true),
        ] {
            let judged = Judged::new(bar, "8x16", rounds(&[found]));
            assert_eq!(judged.is_grossly_lost(), is_lost, "{found} of {}", bar.what);
        }
    }

    #[test]
    fn the_median_decides() {
        let judged = Judged::new(&HMAC_BY_PINNED, "8x16", rounds(&[0.1, 0.56, 0.6]));

        assert_eq!(judged.is_met(|bar| bar.bar), Some(true));
        assert_eq!(judged.is_met(|bar| bar.aim), Some(false));
    }

    #[test]
    fn what_has_no_bar_is_neither_met_nor_lost() {
        let judged = Judged::free("deny", "8x16", rounds(&[0.0]));

        assert_eq!((judged.is_met(|bar| bar.bar), judged.is_grossly_lost()), (None, false));
    }
}
