//! What answers mean: quotes, lookups of many names, pages, outcomes of updates, problems.
//!
//! It knows no connections. Invariant: an answer that is not whole, or of another form, is [`Error::NotAReply`] and never
//! taken for 'not listed'.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, ETAG, HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use serde_json::{Map, Value};
use stockd_model::{Problem, Quote, escaped};

use super::error::{Error, Refused};
use super::etag::{ETag, Tagged};
use super::pool::Reply;
use crate::error::excerpt;
use crate::payload::Payload;

/// What was found of many names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The quotes of those that are listed, by the name as it was given.
    pub quotes: HashMap<String, Quote>,
    /// Those that are not listed, or can be no symbols.
    pub missing: Vec<String>,
    /// Those that the client may not read, whether they are listed or not.
    pub forbidden: Vec<String>,
}

/// A page of all stocks.
pub(super) struct Page {
    pub(super) quotes: Vec<Quote>,
    pub(super) next: Option<String>,
}

impl Reply {
    /// That it has this status.
    pub(super) fn is(self, status: StatusCode) -> Result<Reply, Error> {
        if self.status == status { Ok(self) } else { Err(self.error()) }
    }

    /// The body as one line of text.
    pub(super) fn line(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok().map(str::trim_end)
    }

    /// A quote and its mark.
    pub(super) fn tagged(self) -> Result<Tagged, Error> {
        let etag = self.headers.get(ETAG).and_then(|it| it.to_str().ok()?.parse::<ETag>().ok());
        let payload: Option<Payload<'_>> = serde_json::from_slice(&self.body).ok();
        match (payload.and_then(Payload::quote), etag) {
            (Some(quote), Some(etag)) => Ok(Tagged { quote, etag }),
            _ => Err(self.not_a_reply()),
        }
    }

    /// Adds what it says of these names.
    pub(super) fn found(self, asked: &[&str], found: &mut Found) -> Result<(), Error> {
        #[derive(Deserialize)]
        struct Answer<'a> {
            #[serde(borrow)]
            quotes: HashMap<Cow<'a, str>, Payload<'a>>,
            missing: Vec<String>,
            #[serde(default)]
            forbidden: Vec<String>,
        }
        let answer: Option<Answer<'_>> = serde_json::from_slice(&self.body).ok();
        let Some(answer) = answer else { return Err(self.not_a_reply()) };
        let others: HashSet<&str> =
            answer.missing.iter().chain(&answer.forbidden).map(String::as_str).collect();
        if !asked.iter().all(|name| answer.quotes.contains_key(*name) || others.contains(name)) {
            return Err(self.not_a_reply());
        }
        for (name, payload) in answer.quotes {
            let Some(quote) = payload.quote() else { return Err(self.not_a_reply()) };
            found.quotes.insert(name.into_owned(), quote);
        }
        found.missing.extend(answer.missing);
        found.forbidden.extend(answer.forbidden);
        Ok(())
    }

    pub(super) fn page(self) -> Result<Page, Error> {
        #[derive(Deserialize)]
        struct Answer<'a> {
            #[serde(borrow)]
            quotes: Vec<Payload<'a>>,
            next: Option<String>,
        }
        let answer: Option<Answer<'_>> = serde_json::from_slice(&self.body).ok();
        let page = answer.and_then(|Answer { quotes, next }| {
            let quotes = quotes.into_iter().map(Payload::quote).collect::<Option<_>>()?;
            Some(Page { quotes, next })
        });
        page.ok_or_else(|| self.not_a_reply())
    }

    /// Which of this number of updates were refused, by their place from 0.
    pub(super) fn refused_updates(self, updates: usize) -> Result<HashMap<usize, Refused>, Error> {
        #[derive(Deserialize)]
        struct Answer {
            done: usize,
            refused: Vec<Line>,
        }
        #[derive(Deserialize)]
        struct Line {
            line: usize,
            problem: Map<String, Value>,
        }
        let answer: Option<Answer> = serde_json::from_slice(&self.body).ok();
        let lines = answer.and_then(|Answer { done, refused: lines }| {
            let line = |Line { line, problem }: Line| {
                let place = line.checked_sub(1).filter(|place| *place < updates)?;
                Some((place, refused(problem, &HeaderMap::new())?))
            };
            let lines: HashMap<_, _> = lines.into_iter().map(line).collect::<Option<_>>()?;
            // Each line once.
            (done.checked_add(lines.len()) == Some(updates)).then_some(lines)
        });
        lines.ok_or_else(|| self.not_a_reply())
    }

    /// Why it is not what was asked for.
    pub(super) fn error(self) -> Error {
        let kind = self.headers.get(CONTENT_TYPE);
        let is_problem = kind.is_some_and(|kind| kind.as_bytes() == b"application/problem+json");
        let problem = serde_json::from_slice(&self.body).ok().filter(|_| is_problem);
        match problem.and_then(|problem| refused(problem, &self.headers)) {
            Some(refused) => Box::new(refused).into(),
            None => self.not_a_reply(),
        }
    }

    fn not_a_reply(&self) -> Error {
        Error::NotAReply {
            server: self.server.clone(),
            status: self.status.as_u16(),
            reply: excerpt(&self.body),
        }
    }
}

/// The refusal that this problem (RFC 9457) is; `None` if it is none.
fn refused(mut problem: Map<String, Value>, headers: &HeaderMap) -> Option<Refused> {
    let kind = problem.remove("type")?;
    let status = problem.remove("status")?.as_u64()?.try_into().ok()?;
    let detail = problem.remove("detail")?;
    problem.remove("title");
    let name = kind.as_str()?.rsplit('/').next().unwrap_or_default();
    let seconds = headers.get(RETRY_AFTER).and_then(|it| it.to_str().ok()?.parse().ok());
    Some(Refused {
        problem: Problem::find(name),
        status,
        detail: escaped(detail.as_str()?).to_string(),
        values: problem,
        retry_after: seconds.map(Duration::from_secs),
    })
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn reply(status: u16, kind: &'static str, body: &'static str) -> Reply {
        let headers = [(CONTENT_TYPE, HeaderValue::from_static(kind))];
        Reply {
            server: "127.0.0.1:7880".parse().unwrap(),
            status: StatusCode::from_u16(status).unwrap(),
            headers: headers.into_iter().collect(),
            body: body.into(),
        }
    }

    #[test]
    fn a_problem_is_read_with_its_values_and_nothing_else_is_one() {
        const PROBLEM: &str = r#"{"type":"/problems/volume-too-low","title":"t","status":409,"detail":"volume of 'A' is 3, cannot take 5","symbol":"A","volume":"3"}"#;
        let error = reply(409, "application/problem+json", PROBLEM).error();
        assert_eq!(error.to_string(), "volume of 'A' is 3, cannot take 5");
        assert_eq!(error.problem(), Some(Problem::VolumeTooLow));
        let Error::Refused(refused) = error else { panic!("{error:?}") };
        assert_eq!((refused.status, refused.values.len()), (409, 2));
        assert_eq!(refused.values["volume"], "3");

        let later = r#"{"type":"/problems/of-a-later-version","status":400,"detail":"d"}"#;
        let error = reply(400, "application/problem+json", later).error();
        assert!(matches!(&error, Error::Refused(refused) if refused.problem.is_none()), "{error}");
        for (status, kind, body) in [
            (502, "text/html", "<h1>Bad Gateway</h1>"),
            (404, "text/html", PROBLEM),
            (404, "application/problem+json", "{}"),
            (404, "application/problem+json", "[]"),
            (404, "application/problem+json", r#"{"type":"x","status":"404","detail":"d"}"#),
        ] {
            let error = reply(status, kind, body).error();
            assert!(matches!(error, Error::NotAReply { .. }), "{body}: {error}");
        }
    }

    #[test]
    fn half_an_answer_is_none() {
        let json = |body| reply(200, "application/json", body);
        let mut found = Found::default();
        json(r#"{"quotes":{},"missing":["B"]}"#).found(&["B", "B"], &mut found).unwrap();
        assert_eq!(found.missing, ["B"]);
        for body in [
            "",
            "{",
            r#"{"quotes":{}}"#,
            r#"{"quotes":{"A":{}},"missing":[]}"#,
            // Of one of the names it says nothing.
            r#"{"quotes":{},"missing":["A"]}"#,
        ] {
            assert!(json(body).found(&["A", "B"], &mut found).is_err(), "{body}");
        }
        let quote = r#"{"symbol":"A","status":"trading","price":"1","version":1,"updated":"2026-09-21T14:13:20Z"}"#;
        assert!(json(quote).tagged().is_err(), "it has no ETag");
        let refused = |body| json(body).refused_updates(2);
        let line = r#"{"done":1,"refused":[{"line":2,"problem":{"type":"/problems/late","status":409,"detail":"d"}}]}"#;
        let lines = refused(line).unwrap();
        assert_eq!((lines.len(), lines[&1].problem), (1, Some(Problem::Late)));
        for body in [
            r#"{"done":1,"refused":[]}"#,
            r#"{"done":1,"refused":[{"line":3,"problem":{"type":"late","status":409,"detail":"d"}}]}"#,
            r#"{"done":1,"refused":[{"line":0,"problem":{"type":"late","status":409,"detail":"d"}}]}"#,
            r#"{"done":0,"refused":[{"line":1,"problem":{"type":"late","status":409,"detail":"d"}},{"line":1,"problem":{"type":"late","status":409,"detail":"d"}}]}"#,
        ] {
            assert!(refused(body).is_err(), "{body}");
        }
    }
}
