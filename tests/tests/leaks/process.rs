//! What root can read of a process: memory, command line, environment.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use crate::search::PIECE_MAX;

/// Read at a time.
const PART: usize = 16 << 20;
const PAGE: usize = 4096;

/// Hands every readable part of a process's memory to `look`, with its address and what is mapped
/// there. Parts of one mapping overlap by more than a piece. Returns how many bytes were read.
///
/// Pages that go while they are read are passed over, as are the kernel's own (`[vvar]` cannot
/// be read by anybody).
pub fn read_memory(pid: i32, look: &mut dyn FnMut(usize, &str, &[u8])) -> io::Result<usize> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let memory = File::open(format!("/proc/{pid}/mem"))?;
    let mut buffer = Vec::new();
    let mut read = 0;
    for line in maps.lines() {
        let Some((start, end, what)) = readable(line) else { continue };
        let mut at = start;
        while at < end {
            buffer.resize(PART.min(end - at), 0);
            let part = match memory.read_at(&mut buffer, at as u64) {
                Ok(bytes) if bytes > 0 => &buffer[..bytes],
                Err(error) if !matches!(error.raw_os_error(), Some(libc::EIO | libc::EFAULT)) => {
                    return Err(error);
                }
                // This page is gone; neighbours that are listed with it may be there.
                _ => {
                    at = (at / PAGE + 1) * PAGE;
                    continue;
                }
            };
            look(at, what, part);
            read += part.len();
            at += part.len();
            if at < end && part.len() > PIECE_MAX {
                at -= PIECE_MAX;
            }
        }
    }
    Ok(read)
}

/// What `gcore` writes of a process that goes on; `None` where there is no gdb, which CI has.
pub fn core_file(pid: i32, folder: &Path) -> Option<Vec<u8>> {
    let prefix = folder.join("dumped");
    let output = Command::new("gcore").arg("-o").arg(&prefix).arg(pid.to_string()).output();
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "CI has gdb: {error}");
            return None;
        }
    };
    let path = folder.join(format!("dumped.{pid}"));
    let bytes = fs::read(&path).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()))
    });
    fs::remove_file(&path).expect("removed");
    assert!(bytes.starts_with(b"\x7fELF") && bytes.len() > 1 << 20, "a core file");
    Some(bytes)
}

/// Start, end and name of a readable mapping.
fn readable(line: &str) -> Option<(usize, usize, &str)> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let rights = words.next()?;
    let what = words.nth(3).unwrap_or("anonymous");
    if !rights.starts_with('r') || what.starts_with("[v") {
        return None;
    }
    let number = |text| usize::from_str_radix(text, 16).ok();
    Some((number(start)?, number(end)?, what))
}

/// Command line or environment, by the name of their file.
pub fn read_proc(pid: i32, file: &str) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/{file}")).expect("of a process that runs")
}

/// User of a process: real, effective, saved and of files.
pub fn users(pid: i32) -> Vec<u32> {
    let status = String::from_utf8(read_proc(pid, "status")).expect("text");
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("users");
    line.split_ascii_whitespace().map(|user| user.parse().expect("a number")).collect()
}
