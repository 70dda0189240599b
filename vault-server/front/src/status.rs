//! Failures as gRPC statuses: the one place that knows both.

use std::collections::HashMap;
use std::time::Duration;

use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};
use vault_ipc::proto::{ERROR_DOMAIN, v1};
use vault_ipc::{Code, Failure};

/// The status of a failure, with its machine-readable parts as `google.rpc` details.
pub(crate) fn from_failure(failure: Failure) -> Status {
    let mut details = ErrorDetails::new();
    if failure.retry_after_ms > 0 {
        details.set_retry_info(Some(Duration::from_millis(failure.retry_after_ms)));
    }
    let code = code(failure.code());
    let v1::SignFailure { message, reason, metadata, .. } = sign_failure(failure);
    details.set_error_info(reason, ERROR_DOMAIN, metadata);
    Status::with_error_details(code, message, details)
}

/// The same of one Sign among others.
pub(crate) fn sign_failure(failure: Failure) -> v1::SignFailure {
    let code = code(failure.code()).into();
    let mut metadata = HashMap::new();
    if !failure.operation.is_empty() {
        metadata.insert("operation".to_owned(), failure.operation);
    }
    if !failure.class.is_empty() {
        metadata.insert("class".to_owned(), failure.class);
    }
    if !failure.remedies.is_empty() {
        // Words without spaces.
        metadata.insert("remedies".to_owned(), failure.remedies.join(" "));
    }
    if !failure.hint.is_empty() {
        metadata.insert("hint".to_owned(), failure.hint);
    }
    if let Some(index) = failure.entry_index {
        metadata.insert("entry_index".to_owned(), index.to_string());
    }
    if failure.retry_after_ms > 0 {
        metadata.insert("retry_after_ms".to_owned(), failure.retry_after_ms.to_string());
    }
    v1::SignFailure { code, message: failure.message, reason: failure.reason, metadata }
}

fn code(code: Code) -> tonic::Code {
    match code {
        Code::BadRequest => tonic::Code::InvalidArgument,
        Code::Conflict => tonic::Code::AlreadyExists,
        Code::DeadlineExceeded => tonic::Code::DeadlineExceeded,
        Code::Denied => tonic::Code::PermissionDenied,
        Code::Exhausted => tonic::Code::ResourceExhausted,
        Code::Internal | Code::Unspecified => tonic::Code::Internal,
        Code::NotFound => tonic::Code::NotFound,
        Code::Precondition => tonic::Code::FailedPrecondition,
        Code::Sealed | Code::Unavailable => tonic::Code::Unavailable,
        Code::Unauthenticated => tonic::Code::Unauthenticated,
    }
}

/// A call that this listener does not offer.
pub(crate) fn not_served() -> Status {
    Status::unimplemented("not served on this listener")
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;
    use vault_ipc::{Code, Failure};

    use super::from_failure;

    #[test]
    fn every_code_has_its_status() {
        let expected = [
            (Code::Unspecified, tonic::Code::Internal),
            (Code::BadRequest, tonic::Code::InvalidArgument),
            (Code::Conflict, tonic::Code::AlreadyExists),
            (Code::DeadlineExceeded, tonic::Code::DeadlineExceeded),
            (Code::Denied, tonic::Code::PermissionDenied),
            (Code::Exhausted, tonic::Code::ResourceExhausted),
            (Code::Internal, tonic::Code::Internal),
            (Code::NotFound, tonic::Code::NotFound),
            (Code::Precondition, tonic::Code::FailedPrecondition),
            (Code::Sealed, tonic::Code::Unavailable),
            (Code::Unauthenticated, tonic::Code::Unauthenticated),
            (Code::Unavailable, tonic::Code::Unavailable),
        ];
        for (code, status) in expected {
            assert_eq!(from_failure(Failure::new(code, "R", "words")).code(), status, "{code:?}");
        }
    }

    #[test]
    fn details_carry_what_is_set_and_nothing_else() {
        let full = Failure {
            operation: "okx.trade.order".to_owned(),
            class: "trade".to_owned(),
            remedies: vec!["execute".to_owned(), "rights=a,b".to_owned()],
            entry_index: Some(0),
            retry_after_ms: 1500,
            ..Failure::new(Code::Denied, "SYMBOL_NOT_GRANTED", "symbol is not granted")
                .with_hint("ask an admin")
        };

        let status = from_failure(full);
        assert_eq!(status.message(), "symbol is not granted");
        let details = status.get_error_details();
        let info = details.error_info().expect("always set");
        assert_eq!(info.reason, "SYMBOL_NOT_GRANTED");
        assert_eq!(info.domain, "countersign");
        assert_eq!(info.metadata["operation"], "okx.trade.order");
        assert_eq!(info.metadata["class"], "trade");
        assert_eq!(info.metadata["remedies"], "execute rights=a,b");
        assert_eq!(info.metadata["entry_index"], "0");
        assert_eq!(info.metadata["hint"], "ask an admin");
        assert_eq!(info.metadata["retry_after_ms"], "1500");
        let delay = details.retry_info().expect("set").retry_delay;
        assert_eq!(delay, Some(std::time::Duration::from_millis(1500)));

        let bare = from_failure(Failure::new(Code::Sealed, "SEALED", "vault is sealed"));
        let details = bare.get_error_details();
        assert!(details.error_info().expect("always set").metadata.is_empty());
        assert!(details.retry_info().is_none());
    }
}
