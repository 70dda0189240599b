//! What a vault's processes keep in memory.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::server::Ready;

const NAMES: [&str; 3] = ["front", "core", "egress"];
const INTERVAL: Duration = Duration::from_millis(50);

/// Resident memory of each process, in bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Resident([u64; 3]);

impl Resident {
    /// As it is now.
    pub fn look(ready: &Ready) -> Self {
        Self(processes(ready).map(resident))
    }

    /// Each process by its name.
    pub fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
        NAMES.into_iter().zip(self.0)
    }

    /// How much more than before the process that grew the most has.
    pub fn growth(&self, before: &Self) -> u64 {
        let grown = self.0.iter().zip(before.0).map(|(now, before)| now.saturating_sub(before));
        grown.max().unwrap_or(0)
    }
}

/// Looks at a vault's processes until it is dropped, and remembers the most.
#[derive(Debug)]
pub struct Memory {
    most: Arc<[AtomicU64; 3]>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Memory {
    /// Begins to look.
    pub fn watch(ready: &Ready) -> Self {
        let most: Arc<[AtomicU64; 3]> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, until, processes) = (Arc::clone(&most), Arc::clone(&stop), processes(ready));
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                for (most, process) in seen.iter().zip(processes) {
                    most.fetch_max(resident(process), Ordering::Relaxed);
                }
                std::thread::sleep(INTERVAL);
            }
        });
        Self { most, stop, thread: Some(thread) }
    }

    /// The most of each process so far.
    pub fn most(&self) -> Resident {
        Resident(std::array::from_fn(|place| self.most[place].load(Ordering::Relaxed)))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn processes(ready: &Ready) -> [i32; 3] {
    [ready.pid_front, ready.pid_core, ready.pid_egress]
}

fn resident(process: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
