//! Children say that they are up, and how they are confined.

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;

use prost::Message as _;
use vault_ipc::proto::v1::ProcessHardening;

use super::exporter::EXPORTER;

/// Where front, egress and exporter say it, and what they have said.
#[derive(Debug)]
pub(super) struct Ups {
    /// One is gone once its child has said it, or has died.
    awaited: Vec<Up>,
    reports: Vec<ProcessHardening>,
    /// Nothing was said since it was told on.
    is_told: bool,
}

/// Where one child says it: a report, and an end.
#[derive(Debug)]
struct Up {
    stream: UnixStream,
    bytes: Vec<u8>,
}

/// Longest that a child says of itself, in bytes.
const UP_BYTES_MAX: usize = 1024;

impl Ups {
    /// Streams that do not block.
    pub fn new(streams: impl IntoIterator<Item = UnixStream>) -> Self {
        let mut ups = Self { awaited: Vec::new(), reports: Vec::new(), is_told: false };
        ups.await_also(streams);
        ups
    }

    /// Waits for others, too.
    pub fn await_also(&mut self, streams: impl IntoIterator<Item = UnixStream>) {
        let ups = streams.into_iter().map(|stream| Up { stream, bytes: Vec::new() });
        self.awaited.extend(ups);
    }

    /// What to wait on.
    pub fn fds(&self) -> impl Iterator<Item = &UnixStream> {
        self.awaited.iter().map(|up| &up.stream)
    }

    /// The last report of each, once nobody is waited for and all have said it but an exporter that died;
    /// and again when another exporter has.
    pub fn come_up(&mut self) -> Option<Vec<ProcessHardening>> {
        let Self { awaited, reports, is_told } = self;
        awaited.retain_mut(|up| {
            let is_open = up.read();
            if !is_open && let Some(report) = up.report() {
                reports.retain(|one| one.process != report.process);
                reports.push(report);
                *is_told = false;
            }
            is_open
        });
        let needed = reports.iter().filter(|report| report.process != EXPORTER).count();
        let is_due = awaited.is_empty() && needed == 2 && !*is_told;
        is_due.then(|| {
            *is_told = true;
            reports.clone()
        })
    }
}

impl Up {
    /// Takes what is there; whether more may come.
    fn read(&mut self) -> bool {
        let mut bytes = [0; UP_BYTES_MAX];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return false,
                Ok(count) => self.bytes.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
            if self.bytes.len() > UP_BYTES_MAX {
                return false;
            }
        }
    }

    /// What the child said; `None` if it ended without a word.
    fn report(&self) -> Option<ProcessHardening> {
        let report = ProcessHardening::decode(self.bytes.as_slice()).ok()?;
        (!report.process.is_empty()).then_some(report)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    use prost::Message as _;
    use vault_ipc::proto::v1::ProcessHardening;

    use super::{EXPORTER, Ups};

    fn pair() -> (UnixStream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        ours.set_nonblocking(true).expect("set");
        (ours, theirs)
    }

    fn report(process: &str, landlock_abi: u32) -> ProcessHardening {
        ProcessHardening { process: process.to_owned(), landlock_abi, ..Default::default() }
    }

    fn say(mut child: UnixStream, report: &ProcessHardening) {
        child.write_all(&report.encode_to_vec()).expect("written");
    }

    /// A front, an egress and an exporter of which the first two have said how they are confined.
    fn ups() -> (Ups, UnixStream) {
        let [(front, to_front), (egress, to_egress), (exporter, to_exporter)] =
            std::array::from_fn(|_| pair());
        let mut ups = Ups::new([front, egress, exporter]);
        assert_eq!(ups.come_up(), None);
        say(to_front, &report("front", 1));
        say(to_egress, &report("egress", 1));
        assert_eq!(ups.come_up(), None);
        (ups, to_exporter)
    }

    #[test]
    fn another_exporter_is_told_of_with_the_others_and_nothing_twice() {
        let (mut ups, exporter) = ups();
        say(exporter, &report(EXPORTER, 2));
        let said = [report("front", 1), report("egress", 1)];
        assert_eq!(ups.come_up(), Some([&said[..], &[report(EXPORTER, 2)]].concat()));
        assert_eq!(ups.come_up(), None);

        let (next, to_next) = pair();
        ups.await_also([next]);
        assert_eq!(ups.come_up(), None);
        say(to_next, &report(EXPORTER, 0));
        assert_eq!(ups.come_up(), Some([&said[..], &[report(EXPORTER, 0)]].concat()));
        assert_eq!((ups.come_up(), ups.fds().count()), (None, 0));
    }

    #[test]
    fn an_exporter_that_dies_before_it_is_up_is_not_waited_for() {
        let (mut ups, exporter) = ups();
        drop(exporter);
        assert_eq!(ups.come_up(), Some(vec![report("front", 1), report("egress", 1)]));
        let (next, to_next) = pair();
        ups.await_also([next]);
        drop(to_next);
        assert_eq!(ups.come_up(), None);
    }

    #[test]
    fn without_front_or_egress_nothing_is_up() {
        let [(front, to_front), (egress, to_egress)] = std::array::from_fn(|_| pair());
        let mut ups = Ups::new([front, egress]);
        say(to_front, &report("front", 1));
        drop(to_egress);
        assert_eq!(ups.come_up(), None);
    }
}
