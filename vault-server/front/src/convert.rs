//! Between the messages of the wire and those of the frames.

use vault_ipc::Chunk;
use vault_ipc::proto::v1;

/// A request that is one signed command and nothing else.
pub(crate) trait Commanded {
    /// The command, if the caller set it.
    fn into_command(self) -> Option<v1::SignedCommand>;
}

macro_rules! commanded {
    ($($request:ident)+) => {
        $(impl Commanded for v1::$request {
            fn into_command(self) -> Option<v1::SignedCommand> {
                self.command
            }
        })+
    };
}

commanded! {
    BeginImportRequest CancelAllRequest CheckCredentialRequest DeleteFeedRequest DeleteInstrumentsRequest DeleteScopeRequest
    DescribeClientRequest DescribeCredentialRequest DisableCredentialRequest EnableCredentialRequest
    ExplainRequest ExportRequest GetCheckpointRequest GetReplayRequest GetScopeRequest HaltRequest
    HaltStatusRequest ImportInstrumentsRequest ImportRequest InviteClientRequest
    InviteOperatorRequest ListClientsRequest ListCredentialsRequest ListInstrumentsRequest
    ListOperatorsRequest ListPricesRequest ListScopesRequest PutFeedRequest PutPricesRequest
    PutScopeRequest RenewRequest ResumeRequest RevokeClientRequest RevokeOperatorRequest SealRequest
    StartReplayRequest StatusRequest TailRequest UnsealRequest
}

/// A message of a stream of entries.
pub(crate) trait FromChunk {
    fn from_chunk(chunk: Chunk) -> Self;
}

impl FromChunk for v1::ExportResponse {
    fn from_chunk(chunk: Chunk) -> Self {
        Self {
            entries: chunk.entries,
            first_index: chunk.first_index,
            checkpoint: chunk.checkpoint,
        }
    }
}

impl FromChunk for v1::TailResponse {
    fn from_chunk(chunk: Chunk) -> Self {
        Self { entries: chunk.entries, first_index: chunk.first_index }
    }
}
