//! What cannot wait, as the core's figures show it. Words of ours alone: no input is in them.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use vault_ipc::metric::{Family, Metrics};

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Now.
    Critical,
    /// In the days that come.
    Warning,
}

macro_rules! concerns {
    ($($concern:ident $kind:literal $severity:ident $over:literal;)+) => {
        /// What somebody should hear of.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Concern {
            $(#[doc = $kind] $concern,)+
        }

        impl Concern {
            /// All of them.
            pub const ALL: [Self; [$($kind),+].len()] = [$(Self::$concern),+];

            /// What it is called.
            pub fn kind(self) -> &'static str {
                match self {
                    $(Self::$concern => $kind,)+
                }
            }

            /// How bad it is.
            pub fn severity(self) -> Severity {
                match self {
                    $(Self::$concern => Severity::$severity,)+
                }
            }

            /// What is said when it is over.
            pub fn over(self) -> &'static str {
                match self {
                    $(Self::$concern => $over,)+
                }
            }
        }
    };
}

concerns! {
    CertificateCa "CERTIFICATE_CA" Warning "the CA is good for a while";
    CertificateOperator "CERTIFICATE_OPERATOR" Warning "the operators' certificates are good for a while";
    CertificateServer "CERTIFICATE_SERVER" Critical "the server's certificate is good for a while";
    CoreSilent "CORE_SILENT" Critical "the core answers again";
    DiskFull "DISK_FULL" Critical "there is room for the log again";
    DiskLow "DISK_LOW" Warning "there is room for the log again";
    Drift "DRIFT" Critical "no key has rights that are not stated";
    Ended "ENDED" Critical "the vault runs";
    Hardening "HARDENING" Warning "all that confines the processes is there";
    LogDamaged "LOG_DAMAGED" Critical "the log is whole";
    Sealed "SEALED" Critical "the vault is unsealed";
}

const DAY_S: f64 = 86_400.0;
/// Of 30. It renews itself ten days before its end, while the vault is unsealed.
const SERVER_DAYS: f64 = 5.0;
/// Of 90. Who is on holiday is back by then.
const OPERATOR_DAYS: f64 = 14.0;
/// Of 20 years.
const CA_DAYS: f64 = 180.0;

impl Concern {
    /// What is to be said of it, if it is so by these figures.
    pub fn find(self, metrics: &Metrics, now: SystemTime) -> Option<String> {
        let figures = Figures(metrics);
        match self {
            Self::CertificateCa => figures.runs_out("ca", CA_DAYS, now, "the CA's certificate"),
            Self::CertificateOperator => {
                figures.runs_out("operator", OPERATOR_DAYS, now, "an operator's certificate")
            }
            Self::CertificateServer => {
                figures.runs_out("server", SERVER_DAYS, now, "the server's certificate")
            }
            // The figures are an answer.
            Self::CoreSilent | Self::Ended => None,
            Self::DiskFull => figures.is_set(Family::DiskFull, &[]).then(|| {
                let free = figures.free_mib();
                format!("the log's disk is nearly full ({free} MiB are left): signing has stopped")
            }),
            Self::DiskLow => figures.is_set(Family::DiskLow, &[]).then(|| {
                format!("the log's disk is getting full: {} MiB are left", figures.free_mib())
            }),
            Self::Drift => {
                let drifted =
                    figures.get(Family::Credentials, &["drifted"]).filter(|n| *n > 0.0)?;
                Some(format!("keys with rights at their venue that are not stated: {drifted}"))
            }
            Self::Hardening => {
                let is_less = ["core", "egress", "front", "supervisor"]
                    .into_iter()
                    .filter(|process| figures.get(Family::Hardened, &[process]) == Some(0.0));
                let less: Vec<&str> = is_less.collect();
                let words = "run with less than everything that confines them";
                (!less.is_empty()).then(|| format!("processes that {words}: {}", less.join(", ")))
            }
            Self::LogDamaged => figures.is_set(Family::LogDamaged, &[]).then(|| {
                "an entry of the log is not as it was written: the next start will refuse the log".to_owned()
            }),
            Self::Sealed => {
                if figures.is_set(Family::SealState, &["refused"]) {
                    Some("the vault refuses to unseal; its status says why".to_owned())
                } else {
                    let is_sealed = figures.is_set(Family::SealState, &["sealed"]);
                    is_sealed.then(|| "the vault is sealed: nothing is signed".to_owned())
                }
            }
        }
    }
}

/// Figures to look up.
struct Figures<'a>(&'a Metrics);

impl Figures<'_> {
    fn get(&self, family: Family, labels: &[&str]) -> Option<f64> {
        let samples = self.0.samples.iter();
        let mut found = samples.filter(|one| one.family() == Some(family) && one.labels == labels);
        found.next().map(|sample| sample.value)
    }

    fn is_set(&self, family: Family, labels: &[&str]) -> bool {
        self.get(family, labels) == Some(1.0)
    }

    fn free_mib(&self) -> u64 {
        (self.get(Family::DiskFree, &[]).unwrap_or_default() / f64::from(1 << 20)) as u64
    }

    fn runs_out(&self, which: &str, days: f64, now: SystemTime, what: &str) -> Option<String> {
        let not_after = self.get(Family::CertificateNotAfter, &[which])?;
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let left = (not_after - now) / DAY_S;
        if left >= days {
            return None;
        }
        Some(match left {
            ..0.0 => format!("{what} has run out"),
            _ => format!("{what} runs out in {} days", left.ceil()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use vault_ipc::metric::{Family, Metrics, Sample};

    use super::Concern;

    /// A day long after 1970, in seconds.
    const NOW: u64 = 2_000_000_000;

    fn found(samples: &[(Family, &[&str], f64)]) -> Vec<(&'static str, String)> {
        let samples = samples.iter();
        let samples =
            samples.map(|(family, labels, value)| Sample::number(*family, labels, *value));
        let metrics = Metrics { samples: samples.collect() };
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        let all = Concern::ALL.into_iter();
        all.filter_map(|concern| Some((concern.kind(), concern.find(&metrics, now)?))).collect()
    }

    fn kinds(samples: &[(Family, &[&str], f64)]) -> Vec<&'static str> {
        found(samples).into_iter().map(|(kind, _)| kind).collect()
    }

    #[test]
    fn a_vault_that_is_well_is_no_concern() {
        let late = NOW as f64 + 365.0 * 86_400.0;
        let well: [(Family, &[&str], f64); 10] = [
            (Family::SealState, &["sealed"], 0.0),
            (Family::SealState, &["unsealed"], 1.0),
            (Family::DiskLow, &[], 0.0),
            (Family::DiskFull, &[], 0.0),
            (Family::LogDamaged, &[], 0.0),
            (Family::Credentials, &["drifted"], 0.0),
            (Family::Hardened, &["front"], 1.0),
            (Family::CertificateNotAfter, &["ca"], late),
            (Family::CertificateNotAfter, &["operator"], late),
            (Family::CertificateNotAfter, &["server"], late),
        ];
        assert!(kinds(&well).is_empty());
        assert!(kinds(&[]).is_empty(), "what is not known is none");
    }

    #[test]
    fn each_concern_is_found_where_it_shows() {
        let soon = NOW as f64 + 4.5 * 86_400.0;
        let cases: [(Family, &[&str], f64, &str); 11] = [
            (Family::SealState, &["sealed"], 1.0, "SEALED"),
            (Family::SealState, &["refused"], 1.0, "SEALED"),
            (Family::DiskLow, &[], 1.0, "DISK_LOW"),
            (Family::DiskFull, &[], 1.0, "DISK_FULL"),
            (Family::Credentials, &["drifted"], 2.0, "DRIFT"),
            (Family::Hardened, &["egress"], 0.0, "HARDENING"),
            (Family::LogDamaged, &[], 1.0, "LOG_DAMAGED"),
            (Family::CertificateNotAfter, &["ca"], soon, "CERTIFICATE_CA"),
            (Family::CertificateNotAfter, &["operator"], soon, "CERTIFICATE_OPERATOR"),
            (Family::CertificateNotAfter, &["server"], soon, "CERTIFICATE_SERVER"),
            (Family::CertificateNotAfter, &["server"], 5.0, "CERTIFICATE_SERVER"),
        ];
        for (family, labels, value, kind) in cases {
            assert_eq!(kinds(&[(family, labels, value)]), [kind], "{family:?} {labels:?}");
        }
        let [(_, text)] = &found(&[(Family::CertificateNotAfter, &["server"], soon)])[..] else {
            panic!("one")
        };
        assert_eq!(text, "the server's certificate runs out in 5 days");
    }
}
