//! One user of an access file: what it may do.

use std::sync::Arc;

use stockd_model::{Right, Rights};

use crate::grants::Grants;

/// The name of the user that a client is which shows nothing.
pub const ANONYMOUS: &str = "anonymous";

/// What a user may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub(crate) name: Arc<str>,
    pub(crate) read: Grants,
    pub(crate) write: Grants,
    pub(crate) trade: Grants,
    pub(crate) rights: Rights,
}

impl User {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The stocks with which it may do this; those of a right that concerns no stocks are none.
    #[inline]
    pub fn grants(&self, right: Right) -> Option<&Grants> {
        match right {
            Right::Read => Some(&self.read),
            Right::Write => Some(&self.write),
            Right::Trade => Some(&self.trade),
            Right::Admin | Right::Metrics => None,
        }
    }

    /// What it may do, with one stock at least where it concerns stocks.
    pub fn rights(&self) -> Rights {
        self.rights
    }

    /// The rights are those that were given and those for which there are grants.
    pub(crate) fn with_rights(mut self, given: impl IntoIterator<Item = Right>) -> User {
        let granted = [Right::Read, Right::Write, Right::Trade];
        let is_granted =
            |right: &Right| self.grants(*right).is_some_and(|grants| !grants.are_none());
        self.rights = granted.into_iter().filter(is_granted).chain(given).collect();
        self
    }
}
