//! `[latency] keep_awake`: a process that lets no processor sleep.
//!
//! An order is handed on some seven times between front, core, egress and venue. While nothing else
//! runs, each time a processor has to be woken, and on a virtual machine that takes longer than what
//! it is woken for. Here each processor is given something to do, at the one priority (`SCHED_IDLE`)
//! that gives way to everything else.

use std::convert::Infallible;
use std::hint::spin_loop;
use std::io;
use std::thread;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Keeps all processors awake that this process may use. Ends with the process.
///
/// # Errors
///
/// The operating system's: then no processor is kept awake at a priority that others would feel.
pub fn keep_awake() -> io::Result<Infallible> {
    let allowed = sched_getaffinity(None)?;
    yield_to_everything()?;
    let mut processors = (0..CpuSet::MAX_CPU).filter(|&number| allowed.is_set(number));
    let own = processors.next().ok_or(io::ErrorKind::NotFound)?;
    for processor in processors {
        // Threads have the priority of the one that starts them.
        thread::Builder::new().name("vault-awake".to_owned()).spawn(move || stay_on(processor))?;
    }
    stay_on(own)
}

/// Occupies one processor for ever.
fn stay_on(processor: usize) -> io::Result<Infallible> {
    let mut only = CpuSet::new();
    only.set(processor);
    sched_setaffinity(None, &only)?;
    loop {
        spin_loop();
    }
}

fn yield_to_everything() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the call reads the structure, which lives longer than it.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
