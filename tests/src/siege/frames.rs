//! HTTP/2 by hand: RFC 9113 for frames, RFC 7541 for the few headers that a call needs.

use prost::Message as _;
use vault_client::v1;

use crate::okx_balance;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const ACK: u8 = 1;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

const INITIAL_WINDOW_SIZE: u16 = 4;

/// Appends a frame.
pub(super) fn put(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    bytes.extend_from_slice(&length[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

/// How a connection begins; its streams may send so much until a window is opened.
pub(super) fn opening(initial_window: u32) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let mut setting = INITIAL_WINDOW_SIZE.to_be_bytes().to_vec();
    setting.extend_from_slice(&initial_window.to_be_bytes());
    put(&mut bytes, SETTINGS, 0, 0, &setting);
    bytes
}

/// The headers of a Sign.
pub(super) fn sign_headers() -> Vec<u8> {
    // `:method POST` and `:scheme https` from the static table; the rest are literals.
    let mut block = vec![0x83, 0x87];
    literal(&mut block, &[0x04], b"/vault.v1.SignService/Sign");
    literal(&mut block, &[0x01], b"127.0.0.1");
    literal(&mut block, &[0x0f, 0x10], b"application/grpc");
    block.push(0);
    block.push(2);
    block.extend_from_slice(b"te");
    block.push(8);
    block.extend_from_slice(b"trailers");
    block
}

fn literal(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.extend_from_slice(name);
    block.push(u8::try_from(value.len()).expect("short"));
    block.extend_from_slice(value);
}

/// A header that no table has, of about `bytes`, as part of a block.
pub(super) fn padding(bytes: usize) -> Vec<u8> {
    let mut block = Vec::with_capacity(bytes + 200);
    while block.len() < bytes {
        block.push(0);
        block.extend_from_slice(&[2, b'x', b'y', 100]);
        block.extend_from_slice(&[b'z'; 100]);
    }
    block
}

/// The body of a Sign: a message of gRPC.
pub(super) fn sign_body(request_id: String) -> Vec<u8> {
    let request = v1::SignRequest {
        request_id,
        credential: "okx-main".to_owned(),
        request: Some(okx_balance()),
    };
    let message = request.encode_to_vec();
    let mut body = vec![0];
    body.extend_from_slice(&u32::try_from(message.len()).expect("short").to_be_bytes());
    body.extend_from_slice(&message);
    body
}
