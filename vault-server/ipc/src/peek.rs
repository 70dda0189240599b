//! A look into a frame that is not decoded: at who calls, since what decides how long a call waits must
//! not cost what decoding costs, and at an answer, which is passed on as it is.
//!
//! Nothing may be granted by what [`Frame::peek`] shows. A frame that is not laid out as ours are shows
//! nothing.

use crate::{Frame, FrameRef};

/// What begins a call of the front.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Peek<'f> {
    /// Serial of the caller's certificate.
    pub serial: Option<[u8; 16]>,
    /// What stands in a [`CommandCall`](crate::CommandCall) as the RPC that was called.
    pub method: Option<&'f str>,
}

impl Frame {
    /// Looks at a frame whose message has the [`Caller`](crate::Caller) as its first field, and, if it
    /// is a [`CommandCall`](crate::CommandCall), the method as its second.
    pub fn peek(&self) -> Peek<'_> {
        let Some((caller, rest)) = field(FIRST, &self.body) else {
            return Peek::default();
        };
        let serial = field(FIRST, caller).and_then(|(serial, _)| serial.try_into().ok());
        let method = field(SECOND, rest).and_then(|(method, _)| std::str::from_utf8(method).ok());
        Peek { serial, method }
    }
}

/// A [`Reply`](crate::Reply) that says nothing but what was asked for.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct PeekedReply<'f> {
    /// The encoded response message.
    pub response: &'f [u8],
    /// As in [`Reply`](crate::Reply).
    pub releases: bool,
}

impl std::fmt::Debug for PeekedReply<'_> {
    /// Shows no response: it may hold a signature.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeekedReply").field("releases", &self.releases).finish_non_exhaustive()
    }
}

impl<'b> FrameRef<'b> {
    /// Looks at a frame whose message is a [`Reply`](crate::Reply). `None`: it is to be decoded, since it
    /// has a failure or stages, or is laid out otherwise.
    pub fn peek_reply(&self) -> Option<PeekedReply<'b>> {
        let (response, rest) = field(FIRST, self.body)?;
        let releases = match rest {
            [] => false,
            RELEASES => true,
            _ => return None,
        };
        Some(PeekedReply { response, releases })
    }
}

/// Splits off a field of bytes with this key, and what comes behind it.
fn field(key: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (first, mut rest) = bytes.split_first()?;
    let length = (*first == key).then(|| prost::decode_length_delimiter(&mut rest).ok())??;
    rest.split_at_checked(length)
}

/// Keys of fields that have a length: the number, and 2.
const FIRST: u8 = (1 << 3) | 2;
const SECOND: u8 = (2 << 3) | 2;
/// The third field of a reply, said to be true.
const RELEASES: &[u8] = &[3 << 3, 1];

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::{Peek, PeekedReply};
    use crate::trace::Stages;
    use crate::{
        Caller, Code, CommandCall, ExecuteCall, Failure, ForgetCall, Frame, Kind, ProxyCall, Reply,
        SignCall, StreamCall, WhoamiCall,
    };

    fn frame(body: Vec<u8>) -> Frame {
        Frame { kind: Kind::Sign, correlation: 1, body }
    }

    #[test]
    fn every_call_that_has_a_caller_shows_whose_it_is() {
        let serial = [7; 16];
        let caller = Caller { serial: serial.to_vec(), ..Caller::default() };
        let some = Some(caller.clone());
        let bodies = [
            CommandCall { caller: caller.clone(), ..CommandCall::default() }.encode_to_vec(),
            ExecuteCall { caller: caller.clone(), ..ExecuteCall::default() }.encode_to_vec(),
            ForgetCall { caller: some }.encode_to_vec(),
            ProxyCall { caller: caller.clone(), ..ProxyCall::default() }.encode_to_vec(),
            SignCall { caller: caller.clone(), ..SignCall::default() }.encode_to_vec(),
            StreamCall { caller: caller.clone(), ..StreamCall::default() }.encode_to_vec(),
            WhoamiCall { caller: caller.clone() }.encode_to_vec(),
        ];
        for body in bodies {
            assert_eq!(frame(body).peek().serial, Some(serial));
        }
        let method = "vault.v1.HaltService/Halt";
        let call = CommandCall { caller, method: method.to_owned(), ..CommandCall::default() };
        let body = call.encode_to_vec();
        assert_eq!(frame(body).peek(), Peek { serial: Some(serial), method: Some(method) });
    }

    #[test]
    fn what_is_laid_out_otherwise_shows_nothing() {
        let long = Caller { serial: vec![7; 17], ..Caller::default() };
        let call = WhoamiCall { caller: long }.encode_to_vec();
        assert_eq!(frame(call.clone()).peek(), Peek::default());
        for end in 0..call.len() {
            assert_eq!(frame(call[..end].to_vec()).peek(), Peek::default(), "{end}");
        }
        // Lengths beyond the end, and beyond every number.
        for body in [&[0x0a, 0x7f][..], &[0x0a, 0xff, 0xff], &[0x0a; 3], &[0x0a], &[0xff; 20]] {
            assert_eq!(frame(body.to_vec()).peek(), Peek::default(), "{body:?}");
        }
        let mut endless = vec![0x0a];
        endless.extend([0xff; 9]);
        endless.push(1);
        assert_eq!(frame(endless).peek(), Peek::default());
    }

    #[test]
    fn a_good_answer_shows_its_response_and_no_other_does() {
        let looked = |reply: &Reply| {
            let frame = frame(reply.encode_to_vec());
            let peeked = frame.lent().peek_reply();
            peeked.map(|PeekedReply { response, releases }| (response.to_vec(), releases))
        };
        let good = |releases| Reply { response: vec![7; 300], releases, ..Reply::default() };
        for releases in [false, true] {
            assert_eq!(looked(&good(releases)), Some((vec![7; 300], releases)));
        }
        let failure = Failure::new(Code::Denied, "NO", "no");
        let stages = Some(Box::new(Stages { seq: 1, ..Stages::default() }));
        assert_eq!(looked(&Reply { failure: Some(failure), ..Reply::default() }), None);
        assert_eq!(looked(&Reply { stages, ..good(true) }), None);
        assert_eq!(looked(&Reply::default()), None);

        let whole = good(true).encode_to_vec();
        for end in 0..whole.len() {
            let shown = frame(whole[..end].to_vec()).lent().peek_reply().is_some();
            assert_eq!(shown, end == whole.len() - 2, "{end}");
        }
        for last in [&[3 << 3, 0][..], &[3 << 3, 2], &[3 << 3, 1, 0]] {
            let body = [&whole[..whole.len() - 2], last].concat();
            assert!(frame(body).lent().peek_reply().is_none(), "{last:?}");
        }
    }
}
