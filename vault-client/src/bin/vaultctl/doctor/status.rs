//! The vault as it says of itself: open or not, confined or not, its machine, its venues.

use vault_client::v1::{
    HostFacts, ProcessHardening, SealState, StatusResponse, VenueHealth, VenueState,
};

use super::finding::{Code, Finding, listed, size};

/// Judges whether the vault is open, and how it was made.
pub fn vault(status: &StatusResponse) -> Vec<Finding> {
    let mut findings = vec![match status.state() {
        SealState::Unsealed => {
            let words = format!("the vault is open; its log has {} entries", status.log_size);
            Finding::ok(Code::VaultOpen, words)
        }
        SealState::Refused => {
            let words = format!("the vault will not open: {}", status.reason);
            Finding::problem(Code::VaultRefuses, words)
                .remedy("docs/runbooks/unseal.md: what does not fit, and what to put back")
        }
        SealState::Sealed | SealState::Unspecified => sealed(),
    }];
    if status.development {
        let words = "the vault was made with development = true: what only tests may do is allowed, \
            such as a weak passphrase and other hosts for the venues";
        findings
            .push(Finding::problem(Code::Development, words).remedy(
                "make a vault for real keys with vault-server init, without --development",
            ));
    }
    if let [slot] = status.slots.as_slice() {
        let words = match slot.kind.as_str() {
            "passphrase" => "one passphrase opens the vault, and nothing else does",
            _ => "one key file opens the vault, and nothing else does",
        };
        let finding = Finding::note(Code::OneSlot, words);
        findings.push(finding.remedy(
            "keep a second copy of it apart from the first and from this vault's backups: without it \
             every credential has to be imported anew",
        ));
    }
    if status.catalog_additions > 0 {
        let words = format!(
            "the venues' catalogues have {} addition(s) of your own, which nobody else has read",
            status.catalog_additions
        );
        findings.push(
            Finding::note(Code::CatalogAdded, words).remedy(
                "have each of them read by a second person: vault-server catalog check FILE",
            ),
        );
    }
    findings
}

/// That the vault is sealed.
pub fn sealed() -> Finding {
    let words = "the vault is sealed: nothing is signed, and most of it cannot be looked at";
    Finding::problem(Code::VaultSealed, words)
        .remedy("an admin: vaultctl unseal; on the vault's host: vault-server unseal")
}

/// Judges what the kernel keeps each process from.
pub fn hardening(processes: &[ProcessHardening], host: Option<&HostFacts>) -> Vec<Finding> {
    if processes.is_empty() {
        let words = "the vault does not say what its processes are kept from";
        let finding = Finding::warning(Code::HardeningUnknown, words);
        return vec![finding.remedy("bring the vault up to date, and look again")];
    }
    let mut findings = Vec::new();
    let mut confined = Vec::new();
    let mut without_landlock = Vec::new();
    for process in processes {
        let off = off(process);
        let name = process.process.as_str();
        if off.is_empty() {
            confined.push(name);
        } else {
            let words = format!("the {name} is not confined: without {}", off.join(", "));
            let finding = Finding::problem(Code::NotConfined, words);
            findings.push(finding.remedy(
                "vault-server run --require-hardening refuses to start so, and says what is missing",
            ));
        }
        // The supervisor starts programs and opens files: Landlock is not for it.
        if process.landlock_abi == 0 && process.process != SUPERVISOR {
            without_landlock.push(name);
        }
        if process.process == CORE {
            findings.extend(secrets(process, host));
        }
    }
    if !without_landlock.is_empty() {
        let words = format!("without Landlock: {}", without_landlock.join(", "));
        findings.push(
            Finding::warning(Code::LandlockMissing, words)
                .remedy(
                    "a kernel of 5.13 or newer with landlock among its modules (lsm=landlock,...)",
                )
                .remedy("docs/deploy: the unit file keeps files from the vault by other means too"),
        );
    }
    if !confined.is_empty() {
        let words = format!(
            "no dumps, no new privileges, no capabilities, and few system calls: {}",
            confined.join(", ")
        );
        findings.insert(0, Finding::ok(Code::Confined, words));
    }
    findings
}

/// What every process should have and this one has not.
fn off(process: &ProcessHardening) -> Vec<&'static str> {
    [
        (process.dumps_off, "protection from dumps and tracing"),
        (process.no_new_privileges, "no_new_privs"),
        (process.no_capabilities, "empty capabilities"),
        (process.seccomp, "a filter of system calls (seccomp)"),
    ]
    .into_iter()
    .filter_map(|(is_on, name)| (!is_on).then_some(name))
    .collect()
}

fn secrets(core: &ProcessHardening, host: Option<&HostFacts>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if core.secret_memory == "unlocked" {
        let words = "secrets lie in memory that may be swapped out";
        findings.push(
            Finding::warning(Code::SecretsUnlocked, words).remedy(
                "let the vault lock memory: LimitMEMLOCK=infinity in its unit, or ulimit -l",
            ),
        );
    }
    let swaps = host.is_some_and(|host| host.swap_bytes > 0);
    if !core.memory_locked && swaps {
        let words = "swap is on, and the core's memory is not locked: what libraries keep of a secret \
            may reach the disk";
        findings.push(
            Finding::warning(Code::MemoryNotLocked, words)
                .remedy("LimitMEMLOCK=infinity in the vault's unit")
                .remedy("or switch swap off: swapoff -a, and its line in /etc/fstab"),
        );
    }
    findings
}

/// Judges the vault's machine.
pub fn host(host: &HostFacts, core_is_locked: bool) -> Vec<Finding> {
    let clock = if !host.clock_synchronised {
        let words = "the kernel of the vault's machine says that its clock is not synchronised: venues \
            refuse signatures of a wrong time, and certificates end at one";
        Finding::warning(Code::ClockNotSynchronised, words).remedy(
            "run chrony (with rtcsync) or systemd-timesyncd there: timedatectl set-ntp true",
        )
    } else if host.clock_error_us > CLOCK_ERROR_MAX_US {
        let words = format!(
            "the clock of the vault's machine may be wrong by {} ms, as its kernel says",
            host.clock_error_us / 1_000
        );
        Finding::warning(Code::ClockLoose, words)
            .remedy("give it nearer time servers: chronyc sources, timedatectl timesync-status")
    } else {
        let words = format!(
            "the clock of the vault's machine is synchronised, within {} ms",
            (host.clock_error_us / 1_000).max(1)
        );
        Finding::ok(Code::ClockSynchronised, words)
    };
    vec![
        disk(host.disk_free_bytes, host.disk_total_bytes),
        swap(host.swap_bytes, core_is_locked),
        clock,
    ]
}

/// Judges the space that the log has left.
pub fn disk(free: u64, total: u64) -> Finding {
    if total == 0 {
        let words = "nobody says how much space is left for the log";
        return Finding::note(Code::DiskUnknown, words).remedy("on the vault's host: df -h");
    }
    let words = format!("the log's disk has {} free of {}", size(free), size(total));
    let finding = if free < DISK_FULL_BYTES {
        let words = format!(
            "{words}: below disk_free_min_bytes (512 MiB unless configured) it refuses to sign"
        );
        Finding::problem(Code::DiskFull, words)
    } else if free < DISK_LOW_BYTES {
        Finding::warning(Code::DiskLow, words)
    } else {
        return Finding::ok(Code::DiskFree, words);
    };
    finding
        .remedy(
            "give the file system of the data directory more space; the log itself is never cut",
        )
        .remedy("watch it: a signature needs a few hundred bytes")
}

fn swap(swap_bytes: u64, core_is_locked: bool) -> Finding {
    if swap_bytes == 0 {
        return Finding::ok(Code::SwapOff, "the vault's machine has no swap");
    }
    let words = format!("the vault's machine has {} of swap", size(swap_bytes));
    let remedy = "swapoff -a, and its line in /etc/fstab; or encrypt it with a key of each boot";
    if core_is_locked {
        let words = format!("{words}; the core's memory is locked, and stays out of it");
        return Finding::note(Code::SwapOn, words).remedy(remedy);
    }
    Finding::warning(Code::SwapOn, words).remedy(remedy)
}

/// Judges how the venues are that were spoken to of late.
pub fn venues(venues: &[VenueHealth]) -> Vec<Finding> {
    let named = |state: &[VenueState]| -> Vec<String> {
        let of_state = venues.iter().filter(|venue| state.contains(&venue.state()));
        let mut names: Vec<String> = of_state
            .map(|venue| match venue.last_problem.as_str() {
                "" => venue.host.clone(),
                problem => format!("{} ({problem})", venue.host),
            })
            .collect();
        names.sort();
        names.dedup();
        names
    };
    let words = |names: &[String]| listed(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut findings = Vec::new();
    let (banned, failing) = (named(&[VenueState::Banned]), named(&[VenueState::Open]));
    let slow = named(&[VenueState::Paused, VenueState::Low]);
    if !banned.is_empty() {
        let words = format!("shut this vault's address out: {}", words(&banned));
        findings.push(Finding::problem(Code::VenueBanned, words).remedy(
            "wait until the time that vaultctl status shows, and find out who asked too often",
        ));
    }
    if !failing.is_empty() {
        let words = format!("did not answer of late: {}", words(&failing));
        findings.push(Finding::warning(Code::VenueFailing, words).remedy(
            "vaultctl status shows until when; from the vault's host: curl -v https://HOST",
        ));
    }
    if !slow.is_empty() {
        let words = format!("near a limit of theirs, so that reads wait: {}", words(&slow));
        let finding = Finding::note(Code::VenueSlow, words);
        findings.push(finding.remedy("have bots ask less often: vaultctl status shows the weight"));
    }
    let good = named(&[VenueState::Closed]);
    if findings.is_empty() && !good.is_empty() {
        findings.push(Finding::ok(Code::VenuesGood, format!("answer: {}", words(&good))));
    }
    findings
}

/// Whether the core says that none of its memory is swapped.
pub fn core_is_locked(status: &StatusResponse) -> bool {
    status.hardening.iter().any(|process| process.process == CORE && process.memory_locked)
}

const CORE: &str = "core";
const SUPERVISOR: &str = "supervisor";
/// The vault itself warns below this.
const DISK_LOW_BYTES: u64 = 2 << 30;
/// `disk_free_min_bytes`, unless configured.
const DISK_FULL_BYTES: u64 = 512 << 20;
/// Venues take a second, some less.
const CLOCK_ERROR_MAX_US: u64 = 500_000;

#[cfg(test)]
mod tests {
    use vault_client::v1::{
        HostFacts, ProcessHardening, SealState, SlotInfo, StatusResponse, VenueHealth, VenueState,
    };

    use super::super::finding::Level;
    use super::super::finding::testing::{codes, is_helpful};
    use super::{disk, hardening, host, vault, venues};

    fn status(state: SealState) -> StatusResponse {
        let slot = |id| SlotInfo { id, kind: "passphrase".to_owned() };
        StatusResponse { state: state.into(), slots: vec![slot(1), slot(2)], ..Default::default() }
    }

    #[test]
    fn tells_an_open_vault_from_the_others() {
        assert_eq!(codes(&vault(&status(SealState::Unsealed))), [("VAULT_OPEN", Level::Ok)]);
        assert_eq!(codes(&vault(&status(SealState::Sealed))), [("VAULT_SEALED", Level::Problem)]);
        assert_eq!(codes(&vault(&status(SealState::Refused))), [("VAULT_REFUSES", Level::Problem)]);
    }

    #[test]
    fn tells_how_the_vault_was_made() {
        let mut made = status(SealState::Unsealed);
        made.development = true;
        made.slots.truncate(1);
        made.catalog_additions = 2;
        let found = vault(&made);
        assert_eq!(
            codes(&found)[1..],
            [
                ("DEVELOPMENT", Level::Problem),
                ("ONE_SLOT", Level::Note),
                ("CATALOG_ADDED", Level::Note),
            ]
        );
        assert!(is_helpful(&found));
    }

    fn process(name: &str) -> ProcessHardening {
        ProcessHardening {
            process: name.to_owned(),
            dumps_off: true,
            no_new_privileges: true,
            no_capabilities: true,
            seccomp: true,
            landlock_abi: 4,
            secret_memory: if name == "core" { "memfd_secret".to_owned() } else { String::new() },
            memory_locked: name == "core",
        }
    }

    #[test]
    fn names_everything_that_a_process_is_not_kept_from() {
        let all = [process("core"), process("front")];
        assert_eq!(codes(&hardening(&all, None)), [("CONFINED", Level::Ok)]);
        assert_eq!(codes(&hardening(&[], None)), [("HARDENING_UNKNOWN", Level::Warning)]);

        let good = process("front");
        for (bare, word) in [
            (ProcessHardening { dumps_off: false, ..good.clone() }, "dumps"),
            (ProcessHardening { no_new_privileges: false, ..good.clone() }, "no_new_privs"),
            (ProcessHardening { no_capabilities: false, ..good.clone() }, "capabilities"),
            (ProcessHardening { seccomp: false, ..good.clone() }, "seccomp"),
        ] {
            let all = [process("core"), bare];
            let found = hardening(&all, None);
            assert_eq!(codes(&found), [("CONFINED", Level::Ok), ("NOT_CONFINED", Level::Problem)]);
            assert!(found[1].words.contains("front") && found[1].words.contains(word), "{found:?}");
            assert!(is_helpful(&found));
        }
        let mut supervisor = process("supervisor");
        supervisor.landlock_abi = 0;
        assert_eq!(codes(&hardening(&[supervisor], None)), [("CONFINED", Level::Ok)]);
        let mut old_kernel = all.clone();
        old_kernel[0].landlock_abi = 0;
        let found = hardening(&old_kernel, None);
        assert_eq!(codes(&found)[1..], [("LANDLOCK_MISSING", Level::Warning)]);
    }

    #[test]
    fn memory_that_is_not_locked_matters_where_there_is_swap() {
        let mut core = process("core");
        core.memory_locked = false;
        let swapping = HostFacts { swap_bytes: 1 << 30, ..HostFacts::default() };
        assert_eq!(
            codes(&hardening(&[core.clone()], Some(&HostFacts::default()))),
            [("CONFINED", Level::Ok)]
        );
        let found = hardening(&[core.clone()], Some(&swapping));
        assert_eq!(codes(&found)[1..], [("MEMORY_NOT_LOCKED", Level::Warning)]);

        core.secret_memory = "unlocked".to_owned();
        let found = hardening(&[core], None);
        assert_eq!(codes(&found)[1..], [("SECRETS_UNLOCKED", Level::Warning)]);
    }

    fn machine() -> HostFacts {
        HostFacts {
            disk_free_bytes: 2 << 30,
            disk_total_bytes: 8 << 30,
            swap_bytes: 0,
            clock_synchronised: true,
            clock_error_us: 1_500,
        }
    }

    #[test]
    fn judges_the_machine_by_its_own_words() {
        let good =
            [("DISK_FREE", Level::Ok), ("SWAP_OFF", Level::Ok), ("CLOCK_SYNCHRONISED", Level::Ok)];
        assert_eq!(codes(&host(&machine(), false)), good);

        let bad = HostFacts {
            disk_free_bytes: (2 << 30) - 1,
            swap_bytes: 1,
            clock_synchronised: false,
            ..machine()
        };
        let found = host(&bad, false);
        assert_eq!(
            codes(&found),
            [
                ("DISK_LOW", Level::Warning),
                ("SWAP_ON", Level::Warning),
                ("CLOCK_NOT_SYNCHRONISED", Level::Warning),
            ]
        );
        assert!(is_helpful(&found));
        assert_eq!(codes(&host(&bad, true))[1], ("SWAP_ON", Level::Note));

        let loose = HostFacts { clock_error_us: 500_001, ..machine() };
        assert_eq!(codes(&host(&loose, false))[2], ("CLOCK_LOOSE", Level::Warning));
    }

    #[test]
    fn a_disk_that_is_nearly_full_stops_signing() {
        assert_eq!(codes(&[disk((512 << 20) - 1, 8 << 30)]), [("DISK_FULL", Level::Problem)]);
        assert_eq!(codes(&[disk(512 << 20, 8 << 30)]), [("DISK_LOW", Level::Warning)]);
        assert_eq!(codes(&[disk(0, 0)]), [("DISK_UNKNOWN", Level::Note)]);
    }

    #[test]
    fn venues_are_as_bad_as_the_worst_of_them() {
        let venue = |host: &str, state: VenueState, problem: &str| VenueHealth {
            host: host.to_owned(),
            state: state.into(),
            last_problem: problem.to_owned(),
            ..VenueHealth::default()
        };
        assert_eq!(venues(&[]), []);
        let good = venue("www.okx.com", VenueState::Closed, "");
        assert_eq!(codes(&venues(std::slice::from_ref(&good))), [("VENUES_GOOD", Level::Ok)]);

        let found = venues(&[
            good,
            venue("api.binance.com", VenueState::Banned, "VENUE_BANNED"),
            venue("api.kraken.com", VenueState::Open, "TIMEOUT"),
            venue("api.bybit.com", VenueState::Low, ""),
        ]);
        assert_eq!(
            codes(&found),
            [
                ("VENUE_BANNED", Level::Problem),
                ("VENUE_FAILING", Level::Warning),
                ("VENUE_SLOW", Level::Note),
            ]
        );
        assert!(found[1].words.contains("api.kraken.com (TIMEOUT)"), "{found:?}");
        assert!(is_helpful(&found));
    }
}
