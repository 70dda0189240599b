//! Processor time of processes, as the kernel counts it.

use std::fs;

/// What is looked at: a name and process ids.
#[derive(Clone, Debug)]
pub(crate) struct Watched(Vec<(&'static str, i32)>);

/// Processor time of each since its start, in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Spent(Vec<u64>);

impl Watched {
    pub(crate) fn new(processes: &[(&'static str, i32)]) -> Self {
        Self(processes.to_vec())
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(name, _)| *name)
    }

    pub(crate) fn processes(&self) -> impl Iterator<Item = (&'static str, i32)> {
        self.0.iter().copied()
    }

    pub(crate) fn look(&self) -> Spent {
        Spent(self.0.iter().map(|(_, process)| spent_ns(*process)).collect())
    }
}

impl Spent {
    /// Microseconds since an earlier look, per request, of each.
    pub(crate) fn per_request(&self, earlier: &Self, requests: usize) -> Vec<f64> {
        let each = self.0.iter().zip(&earlier.0);
        each.map(|(now, then)| now.saturating_sub(*then) as f64 / 1e3 / requests.max(1) as f64)
            .collect()
    }
}

/// The sum over the threads that live. Clocks of `/proc/PID/stat` tick a hundred times a second,
/// which is too coarse; `schedstat` counts nanoseconds.
fn spent_ns(process: i32) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return 0 };
    let of_thread = |thread: fs::DirEntry| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    threads.flatten().filter_map(of_thread).sum()
}
