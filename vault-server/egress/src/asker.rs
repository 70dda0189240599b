//! Who asks a venue, and what for.

use std::rc::Rc;

/// Who asks, and what for.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    /// The client's name; empty for the vault itself.
    pub(crate) client: Rc<str>,
    pub(crate) errand: Errand,
}

/// What a request is for, as far as the egress cares.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Errand {
    /// To take risk away.
    Cancel,
    /// To trade, transfer, withdraw: whatever is none of the others.
    Order,
    /// To look at something.
    Read,
    /// To open a WebSocket.
    Stream,
}

impl Asker {
    /// Of the words of a frame.
    pub(crate) fn new(client: &str, class: &str) -> Self {
        Self { client: client.into(), errand: Errand::of(class) }
    }
}

impl Errand {
    fn of(class: &str) -> Self {
        match class {
            "cancel" => Self::Cancel,
            "public" | "read" => Self::Read,
            "stream" => Self::Stream,
            _ => Self::Order,
        }
    }
}
