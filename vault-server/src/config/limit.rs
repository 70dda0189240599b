//! `[limits]`.

use serde::Deserialize;
use toml::Spanned;
use vault_core::RequestLimits;

/// `[limits]`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests of one client that are no orders, amendments or cancels, at once.
    pub requests_burst: Spanned<u32>,
    /// The same in each second after that.
    pub requests_per_second: Spanned<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        let RequestLimits { burst, per_second } = RequestLimits::default();
        Self {
            requests_burst: Spanned::new(0..0, burst),
            requests_per_second: Spanned::new(0..0, per_second),
        }
    }
}

impl Limits {
    /// As the core takes them.
    pub fn requests(&self) -> RequestLimits {
        RequestLimits {
            burst: *self.requests_burst.get_ref(),
            per_second: *self.requests_per_second.get_ref(),
        }
    }

    /// What cannot be, and where.
    pub(super) fn inconsistency(&self) -> Option<(usize, &'static str)> {
        let is_possible = |number: &Spanned<u32>| (1..=NUMBER_MAX).contains(number.get_ref());
        if !is_possible(&self.requests_burst) {
            let message = "requests_burst must be from 1 to 1000000";
            return Some((self.requests_burst.span().start, message));
        }
        if !is_possible(&self.requests_per_second) {
            let message = "requests_per_second must be from 1 to 1000000";
            return Some((self.requests_per_second.span().start, message));
        }
        None
    }
}

const NUMBER_MAX: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use vault_core::RequestLimits;

    use crate::config::{Config, ConfigError};

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("config.toml"), text)
    }

    #[test]
    fn what_is_not_said_is_the_default_and_no_limit_is_none() {
        let requests = |text| parse(text).map(|config| config.limits.requests());
        assert_eq!(requests("").expect("valid"), RequestLimits::default());
        let limits = "[limits]\nrequests_burst = 1\nrequests_per_second = 1000000\n";
        let said = RequestLimits { burst: 1, per_second: 1_000_000 };
        assert_eq!(requests(limits).expect("valid"), said);
        for (line, column) in [
            ("requests_burst = 0", 18),
            ("requests_burst = 1000001", 18),
            ("requests_per_second = 0", 23),
            ("requests_per_second = 1000001", 23),
        ] {
            let refused = parse(&format!("[limits]\n{line}\n")).expect_err(line).to_string();
            assert!(refused.starts_with(&format!("config.toml:2:{column}: ")), "{refused}");
        }
    }
}
