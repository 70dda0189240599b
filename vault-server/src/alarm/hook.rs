//! The alarm's program: one call at a time, with a line on its standard input and nothing else.
//!
//! Each call is a thread's of its own. To start a program is to read it from a disk, and one that waits
//! for a disk cannot be killed at once: neither may hold up whoever watches the vault.

use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::AlarmError;
use super::concern::Concern;

/// Where the program finds others.
const SEARCH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Between two looks whether it has ended.
const LOOK: Duration = Duration::from_millis(10);
/// How much later than the program's end its thread's may be.
const GRACE: Duration = Duration::from_secs(1);

/// The program, and its call under way.
#[derive(Debug)]
pub(super) struct Hook {
    call: Option<Call>,
    program: PathBuf,
    /// A byte comes whenever a call has ended.
    woken: UnixStream,
    wake: Arc<UnixStream>,
}

#[derive(Debug)]
struct Call {
    concern: Concern,
    deadline: Instant,
    ended: Receiver<Result<(), String>>,
    is_given_up: Arc<AtomicBool>,
    /// That it does not end has been said.
    is_overdue: bool,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Ended {
    pub concern: Concern,
    pub is_well: bool,
}

impl Hook {
    pub(super) fn new(program: &Path, data: &Path) -> Result<Self, AlarmError> {
        let wrong = |what| AlarmError::Program { path: program.to_owned(), what };
        let io = |source| AlarmError::Io { path: program.to_owned(), source };
        if !program.is_absolute() {
            return Err(wrong("an absolute path"));
        }
        // Of what a link leads to, which is what is started.
        let real = program.canonicalize().map_err(io)?;
        if real.starts_with(data.canonicalize().map_err(io)?) {
            return Err(wrong("outside the data directory, which the core can write"));
        }
        let metadata = real.metadata().map_err(io)?;
        let own = rustix::process::geteuid().as_raw();
        if !metadata.is_file() || metadata.mode() & 0o111 == 0 {
            return Err(wrong("a program"));
        }
        if ![0, own].contains(&metadata.uid()) {
            return Err(wrong("root's or the vault's user's own"));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(wrong("writable by its owner alone"));
        }
        let (woken, wake) = UnixStream::pair().map_err(io)?;
        woken.set_nonblocking(true).map_err(io)?;
        wake.set_nonblocking(true).map_err(io)?;
        Ok(Self { call: None, program: real, woken, wake: Arc::new(wake) })
    }

    /// What to wait on for the end of a call.
    pub(super) fn woken(&self) -> &UnixStream {
        &self.woken
    }

    /// Whether a call is under way.
    pub(super) fn is_calling(&self) -> bool {
        self.call.is_some()
    }

    /// When to look whether the call under way ended, if nobody says so before.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let call = self.call.as_ref().filter(|call| !call.is_overdue)?;
        Some(call.deadline + GRACE)
    }

    /// Begins a call. If another is under way, that one is given up.
    ///
    /// # Errors
    ///
    /// The operating system's, if there is no thread for it.
    pub(super) fn call(
        &mut self,
        concern: Concern,
        line: String,
        deadline: Instant,
    ) -> io::Result<()> {
        self.give_up();
        let (said, ended) = mpsc::sync_channel(1);
        let is_given_up = Arc::new(AtomicBool::new(false));
        let (program, wake) = (self.program.clone(), Arc::clone(&self.wake));
        let given_up = Arc::clone(&is_given_up);
        let work = move || {
            // Whoever gave it up listens no more.
            let _ = said.send(carry_out(&program, &line, deadline, &given_up));
            // One byte that waits already is as good as two.
            let _ = (&*wake).write(&[0]);
        };
        thread::Builder::new().name("vault-alarm".to_owned()).spawn(work)?;
        self.call = Some(Call { concern, deadline, ended, is_given_up, is_overdue: false });
        Ok(())
    }

    /// Whether the call has ended.
    pub(super) fn look(&mut self, now: Instant) -> Option<Ended> {
        while (&self.woken).read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
        let call = self.call.as_mut()?;
        let concern = call.concern;
        let ended = match call.ended.try_recv() {
            Ok(ended) => ended,
            Err(mpsc::TryRecvError::Empty) => {
                if now >= call.deadline + GRACE && !call.is_overdue {
                    call.is_overdue = true;
                    tracing::error!(
                        kind = concern.kind(),
                        "the alarm's program can neither be started nor ended; all other alarms wait"
                    );
                }
                return None;
            }
            Err(mpsc::TryRecvError::Disconnected) => Err("its thread has ended".to_owned()),
        };
        self.call = None;
        if let Err(status) = &ended {
            tracing::error!(kind = concern.kind(), status, "the alarm's program has failed");
        }
        Some(Ended { concern, is_well: ended.is_ok() })
    }

    /// Waits for the end of the call, until it must have ended.
    pub(super) fn wait(&mut self) {
        let Some(call) = &self.call else { return };
        let end = call.deadline + GRACE;
        loop {
            let now = Instant::now();
            if self.look(now).is_some() || now >= end {
                return;
            }
            sleep(LOOK);
        }
    }

    /// Has the call ended, and whatever it has started. Waits for nothing.
    pub(super) fn give_up(&mut self) {
        if let Some(call) = self.call.take() {
            call.is_given_up.store(true, Ordering::Release);
        }
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        // The process may end now, and its threads with it: the program is not to be left behind.
        let ended = self.call.take().map(|call| {
            call.is_given_up.store(true, Ordering::Release);
            call.ended.recv_timeout(GRACE)
        });
        drop(ended);
    }
}

/// Starts the program, gives it its line, and waits for its end.
///
/// # Errors
///
/// What became of it, in words.
fn carry_out(
    program: &Path,
    line: &str,
    deadline: Instant,
    is_given_up: &AtomicBool,
) -> Result<(), String> {
    // Every descriptor of the supervisor's but these three closes with the exec.
    let mut child = Command::new(program)
        .env_clear()
        .env("PATH", SEARCH)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // So that what it starts can be ended with it.
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot be started: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Far shorter than a pipe is long: it never waits. Who does not read it does not want it.
        let _ = stdin.write_all(line.as_bytes());
    }
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(status.to_string()),
            Ok(None) => {}
            Err(error) => {
                kill(&mut child);
                return Err(error.to_string());
            }
        }
        if Instant::now() >= deadline || is_given_up.load(Ordering::Acquire) {
            kill(&mut child);
            return Err("too late".to_owned());
        }
        sleep(LOOK);
    }
}

/// Ends a program, and whatever it has started.
fn kill(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(group) = group {
        // Not reaped yet, so that the number is still its own.
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read as _;
    use std::os::fd::AsRawFd as _;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, Instant};

    use super::{Ended, Hook};
    use crate::alarm::concern::Concern;
    use crate::alarm::tests::write_script;

    fn script(folder: &Path, text: &str, mode: u32) -> PathBuf {
        let path = folder.join("hook");
        write_script(&path, text, mode);
        path
    }

    #[test]
    fn only_what_nobody_else_can_change_is_started() {
        let data = tempfile::tempdir().expect("a folder");
        let folder = tempfile::tempdir().expect("a folder");
        let refused =
            |program: &Path| Hook::new(program, data.path()).expect_err("refused").to_string();
        assert!(refused(Path::new("hook")).ends_with("must be an absolute path"));
        assert!(refused(folder.path()).ends_with("must be a program"));
        let path = script(folder.path(), "", 0o600);
        assert!(refused(&path).ends_with("must be a program"));
        for mode in [0o770, 0o707, 0o777] {
            let path = script(folder.path(), "", mode);
            assert!(refused(&path).ends_with("by its owner alone"), "{mode:o}");
        }
        let path = script(data.path(), "", 0o700);
        assert!(refused(&path).contains("outside the data directory"));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("linked");
        assert!(refused(&link).contains("outside the data directory"), "by a link too");
        assert!(refused(Path::new("/nowhere/hook")).contains("/nowhere/hook"));
        let path = script(folder.path(), "", 0o755);
        assert!(Hook::new(&path, data.path()).is_ok());
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_all_that_it_started() {
        let data = tempfile::tempdir().expect("a folder");
        let folder = tempfile::tempdir().expect("a folder");
        let mark = folder.path().join("pid");
        let text = format!("sleep 600 & echo $! > {}; wait", mark.display());
        let path = script(folder.path(), &text, 0o755);
        let mut hook = Hook::new(&path, data.path()).expect("usable");
        let far = Instant::now() + Duration::from_secs(600);
        hook.call(Concern::Sealed, "{}\n".to_owned(), far).expect("started");
        let end = Instant::now() + Duration::from_secs(60);
        let child = loop {
            let pid = fs::read_to_string(&mark).unwrap_or_default();
            if let Ok(pid) = pid.trim().parse::<i32>() {
                break pid;
            }
            assert!(Instant::now() < end, "it does not start");
            std::thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(hook.look(Instant::now()), None);
        assert!(hook.is_calling());
        drop(hook);
        let state = || fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        // Gone, or a zombie of whoever took it over.
        while !(state().is_empty() || state().contains(") Z ")) {
            assert!(Instant::now() < end, "it lives on");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_program_has_failed_when_its_time_is_over() {
        let data = tempfile::tempdir().expect("a folder");
        let folder = tempfile::tempdir().expect("a folder");
        let path = script(folder.path(), "exec sleep 600", 0o755);
        let mut hook = Hook::new(&path, data.path()).expect("usable");
        hook.call(Concern::Sealed, "{}\n".to_owned(), Instant::now()).expect("started");
        hook.woken().set_nonblocking(false).expect("set");
        let mut woken = hook.woken().try_clone().expect("a clone");
        assert_eq!(woken.read(&mut [0]).expect("a byte"), 1, "whoever waits is woken");
        hook.woken().set_nonblocking(true).expect("set");
        let ended = Ended { concern: Concern::Sealed, is_well: false };
        assert_eq!(hook.look(Instant::now()), Some(ended));
        assert!(!hook.is_calling());
    }

    #[test]
    fn a_program_that_is_gone_has_failed() {
        let data = tempfile::tempdir().expect("a folder");
        let folder = tempfile::tempdir().expect("a folder");
        let path = script(folder.path(), "", 0o755);
        let mut hook = Hook::new(&path, data.path()).expect("usable");
        fs::remove_file(&path).expect("removed");
        let far = Instant::now() + Duration::from_secs(600);
        hook.call(Concern::Sealed, "{}\n".to_owned(), far).expect("begun");
        assert!(!ended(&mut hook).is_well);
    }

    /// As on a disk that hangs: to start the program is to open its file, and a lease on that makes
    /// everybody wait.
    #[test]
    fn a_program_that_does_not_start_holds_up_nobody() {
        let data = tempfile::tempdir().expect("a folder");
        let folder = tempfile::tempdir().expect("a folder");
        let path = script(folder.path(), "", 0o755);
        let mut hook = Hook::new(&path, data.path()).expect("usable");
        let file = fs::File::open(&path).expect("opened");
        // SAFETY: whoever breaks a lease sends its holder this signal; nobody here waits for it.
        unsafe { libc::signal(libc::SIGIO, libc::SIG_IGN) };
        let lease = |kind: libc::c_int| {
            // SAFETY: a plain system call on a descriptor that is open.
            unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) }
        };
        assert_eq!(lease(libc::F_WRLCK), 0, "{}", std::io::Error::last_os_error());
        let deadline = Instant::now();
        hook.call(Concern::Sealed, "{}\n".to_owned(), deadline).expect("begun");
        let late = deadline + Duration::from_secs(3600);
        assert_eq!(hook.look(late), None);
        assert!(hook.is_calling());
        assert_eq!(hook.deadline(), None, "nobody looks again and again");
        // The last words have a thread of their own.
        hook.call(Concern::Ended, "{}\n".to_owned(), deadline).expect("begun");
        assert!(hook.is_calling());
        assert_eq!(lease(libc::F_UNLCK), 0);
        assert_eq!(ended(&mut hook).concern, Concern::Ended);
    }

    fn ended(hook: &mut Hook) -> Ended {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(ended) = hook.look(Instant::now()) {
                return ended;
            }
            assert!(Instant::now() < end, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
