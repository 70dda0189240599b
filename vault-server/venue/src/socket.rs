//! WebSockets through the vault: which of a venue's are served, and what a bot's messages on them are.
//!
//! A venue takes orders on the very WebSocket that a bot listens on, and a log-on opens all of it. So
//! the vault makes the log-on itself, and reads every message before it goes on: a request is read as
//! the same request over REST would be, a subscription has a name of its own in the catalogue, and
//! what is none of these is refused.
//!
//! What goes on is what was judged. A message that says nothing but what was read goes as it came;
//! one with a request in it is written anew around the bytes that were judged.

mod binance;
mod bybit;
mod call;
mod frame;
mod kraken;
mod okx;

use vault_model::{Environment, Reading, VenueRequest};

use crate::catalog::{Address, Catalog, Operation, SocketKind, SocketRule, is_handle};
use crate::closure;
use crate::content::{Content, Fields};
use crate::error::{ReadError, VenueError};
use crate::member;
use crate::shape::{self, Strictness};
use crate::venue::Venue;

pub(crate) use self::frame::Frame;

/// The longest message taken from a bot, in bytes.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// The most channels of one message.
const CHANNELS_MAX: usize = 2_000;

/// A WebSocket that a bot may have through the vault.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Socket {
    /// Venue name.
    pub venue: &'static str,
    /// What it is for.
    pub kind: SocketKind,
    /// The environments that it serves, live first. All but a public one serve exactly one.
    pub environments: Vec<Environment>,
    /// `wss://host[:port]/path[?query]`: where to connect to, as it was read.
    pub url: String,
    /// Headers that select the environment.
    pub headers: Vec<(String, String)>,
    /// Handles in the URL.
    pub handles: Vec<String>,
    /// What a bot has when it stands, before any message.
    pub opening: Opening,
    /// Host name without port.
    host: String,
    path: String,
    /// Its place in the catalogue.
    number: usize,
}

impl Socket {
    /// The name of its host, without port.
    pub fn host(&self) -> &str {
        &self.host
    }
}

/// What a bot has of a WebSocket that merely stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Opening {
    /// Nothing.
    Nothing,
    /// Data that is open to everybody.
    Public,
    /// This, of the account behind the handle in its address.
    Read(Reading),
}

/// A message of a bot, read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// Its own id, by which its answer is known.
    pub id: Option<MessageId>,
    /// Handles in it. What they stand for is put in their places before it goes out.
    pub handles: Vec<String>,
    /// What it asks for.
    pub request: StreamRequest,
    envelope: Envelope,
}

/// The id of a message, as the answer to it would have it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MessageId {
    /// The member's name.
    pub name: &'static str,
    /// Its value: JSON of a whole number, or of a string of 1 to 64 letters, digits, `-`, `_`, `.`.
    pub value: String,
}

/// What a message asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StreamRequest {
    /// Nothing of an account. It goes as it came.
    Open {
        /// Whether it asks for market data, and is not merely a ping.
        public: bool,
    },
    /// A log-on. The vault's own goes in its place.
    Logon {
        /// The credential's name, as in [`crate::Undressed`].
        credential: String,
        /// What is signed.
        request: VenueRequest,
    },
    /// Data of an account, from channels with these readings, one at least. It goes as it came.
    Read {
        /// What each channel gives.
        readings: Vec<Reading>,
    },
    /// A request that is judged as one over REST: an order, a cancel, or a read.
    Order {
        /// The credential that it names; absent: that of the log-on, or of the handle in it.
        credential: Option<String>,
        /// Whether it goes out with a signature of its own.
        signed: bool,
        /// What is judged.
        request: VenueRequest,
    },
}

/// What stands around a body that was judged.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Envelope {
    /// It goes as it came.
    None,
    /// These texts.
    Around(String, String),
    /// The body is a whole message of the vault's, which gets the bot's id in place of its own.
    Signed,
    /// This message, which says what this body says.
    Translated {
        /// The body that was judged.
        body: Vec<u8>,
        /// The message.
        text: String,
    },
}

impl Message {
    fn as_it_stands(id: Option<MessageId>, request: StreamRequest) -> Self {
        Self { id, handles: Vec::new(), request, envelope: Envelope::None }
    }

    /// The message to send in place of the bot's, from the body of what was judged (of an
    /// [`Order`](StreamRequest::Order) without signature) or of what [`Venue::sign`] made of it.
    ///
    /// # Errors
    ///
    /// [`VenueError::RequestForm`] for a body that is not this message's, and for a message that goes
    /// as it came.
    pub fn text(&self, body: &[u8]) -> Result<Vec<u8>, VenueError> {
        match &self.envelope {
            Envelope::None => Err(VenueError::RequestForm),
            Envelope::Around(head, tail) => Ok([head.as_bytes(), body, tail.as_bytes()].concat()),
            Envelope::Signed => match &self.id {
                None => Ok(body.to_vec()),
                Some(id) => with_id(body, id).ok_or(VenueError::RequestForm),
            },
            Envelope::Translated { body: judged, text } if judged == body => {
                Ok(text.clone().into_bytes())
            }
            Envelope::Translated { .. } => Err(VenueError::RequestForm),
        }
    }
}

/// A message of the vault's with a bot's id: in place of its own, or before its first member.
fn with_id(body: &[u8], id: &MessageId) -> Option<Vec<u8>> {
    let own = format!(r#"{{"{}":""#, id.name);
    let rest = match body.strip_prefix(own.as_bytes()) {
        Some(rest) => {
            let end = rest.iter().position(|b| *b == b'"')?;
            rest.get(end + 1..)?.strip_prefix(b",")?
        }
        None => body.strip_prefix(b"{")?,
    };
    let head = format!(r#"{{"{}":{},"#, id.name, id.value);
    Some([head.as_bytes(), rest].concat())
}

/// The messages of a venue.
trait Dialect: Sync {
    /// The name of the id in messages and in their answers, most used first.
    fn id_names(&self) -> &'static [&'static str];

    /// Reads a message.
    fn read(&self, frame: &Frame<'_>) -> Result<Message, ReadError>;
}

/// By scheme. A new one is a line here and its `mod` line.
const DIALECTS: &[(&str, &dyn Dialect)] = &[
    ("binance", &binance::Binance),
    ("bybit", &bybit::Bybit),
    ("kraken", &kraken::Kraken),
    ("okx", &okx::Okx),
];

fn dialect(catalog: &Catalog) -> Option<&'static dyn Dialect> {
    let of = DIALECTS.iter().find(|(scheme, _)| *scheme == catalog.signature.scheme);
    of.map(|(_, dialect)| *dialect)
}

/// Finds a WebSocket of a venue; absent: none of its hosts.
pub(crate) fn find(
    venue: &Venue,
    host: &str,
    path: &str,
    query: &str,
) -> Option<Result<Socket, ReadError>> {
    let of_host = |(_, rule): &(usize, &SocketRule)| rule.has_host(host);
    let rules: Vec<_> = venue.catalog.sockets.iter().enumerate().filter(of_host).collect();
    if rules.is_empty() {
        return None;
    }
    let by_path: Vec<_> = rules
        .into_iter()
        .filter_map(|(number, rule)| Some((number, rule, rule.path(path)?)))
        .collect();
    if by_path.is_empty() {
        return Some(Err(ReadError::OperationUnknown));
    }
    let found = by_path
        .into_iter()
        .find_map(|(number, rule, of_path)| Some((number, rule, of_path, rule.query(query)?)));
    let Some((number, rule, of_path, of_query)) = found else {
        return Some(Err(ReadError::QueryNotAllowed));
    };
    Some(Ok(socket(venue, number, rule, [of_path, of_query], [host, path, query])))
}

fn socket(
    venue: &Venue,
    number: usize,
    rule: &SocketRule,
    found: [Address<'_>; 2],
    [host, path, query]: [&str; 3],
) -> Socket {
    let handles: Vec<String> =
        found.iter().filter_map(|address| address.handle).map(str::to_owned).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    let headers = match rule.environments.as_slice() {
        [only] => venue.catalog.hosts(*only).map(|hosts| hosts.headers.clone()).unwrap_or_default(),
        _ => Vec::new(),
    };
    let names_streams = found.iter().any(|address| address.names_streams);
    Socket {
        venue: venue.name(),
        kind: rule.kind,
        environments: rule.environments.clone(),
        url: format!("wss://{host}{path}{mark}{query}"),
        headers,
        handles,
        opening: match rule.kind {
            SocketKind::Listen => Opening::Read(listening(venue, path)),
            SocketKind::Public if names_streams => Opening::Public,
            SocketKind::Private | SocketKind::Public | SocketKind::Rpc => Opening::Nothing,
        },
        host: host.split_once(':').map_or(host, |(name, _)| name).to_owned(),
        path: path.to_owned(),
        number,
    }
}

/// What a WebSocket gives that a listen key opens: all events of the account.
fn listening(venue: &Venue, path: &str) -> Reading {
    // The handle is none of the operation's name.
    let socket = match path.rsplit_once('/') {
        Some((socket, handle)) if is_handle(handle) => socket,
        _ => path,
    };
    let member = vault_model::Member {
        operation: format!("LISTEN {socket}").into(),
        class: vault_model::Class::Read,
        schema_sourced: true,
        // As of the log-on that it is: it gives what is of any product.
        intent: std::sync::Arc::new(member::unread_intent(vault_model::Class::Logon, None, None)),
    };
    reading(venue, member)
}

/// The reading of what no signature is for: it stands alone.
fn reading(venue: &Venue, stated: vault_model::Member) -> Reading {
    let closure = vec![stated.clone()];
    Reading {
        venue: venue.name(),
        closure_hash: closure::hash(&closure),
        stated,
        closure,
        catalog_hash: venue.catalog.hash,
    }
}

/// Reads a message.
pub(crate) fn read(venue: &Venue, socket: &Socket, text: &str) -> Result<Message, ReadError> {
    if text.len() > MESSAGE_BYTES_MAX {
        return Err(ReadError::BodyTooLarge);
    }
    let rule = venue.catalog.sockets.get(socket.number).filter(|_| socket.venue == venue.name());
    let (Some(rule), Some(dialect)) = (rule, dialect(&venue.catalog)) else {
        return Err(ReadError::OperationUnknown);
    };
    let message = dialect.read(&Frame { venue, socket, rule, text })?;
    // What stands for a capability is replaced wherever it stands: in any other place the venue would
    // be told the capability as something that it says again.
    let sent = match &message.envelope {
        Envelope::Translated { text, .. } => text,
        _ => text,
    };
    if message.handles.iter().any(|handle| sent.matches(handle.as_str()).count() != 1) {
        return Err(ReadError::ParameterDuplicate);
    }
    Ok(message)
}

/// The id of a message that was refused, if it can be told.
pub(crate) fn message_id(venue: &Venue, text: &str) -> Option<MessageId> {
    if text.len() > MESSAGE_BYTES_MAX {
        return None;
    }
    let names = dialect(&venue.catalog)?.id_names();
    let value = crate::json::parse(text.as_bytes(), &|_| None).ok()?;
    names.iter().find_map(|name| MessageId::of(name, value.member(name)?).ok())
}

/// A subscription to channels, each with the objects that name it; all of them are private, or all
/// of them are public.
fn subscription<'t>(
    frame: &Frame<'_>,
    id: Option<MessageId>,
    wanted: Vec<(&'t str, Fields<'t>)>,
) -> Result<Message, ReadError> {
    if !(1..=CHANNELS_MAX).contains(&wanted.len()) {
        return Err(ReadError::ArrayLength);
    }
    let catalog = &frame.venue.catalog;
    let mut private: Vec<(&Operation, Vec<Fields<'t>>)> = Vec::new();
    let mut has_public = false;
    for (name, fields) in wanted {
        if frame.rule.is_public_channel(name) {
            has_public = true;
            continue;
        }
        let name = format!("SUBSCRIBE {}/{name}", frame.socket.path);
        let channel = catalog.channel(&name).ok_or(ReadError::OperationUnknown)?;
        match private.iter_mut().find(|(known, _)| known.name == channel.name) {
            Some((_, objects)) => objects.push(fields),
            None => private.push((channel, vec![fields])),
        }
    }
    if private.is_empty() {
        return Ok(Message::as_it_stands(id, StreamRequest::Open { public: true }));
    }
    if has_public {
        // One message, one kind of question.
        return Err(ReadError::OperationUnknown);
    }
    let readings = private
        .into_iter()
        .map(|(channel, objects)| {
            let shape = channel.shape.and_then(|index| catalog.shapes.get(index));
            let shape = shape.ok_or(ReadError::OperationUnknown)?;
            for fields in &objects {
                shape::check(catalog, shape, fields, Strictness::STATED)
                    .map_err(crate::read::misfit)?;
            }
            let content = Content { is_array: true, is_form: false, objects };
            Ok(reading(frame.venue, member::read(catalog, channel, &content)?))
        })
        .collect::<Result<Vec<_>, ReadError>>()?;
    Ok(Message::as_it_stands(id, StreamRequest::Read { readings }))
}
