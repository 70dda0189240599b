//! A call whose message is encoded before it is sent: who may have to send it again encodes it once, and
//! keeps no copy of its texts.

use std::marker::PhantomData;

use prost::Message;
use prost::bytes::{BufMut as _, Bytes};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

/// An encoded message, answered by a message.
#[derive(Debug)]
pub(crate) struct Encoded<R>(PhantomData<R>);

/// Puts an encoded message where it goes.
#[derive(Debug)]
pub(crate) struct AsItIs;

/// Takes a message.
#[derive(Debug)]
pub(crate) struct Decoded<R>(PhantomData<R>);

impl<R> Encoded<R> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<R: Message + Default + 'static> Codec for Encoded<R> {
    type Encode = Bytes;
    type Decode = R;
    type Encoder = AsItIs;
    type Decoder = Decoded<R>;

    fn encoder(&mut self) -> AsItIs {
        AsItIs
    }

    fn decoder(&mut self) -> Decoded<R> {
        Decoded(PhantomData)
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

impl<R: Message + Default> Decoder for Decoded<R> {
    type Item = R;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<R>, Status> {
        // As the generated clients say it. The error names fields and no content.
        R::decode(buffer).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}
