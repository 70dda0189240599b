//! The system calls of each process.
//!
//! A call is listed where a process makes it, or where a C library or an allocator makes it by itself
//! in what the process does. Found with `strace` over the test suites, and by reading what glibc does
//! for threads, memory and an abort.
//!
//! Numbers above 423 are the same on every architecture.

use crate::Process;

/// A call, and what must hold of its arguments.
#[derive(Debug)]
pub(crate) struct Call {
    pub number: i64,
    /// One of these suffices; within one, all tests must hold. None: whatever the arguments are.
    pub any_of: Vec<Vec<Test>>,
}

/// What must hold of an argument; they count from 0. Only values can be tested, never what a pointer
/// leads to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Test {
    /// The lower 32 bits are a number.
    Int { argument: u8, is: u64 },
    /// Of the lower 32 bits, those of the mask are these.
    Bits { argument: u8, mask: u64, are: u64 },
    /// All 64 bits are 0.
    Null { argument: u8 },
}

impl Call {
    pub fn always(number: i64) -> Self {
        Self { number, any_of: Vec::new() }
    }

    fn only(number: i64, any_of: impl IntoIterator<Item = Vec<Test>>) -> Self {
        Self { number, any_of: any_of.into_iter().collect() }
    }

    /// One argument is one of several numbers.
    fn one_of(number: i64, argument: u8, values: impl IntoIterator<Item = u64>) -> Self {
        Self::only(number, values.into_iter().map(|is| vec![Test::Int { argument, is }]))
    }
}

macro_rules! numbers {
    ($($name:ident)*) => { vec![$(libc::$name),*] };
}

/// What a process may do; `None`: everything that is not fatal.
pub(crate) fn allowed(process: Process) -> Option<Vec<Call>> {
    let own = match process {
        Process::Core => core(),
        Process::Egress => egress(),
        Process::Exporter => exporter(),
        Process::Front => front(),
        // It starts the others, and they have to do everything that they do before they are confined.
        Process::Supervisor => return None,
    };
    Some(common().into_iter().chain(own).collect())
}

// ---- all of them ----

fn common() -> Vec<Call> {
    let mut calls: Vec<Call> = numbers![
        // Streams.
        SYS_close SYS_read SYS_readv SYS_recvfrom SYS_shutdown SYS_write SYS_writev
        SYS_getpeername SYS_getsockname SYS_getsockopt
        SYS_fstat SYS_lseek
        // Waiting.
        SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_eventfd2 SYS_ppoll
        SYS_clock_nanosleep SYS_nanosleep SYS_restart_syscall
        // Memory, but for rights to it.
        SYS_brk SYS_madvise SYS_mremap SYS_munmap
        // Threads and locks.
        SYS_futex SYS_get_robust_list SYS_rseq SYS_sched_getaffinity SYS_sched_yield
        SYS_set_robust_list SYS_getcpu SYS_membarrier
        // Signals of one's own.
        SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigreturn SYS_sigaltstack
        // Who and when. No clock is set by these, and without a capability by none.
        SYS_clock_getres SYS_clock_gettime SYS_getegid SYS_geteuid SYS_getgid SYS_getpid
        SYS_getppid SYS_getrandom SYS_getrusage SYS_gettid SYS_gettimeofday SYS_getuid
        SYS_sysinfo SYS_uname
        SYS_exit SYS_exit_group
    ]
    .into_iter()
    .map(Call::always)
    .collect();
    #[cfg(target_arch = "x86_64")]
    calls.extend(
        numbers![SYS_epoll_wait SYS_getrlimit SYS_poll SYS_time].into_iter().map(Call::always),
    );

    calls.extend([
        not_executable(libc::SYS_mmap),
        not_executable(libc::SYS_mprotect),
        // Limits can be read, and those of no other process.
        Call::only(
            libc::SYS_prlimit64,
            [vec![Test::Int { argument: 0, is: 0 }, Test::Null { argument: 2 }]],
        ),
        // An abort; nobody else is ever sent a signal.
        Call::one_of(libc::SYS_tgkill, 0, [u64::from(std::process::id())]),
        Call::one_of(libc::SYS_prctl, 0, PRCTL.map(|operation| operation as u64)),
        Call::one_of(libc::SYS_ioctl, 1, IOCTL),
        // An option of another level belongs to a protocol that no process speaks.
        Call::one_of(libc::SYS_setsockopt, 1, SOCKET_LEVELS.map(|level| level as u64)),
    ]);
    calls
}

/// No memory that can be executed comes to that of the program itself.
fn not_executable(number: i64) -> Call {
    Call::only(number, [vec![Test::Bits { argument: 2, mask: libc::PROT_EXEC as u64, are: 0 }]])
}

/// Names of threads and of memory, and what is only read. Whether the process can be dumped is not
/// among them.
const PRCTL: [libc::c_int; 8] = [
    libc::PR_SET_NAME,
    libc::PR_GET_NAME,
    libc::PR_SET_VMA,
    libc::PR_GET_DUMPABLE,
    libc::PR_GET_SECCOMP,
    libc::PR_GET_NO_NEW_PRIVS,
    libc::PR_CAPBSET_READ,
    // PR_GET_AUXV: by which std looks for what the processor can do.
    0x4155_5856,
];

/// Blocking or not, how much there is, whether it is a terminal, close on exec. None that makes another
/// process get signals, and none of a terminal's.
#[allow(clippy::unnecessary_cast, reason = "of another type with other C libraries")]
const IOCTL: [u64; 6] = [
    libc::FIONBIO as u64,
    libc::FIONREAD as u64,
    libc::TCGETS as u64,
    libc::TCGETS2 as u64,
    libc::FIOCLEX as u64,
    libc::FIONCLEX as u64,
];

const SOCKET_LEVELS: [libc::c_int; 4] =
    [libc::SOL_SOCKET, libc::IPPROTO_IP, libc::IPPROTO_IPV6, libc::IPPROTO_TCP];

/// Duplicates and flags. Not `F_SETOWN` and `F_SETSIG`: by those a process sends others signals.
const FCNTL: [libc::c_int; 6] = [
    libc::F_DUPFD,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
];

fn fcntl(more: &[libc::c_int]) -> Call {
    let commands = FCNTL.iter().chain(more).map(|command| *command as u64);
    Call::one_of(libc::SYS_fcntl, 1, commands)
}

// ---- core ----

fn core() -> Vec<Call> {
    let mut calls: Vec<Call> = numbers![
        // Files: Landlock says which.
        SYS_copy_file_range SYS_faccessat SYS_fallocate SYS_fadvise64 SYS_fchown
        SYS_fdatasync SYS_flock SYS_fstatfs SYS_fsync SYS_ftruncate SYS_getcwd
        SYS_getdents64 SYS_mkdirat SYS_newfstatat SYS_openat SYS_pread64 SYS_preadv SYS_pwrite64
        SYS_pwritev SYS_readlinkat SYS_renameat SYS_renameat2 SYS_sendfile SYS_statfs SYS_statx
        SYS_sync_file_range SYS_truncate SYS_umask SYS_unlinkat
        // Memory that is not swapped.
        SYS_mlock SYS_mlock2 SYS_mlockall SYS_munlock SYS_munlockall
        // How far the clock may be wrong; to set it takes a capability.
        SYS_adjtimex SYS_clock_adjtime
    ]
    .into_iter()
    .map(Call::always)
    .collect();
    #[cfg(target_arch = "x86_64")]
    calls.extend(
        numbers![
            SYS_access SYS_lstat SYS_mkdir SYS_open SYS_readlink SYS_rename SYS_rmdir
            SYS_stat SYS_unlink
        ]
        .into_iter()
        .map(Call::always),
    );
    calls.extend([
        fcntl(&[
            libc::F_GETLK,
            libc::F_SETLK,
            libc::F_SETLKW,
            libc::F_OFD_GETLK,
            libc::F_OFD_SETLK,
            libc::F_OFD_SETLKW,
        ]),
        // Landlock does not govern modes: only those of what is open, and no set-user-ID bit. By path,
        // any file of the user could be changed.
        Call::only(libc::SYS_fchmod, [vec![Test::Bits { argument: 1, mask: 0o7000, are: 0 }]]),
        Call::only(libc::SYS_clone, [vec![thread()]]),
        // A replay's thread stands back: its own priority alone.
        Call::only(
            libc::SYS_setpriority,
            [vec![
                Test::Int { argument: 0, is: libc::PRIO_PROCESS as u64 },
                Test::Int { argument: 1, is: 0 },
            ]],
        ),
        own_pair(),
        send_to_nobody(),
    ]);
    calls
}

/// A thread of this process, in the namespaces that it has.
fn thread() -> Test {
    let namespaces = libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWUTS;
    let thread = libc::CLONE_THREAD as u64;
    Test::Bits { argument: 0, mask: namespaces as u64 | thread, are: thread }
}

/// Two ends of a stream within the process. Not of datagrams: those can be sent to any socket that
/// has a name.
fn own_pair() -> Call {
    Call::only(
        libc::SYS_socketpair,
        [vec![Test::Int { argument: 0, is: libc::AF_UNIX as u64 }, of_type(libc::SOCK_STREAM)]],
    )
}

fn of_type(kind: libc::c_int) -> Test {
    // The other bits are flags.
    Test::Bits { argument: 1, mask: 0xf, are: kind as u64 }
}

/// On a connection that is there, to its other end. With `MSG_FASTOPEN` a listening socket that was
/// shut down would connect to whom it likes, without `connect`; neither that nor Landlock is asked.
fn send_to_nobody() -> Call {
    Call::only(libc::SYS_sendto, [vec![Test::Null { argument: 4 }, not_fast_open()]])
}

fn not_fast_open() -> Test {
    Test::Bits { argument: 3, mask: libc::MSG_FASTOPEN as u64, are: 0 }
}

// ---- front ----

fn front() -> Vec<Call> {
    vec![
        Call::always(libc::SYS_accept4),
        fcntl(&[]),
        // Its runtime's own, for signals.
        own_pair(),
        send_to_nobody(),
    ]
}

// ---- egress ----

fn egress() -> Vec<Call> {
    let families = [libc::AF_INET, libc::AF_INET6];
    let kinds = [(libc::SOCK_STREAM, libc::IPPROTO_TCP), (libc::SOCK_DGRAM, libc::IPPROTO_UDP)];
    let sockets = families.into_iter().flat_map(|family| {
        kinds.into_iter().flat_map(move |(kind, protocol)| {
            [0, protocol].map(|protocol| {
                vec![
                    Test::Int { argument: 0, is: family as u64 },
                    of_type(kind),
                    Test::Int { argument: 2, is: protocol as u64 },
                ]
            })
        })
    });
    vec![
        // Landlock says to which ports, as far as TCP goes.
        Call::always(libc::SYS_connect),
        // The resolver's sockets, and the addresses that credentials leave from.
        Call::always(libc::SYS_bind),
        Call::only(libc::SYS_socket, sockets),
        fcntl(&[]),
        Call::only(libc::SYS_sendto, [vec![not_fast_open()]]),
    ]
}

// ---- exporter ----

fn exporter() -> Vec<Call> {
    let families = [libc::AF_INET, libc::AF_INET6];
    let sockets = families.into_iter().flat_map(|family| {
        [0, libc::IPPROTO_TCP].map(|protocol| {
            vec![
                Test::Int { argument: 0, is: family as u64 },
                of_type(libc::SOCK_STREAM),
                Test::Int { argument: 2, is: protocol as u64 },
            ]
        })
    });
    vec![
        // Landlock says to which port.
        Call::always(libc::SYS_connect),
        Call::only(libc::SYS_socket, sockets),
        fcntl(&[]),
        // Its runtime's own, for signals.
        own_pair(),
        send_to_nobody(),
    ]
}

// ---- what ends a process ----

/// Calls that no code of ours and no library in it makes, so that one is an attack.
pub(crate) fn fatal(process: Process) -> Vec<i64> {
    let mut calls = numbers![
        // Other processes.
        SYS_kcmp SYS_pidfd_getfd SYS_process_madvise SYS_process_vm_readv SYS_process_vm_writev
        SYS_ptrace
        // Parts of the kernel with a history.
        SYS_add_key SYS_bpf SYS_io_uring_enter SYS_io_uring_register SYS_io_uring_setup SYS_keyctl
        SYS_perf_event_open SYS_request_key SYS_userfaultfd
        // The machine.
        SYS_acct SYS_chroot SYS_clock_settime SYS_delete_module SYS_finit_module SYS_fsmount
        SYS_fsopen SYS_fspick SYS_init_module SYS_kexec_load SYS_mount SYS_mount_setattr
        SYS_move_mount SYS_name_to_handle_at SYS_open_by_handle_at SYS_open_tree SYS_pivot_root
        SYS_quotactl SYS_reboot SYS_setdomainname SYS_sethostname SYS_setns SYS_settimeofday
        SYS_swapoff SYS_swapon SYS_syslog SYS_umount2 SYS_unshare
    ];
    #[cfg(target_arch = "x86_64")]
    calls.extend(numbers![SYS_ioperm SYS_iopl SYS_kexec_file_load SYS_modify_ldt]);
    if process == Process::Supervisor {
        return calls;
    }

    calls.extend(numbers![
        // Programs, and signals to others.
        SYS_execve SYS_execveat SYS_kill SYS_pidfd_open SYS_pidfd_send_signal SYS_rt_sigqueueinfo
        SYS_rt_tgsigqueueinfo SYS_tkill
    ]);
    #[cfg(target_arch = "x86_64")]
    calls.extend(numbers![SYS_fork SYS_vfork]);
    match process {
        Process::Core => calls.extend(numbers![
            SYS_accept SYS_accept4 SYS_bind SYS_connect SYS_listen SYS_socket
        ]),
        Process::Egress => calls.extend(numbers![SYS_accept SYS_accept4 SYS_listen]),
        Process::Exporter => {
            calls.extend(numbers![SYS_accept SYS_accept4 SYS_bind SYS_listen]);
        }
        Process::Front => {
            calls.extend(numbers![SYS_accept SYS_bind SYS_connect SYS_listen SYS_socket]);
        }
        Process::Supervisor => {}
    }
    calls
}

// ---- what a C library tries first ----

/// Calls that have an older way, which a C library takes where the kernel does not know them. Among
/// them all that came after this list was made.
pub(crate) fn unknown() -> Vec<i64> {
    let known = numbers![
        // Its flags lie behind a pointer: a thread cannot be told from a process.
        SYS_clone3
        SYS_epoll_pwait2 SYS_faccessat2 SYS_futex_waitv SYS_mseal SYS_openat2 SYS_preadv2
        SYS_pwritev2
    ];
    known.into_iter().chain([FCHMODAT2]).chain(LATER).collect()
}

/// `libc` does not name it on every architecture.
const FCHMODAT2: i64 = 452;
/// From `setxattrat` on.
const LATER: std::ops::Range<i64> = 463..512;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{allowed, fatal, unknown};
    use crate::Process;

    const CONFINED: [Process; 4] =
        [Process::Core, Process::Egress, Process::Exporter, Process::Front];

    #[test]
    fn no_call_is_on_two_lists() {
        for process in CONFINED {
            let allowed: Vec<i64> =
                allowed(process).expect("a list").iter().map(|call| call.number).collect();
            let mut seen = HashSet::new();
            for number in allowed.into_iter().chain(fatal(process)).chain(unknown()) {
                assert!(seen.insert(number), "{process}: call {number}");
            }
        }
    }

    /// The children inherit what ends the supervisor.
    #[test]
    fn what_ends_the_supervisor_no_child_needs() {
        let fatal: HashSet<i64> = fatal(Process::Supervisor).into_iter().collect();
        for call in CONFINED.into_iter().filter_map(allowed).flatten() {
            assert!(!fatal.contains(&call.number), "call {}", call.number);
        }
        for needed in [libc::SYS_execve, libc::SYS_socket, libc::SYS_seccomp, libc::SYS_kill] {
            assert!(!fatal.contains(&needed));
        }
        assert!(allowed(Process::Supervisor).is_none());
    }
}
