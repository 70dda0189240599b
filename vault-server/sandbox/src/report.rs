//! What is on, read back.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};

use crate::Process;

/// How one process is confined.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Report {
    /// Which.
    pub process: Process,
    /// No core dump, no `ptrace` and no `/proc/PID/mem` for others of the same user.
    pub dumps_off: bool,
    /// Nothing that it starts gets privileges.
    pub no_new_privileges: bool,
    /// No capability: effective, permitted, inheritable or ambient.
    pub no_capabilities: bool,
    /// The filter of system calls is on all threads.
    pub seccomp: bool,
    /// Version of Landlock's interface that is in force, at most 7; 0 for none. The supervisor has
    /// none.
    pub landlock_abi: u32,
}

impl Report {
    pub(crate) fn nothing(process: Process) -> Self {
        Self {
            process,
            dumps_off: false,
            no_new_privileges: false,
            no_capabilities: false,
            seccomp: false,
            landlock_abi: 0,
        }
    }

    /// What should be on and is not, in words; none if everything is on.
    pub fn absent(&self) -> Vec<&'static str> {
        let landlock = self.landlock_abi > 0 || self.process == Process::Supervisor;
        [
            (self.dumps_off, "dumps off"),
            (self.no_new_privileges, "no new privileges"),
            (self.no_capabilities, "no capabilities"),
            (self.seccomp, "seccomp"),
            (landlock, "Landlock"),
        ]
        .into_iter()
        .filter_map(|(is_on, what)| (!is_on).then_some(what))
        .collect()
    }
}

/// What the kernel offers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Available {
    /// Filters of system calls that can end a process.
    pub seccomp: bool,
    /// Version of Landlock's interface; 0 for none.
    pub landlock_abi: u32,
}

/// Asks the kernel what it offers, and changes nothing.
pub fn available() -> Available {
    let kill = libc::SECCOMP_RET_KILL_PROCESS;
    // SAFETY: the operation reads one u32 from a pointer to one.
    let filters = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const kill)
    };
    // SAFETY: with this flag the call reads no memory and makes nothing.
    let landlock = unsafe {
        let no_attributes = std::ptr::null::<libc::c_void>();
        libc::syscall(libc::SYS_landlock_create_ruleset, no_attributes, 0, VERSION)
    };
    Available { seccomp: filters == 0, landlock_abi: u32::try_from(landlock).unwrap_or(0) }
}

/// `LANDLOCK_CREATE_RULESET_VERSION`.
const VERSION: libc::c_uint = 1;

/// `/proc/self/status`, to be read when nothing can be opened any more.
pub(crate) struct OwnStatus(File);

/// What it says.
pub(crate) struct Status {
    pub no_new_privileges: bool,
    pub no_capabilities: bool,
    pub is_filtered: bool,
}

impl OwnStatus {
    pub(crate) fn open() -> io::Result<Self> {
        File::open("/proc/self/status").map(Self)
    }

    pub(crate) fn is_one_thread(&self) -> bool {
        self.text().is_ok_and(|text| value(&text, "Threads") == Some("1"))
    }

    pub(crate) fn read(&self) -> io::Result<Status> {
        Ok(parse(&self.text()?))
    }

    fn text(&self) -> io::Result<String> {
        let mut file = &self.0;
        // From the beginning every time: the kernel writes it anew.
        file.rewind()?;
        let mut bytes = vec![0; BYTES_MAX];
        let mut length = 0;
        while length < bytes.len() {
            match file.read(&mut bytes[length..]) {
                Ok(0) => break,
                Ok(count) => length += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(length);
        String::from_utf8(bytes).map_err(io::Error::other)
    }
}

/// The longest that is read, in bytes.
const BYTES_MAX: usize = 16 << 10;

fn parse(text: &str) -> Status {
    let is_empty = |key| {
        let set = value(text, key).and_then(|set| u64::from_str_radix(set, 16).ok());
        // A kernel without ambient capabilities has none.
        set.map_or(key == "CapAmb", |set| set == 0)
    };
    Status {
        no_new_privileges: value(text, "NoNewPrivs") == Some("1"),
        no_capabilities: ["CapInh", "CapPrm", "CapEff", "CapAmb"].into_iter().all(is_empty),
        // 2: a filter, and not the strict mode.
        is_filtered: value(text, "Seccomp") == Some("2"),
    }
}

fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::{Report, parse};
    use crate::Process;

    const STATUS: &str = "Name:\tvault-core\nThreads:\t1\nCapInh:\t0000000000000000\n\
        CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t000001ffffffffff\n\
        CapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t4\n";

    #[test]
    fn what_the_kernel_says_is_read() {
        let status = parse(STATUS);
        assert!(status.no_new_privileges && status.no_capabilities && status.is_filtered);

        for (line, other) in [
            ("NoNewPrivs:\t1", "NoNewPrivs:\t0"),
            ("CapPrm:\t0000000000000000", "CapPrm:\t0000000000000400"),
            ("CapAmb:\t0000000000000000", "CapAmb:\t0000000000000001"),
            ("CapEff:\t0000000000000000\n", ""),
            ("Seccomp:\t2", "Seccomp:\t1"),
            ("Seccomp:\t2\n", ""),
        ] {
            assert!(STATUS.contains(line));
            let status = parse(&STATUS.replace(line, other));
            let is_all = status.no_new_privileges && status.no_capabilities && status.is_filtered;
            assert!(!is_all, "{other:?}");
        }
    }

    #[test]
    fn what_is_absent_is_named() {
        let all = Report {
            dumps_off: true,
            no_new_privileges: true,
            no_capabilities: true,
            seccomp: true,
            landlock_abi: 1,
            ..Report::nothing(Process::Front)
        };
        assert!(all.absent().is_empty());
        assert_eq!(Report { landlock_abi: 0, ..all }.absent(), ["Landlock"]);
        assert_eq!(Report { seccomp: false, ..all }.absent(), ["seccomp"]);
        let supervisor = Report { process: Process::Supervisor, landlock_abi: 0, ..all };
        assert!(supervisor.absent().is_empty());
        assert_eq!(Report::nothing(Process::Core).absent().len(), 5);
    }
}
