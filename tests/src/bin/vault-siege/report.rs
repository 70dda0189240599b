//! What is said of a siege, in the form in which `docs/reference/siege.md` has it.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use vault_tests::siege::{Attack, Resident, Seen, Times};

/// What must hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bars {
    /// The longest that anything an operator does may take.
    operator: Duration,
    /// Goodput afterwards, as a share of what it was before.
    goodput: f64,
    /// What a process may grow by, in bytes.
    growth_bytes: u64,
}

impl Default for Bars {
    fn default() -> Self {
        Self { operator: Duration::from_millis(500), goodput: 0.9, growth_bytes: 256 << 20 }
    }
}

/// Orders a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goodput {
    /// Of the vault that is attacked.
    pub(crate) own: f64,
    /// Of its twin, which is not, in turns with it.
    pub(crate) twin: f64,
}

/// One attack.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) attack: Attack,
    pub(crate) took: Duration,
    pub(crate) sent: u64,
    pub(crate) connections: u64,
    pub(crate) ended: u64,
    pub(crate) answered: u64,
    pub(crate) before: Goodput,
    /// Orders a second.
    pub(crate) during: f64,
    pub(crate) after: Goodput,
    pub(crate) seen_before: Seen,
    pub(crate) seen: Seen,
    pub(crate) resident_before: Resident,
    pub(crate) resident_peak: Resident,
    pub(crate) resident_after: Resident,
    /// On stderr, since the attack began.
    pub(crate) lines: usize,
    /// Entries of failed authentication in the log.
    pub(crate) auth_denied: usize,
}

#[derive(Debug)]
pub(crate) struct Report {
    bars: Bars,
    streams: usize,
    nice: i32,
    rows: Vec<Row>,
}

impl Row {
    /// For whoever waits.
    pub(crate) fn line(&self) -> String {
        format!(
            "{}: {:.0} s, {} sent, {} connections, {} ended; operator {}; goodput {:.0}, {:.0}, {:.0}; \
             turned away {}; {:?}",
            self.attack.name(),
            self.took.as_secs_f64(),
            self.sent,
            self.connections,
            self.ended,
            three(&self.seen.status),
            self.before.own,
            self.during,
            self.after.own,
            self.seen.turned_away,
            self.seen.failed.iter().take(5).collect::<Vec<_>>(),
        )
    }

    /// Goodput afterwards as a share of what it was before, each as a share of the twin's.
    fn recovered(&self) -> f64 {
        (self.after.own / self.after.twin) / (self.before.own / self.before.twin)
    }

    fn missed(&self, bars: &Bars) -> Vec<String> {
        let mut missed = Vec::new();
        let Seen { status, halt, new_operator, failed, .. } = &self.seen;
        for (what, times) in
            [("Status", status), ("Halt and Resume", halt), ("a new operator", new_operator)]
        {
            match times.most() {
                Some(most) if most < bars.operator => {}
                Some(most) => missed.push(format!("{what} took {} ms", most.as_millis())),
                None => missed.push(format!("{what} was never answered")),
            }
        }
        missed.extend(
            failed.first().map(|first| format!("{} failures, first: {first}", failed.len())),
        );
        if self.recovered() < bars.goodput {
            missed.push(format!("goodput {:.2} of what it was", self.recovered()));
        }
        let growth = self.resident_peak.growth(&self.resident_before);
        if growth > bars.growth_bytes {
            missed.push(format!("a process grew by {} MiB", growth >> 20));
        }
        missed
    }

    fn json(&self, bars: &Bars) -> Value {
        let resident = |resident: &Resident| -> Value {
            resident.each().map(|(name, bytes)| (name.to_owned(), json!(bytes))).collect()
        };
        let seen = |seen: &Seen| {
            json!({
                "status": times(&seen.status), "halt_resume": times(&seen.halt),
                "new_operator": times(&seen.new_operator), "new_bot": times(&seen.new_bot),
                "turned_away": seen.turned_away, "failed": seen.failed,
            })
        };
        json!({
            "attack": self.attack.name(),
            "seconds": self.took.as_secs_f64(),
            "sent": self.sent,
            "connections": self.connections,
            "ended": self.ended,
            "answered": self.answered,
            "goodput": {
                "before": self.before.own, "during": self.during, "after": self.after.own,
                "twin_before": self.before.twin, "twin_after": self.after.twin,
                "recovered": self.recovered(),
            },
            "seen_before": seen(&self.seen_before),
            "seen": seen(&self.seen),
            "resident_bytes": {
                "before": resident(&self.resident_before),
                "peak": resident(&self.resident_peak),
                "after": resident(&self.resident_after),
            },
            "stderr_lines": self.lines,
            "auth_denied_entries": self.auth_denied,
            "missed": self.missed(bars),
        })
    }
}

impl Report {
    pub(crate) fn new(bars: Bars, streams: usize, nice: i32) -> Self {
        Self { bars, streams, nice, rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub(crate) fn holds(&self) -> bool {
        self.rows.iter().all(|row| row.missed(&self.bars).is_empty())
    }

    pub(crate) fn json(&self) -> Value {
        let rows: Vec<_> = self.rows.iter().map(|row| row.json(&self.bars)).collect();
        json!({
            "cores": std::thread::available_parallelism().map_or(0, usize::from),
            "streams": self.streams,
            "attackers_nice": self.nice,
            "bars": {
                "operator_ms": u64::try_from(self.bars.operator.as_millis()).unwrap_or(0),
                "goodput": self.bars.goodput,
                "growth_bytes": self.bars.growth_bytes,
            },
            "attacks": rows,
        })
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        table(
            &mut text,
            &["Attack", "For", "Sent", "Connections", "Ended by the vault"],
            self.rows.iter().map(|row| {
                vec![
                    row.attack.name().to_owned(),
                    format!("{:.0} s", row.took.as_secs_f64()),
                    row.sent.to_string(),
                    row.connections.to_string(),
                    row.ended.to_string(),
                ]
            }),
        );
        table(
            &mut text,
            &[
                "Operator, ms: p50 / p99 / most",
                "Status before",
                "Status",
                "Halt, Resume",
                "New connection",
                "New bot",
            ],
            self.rows.iter().map(|row| {
                vec![
                    row.attack.name().to_owned(),
                    three(&row.seen_before.status),
                    three(&row.seen.status),
                    three(&row.seen.halt),
                    three(&row.seen.new_operator),
                    three(&row.seen.new_bot),
                ]
            }),
        );
        table(
            &mut text,
            &["Goodput, orders/s", "Before", "Twin", "During", "After", "Twin", "After / before"],
            self.rows.iter().map(|row| {
                vec![
                    row.attack.name().to_owned(),
                    format!("{:.0}", row.before.own),
                    format!("{:.0}", row.before.twin),
                    format!("{:.0}", row.during),
                    format!("{:.0}", row.after.own),
                    format!("{:.0}", row.after.twin),
                    format!("{:.2}", row.recovered()),
                ]
            }),
        );
        table(
            &mut text,
            &["Memory, MiB: before / peak / after", "Front", "Core", "Egress", "Lines on stderr"],
            self.rows.iter().map(|row| {
                let looks = [&row.resident_before, &row.resident_peak, &row.resident_after];
                let of = |place: usize| {
                    let each =
                        looks.map(|look| look.each().nth(place).map_or(0, |(_, bytes)| bytes));
                    each.map(|bytes| (bytes >> 20).to_string()).join(" / ")
                };
                let name = row.attack.name().to_owned();
                vec![name, of(0), of(1), of(2), row.lines.to_string()]
            }),
        );
        for row in &self.rows {
            for missed in row.missed(&self.bars) {
                // Writing to a string does not fail.
                let _ = writeln!(text, "MISSED by {}: {missed}", row.attack.name());
            }
        }
        text
    }
}

fn table(text: &mut String, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let rule = vec!["---"; head.len()].join(" | ");
    let _ = writeln!(text, "| {} |\n| {rule} |", head.join(" | "));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text.push('\n');
}

/// p50, p99 and the most, in milliseconds.
fn three(times: &Times) -> String {
    let each = [times.at(0.5), times.at(0.99), times.most()];
    each.map(|time| time.map_or("-".to_owned(), ms)).join(" / ")
}

fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    if ms < 10.0 { format!("{ms:.1}") } else { format!("{ms:.0}") }
}

fn times(times: &Times) -> Value {
    let ms = |time: Option<Duration>| time.map(|time| time.as_secs_f64() * 1e3);
    json!({
        "count": times.count(), "p50_ms": ms(times.at(0.5)), "p99_ms": ms(times.at(0.99)),
        "most_ms": ms(times.most()),
    })
}
