use std::str::FromStr;

use crate::field::{Field, FieldError, parse_time};
use crate::{
    Price, PriceError, Quote, QuoteFeed, Right, Shares, Status, Symbol, SymbolError, Volume,
    VolumeError,
};

/// What a client asks of the engine, whichever way it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// What is the price now? A name that no stock can have is a lookup too: it is answered as
    /// not found.
    Lookup(Result<Symbol, SymbolError>),
    /// List the stock, or update the given fields of a listed one, all at once. Listing needs a
    /// price, a bid, an ask or a status; the status is then trading unless given, and what else is not
    /// given is absent.
    Set(Symbol, Fields),
    /// Update the given fields of a stock that must be listed.
    Update(Symbol, Fields),
    /// Take fields away from a stock, those that are [cleared](Edit::Clear) here. Where it has none of them, or is
    /// not listed, nothing changes.
    Clear(Symbol, Fields),
    /// Add shares to the volume of a listed stock that trades, or take them where negative.
    Trade(Symbol, Shares),
    /// Remove the stock from the catalog.
    Delist(Symbol),
}

impl Request {
    /// The stock that it concerns; `None` for a lookup of an impossible name.
    #[inline]
    pub fn symbol(&self) -> Option<&Symbol> {
        match self {
            Request::Lookup(symbol) => symbol.as_ref().ok(),
            Request::Set(symbol, _) | Request::Update(symbol, _) | Request::Clear(symbol, _) => {
                Some(symbol)
            }
            Request::Trade(symbol, _) | Request::Delist(symbol) => Some(symbol),
        }
    }

    /// What one must be allowed to do with that stock.
    #[inline]
    pub fn right(&self) -> Right {
        match self {
            Request::Lookup(_) => Right::Read,
            Request::Trade(..) => Right::Trade,
            Request::Set(..) | Request::Update(..) | Request::Clear(..) | Request::Delist(_) => {
                Right::Write
            }
        }
    }
}

/// The fields of a quote that a write gives; the others stay as they are.
///
/// ```
/// use stockd_model::{Edit, Fields};
///
/// let fields = Fields {
///     price: "172.50".parse()?,
///     volume: Edit::Clear,
///     ..Fields::default()
/// };
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The price.
    pub price: Edit<Price>,
    /// The volume.
    pub volume: Edit<Volume>,
    /// The highest price that somebody would buy at.
    pub bid: Edit<Price>,
    /// The lowest price that somebody would sell at.
    pub ask: Edit<Price>,
    /// How much would be bought at the bid.
    pub bid_size: Edit<Volume>,
    /// How much would be sold at the ask.
    pub ask_size: Edit<Volume>,
    /// The status.
    pub status: Option<Status>,
    /// When it happened, Unix time in nanoseconds. One before the time that the quote has makes the
    /// whole write a late one, which is refused.
    pub time_ns: Edit<u64>,
    /// The feed that writes. Where it is kept, a price, a bid or an ask takes it away: it comes from somebody
    /// else.
    pub feed: Edit<QuoteFeed>,
}

impl Fields {
    /// Gives a field what this text says: a value, or `none` where the field may be absent.
    ///
    /// # Errors
    ///
    /// [`FieldError`] when it is no value of this field, or the field is not for writers.
    pub fn set(&mut self, field: Field, text: &[u8]) -> Result<(), FieldError> {
        let price =
            |text| Edit::<Price>::parse(text).map_err(|error| FieldError::price(field, error));
        let volume =
            |text| Edit::<Volume>::parse(text).map_err(|error| FieldError::volume(field, error));
        match field {
            Field::Price => self.price = price(text)?,
            Field::Volume => self.volume = volume(text)?,
            Field::Bid => self.bid = price(text)?,
            Field::Ask => self.ask = price(text)?,
            Field::BidSize => self.bid_size = volume(text)?,
            Field::AskSize => self.ask_size = volume(text)?,
            Field::Status => self.status = Some(String::from_utf8_lossy(text).trim().parse()?),
            Field::Time => self.time_ns = Edit::parse_with(text, parse_time)?,
            Field::Symbol | Field::Version | Field::Updated | Field::Feed | Field::FeedState => {
                return Err(FieldError::ReadOnly(field.name()));
            }
        }
        Ok(())
    }

    /// Takes a field away, as `none` does. One that every quote has stays as it is.
    pub fn clear(&mut self, field: Field) {
        match field {
            Field::Price => self.price = Edit::Clear,
            Field::Volume => self.volume = Edit::Clear,
            Field::Bid => self.bid = Edit::Clear,
            Field::Ask => self.ask = Edit::Clear,
            Field::BidSize => self.bid_size = Edit::Clear,
            Field::AskSize => self.ask_size = Edit::Clear,
            Field::Time => self.time_ns = Edit::Clear,
            Field::Feed => self.feed = Edit::Clear,
            Field::Symbol | Field::Status | Field::Version | Field::Updated | Field::FeedState => {}
        }
    }

    /// Whether they give this field a value.
    pub fn gives(&self, field: Field) -> bool {
        self.edit_of(field) == Edit::Set(())
    }

    /// Whether they take this field away.
    pub fn clears(&self, field: Field) -> bool {
        self.edit_of(field) == Edit::Clear
    }

    fn edit_of(&self, field: Field) -> Edit<()> {
        match field {
            Field::Price => self.price.kind(),
            Field::Volume => self.volume.kind(),
            Field::Bid => self.bid.kind(),
            Field::Ask => self.ask.kind(),
            Field::BidSize => self.bid_size.kind(),
            Field::AskSize => self.ask_size.kind(),
            Field::Status => self.status.map_or(Edit::Keep, |_| Edit::Set(())),
            Field::Time => self.time_ns.kind(),
            Field::Feed => self.feed.kind(),
            Field::Symbol | Field::Version | Field::Updated | Field::FeedState => Edit::Keep,
        }
    }

    /// Whether they suffice to list a stock.
    pub fn can_list(&self) -> bool {
        self.price.sets() || self.bid.sets() || self.ask.sets() || self.status.is_some()
    }

    /// How many fields they give a value.
    pub fn given(&self) -> usize {
        Field::WRITABLE.into_iter().filter(|field| self.gives(*field)).count()
    }

    /// The quote after this write. It keeps the version and the time of its last change.
    pub fn outcome(&self, before: &Quote) -> Quote {
        let mut after = *before;
        self.apply(&mut after);
        after
    }

    /// Makes of a quote what it is after this write, but for its version and the time of its last change.
    #[inline]
    pub fn apply(&self, quote: &mut Quote) {
        self.price.apply(&mut quote.price);
        self.volume.apply(&mut quote.volume);
        self.bid.apply(&mut quote.bid);
        self.ask.apply(&mut quote.ask);
        self.bid_size.apply(&mut quote.bid_size);
        self.ask_size.apply(&mut quote.ask_size);
        quote.status = self.status.unwrap_or(quote.status);
        self.time_ns.apply(&mut quote.time_ns);
        match self.feed {
            Edit::Keep if self.price.sets() || self.bid.sets() || self.ask.sets() => {
                quote.feed = None;
            }
            edit => edit.apply(&mut quote.feed),
        }
    }
}

/// What makes a stock what this quote says, whatever it was before. A time that is absent is left as it
/// is.
impl From<&Quote> for Fields {
    fn from(quote: &Quote) -> Fields {
        Fields {
            price: quote.price.into(),
            volume: quote.volume.into(),
            bid: quote.bid.into(),
            ask: quote.ask.into(),
            bid_size: quote.bid_size.into(),
            ask_size: quote.ask_size.into(),
            status: Some(quote.status),
            time_ns: quote.time_ns.map_or(Edit::Keep, Edit::Set),
            feed: Edit::Keep,
        }
    }
}

/// What a write does with a field that a quote need not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Edit<T> {
    /// Leaves it as it is.
    #[default]
    Keep,
    /// Takes it away.
    Clear,
    /// Gives it this value.
    Set(T),
}

impl<T: Copy> Edit<T> {
    /// The field after this, given what it was before.
    pub fn outcome(self, before: Option<T>) -> Option<T> {
        let mut field = before;
        self.apply(&mut field);
        field
    }

    /// Makes of a field what it is after this.
    #[inline]
    pub fn apply(&self, field: &mut Option<T>) {
        match *self {
            Edit::Keep => {}
            Edit::Clear => *field = None,
            Edit::Set(value) => *field = Some(value),
        }
    }
}

impl<T> Edit<T> {
    /// What it does, whatever the value.
    fn kind(&self) -> Edit<()> {
        match self {
            Edit::Keep => Edit::Keep,
            Edit::Clear => Edit::Clear,
            Edit::Set(_) => Edit::Set(()),
        }
    }

    /// Whether it gives the field a value.
    pub fn sets(&self) -> bool {
        matches!(self, Edit::Set(_))
    }
}

/// Makes a field exactly this: a value, or none.
impl<T> From<Option<T>> for Edit<T> {
    fn from(value: Option<T>) -> Edit<T> {
        value.map_or(Edit::Clear, Edit::Set)
    }
}

impl<T> Edit<T> {
    /// Reads a value, or the word that takes it away: `none`, as in `HSET X volume none`.
    fn parse_with<E>(text: &[u8], parse: impl FnOnce(&[u8]) -> Result<T, E>) -> Result<Edit<T>, E> {
        match text {
            [b'0'..=b'9', ..] => parse(text).map(Edit::Set),
            _ => Edit::parse_word_with(text, parse),
        }
    }

    fn parse_word_with<E>(
        text: &[u8],
        parse: impl FnOnce(&[u8]) -> Result<T, E>,
    ) -> Result<Edit<T>, E> {
        match text.trim_ascii() {
            b"none" => Ok(Edit::Clear),
            text => parse(text).map(Edit::Set),
        }
    }
}

impl Edit<Price> {
    /// Reads a price, or the word that takes it away: `none`.
    ///
    /// # Errors
    ///
    /// As of [`Price::parse`].
    pub fn parse(text: &[u8]) -> Result<Edit<Price>, PriceError> {
        Edit::parse_with(text, Price::parse)
    }
}

impl Edit<Volume> {
    /// Reads a volume, or the word that takes it away: `none`, as in `HSET X volume none`.
    ///
    /// # Errors
    ///
    /// As of [`Volume::parse`].
    pub fn parse(text: &[u8]) -> Result<Edit<Volume>, VolumeError> {
        Edit::parse_with(text, Volume::parse)
    }
}

impl FromStr for Edit<Price> {
    type Err = PriceError;

    fn from_str(text: &str) -> Result<Edit<Price>, PriceError> {
        Edit::<Price>::parse(text.as_bytes())
    }
}

impl FromStr for Edit<Volume> {
    type Err = VolumeError;

    fn from_str(text: &str) -> Result<Edit<Volume>, VolumeError> {
        Edit::<Volume>::parse(text.as_bytes())
    }
}
