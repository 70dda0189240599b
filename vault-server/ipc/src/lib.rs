//! Frames between the vault's processes, and the error codes that cross them.
//!
//! Front and egress see this crate and no type of the core. `docs/reference/formats.md` draws the
//! frames byte by byte.

mod failure;
mod frame;
#[cfg(feature = "tokio")]
pub mod half;
mod message;
pub mod metric;
mod peek;
pub mod trace;

pub use failure::{Code, Failure};
pub use frame::{
    BODY_BYTES_MAX, Decoder, Frame, FrameError, FrameRef, HEADER_BYTES, VERSION, body_bytes_max,
    encode, is_end, read, read_count, write,
};
pub use message::{
    Barrier, BarrierDone, Caller, Chunk, CommandCall, Dispatch, EncodedSignCall, EnrollCall,
    ExecuteCall, ForgetCall, HEALTH_ROWS_MAX, Hardening, Health, HealthRow, HealthState, Hold,
    Kind, Listener, LocalCall, LocalOperation, Outcome, ProxyCall, PullCall, REPORTS_MAX, Reply,
    Report, Restart, ServerIdentity, SignCall, State, StreamCall, StreamCut, StreamDial, StreamEnd,
    StreamMessage, StreamReady, StreamRefusal, StreamSend, VenueBody, VenueEnd, VenueHead,
    WhoamiCall,
};
pub use peek::{Peek, PeekedReply};
pub use vault_proto as proto;
