//! Measures durable appends: `cargo run -p vault-audit --release --example throughput [FOLDER]`.
//!
//! Writes a fresh log of entries of about 500 bytes below FOLDER (default: the system's temporary
//! folder) for each batch size, prints entries and syncs per second, then the time to open it again
//! and to verify its export.

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use vault_audit::export::export;
use vault_audit::verify::{Options, verify};
use vault_audit::{Entry, EntryKind, Log, LogSigner, Origin, SEGMENT_BYTES_DEFAULT};
use vault_model::{SecretBytes, Timestamp};

#[allow(clippy::print_stdout)] // What the program is for.
fn main() -> Result<(), Box<dyn Error>> {
    let base = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let base = base.join(format!("countersign-throughput-{}", std::process::id()));
    std::fs::create_dir(&base)?;
    let origin = Origin::new("bench.example", "node-1", 0)?;
    let signer = LogSigner::from_seed(origin.clone(), &SecretBytes::new(vec![1; 32]))?;
    for batch in [1usize, 64, 512] {
        let dir = base.join(format!("log-{batch}"));
        let open = |dir| {
            let bytes = SEGMENT_BYTES_DEFAULT;
            Log::open(dir, &origin, bytes, Timestamp(0), None, &mut |_, _| Ok(()))
        };
        let mut log = open(&dir)?.log;
        let (mut lines, mut making) = (Vec::with_capacity(batch), Duration::ZERO);
        let (begin, mut syncs) = (Instant::now(), 0u32);
        while begin.elapsed() < Duration::from_secs(3) {
            let start = Instant::now();
            lines.clear();
            for nth in 0..batch as u64 {
                lines.push(entry(log.size() + nth).to_line()?);
            }
            making += start.elapsed();
            log.append(&lines)?;
            syncs += 1;
        }
        let (entries, bytes) = (log.size(), lines[0].len());
        let seconds = (begin.elapsed() - making).as_secs_f64();
        log.checkpoint(&signer)?;
        log.close()?;
        let start = Instant::now();
        open(&dir)?;
        let opened = start.elapsed();
        let out = base.join(format!("export-{batch}"));
        export(&dir, &out, None)?;
        let start = Instant::now();
        let report = verify(&out, &Options::default(), &mut |_| {})?;
        println!(
            "batch {batch:4}: {:.0} entries/s, {:.0} syncs/s, {bytes} B a line, {:.2} us to make one, \
             open {opened:?} and verify {:?} for {} entries",
            entries as f64 / seconds,
            f64::from(syncs) / seconds,
            making.as_secs_f64() * 1e6 / entries as f64,
            start.elapsed(),
            report.entries,
        );
    }
    println!("exports and logs stay in {}", base.display());
    Ok(())
}

fn entry(idx: u64) -> Entry {
    let now = Timestamp(1_795_300_000_000_000 + idx as i64);
    let mut entry = Entry::new(EntryKind::Sign, idx, now, "node-1", 0, "bench");
    entry.seq = Some(idx);
    entry.client = "mm-1".parse().ok();
    entry.credential = "okx-main".parse().ok();
    entry.venue = Some("okx".to_owned());
    entry.operation = Some("POST /api/v5/trade/order".to_owned());
    entry.closure_hash = Some([7; 32]);
    entry.payload_mac = Some([8; 32]);
    entry.sig_sha256 = Some([9; 32]);
    entry
}
