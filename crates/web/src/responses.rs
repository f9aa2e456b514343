//! What the description says of many routes alike: parameters, who may ask, and what is answered where something is wrong.
//!
//! It knows no handlers; what can be wrong is of the one table of [problems](Problem). Invariant: each operation has every status
//! that its requests can be answered with, each as a problem with the media type of RFC 9457.

use std::collections::BTreeMap;

use stockd_model::Problem;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder,
    SecurityRequirement,
};
use utoipa::{IntoParams, IntoResponses};

/// The stock that a path is about.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "a description")]
pub(crate) struct OfStock {
    /// one encoded segment: `BRK%2FA`. 1 to 48 bytes of UTF-8 without control and format characters
    #[param(min_length = 1, max_length = 48, pattern = r"^[^\u0000-\u001f\u007f-\u009f]+$")]
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

/// The problem of a write that carries an earlier time than the stock has.
pub(crate) struct Late;

/// The problem of a stock that must be there.
pub(crate) struct NotListed;

type Responses = BTreeMap<String, RefOr<Response>>;

impl IntoResponses for Late {
    fn responses() -> Responses {
        responses(&[Problem::Late])
    }
}

impl IntoResponses for NotListed {
    fn responses() -> Responses {
        responses(&[Problem::NotListed])
    }
}

/// What every request can be refused for.
const EVERY: [Problem; 7] = [
    Problem::InvalidRequest,
    Problem::Unauthenticated,
    Problem::NotPermitted,
    Problem::ForeignOrigin,
    Problem::UriTooLong,
    Problem::ForeignHost,
    Problem::Busy,
];
/// And one with a body.
const WITH_BODY: [Problem; 5] = [
    Problem::InvalidValue,
    Problem::TooSlow,
    Problem::BodyTooLarge,
    Problem::WrongMediaType,
    Problem::Stopping,
];
/// And one that writes.
const WRITES: [Problem; 4] =
    [Problem::ReadOnly, Problem::NotKept, Problem::ClusterDown, Problem::Uncertain];
/// And one whose answer has several forms, or one that a client may not accept.
const NEGOTIATED: [&str; 8] = [
    "GET /v1/stocks/{symbol}",
    "GET /v1/stock",
    "GET /v1/stocks",
    "POST /v1/lookup",
    "GET /v1/snapshot",
    "GET /v1/stream",
    "POST /v1/stream",
    "GET /metrics",
];

/// Gives every operation the problems that its requests can have, beside those that its route declares, and says how a client
/// shows who it is.
pub(crate) fn complete(api: &mut OpenApi) {
    for (path, item) in &mut api.paths.paths {
        let operations = [
            ("GET", &mut item.get),
            ("PUT", &mut item.put),
            ("PATCH", &mut item.patch),
            ("POST", &mut item.post),
            ("DELETE", &mut item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                let problems = problems_of(method, path, operation);
                add(&mut operation.responses.responses, &problems);
            }
        }
    }
    let scheme = |kind, about: &str| {
        SecurityScheme::Http(HttpBuilder::new().scheme(kind).description(Some(about)).build())
    };
    let components = api.components.get_or_insert_with(Components::new);
    components.add_security_scheme("bearer", scheme(HttpAuthScheme::Bearer, "a token"));
    let basic = "the user, and its token as the password";
    components.add_security_scheme("basic", scheme(HttpAuthScheme::Basic, basic));
    let named = |name| SecurityRequirement::new(name, Vec::<String>::new());
    // The first: a server without an access file asks for nothing, nor does one for what its user `anonymous` may do.
    api.security = Some(vec![SecurityRequirement::default(), named("bearer"), named("basic")]);
}

/// What a request of this operation can be refused for.
fn problems_of(method: &str, path: &str, operation: &Operation) -> Vec<Problem> {
    let mut problems = EVERY.to_vec();
    if operation.request_body.is_some() {
        problems.extend(WITH_BODY);
    }
    let is_of_quotes = path.starts_with("/v1/stocks/") || path == "/v1/updates";
    if is_of_quotes && method != "GET" {
        problems.extend(WRITES);
    }
    if NEGOTIATED.contains(&&*format!("{method} {path}")) {
        problems.push(Problem::NotAcceptable);
    }
    for parameter in operation.parameters.iter().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        match parameter.name.as_str() {
            "symbol" => problems.push(Problem::InvalidSymbol),
            "If-Match" => {
                problems.extend([Problem::InvalidCondition, Problem::VersionDiffers]);
            }
            "If-None-Match" => problems.push(Problem::InvalidCondition),
            _ => {}
        }
    }
    problems
}

/// Adds responses for these problems. One that is there says them, too.
fn add(there: &mut Responses, problems: &[Problem]) {
    for (status, response) in responses(problems) {
        match (there.get_mut(&status), response) {
            (Some(RefOr::T(declared)), RefOr::T(response)) => {
                declared.description =
                    format!("{}; {}", declared.description, response.description);
            }
            (_, response) => _ = there.insert(status, response),
        }
    }
}

/// A response for each status that these problems have.
fn responses(problems: &[Problem]) -> Responses {
    let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for problem in problems {
        let titles = by_status.entry(problem.status()).or_default();
        if !titles.contains(&problem.title()) {
            titles.push(problem.title());
        }
    }
    let response = |(status, titles): (u16, Vec<&str>)| {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new().description(titles.join("; "));
        let response = response.content("application/problem+json", content).build();
        (status.to_string(), RefOr::T(response))
    };
    by_status.into_iter().map(response).collect()
}
