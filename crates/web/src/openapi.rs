//! The description of the API, and the pages that show it.
//!
//! OpenAPI is made of the declarations of the routes, so it cannot say what they do not do. Invariant: no page makes
//! a request to another server.

use std::fmt::Write;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use stockd_model::Problem;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{OpenApi, PathItem, RefOr};

use crate::refused::Refused;
use crate::segments::Segments;

/// What stands at the top of the description.
#[derive(utoipa::OpenApi)]
#[openapi(info(
    title = "stockd",
    description = "What is the price of X now? Lookups, updates, trades and live quotes of stocks.",
    license(name = "MIT OR Apache-2.0")
), servers((url = "/", description = "This server.")), tags(
    (name = "quotes", description = "Quotes of stocks: reading and writing."),
    (name = "streams", description = "Live quotes."),
    (name = "operation", description = "How the server is.")
))]
pub(crate) struct Description;

/// The routes that answer with a description, made once.
pub(crate) fn routes(api: &OpenApi) -> axum::Router<Arc<crate::plane::Plane>> {
    let json = api.to_json().unwrap_or_default();
    let page = docs_page(api);
    axum::Router::new()
        .route(
            "/openapi.json",
            axum::routing::get(move || async move {
                ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], json)
            }),
        )
        .route("/docs", axum::routing::get(move || async move { html(page) }))
        .route("/problems/{name}", axum::routing::get(problem))
        .route("/problems", axum::routing::get(|| async { html(problems_page()) }))
}

async fn problem(Segments(name): Segments<String>) -> Result<Response, Refused> {
    let problem = Problem::find(&name).ok_or_else(|| {
        Refused::new(Problem::NoRoute, "there is no problem of this name; /problems lists them")
    })?;
    Ok(html(problem_page(problem)))
}

fn html(body: String) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, body).into_response()
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;\
    color-scheme:light dark}table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left;\
    vertical-align:top}code{font-size:.95em}h2{margin-top:2.5rem}";

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>{STYLE}</style>{body}</html>"
    )
}

fn problem_page(problem: Problem) -> String {
    let body = format!(
        "<h1>{}</h1><p>{}.</p><p>{}</p><table><tr><th>HTTP<td>{}<tr><th>gRPC<td>{} {}</table>\
         <p><a href=\"/problems\">all problems</a></p>",
        problem.name(),
        escaped(&capital(problem.title())),
        escaped(problem.remedy()),
        problem.status(),
        problem.grpc_code().name(),
        problem.reason(),
    );
    page(problem.name(), &body)
}

fn problems_page() -> String {
    let mut rows = String::new();
    for problem in Problem::ALL {
        let name = problem.name();
        let (status, code) = (problem.status(), problem.grpc_code().name());
        let title = escaped(problem.title());
        let row = format!(
            "<tr><td><a href=\"/problems/{name}\">{name}</a><td>{status}<td>{code}<td>{title}"
        );
        rows.push_str(&row);
    }
    let body = format!("<h1>Problems</h1><table><tr><th>type<th>HTTP<th>gRPC<th>is{rows}</table>");
    page("Problems", &body)
}

/// Every operation with its parameters and responses, as one plain page.
fn docs_page(api: &OpenApi) -> String {
    let mut body = String::from(
        "<h1>stockd</h1><p>For programs: <a href=\"/openapi.json\">/openapi.json</a> (OpenAPI 3.1). \
         Errors: <a href=\"/problems\">/problems</a>. Metrics: <a href=\"/metrics\">/metrics</a>.</p>",
    );
    for (path, item) in &api.paths.paths {
        for (method, operation) in operations(item) {
            body.push_str(&operation_section(method, path, operation));
        }
    }
    page("stockd", &body)
}

fn operations(item: &PathItem) -> impl Iterator<Item = (&'static str, &Operation)> {
    let all = [
        ("GET", &item.get),
        ("PUT", &item.put),
        ("PATCH", &item.patch),
        ("POST", &item.post),
        ("DELETE", &item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)))
}

fn operation_section(method: &str, path: &str, operation: &Operation) -> String {
    let mut section = format!("<h2><code>{method} {}</code></h2>", escaped(path));
    let texts = [&operation.summary, &operation.description];
    for text in texts.into_iter().flatten() {
        let _ = write!(section, "<p>{}</p>", escaped(text));
    }
    section.push_str("<table>");
    for parameter in operation.parameters.iter().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        let about = parameter.description.as_deref().unwrap_or_default();
        let name = escaped(&parameter.name);
        let _ = write!(section, "<tr><td><code>{name}</code><td>{}", escaped(about));
    }
    for (status, response) in &operation.responses.responses {
        let about = match response {
            RefOr::T(response) => response.description.as_str(),
            RefOr::Ref(_) => "",
        };
        let _ = write!(section, "<tr><td>{status}<td>{}", escaped(about));
    }
    section.push_str("</table>");
    section
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
