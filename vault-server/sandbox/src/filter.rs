//! Seccomp: which system calls.
//!
//! A process has three programs on top of what it got from the supervisor; for each call the strictest
//! answer counts:
//!
//! 1. calls that only an attacker makes end the process,
//! 2. what is not on the list of its process is refused with `EPERM`,
//! 3. calls that a C library tries and has an older way for are unknown to this kernel (`ENOSYS`).

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

use crate::Process;
use crate::calls::{self, Call, Test};

/// The filter is not on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilterError {
    /// A program cannot be made.
    #[error("the filter cannot be made: {0}")]
    Compile(#[from] BackendError),
    /// The kernel refuses one.
    #[error("{0}")]
    Install(#[from] seccompiler::Error),
}

/// Puts the filter on every thread. The list comes last: it does not let another be installed.
pub(crate) fn install(process: Process) -> Result<(), FilterError> {
    for program in programs(process)? {
        seccompiler::apply_filter_all_threads(&program)?;
    }
    Ok(())
}

fn programs(process: Process) -> Result<Vec<BpfProgram>, BackendError> {
    let fatal = calls::fatal(process).into_iter().map(Call::always);
    let fatal = compile(fatal, SeccompAction::KillProcess, SeccompAction::Allow)?;
    let Some(allowed) = calls::allowed(process) else {
        return Ok(vec![fatal]);
    };
    let unknown = || calls::unknown().into_iter().map(Call::always);
    let enosys = SeccompAction::Errno(libc::ENOSYS as u32);
    let unknown_here = compile(unknown(), enosys, SeccompAction::Allow)?;
    let eperm = SeccompAction::Errno(libc::EPERM as u32);
    // What program 3 answers must pass here: of two errors, that of the newer program is the answer.
    let list = compile(allowed.into_iter().chain(unknown()), SeccompAction::Allow, eperm)?;
    Ok(vec![fatal, unknown_here, list])
}

fn compile(
    calls: impl Iterator<Item = Call>,
    listed: SeccompAction,
    other: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in calls {
        let of_call = rules.entry(call.number).or_default();
        for tests in call.any_of {
            let conditions = tests.into_iter().map(condition).collect::<Result<_, _>>()?;
            of_call.push(SeccompRule::new(conditions)?);
        }
    }
    SeccompFilter::new(rules, other, listed, ARCH)?.try_into()
}

fn condition(test: Test) -> Result<SeccompCondition, BackendError> {
    let (argument, length, operator, value) = match test {
        Test::Int { argument, is } => (argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, is),
        Test::Bits { argument, mask, are } => {
            (argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), are)
        }
        Test::Null { argument } => (argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0),
    };
    SeccompCondition::new(argument, length, operator, value)
}

#[cfg(target_arch = "x86_64")]
const ARCH: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCH: TargetArch = TargetArch::aarch64;

#[cfg(test)]
mod tests {
    use super::programs;
    use crate::Process;

    /// The kernel takes no longer ones (`BPF_MAXINSNS`).
    const INSTRUCTIONS_MAX: usize = 4096;

    #[test]
    fn the_programs_of_every_process_compile() {
        for process in
            [Process::Core, Process::Egress, Process::Exporter, Process::Front, Process::Supervisor]
        {
            let programs = programs(process).expect("compiles");
            assert_eq!(programs.len(), if process == Process::Supervisor { 1 } else { 3 });
            for program in programs {
                assert!((10..INSTRUCTIONS_MAX).contains(&program.len()), "{process}");
            }
        }
    }
}
