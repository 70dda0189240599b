//! The alarm's program: one call at a time, with a line on its standard input and nothing else.

use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::AlarmError;
use super::concern::Concern;

/// Where the program finds others.
const SEARCH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Between two looks whether it has ended, where nobody wakes us.
const LOOK: Duration = Duration::from_millis(10);

/// The program, and its call under way.
#[derive(Debug)]
pub(super) struct Hook {
    call: Option<Call>,
    program: PathBuf,
}

#[derive(Debug)]
struct Call {
    child: Child,
    concern: Concern,
    deadline: Instant,
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
        Ok(Self { call: None, program: real })
    }

    /// Until when the call under way may take.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.call.as_ref().map(|call| call.deadline)
    }

    /// Begins a call.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub(super) fn call(
        &mut self,
        concern: Concern,
        line: &str,
        deadline: Instant,
    ) -> io::Result<()> {
        // Every descriptor of the supervisor's but these three closes with the exec.
        let mut child = Command::new(&self.program)
            .env_clear()
            .env("PATH", SEARCH)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // So that what it starts can be ended with it.
            .process_group(0)
            .spawn()?;
        let mut stdin = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        // Far shorter than a pipe is long: it never waits. Who does not read it does not want it.
        let _ = stdin.write_all(line.as_bytes());
        self.call = Some(Call { child, concern, deadline });
        Ok(())
    }

    /// Whether the call has ended; one that takes too long is ended.
    pub(super) fn look(&mut self, now: Instant) -> Option<Ended> {
        let call = self.call.as_mut()?;
        let concern = call.concern;
        let ended = match call.child.try_wait() {
            Ok(None) if now < call.deadline => return None,
            Ok(None) => None,
            Ok(Some(status)) => Some(status),
            Err(_) => None,
        };
        if ended.is_none() {
            self.kill();
        }
        self.call = None;
        let is_well = ended.is_some_and(|status| status.success());
        if !is_well {
            let status =
                ended.as_ref().map_or_else(|| "too late".to_owned(), ExitStatus::to_string);
            tracing::error!(kind = concern.kind(), status, "the alarm's program has failed");
        }
        Some(Ended { concern, is_well })
    }

    /// Waits for the end of the call, so long at most.
    pub(super) fn wait(&mut self, longest: Duration) {
        let end = Instant::now() + longest;
        if let Some(call) = &mut self.call {
            call.deadline = end;
        }
        while self.call.is_some() {
            if self.look(Instant::now()).is_some() {
                return;
            }
            sleep(LOOK);
        }
    }

    /// Ends the call, and whatever it has started.
    pub(super) fn kill(&mut self) {
        let Some(mut call) = self.call.take() else { return };
        let group = i32::try_from(call.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            // Not reaped yet, so that the number is still its own.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        let _ = call.child.kill();
        let _ = call.child.wait();
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, Instant};

    use super::{Ended, Hook};
    use crate::alarm::concern::Concern;

    fn script(folder: &Path, text: &str, mode: u32) -> PathBuf {
        let path = folder.join("hook");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
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
        hook.call(Concern::Sealed, "{}\n", far).expect("started");
        let end = Instant::now() + Duration::from_secs(20);
        let child = loop {
            let pid = fs::read_to_string(&mark).unwrap_or_default();
            if let Ok(pid) = pid.trim().parse::<i32>() {
                break pid;
            }
            assert!(Instant::now() < end, "it does not start");
            std::thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(hook.look(Instant::now()), None);
        let ended = hook.look(far).expect("ended");
        assert_eq!(ended, Ended { concern: Concern::Sealed, is_well: false });
        assert_eq!(hook.deadline(), None);
        let state = || fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        // Gone, or a zombie of whoever took it over.
        while !(state().is_empty() || state().contains(") Z ")) {
            assert!(Instant::now() < end, "it lives on");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
