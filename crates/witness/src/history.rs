//! What clients asked of one stock, what they were told, and when.
//!
//! All times are nanoseconds of one clock. Invariant: of a call that has returned, `invoked <= returned`.

/// A stock as far as clients change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// Counts its changes.
    pub version: u64,
    /// Its price, whole.
    pub price: u64,
    /// Shares that are left.
    pub volume: u64,
}

/// What a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// What is the stock?
    Read,
    /// The same, after the node has seen all that was acknowledged anywhere.
    FencedRead,
    /// Takes these shares, if there are as many.
    Take(u64),
    /// Sets the price.
    SetPrice(u64),
    /// Sets the price if the version is this one.
    SetPriceIf {
        /// The new price.
        price: u64,
        /// The version that the stock must have.
        version: u64,
    },
}

/// What a client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is done, and the stock is this now.
    Done(Shown),
    /// It was decided that nothing changes: there are too few shares, or the version is another one.
    Refused,
    /// It has no effect and never will, whatever the stock is.
    NoEffect,
    /// It is not known.
    Unknown,
}

/// What an answer shows of a stock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Its version.
    pub version: Option<u64>,
    /// Its price.
    pub price: Option<u64>,
    /// What is left of it.
    pub volume: Option<u64>,
}

/// A call of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who asks. A client has one call at a time.
    pub client: usize,
    /// Which node is asked.
    pub node: usize,
    /// When it was asked.
    pub invoked: u64,
    /// When the answer had come; `None` where there was none, or none that ends it.
    pub returned: Option<u64>,
    /// What was asked.
    pub ask: Ask,
    /// What was told.
    pub told: Told,
}

/// The calls of one stock.
#[derive(Clone, Debug)]
pub struct History {
    /// What the stock was before all of them.
    pub before: State,
    /// In any order.
    pub calls: Vec<Call>,
}

impl State {
    /// What the stock is after a call, if the call can be told this then.
    pub fn after(self, ask: Ask, told: Told) -> Option<State> {
        let done = self.decide(ask);
        match told {
            Told::Done(shown) => done.filter(|after| shown.is_of(after)),
            Told::Refused => done.is_none().then_some(self),
            Told::NoEffect => Some(self),
            Told::Unknown => Some(done.unwrap_or(self)),
        }
    }

    /// What becomes of the stock; `None` where the call is refused.
    pub fn decide(self, ask: Ask) -> Option<State> {
        let State { version, price, volume } = self;
        let next = version + 1;
        match ask {
            Ask::Read | Ask::FencedRead => Some(self),
            Ask::Take(shares) => {
                Some(State { version: next, price, volume: volume.checked_sub(shares)? })
            }
            Ask::SetPrice(price) => Some(State { version: next, price, volume }),
            Ask::SetPriceIf { price, version: expected } => {
                (version == expected).then_some(State { version: next, price, volume })
            }
        }
    }
}

impl Shown {
    /// All of a stock.
    pub fn whole(state: State) -> Shown {
        let State { version, price, volume } = state;
        Shown { version: Some(version), price: Some(price), volume: Some(volume) }
    }

    /// Whether this is shown of that.
    pub fn is_of(&self, state: &State) -> bool {
        let is_it = |shown: Option<u64>, is| shown.is_none_or(|shown| shown == is);
        is_it(self.version, state.version)
            && is_it(self.price, state.price)
            && is_it(self.volume, state.volume)
    }
}

impl Ask {
    /// Whether nothing can change for it.
    pub fn is_read(self) -> bool {
        matches!(self, Ask::Read | Ask::FencedRead)
    }

    /// The number by which a write is known, among those that take and among those that set: shares or price.
    pub fn mark(self) -> Option<(bool, u64)> {
        match self {
            Ask::Read | Ask::FencedRead => None,
            Ask::Take(shares) => Some((true, shares)),
            Ask::SetPrice(price) | Ask::SetPriceIf { price, .. } => Some((false, price)),
        }
    }
}
