//! One who sends a call as soon as the one before it is answered.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;
use vault_proto::v1;
use vault_proto::v1::sign_service_client::SignServiceClient;

use crate::bao::BaoLane;
use crate::reply::Replies;
use crate::work::{DENIED, Work, next_number};
use crate::{Error, echo, order};

/// Signs in one batch, and under way on one stream.
pub(crate) const TOGETHER: usize = 64;

/// How it asks, and what it was answered.
pub(crate) struct Lane {
    asker: Asker,
    replies: Replies,
}

pub(crate) enum Asker {
    Bao(BaoLane),
    Batch(SignServiceClient<Channel>, Work),
    Echo(Grpc<Channel>),
    Sign(Grpc<Channel>, Work),
    Stream(Box<SignStream>),
}

/// A stream with as many Signs under way as it may have.
pub(crate) struct SignStream {
    orders: mpsc::Sender<v1::SignRequest>,
    results: Streaming<v1::SignResult>,
    work: Work,
}

impl Lane {
    pub(crate) fn new(asker: Asker) -> Self {
        Self { asker, replies: Replies::default() }
    }

    /// Sends one call and waits for its answer; of a stream, for the next answer. Returns how many
    /// requests were answered: none if the vault turned the call away because too much was under way.
    pub(crate) async fn call(&mut self) -> Result<usize, Error> {
        let Self { asker, replies } = self;
        match asker {
            Asker::Bao(bao) => bao.call().await,
            Asker::Batch(client, work) => {
                let requests = (0..TOGETHER).map(|_| work.request(next_number())).collect();
                let answer = client.sign_batch(v1::SignBatchRequest { requests }).await?;
                let results = answer.into_inner().results;
                let count = results.len();
                results.into_iter().try_for_each(|result| one_of_many(result, replies))?;
                Ok(count)
            }
            Asker::Echo(grpc) => echo::call(grpc).await.map(|()| 1),
            Asker::Sign(grpc, work) => {
                let number = next_number();
                let answer = order::sign(grpc, *work, number).await;
                match (answer, work.is_denied(number)) {
                    (Ok(receipt), false) => {
                        let receipt = receipt.ok_or("a signature without a receipt")?;
                        replies.signed_at(receipt.index, &receipt.leaf_hash).map(|()| 1)
                    }
                    (Ok(_), true) => Err("signed what was to be denied".into()),
                    (Err(status), is_denied) => refusal(&status, is_denied, replies),
                }
            }
            Asker::Stream(stream) => {
                let result = stream.results.message().await?.ok_or("the stream ended")?;
                one_of_many(result, replies)?;
                stream.orders.send(stream.work.request(next_number())).await?;
                Ok(1)
            }
        }
    }

    /// Waits for what is still under way; returns all that was answered.
    pub(crate) async fn finish(self) -> Result<Replies, Error> {
        let mut replies = self.replies;
        if let Asker::Stream(stream) = self.asker {
            let SignStream { orders, mut results, .. } = *stream;
            drop(orders);
            while let Some(result) = results.message().await? {
                one_of_many(result, &mut replies)?;
            }
        }
        Ok(replies)
    }
}

impl SignStream {
    pub(crate) async fn open(
        mut client: SignServiceClient<Channel>,
        work: Work,
    ) -> Result<Self, Error> {
        let (orders, waiting) = mpsc::channel(TOGETHER);
        for _ in 0..TOGETHER {
            orders.send(work.request(next_number())).await?;
        }
        let results = client.sign_stream(ReceiverStream::new(waiting)).await?.into_inner();
        Ok(Self { orders, results, work })
    }
}

fn one_of_many(result: v1::SignResult, replies: &mut Replies) -> Result<(), Error> {
    match result.result {
        Some(v1::sign_result::Result::Signed(answer)) => replies.signed(answer.receipt),
        Some(v1::sign_result::Result::Failure(failure)) => Err(failure.reason.into()),
        None => Err("an answer without a result".into()),
    }
}

/// A denial that was asked for, or a call that was turned away; everything else is an error.
fn refusal(status: &Status, is_denied: bool, replies: &mut Replies) -> Result<usize, Error> {
    if status.code() == Code::ResourceExhausted {
        replies.refused += 1;
        return Ok(0);
    }
    let info = status.get_details_error_info().filter(|info| is_denied && info.reason == DENIED);
    let info = info.ok_or_else(|| format!("{:?}: {}", status.code(), status.message()))?;
    let entry_index = info.metadata.get("entry_index").map(|index| index.parse()).transpose()?;
    replies.denied(entry_index);
    Ok(1)
}
