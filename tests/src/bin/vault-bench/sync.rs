//! What the disk alone takes: the log's way of writing without the log.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Error;
use crate::histogram::Latencies;

/// A file on the log's disk, written over and synced record by record.
#[derive(Debug)]
pub(crate) struct Disk {
    file: File,
    at: u64,
}

/// About what an order's entry takes with its commit frame.
const RECORD_BYTES: usize = 1_500;
const FILE_BYTES: usize = 16 << 20;
const PAUSE: Duration = Duration::from_micros(300);

impl Disk {
    pub(crate) fn new(folder: &Path) -> Result<Self, Error> {
        let file = File::create_new(folder.join("sync.bench"))?;
        // Written, not only reserved: the first write to reserved space changes the file system's
        // own records, which costs another write.
        file.write_all_at(&vec![0; FILE_BYTES], 0)?;
        file.sync_all()?;
        Ok(Self { file, at: 0 })
    }

    /// Writes and syncs so many records, with a pause before each as between orders.
    pub(crate) fn measure(&mut self, records: usize) -> Result<Latencies, Error> {
        let record = [b'x'; RECORD_BYTES];
        let mut latencies = Latencies::default();
        for _ in 0..records {
            if self.at + RECORD_BYTES as u64 > FILE_BYTES as u64 {
                self.at = 0;
            }
            std::thread::sleep(PAUSE);
            let begun = Instant::now();
            self.file.write_all_at(&record, self.at)?;
            self.file.sync_data()?;
            latencies.push(begun.elapsed());
            self.at += RECORD_BYTES as u64;
        }
        Ok(latencies)
    }
}
