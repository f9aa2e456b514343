//! The trace that a request is part of (W3C Trace Context), for the log.
//!
//! It owns the form of `traceparent`, and the line of the log that a request has at level debug. Invariant: what is no
//! trace is not written to the log.

use std::time::Duration;

use http::{Method, Request, StatusCode};

/// A request as the log names it; nothing where the log does not want it.
#[derive(Debug)]
pub(crate) struct Trace(Option<Box<Named>>);

#[derive(Debug)]
struct Named {
    method: Method,
    path: String,
    /// Of the trace, and of the span that made the request.
    ids: Option<(String, String)>,
}

impl Trace {
    pub(crate) fn begin<B>(request: &Request<B>) -> Trace {
        if !tracing::enabled!(tracing::Level::DEBUG) {
            return Trace(None);
        }
        let text = request.headers().get("traceparent").and_then(|it| it.to_str().ok());
        let ids = text.and_then(parse).map(|(trace, span)| (trace.to_owned(), span.to_owned()));
        let path = stockd_model::escaped(request.uri().path().as_bytes()).at_most(200).to_string();
        Trace(Some(Box::new(Named { method: request.method().clone(), path, ids })))
    }

    /// The response begins.
    pub(crate) fn end(self, status: StatusCode, took: Duration) {
        let Trace(Some(named)) = self else { return };
        let Named { method, path, ids } = *named;
        let (status, microseconds) = (status.as_u16(), took.as_micros() as u64);
        match ids {
            Some((trace_id, parent_id)) => {
                tracing::debug!(trace_id, parent_id, status, microseconds, "{method} {path}");
            }
            None => tracing::debug!(status, microseconds, "{method} {path}"),
        }
    }
}

/// The ids of the trace and of the span that made the request: of version 00, or what later versions have in common.
fn parse(text: &str) -> Option<(&str, &str)> {
    let mut parts = text.trim().split('-');
    let (version, trace, span, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, length: usize| {
        text.len() == length && text.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_id =
        |text: &str, length: usize| is_hex(text, length) && text.bytes().any(|it| it != b'0');
    let is_version =
        is_hex(version, 2) && version != "ff" && (version != "00" || parts.next().is_none());
    (is_version && is_id(trace, 32) && is_id(span, 16) && is_hex(flags, 2)).then_some((trace, span))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_trace_is_read_and_nothing_else() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        assert_eq!(parse(&format!("00-{trace}-{span}-01")), Some((trace, span)));
        assert_eq!(parse(&format!("01-{trace}-{span}-01-more")), Some((trace, span)));
        let zeros = "0".repeat(32);
        for wrong in [
            String::new(),
            format!("00-{trace}-{span}"),
            format!("00-{trace}-{span}-01-more"),
            format!("ff-{trace}-{span}-01"),
            format!("00-{zeros}-{span}-01"),
            format!("00-{trace}-{}-01", &zeros[..16]),
            format!("00-{}-{span}-01", trace.to_uppercase()),
            format!("00-{trace}-{span}-0x"),
        ] {
            assert_eq!(parse(&wrong), None, "{wrong}");
        }
    }
}
