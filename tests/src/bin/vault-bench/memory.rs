//! Memory of processes, as the kernel counts it.

use std::fs;

use serde_json::{Value, json};

use crate::cpu::Watched;

/// What each process held at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Vec<(&'static str, Held)>);

/// Of one process, in KiB.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Held {
    rss: u64,
    /// With what is shared counted in parts. Where the kernel does not show it: nothing.
    pss: Option<u64>,
}

impl Memory {
    /// Of all that are watched but the load generator itself.
    pub(crate) fn look(watched: &Watched) -> Self {
        let own = i32::try_from(std::process::id()).unwrap_or_default();
        let others = watched.processes().filter(|(_, process)| *process != own);
        Self(others.map(|(name, process)| (name, held(process))).collect())
    }

    /// Resident, of all processes together, in MiB.
    pub(crate) fn rss_mib(&self) -> f64 {
        self.0.iter().map(|(_, held)| held.rss).sum::<u64>() as f64 / 1024.0
    }

    /// Proportional, of all together, in MiB; `None` if one of them does not show it.
    pub(crate) fn pss_mib(&self) -> Option<f64> {
        let sum: Option<u64> = self.0.iter().map(|(_, held)| held.pss).sum();
        sum.map(|sum| sum as f64 / 1024.0)
    }

    /// Of all together: proportional, or where the kernel does not show that, resident.
    pub(crate) fn all_mib(&self) -> f64 {
        self.pss_mib().unwrap_or_else(|| self.rss_mib())
    }

    /// Of each process, as [`all_mib`](Self::all_mib) is.
    pub(crate) fn each_mib(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let has_pss = self.pss_mib().is_some();
        self.0.iter().map(move |(name, held)| {
            let kib = held.pss.filter(|_| has_pss).unwrap_or(held.rss);
            (*name, kib as f64 / 1024.0)
        })
    }

    /// Of one process.
    #[cfg(test)]
    pub(crate) fn of_one(name: &'static str, kib: u64) -> Self {
        Self(vec![(name, Held { rss: kib, pss: Some(kib) })])
    }

    pub(crate) fn json(&self) -> Value {
        let each: serde_json::Map<String, Value> = self
            .0
            .iter()
            .map(|(name, held)| {
                ((*name).to_owned(), json!({ "rss_kib": held.rss, "pss_kib": held.pss }))
            })
            .collect();
        json!(each)
    }
}

fn held(process: i32) -> Held {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    // Whoever cannot be debugged shows the first to root alone.
    let rss = kib(&rollup, "Rss:").or_else(|| kib(&status, "VmRSS:"));
    Held { rss: rss.unwrap_or(0), pss: kib(&rollup, "Pss:") }
}

fn kib(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::kib;

    #[test]
    fn a_line_is_found_by_its_whole_key() {
        let text = "00400000-7ffe4d5f8000 ---p 00000000 00:00 0 [rollup]\n\
                    Rss:                1764 kB\nPss:                 267 kB\nPss_Dirty: 116 kB\n";

        assert_eq!((kib(text, "Rss:"), kib(text, "Pss:")), (Some(1764), Some(267)));
        assert_eq!(kib("", "Rss:"), None);
    }
}
