//! The dashboard: the files of `crates/web/dashboard`, as they are there, out of the binary.
//!
//! It owns where they are found and how long browsers keep them, and knows nothing of what they do. The page is asked
//! for each time and answered with 304 where it is known. All else lies in a folder that is named by what is in it, so
//! it may be kept for ever: another build has another folder.
//!
//! Invariant: no page loads anything from another server, and the policy that is sent with each has browsers hold it to
//! that.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use axum::routing::get;
use data_encoding::HEXLOWER;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
};
use http::{HeaderMap, StatusCode};
use sha2::{Digest, Sha256};
use stockd_model::Problem;

use crate::plane::Plane;
use crate::refused::Refused;
use crate::segments::Segments;

/// Where the page lies.
pub(crate) const PATH: &str = "/";

/// Where its files lie.
pub(crate) const FOLDER: &str = "/dashboard/";

/// The page and its files may use this server and nothing else, and no page may frame them.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'";

/// A file of the dashboard.
struct File {
    name: &'static str,
    bytes: &'static [u8],
}

macro_rules! files {
    ($($name:literal,)+) => {
        /// All files but the page.
        const FILES: &[File] = &[$(File {
            name: $name,
            bytes: include_bytes!(concat!("../dashboard/", $name)),
        },)+];
    };
}

/// The page.
const INDEX: &str = include_str!("../dashboard/index.html");

files! {
    "api.js",
    "app.js",
    "book.js",
    "chart.js",
    "connection.js",
    "decimal.js",
    "history.js",
    "icon.svg",
    "listing.js",
    "page.js",
    "server.js",
    "sparkline.js",
    "stock.js",
    "strip.js",
    "style.css",
    "subscribers.js",
    "table.js",
    "theme.js",
    "vendor/uPlot.LICENSE",
    "vendor/uPlot.iife.min.js",
    "words.js",
}

/// The routes of the page and of its files.
pub(crate) fn routes() -> axum::Router<Arc<Plane>> {
    let digest = digest();
    let tag = format!("W/\"{digest}\"");
    let page: Arc<str> = INDEX.replace(FOLDER, &format!("{FOLDER}{digest}/")).into();
    axum::Router::new()
        .route(PATH, get(move |headers: HeaderMap| async move { index(&headers, &tag, &page) }))
        .route(
            "/dashboard/{digest}/{*name}",
            get(move |Segments((of, name)): Segments<(String, String)>| async move {
                file(&name, of == digest)
            }),
        )
}

/// What names these files: it is another one when any of them is.
fn digest() -> String {
    let mut hash = Sha256::new_with_prefix(INDEX);
    for File { name, bytes } in FILES {
        hash.update(name);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    HEXLOWER.encode(&hash.finalize()[..8])
}

fn index(headers: &HeaderMap, tag: &str, page: &Arc<str>) -> Response {
    let fixed = [
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "same-origin"),
        (ETAG, tag),
    ];
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let is_known = known.flat_map(|value| value.split(',')).any(|value| value.trim() == tag);
    if is_known {
        return (StatusCode::NOT_MODIFIED, fixed).into_response();
    }
    (fixed, [(CONTENT_TYPE, "text/html; charset=utf-8")], page.to_string()).into_response()
}

fn file(name: &str, is_of_this_build: bool) -> Result<Response, Refused> {
    let found = FILES.iter().find(|file| file.name == name).filter(|_| is_of_this_build);
    let Some(File { name, bytes }) = found else {
        let detail =
            "the dashboard has no such file; it may be of another build: load the page again";
        return Err(Refused::new(Problem::NoRoute, detail));
    };
    let headers = [
        (CONTENT_TYPE, kind(name)),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (CONTENT_SECURITY_POLICY, POLICY),
    ];
    Ok((headers, *bytes).into_response())
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Files below a folder, with slashes between.
    fn files_in(folder: &Path, prefix: &str, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            match entry.file_type().unwrap().is_dir() {
                true => files_in(&entry.path(), &format!("{name}/"), found),
                false => found.push(name),
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboard");
        let mut found = Vec::new();
        files_in(&folder, "", &mut found);
        found.retain(|name| name != "index.html");
        found.sort();
        let mut served: Vec<&str> = FILES.iter().map(|file| file.name).collect();
        served.sort_unstable();
        assert_eq!(served, found);
    }

    /// What the page names, and what modules import.
    #[test]
    fn every_file_that_is_named_is_there() {
        let is_there = |name: &str| FILES.iter().any(|file| file.name == name);
        let named = INDEX.split('"').filter_map(|text| text.strip_prefix(FOLDER));
        let named: Vec<&str> = named.collect();
        assert!(named.len() >= 5 && named.iter().all(|name| is_there(name)), "{named:?}");
        for file in FILES.iter().filter(|file| file.name.ends_with(".js")) {
            let text = String::from_utf8_lossy(file.bytes);
            let imports = text.lines().filter(|line| line.starts_with("import "));
            for line in imports {
                let from = line.split('\'').nth(1).unwrap().strip_prefix("./").unwrap();
                assert!(is_there(from), "{}: {line}", file.name);
            }
        }
    }
}
