//! What stands behind the `?` of an address.
//!
//! It knows the forms of values, and no routes. Invariant: nothing is ignored: a parameter that a path does not
//! have is an error, so that a typing error cannot pass for a wish.

use axum::extract::{FromRequestParts, Query as Pairs};
use http::request::Parts;
use stockd_model::Problem;

use crate::refused::Refused;

/// Parameters, in their order, with their values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// That it has these parameters alone.
    pub(crate) fn only(self, names: &[&str]) -> Result<Query, Refused> {
        match self.0.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            None => Ok(self),
            Some((name, _)) => {
                let shown = stockd_model::escaped(name.as_bytes()).at_most(100).to_string();
                let there = match names.is_empty() {
                    true => "none".to_owned(),
                    false => names.join(", "),
                };
                let detail = format!("there is no parameter '{shown}' here; there are {there}");
                Err(Refused::new(Problem::InvalidRequest, detail))
            }
        }
    }

    /// The value of a parameter that is given at most once.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, Refused> {
        let mut values = self.all(name);
        let value = values.next();
        match values.next() {
            None => Ok(value),
            Some(_) => {
                let detail = format!("parameter '{name}' is given more than once");
                Err(Refused::new(Problem::InvalidRequest, detail))
            }
        }
    }

    /// The values of a parameter.
    pub(crate) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let pairs = self.0.iter().filter(move |(it, _)| it == name);
        pairs.map(|(_, value)| value.as_str())
    }

    /// The values of two parameters: one has them with commas between, the other one each.
    pub(crate) fn list(&self, many: &str, one: &str) -> Vec<String> {
        let listed = self.all(many).flat_map(|values| values.split(','));
        let listed = listed.filter(|value| !value.is_empty());
        listed.chain(self.all(one)).map(str::to_owned).collect()
    }

    /// A number from 1 to the bound.
    pub(crate) fn number(&self, name: &str, max: usize) -> Result<Option<usize>, Refused> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse::<usize>().ok().filter(|_| is_number);
        match number.filter(|number| (1..=max).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => {
                let shown = stockd_model::escaped(text.as_bytes()).at_most(100).to_string();
                let detail =
                    format!("'{shown}' is not possible for {name}: write a number from 1 to {max}");
                Err(Refused::new(Problem::InvalidRequest, detail))
            }
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Query, Refused> {
        match Pairs::<Vec<(String, String)>>::try_from_uri(&parts.uri) {
            Ok(Pairs(pairs)) => Ok(Query(pairs)),
            Err(error) => Err(Refused::new(Problem::InvalidRequest, error.to_string())),
        }
    }
}
