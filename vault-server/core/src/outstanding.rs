//! What signatures that were released can still do: said in the answer of every act that forbids.

use std::collections::HashMap;

use vault_ipc::proto::v1;
use vault_model::{ClockTime, Name};

/// For each client and credential, until when its signatures are accepted by the venue.
#[derive(Default)]
pub struct Released(HashMap<(Name, Name), Until>);

#[derive(Clone, Copy)]
enum Until {
    Always,
    Time(ClockTime),
}

impl Until {
    fn longer(self, other: Self) -> Self {
        match (self, other) {
            (Self::Time(one), Self::Time(other)) => Self::Time(one.max(other)),
            _ => Self::Always,
        }
    }
}

impl Released {
    /// A signature was released. `usable_ms` is absent if it has no expiry.
    pub fn add(
        &mut self,
        client: &Name,
        credential: &Name,
        usable_ms: Option<u64>,
        now: ClockTime,
    ) {
        let until = match usable_ms {
            Some(ms) => Until::Time(now.plus(std::time::Duration::from_millis(ms))),
            None => Until::Always,
        };
        let known = self.0.entry((client.clone(), credential.clone())).or_insert(until);
        // A new version of the credential may sign for a shorter time than the one before it.
        *known = known.longer(until);
    }

    /// What is left of the signatures that `concerns` selects by client and credential.
    pub fn outstanding(
        &self,
        now: ClockTime,
        concerns: impl Fn(&Name, &Name) -> bool,
    ) -> v1::Outstanding {
        let mut outstanding = v1::Outstanding::default();
        for ((client, credential), until) in &self.0 {
            if !concerns(client, credential) {
                continue;
            }
            match until {
                Until::Always => outstanding.without_expiry = true,
                Until::Time(at) => {
                    let left = u64::try_from(at.since(now).as_millis()).unwrap_or(u64::MAX);
                    outstanding.usable_for_ms = outstanding.usable_for_ms.max(left);
                }
            }
        }
        outstanding
    }
}
