//! Spans of ours as OpenTelemetry has them, and nothing that is none of ours.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind as Role;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, SpanFlags, Status};
use vault_ipc::trace::{SPANS_MAX, Span as Told, SpanKind, Trace};

/// Longest name of a client or venue, and longest code, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// `W3C` trace flags: the trace is recorded.
const SAMPLED: u32 = 1;

/// What of a trace may leave.
#[derive(Debug, PartialEq)]
pub(crate) struct Fit {
    pub spans: Vec<Span>,
    /// How many may not: no front of ours sends them.
    pub unfit: u64,
}

/// The spans of a call that are fit to leave.
pub(crate) fn spans(trace: Trace) -> Fit {
    let Trace { trace_id, spans } = trace;
    let told = spans.len();
    let is_id = trace_id.len() == 16 && trace_id.iter().any(|byte| *byte != 0);
    let spans: Vec<Span> = match is_id && told <= SPANS_MAX {
        true => spans.into_iter().filter_map(|told| span(&trace_id, told)).collect(),
        false => Vec::new(),
    };
    let unfit = (told - spans.len()) as u64;
    Fit { spans, unfit }
}

/// What a collector is sent.
pub(crate) fn request(instance: &str, spans: &[Span]) -> ExportTraceServiceRequest {
    let resource = Resource {
        attributes: vec![
            text("service.name", "countersign"),
            text("service.version", env!("CARGO_PKG_VERSION")),
            text("service.instance.id", instance),
        ],
        ..Resource::default()
    };
    let scope = InstrumentationScope {
        name: "countersign".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let of_scope =
        ScopeSpans { scope: Some(scope), spans: spans.to_vec(), ..ScopeSpans::default() };
    let of_resource = ResourceSpans {
        resource: Some(resource),
        scope_spans: vec![of_scope],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: vec![of_resource] }
}

fn span(trace_id: &[u8], told: Told) -> Option<Span> {
    let kind = told.kind();
    let is_ours = kind != SpanKind::Unspecified
        && told.id != 0
        && told.began_ns <= told.ended_ns
        && is_name(&told.client)
        && is_name(&told.venue)
        && is_code(&told.problem);
    if !is_ours {
        return None;
    }
    let role = match kind {
        SpanKind::Venue => Role::Client,
        kind if kind.is_call() => Role::Server,
        _ => Role::Internal,
    };
    let mut flags = SAMPLED | SpanFlags::ContextHasIsRemoteMask as u32;
    if told.is_continued {
        flags |= SpanFlags::ContextIsRemoteMask as u32;
    }
    let has_failed = !told.problem.is_empty();
    let status = Status {
        message: told.problem.clone(),
        code: if has_failed { StatusCode::Error } else { StatusCode::Unset }.into(),
    };
    Some(Span {
        trace_id: trace_id.to_vec(),
        span_id: told.id.to_be_bytes().to_vec(),
        parent_span_id: match told.parent {
            0 => Vec::new(),
            parent => parent.to_be_bytes().to_vec(),
        },
        flags,
        name: kind.name().to_owned(),
        kind: role.into(),
        start_time_unix_nano: told.began_ns,
        end_time_unix_nano: told.ended_ns,
        attributes: attributes(kind, told),
        status: Some(status),
        ..Span::default()
    })
}

fn attributes(kind: SpanKind, told: Told) -> Vec<KeyValue> {
    let mut attributes = Vec::new();
    if kind.is_call() {
        let outcome = if told.problem.is_empty() { "OK" } else { &told.problem };
        attributes.push(text("countersign.outcome", outcome));
    }
    for (key, value) in [("countersign.client", told.client), ("countersign.venue", told.venue)] {
        if !value.is_empty() {
            attributes.push(text(key, &value));
        }
    }
    let seq = Some(told.seq).filter(|seq| *seq != 0);
    let batch = Some(u64::from(told.batch)).filter(|size| *size != 0);
    let status = Some(u64::from(told.status)).filter(|status| *status != 0);
    for (key, value) in [
        ("countersign.entry_index", told.entry_index),
        ("countersign.seq", seq),
        ("countersign.batch.size", batch),
        ("http.response.status_code", status),
    ] {
        attributes.extend(value.and_then(|value| Some(int(key, i64::try_from(value).ok()?))));
    }
    attributes
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn int(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// Whether it may be the name of a client or of a venue, or is none.
fn is_name(text: &str) -> bool {
    let is_of_name =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    text.len() <= NAME_BYTES_MAX && text.bytes().all(is_of_name)
}

/// Whether it may be a code, or is none.
fn is_code(text: &str) -> bool {
    let is_of_code = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    text.len() <= NAME_BYTES_MAX && text.bytes().all(is_of_code)
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use vault_ipc::trace::{SPANS_MAX, Span, SpanKind, Trace};

    use super::{Fit, spans};

    fn told() -> Span {
        Span {
            id: 7,
            parent: 5,
            kind: SpanKind::Sign.into(),
            began_ns: 10,
            ended_ns: 20,
            client: "mm-1".to_owned(),
            venue: "okx".to_owned(),
            seq: 3,
            entry_index: Some(0),
            is_continued: true,
            ..Span::default()
        }
    }

    fn trace(spans: Vec<Span>) -> Trace {
        Trace { trace_id: vec![1; 16], spans }
    }

    #[test]
    fn a_span_has_what_it_was_told_with() {
        let Fit { spans, unfit: 0 } = spans(trace(vec![told()])) else { panic!("it is ours") };
        let [span] = spans.as_slice() else { panic!("one") };
        assert_eq!(
            (span.trace_id.as_slice(), span.name.as_str()),
            (&[1; 16][..], "countersign.sign")
        );
        assert_eq!((span.span_id[7], span.parent_span_id[7], span.flags), (7, 5, 0x301));
        let attributes: Vec<(&str, String)> = span
            .attributes
            .iter()
            .map(|one| {
                let value = one.value.clone().and_then(|value| value.value);
                let value = match value.expect("a value") {
                    Value::StringValue(text) => text,
                    Value::IntValue(number) => number.to_string(),
                    other => panic!("{other:?}"),
                };
                (one.key.as_str(), value)
            })
            .collect();
        assert_eq!(
            attributes,
            [
                ("countersign.outcome", "OK".to_owned()),
                ("countersign.client", "mm-1".to_owned()),
                ("countersign.venue", "okx".to_owned()),
                ("countersign.entry_index", "0".to_owned()),
                ("countersign.seq", "3".to_owned()),
            ]
        );
    }

    #[test]
    fn a_root_has_no_parent_and_no_foreign_flag() {
        let root = Span { parent: 0, is_continued: false, ..told() };
        let spans = spans(trace(vec![root])).spans;
        assert!(spans[0].parent_span_id.is_empty());
        assert_eq!(spans[0].flags, 0x101);
    }

    #[test]
    fn a_text_that_is_no_name_and_no_code_does_not_leave() {
        for bad in [
            Span { client: "-----BEGIN PRIVATE KEY-----".to_owned(), ..told() },
            Span { client: "A".to_owned(), ..told() },
            Span { venue: "a b".to_owned(), ..told() },
            Span { venue: "v".repeat(65), ..told() },
            Span { problem: "went wrong".to_owned(), ..told() },
            Span { problem: "X".repeat(65), ..told() },
            Span { kind: 99, ..told() },
            Span { id: 0, ..told() },
            Span { began_ns: 21, ..told() },
        ] {
            let fit = spans(trace(vec![told(), bad.clone(), told()]));
            assert_eq!((fit.spans.len(), fit.unfit), (2, 1), "{bad:?}");
            assert_eq!(fit, Fit { unfit: 1, ..spans(trace(vec![told(), told()])) }, "{bad:?}");
        }
        for id in [vec![0; 16], vec![1; 15], vec![1; 17], Vec::new()] {
            let fit = spans(Trace { trace_id: id, spans: vec![told(), told()] });
            assert_eq!(fit, Fit { spans: Vec::new(), unfit: 2 });
        }
        assert_eq!(spans(trace(vec![told(); SPANS_MAX])).unfit, 0);
        let fit = spans(trace(vec![told(); SPANS_MAX + 1]));
        assert_eq!(fit, Fit { spans: Vec::new(), unfit: SPANS_MAX as u64 + 1 });
    }
}
