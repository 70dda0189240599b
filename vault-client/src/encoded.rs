//! A call whose message is encoded before it is sent: who may have to send it again encodes it once, and
//! keeps no copy of its texts.

use std::marker::PhantomData;

use prost::Message;
use prost::bytes::{BufMut as _, Bytes};
use tonic::Status;
use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic_prost::ProstDecoder;

/// An encoded message, answered by a message.
#[derive(Debug)]
pub(crate) struct Encoded<R>(PhantomData<R>);

/// Puts an encoded message where it goes.
#[derive(Debug)]
pub(crate) struct AsItIs;

impl<R> Encoded<R> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<R: Message + Default + 'static> Codec for Encoded<R> {
    type Encode = Bytes;
    type Decode = R;
    type Encoder = AsItIs;
    type Decoder = ProstDecoder<R>;

    fn encoder(&mut self) -> AsItIs {
        AsItIs
    }

    fn decoder(&mut self) -> ProstDecoder<R> {
        ProstDecoder::default()
    }
}

impl Encoder for AsItIs {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}
