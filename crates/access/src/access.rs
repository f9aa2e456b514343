//! What a client may do, as it is asked with every use of the engine.

use std::sync::Arc;

use stockd_model::{Refusal, Request, Right, Rights, Symbol};

use crate::user::User;

/// What a client may do. Cheap to clone.
///
/// Where there is no access file it is [`All`](Access::All), and each question is one branch that the
/// processor knows beforehand.
#[derive(Clone, Debug, Default)]
pub enum Access {
    /// Everything.
    #[default]
    All,
    /// What this user may do.
    User(Arc<User>),
}

impl Access {
    /// Nothing at all.
    pub fn nothing() -> Access {
        Access::User(Arc::default())
    }

    /// Whether it reads the quote of this stock.
    #[inline(always)]
    pub fn reads(&self, symbol: &Symbol) -> bool {
        match self {
            Access::All => true,
            Access::User(user) => user.read.cover(symbol),
        }
    }

    /// Whether it shows at a glance that it reads this stock, of which only the first word is looked at.
    /// Otherwise [`reads`](Access::reads) is to be asked.
    #[inline(always)]
    pub fn reads_at_a_glance(&self, symbol: &Symbol) -> bool {
        match self {
            Access::All => true,
            Access::User(user) => user.read.cover_at_a_glance(symbol),
        }
    }

    /// Whether it reads the quote of every stock, so that nothing has to be left out.
    #[inline(always)]
    pub fn reads_all(&self) -> bool {
        match self {
            Access::All => true,
            Access::User(user) => user.read.are_all(),
        }
    }

    /// Whether it has a right that concerns no stock, or one with some stock.
    #[inline]
    pub fn has(&self, right: Right) -> bool {
        self.rights().has(right)
    }

    /// The rights that it has, with some stock at least.
    #[inline]
    pub fn rights(&self) -> Rights {
        match self {
            Access::All => Rights::ALL,
            Access::User(user) => user.rights(),
        }
    }

    /// Whether it may do this with a stock. A right that concerns no stock is as [`has`](Access::has)
    /// says.
    pub fn may(&self, right: Right, symbol: &Symbol) -> bool {
        match self {
            Access::All => true,
            Access::User(user) => match user.grants(right) {
                Some(grants) => grants.cover(symbol),
                None => user.rights().has(right),
            },
        }
    }

    /// Checks a request. Whether its stock is listed makes no difference.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotPermitted`].
    #[inline]
    pub fn check(&self, request: &Request) -> Result<(), Refusal> {
        match self {
            Access::All => Ok(()),
            Access::User(_) => self.check_user(request),
        }
    }

    fn check_user(&self, request: &Request) -> Result<(), Refusal> {
        match (request.right(), request.symbol()) {
            (right, Some(symbol)) if !self.may(right, symbol) => {
                Err(Refusal::NotPermitted { right, symbol: *symbol })
            }
            _ => Ok(()),
        }
    }

    /// What a snapshot of all stocks shows: everything to an administrator.
    pub fn for_snapshot(&self) -> Access {
        if self.has(Right::Admin) { Access::All } else { self.clone() }
    }
}

/// The same may be done with both.
impl PartialEq for Access {
    fn eq(&self, other: &Access) -> bool {
        match (self, other) {
            (Access::All, Access::All) => true,
            (Access::User(own), Access::User(other)) => Arc::ptr_eq(own, other) || own == other,
            _ => false,
        }
    }
}

impl Eq for Access {}
