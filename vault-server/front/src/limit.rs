//! How much of everything the front takes on.

use std::time::Duration;

use vault_ipc::Listener;

/// The front's limits. The default is what a deployment should run with.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long a connection may take to show that it is drained at a barrier before it is cut.
    pub barrier_drain: Duration,
    /// Clients' listeners.
    pub bot: ListenerLimits,
    /// After its age, how long a connection may take to finish its calls.
    pub connection_grace: Duration,
    /// Flow-control window of a connection, in bytes.
    pub connection_window_bytes: u32,
    /// HTTP/2: frames of a connection that are no part of a call (pings, settings, window updates), at
    /// once; a reset counts for eight. Calls and what they are answered earn more.
    pub control_frames_burst: u32,
    /// The same in each second after that. Beyond it the connection ends.
    pub control_frames_per_second: u32,
    /// Enrolment.
    pub enroll: ListenerLimits,
    /// Longest body of a venue's response in one message, in bytes.
    pub execute_bytes: usize,
    /// Handshakes of one IPv4 address or IPv6 /64 that may fail, at once, unless one of its was good
    /// lately.
    pub failed_handshakes_burst: u32,
    /// The same in each second after that. Beyond it its connections are closed unread.
    pub failed_handshakes_per_second: u32,
    /// From accept, or from the end of a PROXY header, to the first byte.
    pub first_byte: Duration,
    /// Largest HTTP/2 frame taken, in bytes.
    pub frame_bytes: u32,
    /// Of one connection, messages and heads of calls that have not come whole, in bytes; or one message
    /// of the longest that may come, if that is more.
    pub half_come_bytes: usize,
    /// From accept to the end of the TLS handshake.
    pub handshake: Duration,
    /// HTTP/1.1: from the end of a response, or of the handshake, to the end of the next request's
    /// head; so also how long a connection may be idle.
    pub head: Duration,
    /// Headers of one request, in bytes.
    pub header_list_bytes: u32,
    /// How often an idle connection is pinged.
    pub keepalive_interval: Duration,
    /// How long a ping may stay unanswered.
    pub keepalive_timeout: Duration,
    /// Streams that a peer may make us reset before the connection ends.
    pub local_error_reset_streams: usize,
    /// Operators.
    pub operator: ListenerLimits,
    /// Streams that a peer may reset before we took them up, before the connection ends.
    pub pending_accept_reset_streams: usize,
    /// As `header_list_bytes`, where clients are proxied: the venue's URL stands in the head, and may
    /// be percent-encoded as a whole, on top of its own encoding. (It is decoded once.)
    pub proxied_header_list_bytes: u32,
    /// From accept to the end of a PROXY header.
    pub proxy_header: Duration,
    /// Bytes that may wait to be written to the core before calls are refused; those of operators'
    /// calls wait apart from all others, and go first.
    pub queue_bytes: usize,
    /// Flow-control window of a stream, in bytes.
    pub stream_window_bytes: u32,
    /// Calls in progress on one connection.
    pub streams: u32,
    /// Bytes that a connection may read before it is others' turn.
    pub turn_bytes: usize,
    /// Bytes of venues' responses that have come and are not passed on yet, with what they take beside
    /// themselves, and of heads whose calls last.
    pub venue_bytes: usize,
    /// Of these, those of one call.
    pub venue_call_bytes: usize,
    /// From the head of a venue's response to the moment when its client has to have read it whole.
    pub venue_read: Duration,
    /// WebSockets through the proxy.
    pub websocket: WebSocketLimits,
}

/// Limits of WebSockets through the proxy.
#[derive(Clone, Debug)]
pub struct WebSocketLimits {
    /// Longest message of a bot, in bytes.
    pub bot_message_bytes: usize,
    /// Bytes of a bot, whatever they say, at once.
    pub bytes_burst: u32,
    /// Bytes of a bot in each second after that. More is not read before its time.
    pub bytes_per_second: u32,
    /// How long an end of a WebSocket may take.
    pub close: Duration,
    /// Messages of a bot, pings among them, at once.
    pub messages_burst: u32,
    /// Messages of a bot in each second after that. More is not read before its time.
    pub messages_per_second: u32,
    /// WebSockets at once.
    pub sockets: usize,
    /// Of these, those of one client certificate.
    pub sockets_per_certificate: usize,
    /// Bytes that wait for a bot to read them, of one WebSocket; one message may be longer.
    pub waiting_bytes: usize,
    /// The same of all.
    pub waiting_bytes_of_all: usize,
}

/// Limits of the listeners of one kind. Each kind has its own, so that bots cannot starve operators.
#[derive(Clone, Debug)]
pub struct ListenerLimits {
    /// How long a call may take: more is not waited for, whatever the client asks.
    pub call: Duration,
    /// Calls that wait for the core; of one operator an eighth of them, of one client a quarter.
    pub calls: usize,
    /// How long a connection lives before its client has to make another.
    pub connection_age: Duration,
    /// Connections.
    pub connections: usize,
    /// Connections of one IPv4 address or IPv6 /64.
    pub connections_per_address: usize,
    /// Connections of one client or operator, by the name in the certificate: a new certificate is no
    /// new place.
    pub connections_per_certificate: usize,
    /// Connections of all whose certificate is no operator's.
    pub connections_of_clients: usize,
    /// The same where a venue is asked.
    pub execute: Duration,
    /// Calls that wait for the core or a venue, where a venue is asked; of one client certificate an
    /// eighth of them.
    pub executes: usize,
    /// Handshakes in progress that wait for the peer; one more, and the oldest is dropped. That they
    /// do not use up the processor is seen to elsewhere (`turn.rs`).
    pub handshakes: usize,
    /// Of these, those of one IPv4 address or IPv6 /64; one more, and its oldest is dropped.
    pub handshakes_per_address: usize,
    /// Longest message taken, in bytes.
    pub message_bytes: usize,
    /// Accepted connections that have said nothing yet; one more, and the oldest is dropped. They
    /// count in nothing else.
    pub silent: usize,
    /// Of these, those of one IPv4 address or IPv6 /64; one more, and its oldest is dropped.
    pub silent_per_address: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            barrier_drain: Duration::from_millis(250),
            bot: ListenerLimits {
                call: Duration::from_secs(5),
                calls: 1024,
                connection_age: Duration::from_secs(60 * 60),
                connections: 4096,
                connections_of_clients: 4096,
                connections_per_address: 4096,
                // WebSockets, and twice as many for all else: an asynchronous ccxt opens 100.
                connections_per_certificate: 192,
                // Beyond the time that the vault gives to a venue.
                execute: Duration::from_secs(35),
                executes: 4096,
                handshakes: 256,
                // Many bots of one host come back at once.
                handshakes_per_address: 128,
                message_bytes: 64 << 10,
                silent: SILENT,
                // Many bots of one host come back at once.
                silent_per_address: 128,
            },
            connection_grace: Duration::from_secs(30),
            connection_window_bytes: 1 << 20,
            control_frames_burst: 4096,
            control_frames_per_second: 1024,
            enroll: ListenerLimits {
                call: Duration::from_secs(5),
                calls: 64,
                connection_age: Duration::from_secs(60),
                connections: 128,
                connections_of_clients: 128,
                // Nobody here has shown a certificate: one peer must not take all places.
                connections_per_address: 8,
                connections_per_certificate: 64,
                execute: Duration::from_secs(5),
                executes: 0,
                handshakes: 64,
                handshakes_per_address: 16,
                message_bytes: 64 << 10,
                silent: SILENT,
                silent_per_address: 16,
            },
            execute_bytes: 1 << 20,
            failed_handshakes_burst: 100,
            failed_handshakes_per_second: 10,
            first_byte: Duration::from_secs(1),
            frame_bytes: 16 << 10,
            half_come_bytes: 1 << 20,
            handshake: Duration::from_secs(5),
            // Beyond what libraries keep a connection that they do not use.
            head: Duration::from_secs(75),
            header_list_bytes: 8 << 10,
            keepalive_interval: Duration::from_secs(20),
            keepalive_timeout: Duration::from_secs(10),
            local_error_reset_streams: 128,
            operator: ListenerLimits {
                // Unsealing with a passphrase takes seconds, and open orders are cancelled for a
                // minute at most.
                call: Duration::from_secs(65),
                calls: 256,
                connection_age: Duration::from_secs(60 * 60),
                connections: 256,
                // A bot's certificate passes the handshake here too, and the core refuses its calls.
                connections_of_clients: 32,
                connections_per_address: 256,
                connections_per_certificate: 16,
                execute: Duration::from_secs(5),
                executes: 0,
                handshakes: 64,
                handshakes_per_address: 16,
                message_bytes: 1 << 20,
                silent: SILENT,
                silent_per_address: 16,
            },
            pending_accept_reset_streams: 20,
            proxied_header_list_bytes: 40 << 10,
            proxy_header: Duration::from_secs(1),
            queue_bytes: 16 << 20,
            stream_window_bytes: 64 << 10,
            streams: 128,
            turn_bytes: 64 << 10,
            venue_bytes: 128 << 20,
            venue_call_bytes: 32 << 20,
            venue_read: Duration::from_secs(60),
            websocket: WebSocketLimits::default(),
        }
    }
}

impl Default for WebSocketLimits {
    fn default() -> Self {
        Self {
            bot_message_bytes: 64 << 10,
            bytes_burst: 1 << 20,
            bytes_per_second: 256 << 10,
            close: Duration::from_secs(5),
            messages_burst: 100,
            messages_per_second: 50,
            sockets: 4096,
            sockets_per_certificate: 64,
            waiting_bytes: 1 << 20,
            waiting_bytes_of_all: 128 << 20,
        }
    }
}

impl Limits {
    /// The limits of a kind of listener; `None` for [`Listener::Unspecified`].
    pub(crate) fn listener(&self, kind: Listener) -> Option<&ListenerLimits> {
        match kind {
            Listener::Bot => Some(&self.bot),
            Listener::Enroll => Some(&self.enroll),
            Listener::Operator => Some(&self.operator),
            Listener::Unspecified => None,
        }
    }
}

/// With handshakes that wait for their peer, for three kinds together, 1,152 descriptors: a quarter of
/// what a system gives to a process that asks for all it may have (`docs/deploy`).
const SILENT: usize = 256;
