//! What can go wrong between a venue and its customer, on demand.

use std::time::Duration;

use http::StatusCode;

/// What goes wrong with one answer. Unless said otherwise the request is acted on first, so that
/// its order exists whatever its sender gets to see.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The connection is reset without a byte of an answer; nothing is acted on.
    ResetUnread,
    /// The connection is reset without a byte of an answer.
    ResetUnanswered,
    /// The connection is reset after half of the body.
    ResetInBody,
    /// `content-length` says ten bytes more than follow; then the connection closes (HTTP/1.1) or
    /// the stream is reset (HTTP/2).
    LengthTooLong,
    /// `content-length` says ten bytes fewer than follow.
    LengthTooShort,
    /// This status and a short text; nothing is acted on.
    Status(u16),
    /// This status and a short text, though the request is acted on: what a gateway in front of a
    /// venue answers when it loses patience.
    StatusAfter(u16),
    /// 429 or 418 with `retry-after`; nothing is acted on.
    Banned {
        /// The status.
        status: u16,
        /// What `retry-after` says.
        retry_after_s: u64,
    },
    /// A redirect; nothing is acted on.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// What `location` says.
        location: String,
    },
    /// The body comes in this many pieces with pauses between them.
    SlowBody {
        /// How many.
        pieces: usize,
        /// How long each pause is.
        pause: Duration,
    },
    /// The answer comes after this long, in addition to [`MockConfig::delay`](crate::MockConfig::delay).
    Late(Duration),
    /// Nothing is ever sent; the connection stays open.
    Silence,
    /// `content-encoding: gzip`, whatever was asked for.
    Gzip,
    /// Every header of the request comes back as header `x-echo-NAME`, the request line as
    /// `x-echo-target`; headers, target and body come back in the member `echo` of the answer too.
    Echo,
    /// The body goes on for this many bytes, in pieces of 64 KiB, without `content-length`.
    LongBody(u64),
    /// Bytes that are not HTTP; then the connection closes.
    Garbage,
    /// The answer as it would be, with these headers added.
    Headers(Vec<(String, String)>),
}

impl Fault {
    /// Whether the request is acted on.
    pub(crate) fn acts(&self) -> bool {
        !matches!(
            self,
            Self::ResetUnread | Self::Status(_) | Self::Banned { .. } | Self::Redirect { .. }
        )
    }

    /// The status it brings, if it brings one.
    pub(crate) fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status(status)
            | Self::StatusAfter(status)
            | Self::Banned { status, .. }
            | Self::Redirect { status, .. } => StatusCode::from_u16(*status).ok(),
            _ => None,
        }
    }
}

/// The faults to come, in the order in which they were asked for.
#[derive(Default)]
pub(crate) struct Plan(Vec<Planned>);

struct Planned {
    prefix: String,
    times: usize,
    fault: Fault,
}

impl Plan {
    /// Plans a fault for the next `times` requests whose path begins with `prefix`.
    pub(crate) fn add(&mut self, prefix: &str, times: usize, fault: Fault) {
        self.0.push(Planned { prefix: prefix.to_owned(), times, fault });
    }

    /// Forgets what is planned; returns how many requests it was for.
    pub(crate) fn clear(&mut self) -> usize {
        self.0.drain(..).fold(0, |sum, planned| sum.saturating_add(planned.times))
    }

    /// Takes the first fault for this path.
    pub(crate) fn take(&mut self, path: &str) -> Option<Fault> {
        let fits = |planned: &Planned| planned.times > 0 && path.starts_with(&planned.prefix);
        let index = self.0.iter().position(fits)?;
        let planned = &mut self.0[index];
        planned.times -= 1;
        if planned.times > 0 {
            return Some(planned.fault.clone());
        }
        Some(self.0.remove(index).fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_in_order_to_the_paths_they_are_for() {
        let mut plan = Plan::default();
        plan.add("/api/", 2, Fault::Silence);
        plan.add("", 1, Fault::Gzip);
        plan.add("", 1, Fault::Echo);
        assert_eq!(plan.take("/v5/order"), Some(Fault::Gzip));
        assert_eq!(plan.take("/api/v3/order"), Some(Fault::Silence));
        assert_eq!(plan.take("/api/v3/order"), Some(Fault::Silence));
        assert_eq!(plan.take("/api/v3/order"), Some(Fault::Echo));
        assert_eq!(plan.take("/api/v3/order"), None);
        plan.add("", usize::MAX, Fault::Gzip);
        plan.add("", 1, Fault::Gzip);
        assert_eq!(plan.clear(), usize::MAX);
        assert_eq!(plan.take("/"), None);
    }
}
