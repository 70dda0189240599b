//! Formats of our own, read from outside.

use std::sync::OnceLock;

use prost::Message as _;
use prost::bytes::Bytes;
use vault_policy::ScopeDocument;
use vault_proto::v1;

/// Scopes as operators write them.
pub fn scope(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(scope) = ScopeDocument::from_toml(text)
    {
        super::take();
        same_everywhere(&scope);
        let wire = vault_wire::scope_to_wire(&scope);
        assert_eq!(vault_wire::scope_from_wire(&wire).as_ref(), Ok(&scope));
    }
}

/// Scopes as they cross the wire.
pub fn wire(data: &[u8]) {
    if let Ok(wire) = v1::Scope::decode(data)
        && let Ok(scope) = vault_wire::scope_from_wire(&wire)
    {
        super::take();
        same_everywhere(&scope);
        // What an operator approves is the document, not the message: both say one thing.
        let again = vault_wire::scope_from_wire(&vault_wire::scope_to_wire(&scope));
        assert_eq!(again.as_ref(), Ok(&scope));
        assert_eq!(
            vault_wire::scope_hash(&again.expect("just read")),
            vault_wire::scope_hash(&scope)
        );
    }
}

/// A scope that was taken is the same after being written as text or stored, allows what it allows,
/// and can be judged by.
fn same_everywhere(scope: &ScopeDocument) {
    let again = ScopeDocument::from_toml(&scope.to_toml()).expect("its own text");
    assert_eq!(&again, scope);
    let stored = serde_json::to_value(scope).expect("JSON");
    let again: ScopeDocument = serde_json::from_value(stored).expect("as it was stored");
    assert_eq!(&again, scope);
    assert!(!vault_policy::widens(scope, &again) && !vault_policy::narrows(scope, &again));
    let _ = vault_policy::Scope::compile(scope);
    let _ = vault_policy::lint(scope, &vault_policy::LintFacts::default());
}

/// Lines of a log.
pub fn entry(data: &[u8]) {
    if let Ok(entry) = vault_audit::Entry::from_line(data) {
        super::take();
        assert_eq!(entry.to_line().expect("it was a line"), data);
    }
}

/// Bodies of snapshots: what a start goes on from, whose signature was right.
pub fn snapshot(data: &[u8]) {
    if let Ok(again) = vault_core::rewrite_snapshot(data) {
        super::take();
        assert!(again == data, "a snapshot has one form");
    }
}

/// Checkpoints and verifier keys of an export.
pub fn note(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(verifier) = vault_audit::LogVerifier::from_vkey(text)
    {
        super::take();
        assert_eq!(verifier.vkey(), text.trim_end());
    }
}

/// Signs as the front reads them: a message in pieces, whose length the first byte says, passed on as it
/// came or written anew.
pub fn sign(data: &[u8]) {
    const BYTES_MAX: usize = 4_000;
    let Some((&piece, framed)) = data.split_first() else { return };
    let pieces: Vec<_> =
        framed.chunks(usize::from(piece).max(1)).map(Bytes::copy_from_slice).collect();
    let cut = vault_front::read_message(&pieces, BYTES_MAX);
    let whole = vault_front::read_message(&[Bytes::copy_from_slice(framed)], BYTES_MAX);
    let code = |read: &Result<_, tonic::Status>| read.as_ref().err().map(tonic::Status::code);
    assert_eq!((cut.as_ref().ok(), code(&cut)), (whole.as_ref().ok(), code(&whole)));
    let Ok(message) = whole else { return };
    assert!(message.len() <= BYTES_MAX);
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    assert_eq!([&[0][..], &length, &message].concat(), framed);

    let decoded = v1::SignRequest::decode(&message[..]);
    match vault_front::plain(message.clone()) {
        Ok(written) => {
            super::take();
            assert_eq!(decoded.expect("it decodes").encode_to_vec(), written);
            assert!(written.len() <= message.len());
        }
        Err(_) => assert!(decoded.is_err()),
    }
}

/// URLs of venues in the paths of proxied requests.
pub fn proxy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(target) = vault_front::target(text) else {
        return;
    };
    super::take();
    let vault_front::Target { scheme, host, path, query } = &target;
    let (scheme, name) = match (scheme, host.split_once(':')) {
        (vault_front::Scheme::Https, None) => ("https", host.as_str()),
        (vault_front::Scheme::Wss, None) => ("wss", host.as_str()),
        (vault_front::Scheme::Wss, Some((name, port))) => {
            let number: u16 = port.parse().expect("a port");
            assert!(![0, 443].contains(&number) && number.to_string() == port);
            ("wss", name)
        }
        (vault_front::Scheme::Https, Some(_)) => panic!("requests have no port"),
    };
    let is_host = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    assert!(name.bytes().all(|byte| is_host(byte) || byte == b'.' || byte == b'-'));
    assert!(!name.is_empty() && name.parse::<std::net::IpAddr>().is_err());
    assert!(path.starts_with('/') && !path.contains(['?', '#']) && !query.contains('#'));
    // As it is sent, and in either form of being asked for, it is the same again.
    let mark = if query.is_empty() { "" } else { "?" };
    let url = format!("{scheme}://{host}{path}{mark}{query}");
    assert!(url.bytes().all(|byte| byte.is_ascii_graphic()));
    let encoded: String = url
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect();
    assert_eq!(vault_front::target(&format!("/{url}")).as_ref(), Ok(&target));
    assert_eq!(vault_front::target(&format!("/{encoded}")).as_ref(), Ok(&target));
}

/// Frames of another process, cut anywhere.
pub fn frame(data: &[u8]) {
    let mut decoder = vault_ipc::Decoder::default();
    for piece in data.chunks(7) {
        decoder.extend(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => {
                    super::take();
                    let _ = frame.message::<vault_ipc::SignCall>();
                    let _ = frame.message::<vault_ipc::CommandCall>();
                    let _ = frame.message::<vault_ipc::ExecuteCall>();
                    let _ = frame.message::<vault_ipc::ProxyCall>();
                    let _ = frame.message::<vault_ipc::StreamCall>();
                    let _ = frame.message::<vault_ipc::StreamCut>();
                    let _ = frame.message::<vault_ipc::StreamDial>();
                    let _ = frame.message::<vault_ipc::StreamEnd>();
                    let _ = frame.message::<vault_ipc::StreamMessage>();
                    let _ = frame.message::<vault_ipc::StreamReady>();
                    let _ = frame.message::<vault_ipc::StreamRefusal>();
                    let _ = frame.message::<vault_ipc::StreamSend>();
                    let _ = frame.message::<vault_ipc::WhoamiCall>();
                    let _ = frame.message::<vault_ipc::Dispatch>();
                    let _ = frame.message::<vault_ipc::Health>();
                    let _ = frame.message::<vault_ipc::Outcome>();
                    let _ = frame.message::<vault_ipc::VenueHead>();
                    let _ = frame.message::<vault_ipc::VenueBody>();
                    let _ = frame.message::<vault_ipc::VenueEnd>();
                    let _ = frame.message::<vault_ipc::Reply>();
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

/// CSRs from whoever enrols or renews.
pub fn csr(data: &[u8]) {
    if let Ok(key) = vault_core::certificate::SubjectKey::from_csr(data) {
        super::take();
        // What was taken reads back as the same key.
        let again =
            vault_core::certificate::SubjectKey::from_spki(key.spki()).expect("its own key");
        assert!(again.spki() == key.spki());
    }
}

/// Invite tokens that people paste.
pub fn token(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(token) = vault_proto::token::Token::decode(text)
    {
        super::take();
        assert_eq!(token.encode().as_str(), text.trim());
    }
}

/// Words of a scope.
pub fn scope_words() -> &'static [String] {
    static WORDS: OnceLock<Vec<String>> = OnceLock::new();
    WORDS.get_or_init(|| {
        let text = "credentials classes modes products symbols operations network allow deny orders \
                    withdrawals sign execute read trade cancel account transfer withdraw keys logon \
                    other public spot margin linear inverse option [] = [ ] \"\" true types \
                    time_in_force reduce_only post_only max_quantity max_notional_usd price_band \
                    max_leverage margin_modes pricing usd_par slippage cumulative notional_usd per \
                    at_most open_orders hours timezone windows mon-fri 08:00-17:30 Europe/Berlin \
                    countries duplicates client_order_id order withdrawal addresses per_day shadow \
                    31d 24h 60s 0.01 1e30 -1 NaN 999999999999999999 limit market gtc isolated cross";
        text.split_whitespace().map(str::to_owned).collect()
    })
}

/// The traces of bots.
pub fn traceparent(data: &[u8]) {
    let Some(parent) = vault_front::traceparent(data) else {
        return;
    };
    super::take();
    let vault_front::Parent { trace_id, id, is_sampled } = parent;
    assert!(trace_id != [0; 16] && id != 0);
    // What was read is what stands there, in the one way in which it can.
    let trace_id = u128::from_be_bytes(trace_id);
    let ids = format!("-{trace_id:032x}-{id:016x}-");
    assert_eq!(&data[2..53], ids.as_bytes());
    assert_ne!(&data[..2], b"ff");
    let flags = std::str::from_utf8(&data[53..55]).expect("digits");
    let flags = u8::from_str_radix(flags, 16).expect("digits");
    assert_eq!(flags & 1 == 1, is_sampled);
    assert!(data.len() == 55 || (data[55] == b'-' && &data[..2] != b"00"));
}

/// Parts of a `traceparent`.
pub fn traceparent_words() -> &'static [String] {
    static WORDS: OnceLock<Vec<String>> = OnceLock::new();
    WORDS.get_or_init(|| {
        let text = "00- 01- ff- cc- -00 -01 -ff - -- 0 a F g 4bf92f3577b34da6a3ce929d0e0e4736 \
                    00000000000000000000000000000000 00f067aa0ba902b7 0000000000000000 -more";
        text.split_whitespace().map(str::to_owned).collect()
    })
}

/// Parts of URLs, plain and encoded.
pub fn proxy_words() -> &'static [String] {
    static WORDS: OnceLock<Vec<String>> = OnceLock::new();
    WORDS.get_or_init(|| {
        let text = "/https:// /https%3A%2F%2F /wss:// /wss%3A%2F%2F api.binance.com www.okx.com \
                    ws.okx.com :8443 %3A8443 :9443 :0443 :65536 /ws/v5/private /api/v3/order \
                    %2Fapi%2Fv3%2Forder ? %3F & %26 = %3D symbol=BTCUSDT %25 %252F %2e . .. // \
                    %2F%2F : :443 %3A443 @ %40 user:pass@ # %23 [::1] %5B%3A%3A1%5D 127.0.0.1 0x7f \
                    xn-- HTTPS http wss %0D%0A %00 %20 + \u{131} \u{e9} %C3%A9 %FF \\ %5C";
        text.split_whitespace().map(str::to_owned).collect()
    })
}

/// Members of an entry.
pub fn entry_words() -> &'static [String] {
    static WORDS: OnceLock<Vec<String>> = OnceLock::new();
    WORDS.get_or_init(|| {
        let text = include_str!("../../corpus/entry/first");
        text.split([',', '{', '}']).map(str::to_owned).collect()
    })
}
