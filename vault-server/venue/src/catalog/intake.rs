//! How an operation takes its parameters.

/// What decides how a text is read. Many operations have the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Intake {
    /// The body is a JSON array of at most this many shapes.
    pub array_max: Option<usize>,
    pub body: BodyForms,
    /// Its parameters are known.
    pub has_shape: bool,
    pub location: Location,
    /// It is a request over a WebSocket.
    pub rpc: bool,
}

/// Where a venue reads an operation's parameters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Location {
    Body,
    /// Query or body.
    Either,
    Nowhere,
    Query,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct BodyForms {
    pub form: bool,
    pub json: bool,
}
