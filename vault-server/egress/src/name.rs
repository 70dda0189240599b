//! From a venue's name to the addresses at which it may be reached.

use std::net::IpAddr;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::LookupIpStrategy;

use crate::address::is_public;
use crate::problem::Problem;

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

/// Who is asked for names.
#[derive(Debug)]
pub(crate) enum Names {
    /// Nobody: the system has no resolver configured.
    Nobody,
    /// The system's resolvers, as they were configured when the process started.
    System(Box<TokioResolver>),
    /// Somebody who does not answer.
    #[cfg(test)]
    Silent,
    /// A table.
    #[cfg(test)]
    Table(std::collections::HashMap<String, Vec<IpAddr>>),
}

impl Names {
    /// Reads the system's configuration, the only time that it is read.
    ///
    /// A system without one is no error: a vault that only signs needs no names, and one in
    /// development may have all its hosts elsewhere. Whatever needs a name fails then.
    pub(crate) fn system() -> Self {
        let resolver = TokioResolver::builder_tokio().and_then(|mut builder| {
            let options = builder.options_mut();
            options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
            builder.build()
        });
        match resolver {
            Ok(resolver) => Self::System(Box::new(resolver)),
            Err(error) => {
                tracing::warn!(%error, "no resolver is configured: no venue can be found by name");
                Self::Nobody
            }
        }
    }

    /// The addresses of a name, never none.
    ///
    /// # Errors
    ///
    /// [`Problem::DnsFailed`]; [`Problem::AddressRefused`] if a single one of them is not public:
    /// whoever answers with such an address is not to be trusted with the others either.
    pub(crate) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Problem> {
        let found: Vec<IpAddr> = match self {
            Self::Nobody => Vec::new(),
            Self::System(resolver) => {
                // The dot: no search domain is appended.
                let answer = resolver.lookup_ip(format!("{host}.")).await;
                answer.map_err(|_| Problem::DnsFailed)?.iter().collect()
            }
            #[cfg(test)]
            Self::Silent => std::future::pending().await,
            #[cfg(test)]
            Self::Table(table) => table.get(host).cloned().unwrap_or_default(),
        };
        if found.is_empty() {
            return Err(Problem::DnsFailed);
        }
        if let Some(address) = found.iter().find(|address| !is_public(**address)) {
            tracing::error!(host, %address, "a venue's name leads to an address that is not public");
            return Err(Problem::AddressRefused);
        }
        Ok(found.into_iter().take(ADDRESSES_MAX).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::Names;
    use crate::problem::Problem;

    async fn addresses(answers: &[&str]) -> Result<Vec<IpAddr>, Problem> {
        let answers = answers.iter().map(|text| text.parse().expect("an address")).collect();
        Names::Table([("a.example".to_owned(), answers)].into()).addresses("a.example").await
    }

    #[tokio::test]
    async fn one_private_answer_refuses_all() {
        assert!(addresses(&["1.1.1.1", "2606:4700::1111"]).await.is_ok());
        for bad in ["10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1", "fd00::1"]
        {
            assert_eq!(addresses(&[bad]).await, Err(Problem::AddressRefused), "{bad}");
            let refused = addresses(&["1.1.1.1", bad]).await;
            assert_eq!(refused, Err(Problem::AddressRefused), "{bad}");
        }
    }

    #[tokio::test]
    async fn no_answer_is_a_failure() {
        assert_eq!(addresses(&[]).await, Err(Problem::DnsFailed));
        assert_eq!(Names::Nobody.addresses("a.example").await, Err(Problem::DnsFailed));
    }
}
