//! What the description says of many routes alike: parameters, and what is answered where something is wrong.
//!
//! It knows no handlers. Invariant: what is wrong is described as a problem, with the media type of RFC 9457.

use std::collections::BTreeMap;

use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, Response, ResponseBuilder};
use utoipa::{IntoParams, IntoResponses};

/// The stock that a path is about.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "a description")]
pub(crate) struct OfStock {
    /// one encoded segment: `BRK%2FA`
    #[param(max_length = 48, pattern = r"^[A-Za-z0-9][A-Za-z0-9./^-]{0,47}$")]
    symbol: String,
}

/// The condition that most writes can have.
pub(crate) struct IfMatch;

/// The ETag of a quote that a reader has already.
pub(crate) struct IfNoneMatch;

impl IntoParams for IfMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![etag("If-Match", "the ETag that the stock is to have, or * for any")]
    }
}

impl IntoParams for IfNoneMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![etag("If-None-Match", "an ETag that is known")]
    }
}

/// A header that may be given, with an ETag or `*`.
fn etag(name: &str, about: &str) -> Parameter {
    let tag = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(r#"^(\*|"[0-9a-f]{16}\.[0-9]{1,9}(\.[0-9]{1,9})?")$"#));
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(about))
        .schema(Some(tag))
        .build()
}

/// Problems of every write of one stock.
pub(crate) struct WriteProblems;

/// The problem of a write that carries an earlier time than the stock has.
pub(crate) struct Late;

/// Problems of every request with a body.
pub(crate) struct BodyProblems;

/// The problem of a stock that must be there.
pub(crate) struct NotListed;

type Responses = BTreeMap<String, RefOr<Response>>;

impl IntoResponses for WriteProblems {
    fn responses() -> Responses {
        problems(&[
            (400, "the body, symbol or condition cannot be understood"),
            (412, "the condition does not hold"),
            (503, "it could not be kept"),
        ])
    }
}

impl IntoResponses for BodyProblems {
    fn responses() -> Responses {
        problems(&[(413, "the body is too large"), (415, "the body is of another type")])
    }
}

impl IntoResponses for Late {
    fn responses() -> Responses {
        problems(&[(409, "it is late")])
    }
}

impl IntoResponses for NotListed {
    fn responses() -> Responses {
        problems(&[(404, "not listed")])
    }
}

fn problems(problems: &[(u16, &str)]) -> Responses {
    let response = |(status, about): &(u16, &str)| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new().description(*about);
        let response = response.content("application/problem+json", content).build();
        (status.to_string(), RefOr::T(response))
    };
    problems.iter().map(response).collect()
}
