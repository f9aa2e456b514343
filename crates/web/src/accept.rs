//! Which form of an answer a client likes best (RFC 9110, section 12.5.1).
//!
//! It knows no routes. Invariant: where a client says nothing, it gets the first form that is offered.

use http::HeaderMap;
use http::header::ACCEPT;
use stockd_model::Problem;

use crate::refused::Refused;

/// The offered media type that the client likes best; of equal ones the first.
pub(crate) fn best<'a>(headers: &HeaderMap, offered: &[&'a str]) -> Result<&'a str, Refused> {
    let mut said = headers.get_all(ACCEPT).iter();
    // Most clients say nothing, take anything, or name one form.
    match (said.next(), said.next()) {
        (None, _) => return Ok(offered.first().copied().unwrap_or_default()),
        (Some(only), None) => {
            let is_named = |kind: &&&str| only == *kind || only == "*/*";
            if let Some(kind) = offered.iter().find(is_named) {
                return Ok(*kind);
            }
        }
        _ => {}
    }
    let mut best: Option<(&str, u16)> = None;
    for kind in offered {
        let quality = quality(kind, headers);
        if quality > best.map_or(0, |(_, quality)| quality) {
            best = Some((kind, quality));
        }
    }
    best.map(|(kind, _)| kind).ok_or_else(|| {
        let detail = format!("this answer can be had as {}", offered.join(" or "));
        Refused::new(Problem::NotAcceptable, detail)
    })
}

/// How much a media type is liked, in thousandths: what names it most closely counts.
fn quality(kind: &str, headers: &HeaderMap) -> u16 {
    let (main, _) = kind.split_once('/').unwrap_or((kind, ""));
    let mut closest = (0, 0);
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for range in accepted.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let is_main = |name: &str| name.eq_ignore_ascii_case(main);
        let closeness = match name {
            _ if name.eq_ignore_ascii_case(kind) => 3,
            _ if name.strip_suffix("/*").is_some_and(is_main) => 2,
            "*/*" => 1,
            _ => continue,
        };
        let weight = parts.find_map(|it| it.strip_prefix("q=").or(it.strip_prefix("Q=")));
        let weight = weight.and_then(|it| it.parse::<f32>().ok()).unwrap_or(1.0);
        if closeness > closest.0 {
            closest = (closeness, (weight.clamp(0.0, 1.0) * 1000.0) as u16);
        }
    }
    closest.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_that_is_liked_best_is_given() {
        let offered = ["application/json", "text/plain"];
        for (accept, expected) in [
            ("", Some("application/json")),
            ("*/*", Some("application/json")),
            ("text/plain", Some("text/plain")),
            ("text/*", Some("text/plain")),
            ("text/html, */*;q=0.1", Some("application/json")),
            ("application/json;q=0.5, text/plain", Some("text/plain")),
            ("text/plain;q=0, */*", Some("application/json")),
            ("TEXT/PLAIN", Some("text/plain")),
            ("image/png", None),
            ("application/json;q=0", None),
        ] {
            let mut headers = HeaderMap::new();
            if !accept.is_empty() {
                headers.insert(ACCEPT, accept.parse().unwrap());
            }
            assert_eq!(best(&headers, &offered).ok(), expected, "{accept}");
        }
    }
}
