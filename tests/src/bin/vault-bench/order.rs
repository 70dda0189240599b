//! A Sign as the echo is called, without what only a bot would do with it: an order is encoded once for
//! all calls but for its id, and of the answer what is looked up in the log is taken out. So what the load
//! generator spends on it is what gRPC and TLS cost.

use bytes::BufMut as _;
use tonic::Status;
use tonic::client::Grpc;
use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic_prost::ProstDecoder;

use crate::work::{Work, put_id};

/// Has the request of a number signed; fails if it is not, or if the answer has no signed request.
pub(crate) async fn sign(
    grpc: &mut Grpc<Channel>,
    work: Work,
    number: u64,
) -> Result<Option<Receipt>, Status> {
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let order = Order { number, rest: work.rest(number) };
    let path = PathAndQuery::from_static("/vault.v1.SignService/Sign");
    let answer = grpc.unary(tonic::Request::new(order), path, OrderCodec).await?;
    let Answer { request, receipt } = answer.into_inner();
    if request.is_none() {
        return Err(Status::data_loss("an answer without a signed request"));
    }
    Ok(receipt)
}

/// A `SignRequest`.
struct Order {
    number: u64,
    /// All but its id, encoded.
    rest: &'static [u8],
}

/// What is looked at of a `SignResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct Answer {
    /// That it is there.
    #[prost(message, optional, tag = "1")]
    request: Option<()>,
    #[prost(message, optional, tag = "3")]
    receipt: Option<Receipt>,
}

/// What is looked at of a receipt.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Receipt {
    #[prost(uint64, tag = "2")]
    pub(crate) index: u64,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) leaf_hash: Vec<u8>,
}

struct OrderCodec;

struct OrderEncoder;

impl Codec for OrderCodec {
    type Encode = Order;
    type Decode = Answer;
    type Encoder = OrderEncoder;
    type Decoder = ProstDecoder<Answer>;

    fn encoder(&mut self) -> OrderEncoder {
        OrderEncoder
    }

    fn decoder(&mut self) -> ProstDecoder<Answer> {
        ProstDecoder::default()
    }
}

impl Encoder for OrderEncoder {
    type Item = Order;
    type Error = Status;

    fn encode(&mut self, order: Order, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        put_id(order.number, buffer);
        buffer.put_slice(order.rest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use vault_proto::v1;

    use super::{Answer, Receipt};

    #[test]
    fn what_is_looked_at_is_what_the_vault_says() {
        let receipt =
            v1::Receipt { index: 300, leaf_hash: vec![7; 32], log_origin: "vault".to_owned() };
        let answer = v1::SignResponse {
            request: Some(v1::SignedRequest { method: "POST".to_owned(), ..Default::default() }),
            receipt: Some(receipt),
            seq: 5,
            ..Default::default()
        };
        let looked = Answer::decode(answer.encode_to_vec().as_slice()).expect("decodes");

        assert_eq!(looked.request, Some(()));
        assert_eq!(looked.receipt, Some(Receipt { index: 300, leaf_hash: vec![7; 32] }));
        let looked = Answer::decode(&b""[..]).expect("decodes");
        assert_eq!(looked, Answer { request: None, receipt: None });
    }
}
