//! What a look has found: a code, how bad it is, one sentence, and what to do.

/// How bad a finding is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing; nothing has to be done.
    Note,
    /// It works, and should not stay so.
    Warning,
    /// It does not work, or what the vault is for does not hold.
    Problem,
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

macro_rules! codes {
    ($($code:ident = $text:literal,)+) => {
        /// What was found; `docs/doctor.md` has a row for each.
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
        pub enum Code {
            $($code,)+
        }

        impl Code {
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$code => $text,)+
                }
            }
        }
    };
}

codes! {
    Accepted = "ACCEPTED",
    AddressAllowed = "ADDRESS_ALLOWED",
    AddressNotAllowed = "ADDRESS_NOT_ALLOWED",
    AddressNotJudged = "ADDRESS_NOT_JUDGED",
    AddressSeen = "ADDRESS_SEEN",
    AddressTranslated = "ADDRESS_TRANSLATED",
    AddressUnreached = "ADDRESS_UNREACHED",
    AssumptionInForce = "ASSUMPTION_IN_FORCE",
    CallRefused = "CALL_REFUSED",
    CatalogAdded = "CATALOG_ADDED",
    CertificateEnded = "CERTIFICATE_ENDED",
    CertificateEnds = "CERTIFICATE_ENDS",
    CertificateGood = "CERTIFICATE_GOOD",
    CertificateNotRenewed = "CERTIFICATE_NOT_RENEWED",
    CertificateNotYetValid = "CERTIFICATE_NOT_YET_VALID",
    CertificateRefused = "CERTIFICATE_REFUSED",
    CheckpointBehind = "CHECKPOINT_BEHIND",
    CheckpointFresh = "CHECKPOINT_FRESH",
    CheckpointInvalid = "CHECKPOINT_INVALID",
    ClientCertificateEnded = "CLIENT_CERTIFICATE_ENDED",
    ClientInvited = "CLIENT_INVITED",
    ClientNeverEnrolled = "CLIENT_NEVER_ENROLLED",
    ClientsGood = "CLIENTS_GOOD",
    ClockAgrees = "CLOCK_AGREES",
    ClockLoose = "CLOCK_LOOSE",
    ClockNotSynchronised = "CLOCK_NOT_SYNCHRONISED",
    ClockOff = "CLOCK_OFF",
    ClockSynchronised = "CLOCK_SYNCHRONISED",
    CollectorAnswers = "COLLECTOR_ANSWERS",
    CollectorAway = "COLLECTOR_AWAY",
    CollectorNotLocal = "COLLECTOR_NOT_LOCAL",
    ConfigChanged = "CONFIG_CHANGED",
    ConfigUnreadable = "CONFIG_UNREADABLE",
    Confined = "CONFINED",
    CredentialAlarm = "CREDENTIAL_ALARM",
    CredentialCheckFailed = "CREDENTIAL_CHECK_FAILED",
    CredentialCheckOverdue = "CREDENTIAL_CHECK_OVERDUE",
    CredentialDrifted = "CREDENTIAL_DRIFTED",
    CredentialNeverChecked = "CREDENTIAL_NEVER_CHECKED",
    CredentialWarning = "CREDENTIAL_WARNING",
    CredentialsGood = "CREDENTIALS_GOOD",
    DataExposed = "DATA_EXPOSED",
    DataForeign = "DATA_FOREIGN",
    DataIncomplete = "DATA_INCOMPLETE",
    DataPrivate = "DATA_PRIVATE",
    DataUnreadable = "DATA_UNREADABLE",
    Development = "DEVELOPMENT",
    DiskFree = "DISK_FREE",
    DiskFull = "DISK_FULL",
    DiskLow = "DISK_LOW",
    DiskNetwork = "DISK_NETWORK",
    DiskUnknown = "DISK_UNKNOWN",
    DiskVolatile = "DISK_VOLATILE",
    ExchangeKeyHeld = "EXCHANGE_KEY_HELD",
    FolderExposed = "FOLDER_EXPOSED",
    ForeignOwner = "FOREIGN_OWNER",
    HaltStands = "HALT_STANDS",
    HardeningUnknown = "HARDENING_UNKNOWN",
    IdentityGood = "IDENTITY_GOOD",
    IdentityUnusable = "IDENTITY_UNUSABLE",
    KeepElsewhere = "KEEP_ELSEWHERE",
    KeptDiffers = "KEPT_DIFFERS",
    KeptGrown = "KEPT_GROWN",
    KeptUnreadable = "KEPT_UNREADABLE",
    KeyExposed = "KEY_EXPOSED",
    KeyFileBeside = "KEY_FILE_BESIDE",
    LandlockMissing = "LANDLOCK_MISSING",
    Latency = "LATENCY",
    LatencyHigh = "LATENCY_HIGH",
    LogExported = "LOG_EXPORTED",
    LogNotExported = "LOG_NOT_EXPORTED",
    MemoryNotLocked = "MEMORY_NOT_LOCKED",
    NameResolves = "NAME_RESOLVES",
    NameUnknown = "NAME_UNKNOWN",
    NoAuditor = "NO_AUDITOR",
    NoGuard = "NO_GUARD",
    NoHalt = "NO_HALT",
    NotConfined = "NOT_CONFINED",
    NotReached = "NOT_REACHED",
    NothingKept = "NOTHING_KEPT",
    OneAdmin = "ONE_ADMIN",
    OneSlot = "ONE_SLOT",
    OperatorCertificateEnded = "OPERATOR_CERTIFICATE_ENDED",
    OperatorCertificateEnds = "OPERATOR_CERTIFICATE_ENDS",
    OperatorInvited = "OPERATOR_INVITED",
    OperatorsGood = "OPERATORS_GOOD",
    Reached = "REACHED",
    ScopeUnused = "SCOPE_UNUSED",
    ScopeWarnings = "SCOPE_WARNINGS",
    ScopesLinted = "SCOPES_LINTED",
    SecretsUnlocked = "SECRETS_UNLOCKED",
    ServerCertificateEnded = "SERVER_CERTIFICATE_ENDED",
    ServerCertificateEnds = "SERVER_CERTIFICATE_ENDS",
    ServerNotTrusted = "SERVER_NOT_TRUSTED",
    SwapOff = "SWAP_OFF",
    SwapOn = "SWAP_ON",
    VaultOpen = "VAULT_OPEN",
    VaultRefuses = "VAULT_REFUSES",
    VaultSealed = "VAULT_SEALED",
    VenueBanned = "VENUE_BANNED",
    VenueFailing = "VENUE_FAILING",
    VenueSlow = "VENUE_SLOW",
    VenuesGood = "VENUES_GOOD",
    VersionDiffers = "VERSION_DIFFERS",
    ViaBalancer = "VIA_BALANCER",
    WhoamiNotServed = "WHOAMI_NOT_SERVED",
}

/// One finding.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    pub code: Code,
    pub level: Level,
    /// One sentence, without a full stop.
    pub words: String,
    /// What to do: commands, or sentences where there is no command. Empty if nothing is.
    pub remedies: Vec<String>,
}

impl Finding {
    pub fn ok(code: Code, words: impl Into<String>) -> Self {
        Self::new(Level::Ok, code, words)
    }

    pub fn note(code: Code, words: impl Into<String>) -> Self {
        Self::new(Level::Note, code, words)
    }

    pub fn warning(code: Code, words: impl Into<String>) -> Self {
        Self::new(Level::Warning, code, words)
    }

    pub fn problem(code: Code, words: impl Into<String>) -> Self {
        Self::new(Level::Problem, code, words)
    }

    /// A warning if it is one, else a note.
    pub fn note_or_warning(is_warning: bool, code: Code, words: impl Into<String>) -> Self {
        Self::new(if is_warning { Level::Warning } else { Level::Note }, code, words)
    }

    fn new(level: Level, code: Code, words: impl Into<String>) -> Self {
        Self { code, level, words: words.into(), remedies: Vec::new() }
    }

    /// Adds something that may be done.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedies.push(remedy.into());
        self
    }
}

/// A time that passes, for people: its two largest units at most, `1 day 3 h`.
pub fn span(millis: u64) -> String {
    let seconds = millis / 1_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let plural = if days == 1 { "" } else { "s" };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (1..7, 1.., _) => format!("{days} day{plural} {hours} h"),
        _ => format!("{days} day{plural}"),
    }
}

/// A number of bytes, for people.
pub fn size(bytes: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|(bits, _)| bytes >> bits > 0) {
        Some((bits, unit)) => format!("{:.1} {unit}", bytes as f64 / (1_u64 << bits) as f64),
        None => format!("{bytes} bytes"),
    }
}

/// Names in a row, the first few of them.
pub fn listed(names: &[&str]) -> String {
    match names.len().checked_sub(NAMES_SHOWN) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..NAMES_SHOWN].join(", ")),
    }
}

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;
const NAMES_SHOWN: usize = 5;

#[cfg(test)]
pub mod testing {
    use super::{Finding, Level};

    /// Codes and levels, in the order of the findings.
    pub fn codes(findings: &[Finding]) -> Vec<(&'static str, Level)> {
        findings.iter().map(|finding| (finding.code.as_str(), finding.level)).collect()
    }

    /// Whether whatever is wrong comes with something to do.
    pub fn is_helpful(findings: &[Finding]) -> bool {
        let wrong = |finding: &&Finding| finding.level > Level::Note;
        findings.iter().filter(wrong).all(|finding| !finding.remedies.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::{DAY_MS, listed, size, span};

    #[test]
    fn says_times_as_people_do() {
        let day = DAY_MS.unsigned_abs();
        for (millis, words) in [
            (999, "0 s"),
            (59_999, "59 s"),
            (3_540_000, "59 min"),
            (3_600_000, "1 h"),
            (5_400_000, "1 h 30 min"),
            (day, "1 day"),
            (day + 3_600_000, "1 day 1 h"),
            (2 * day + 3_600_000, "2 days 1 h"),
            (90 * day + 3_600_000, "90 days"),
        ] {
            assert_eq!(span(millis), words);
        }
    }

    #[test]
    fn says_sizes_as_people_do() {
        assert_eq!(size(1_023), "1023 bytes");
        assert_eq!(size(1_536), "1.5 KiB");
        assert_eq!(size(2 << 30), "2.0 GiB");
    }

    #[test]
    fn lists_five_names() {
        assert_eq!(listed(&["a", "b", "c", "d", "e"]), "a, b, c, d, e");
        assert_eq!(listed(&["a", "b", "c", "d", "e", "f", "g"]), "a, b, c, d, e and 2 more");
    }
}
