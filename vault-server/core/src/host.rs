//! The machine that the vault runs on, as far as it can be seen without opening a file: the sandbox
//! lets none be opened.

use std::path::Path;

use vault_ipc::proto::v1;

/// Looks at disk, swap and clock. What the kernel does not tell is left at 0 or `false`.
pub(crate) fn look(log: &Path) -> v1::HostFacts {
    let (disk_free_bytes, disk_total_bytes) = disk(log).unwrap_or_default();
    let clock = Discipline::of_kernel();
    v1::HostFacts {
        disk_free_bytes,
        disk_total_bytes,
        swap_bytes: swap_bytes(),
        clock_synchronised: clock.is_synchronised(),
        clock_error_us: clock.error_us(),
    }
}

/// Bytes that the vault may still write to the file system of the log, and all that it has.
fn disk(log: &Path) -> Option<(u64, u64)> {
    let space = rustix::fs::statvfs(log).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(space.f_frsize);
    Some((bytes(space.f_bavail), bytes(space.f_blocks)))
}

/// Swap that is switched on.
fn swap_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    u64::from(info.mem_unit).saturating_mul(info.totalswap)
}

/// What the kernel says of its clock.
#[derive(Clone, Copy, Debug, Default)]
struct Discipline {
    /// The call's own answer; negative: it was refused.
    state: libc::c_int,
    /// `STA_` bits.
    status: libc::c_int,
    /// Microseconds.
    max_error: libc::c_long,
}

impl Discipline {
    fn of_kernel() -> Self {
        // SAFETY: `timex` is a struct of integers; all zeros is a value of it, and says to change
        // nothing (`modes` 0).
        let mut timex: libc::timex = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is to a whole `timex` of our own that outlives the call.
        let state = unsafe { libc::adjtimex(&raw mut timex) };
        Self { state, status: timex.status, max_error: timex.maxerror }
    }

    fn is_synchronised(self) -> bool {
        (0..libc::TIME_ERROR).contains(&self.state) && self.status & libc::STA_UNSYNC == 0
    }

    fn error_us(self) -> u64 {
        if self.is_synchronised() { u64::try_from(self.max_error).unwrap_or(0) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::{Discipline, look};

    #[test]
    fn a_clock_is_synchronised_only_if_the_kernel_says_so() {
        let good = Discipline { state: libc::TIME_OK, status: libc::STA_PLL, max_error: 1_500 };
        assert!(good.is_synchronised());
        assert_eq!(good.error_us(), 1_500);
        // A leap second is under way: nothing is wrong with the clock.
        assert!(Discipline { state: libc::TIME_WAIT, ..good }.is_synchronised());

        let unsynchronised = Discipline { status: libc::STA_PLL | libc::STA_UNSYNC, ..good };
        for bad in [
            unsynchronised,
            Discipline { state: libc::TIME_ERROR, ..good },
            Discipline { state: -1, ..good },
        ] {
            assert!(!bad.is_synchronised(), "{bad:?}");
            assert_eq!(bad.error_us(), 0);
        }
    }

    #[test]
    fn a_disk_has_no_more_free_than_it_has() {
        let host = look(std::env::temp_dir().as_path());
        assert!(host.disk_total_bytes > 0);
        assert!(host.disk_free_bytes <= host.disk_total_bytes);

        let nowhere = look(std::path::Path::new("/nonexistent/audit"));
        assert_eq!((nowhere.disk_free_bytes, nowhere.disk_total_bytes), (0, 0));
    }
}
