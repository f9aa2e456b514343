use crate::{Request, Symbol};

/// What must hold of a stock for something to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    #[default]
    Always,
    /// It is listed.
    Listed,
    /// It is not listed.
    Unlisted,
    /// It is listed, and this is its version. Versions never go back, so nothing has changed since
    /// the version was read.
    Version(u64),
}

/// A request that is executed if the condition holds of its stock, and is refused otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditional {
    /// What must hold.
    pub condition: Condition,
    /// What is done then.
    pub request: Request,
}

/// A condition of a stock.
pub type Watched = (Symbol, Condition);

impl From<Request> for Conditional {
    fn from(request: Request) -> Conditional {
        Conditional { condition: Condition::Always, request }
    }
}
