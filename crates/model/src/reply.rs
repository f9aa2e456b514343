use crate::{Quote, Right, Symbol, Volume};

/// What the engine answers to a [`Request`](crate::Request).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The stock was found.
    Found(Quote),
    /// No such stock is listed, or the name is not a possible symbol.
    NotFound,
    /// A stock was listed; this is its first quote.
    Listed(Quote),
    /// A listed stock was updated or traded; this is its quote after that.
    Updated(Quote),
    /// Fields were taken away from a listed stock: its quote after that, and how many they were.
    Cleared(Quote, u32),
    /// The stock was removed; this was its last quote.
    Delisted(Quote),
    /// The request was refused and nothing changed.
    Refused(Refusal),
}

/// Why a write was refused, or a read. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The stock must be listed for this write.
    #[error("stock '{0}' is not listed; list it with a price first")]
    NotListed(Symbol),
    /// A stock is listed with a price, a bid, an ask or a status.
    #[error("stock '{0}' is not listed, and listing it needs a price, a bid, an ask or a status")]
    PriceMissing(Symbol),
    /// The stock has a quote of a later time already.
    #[error(
        "the write of '{symbol}' is late: its time is {time_ns}, and the stock is at {latest_ns}"
    )]
    Late {
        /// The stock.
        symbol: Symbol,
        /// The time of the write, Unix time in nanoseconds.
        time_ns: u64,
        /// The time of the stock.
        latest_ns: u64,
    },
    /// The client may not do this with the stock. Whether it is listed is not said.
    #[error("no permission to {right} '{symbol}'")]
    NotPermitted {
        /// What it may not do.
        right: Right,
        /// The stock.
        symbol: Symbol,
    },
    /// Halted stocks do not trade.
    #[error("stock '{0}' is halted; trades are refused until its status is trading")]
    Halted(Symbol),
    /// Shares are not counted, so none can be traded.
    #[error("stock '{0}' has no volume: its shares are not counted; set its volume to trade in it")]
    VolumeAbsent(Symbol),
    /// The trade would take more than is left.
    #[error("volume of '{symbol}' is {volume}, cannot take {take}")]
    VolumeTooLow {
        /// The stock.
        symbol: Symbol,
        /// What is left of it.
        volume: Volume,
        /// What the trade would have taken.
        take: Volume,
    },
    /// The trade would give back more than a volume can hold.
    #[error(
        "volume of '{symbol}' is {volume}, cannot add {add}: without its point a volume is at most {}",
        u64::MAX
    )]
    VolumeTooHigh {
        /// The stock.
        symbol: Symbol,
        /// What is left of it.
        volume: Volume,
        /// What the trade would have added.
        add: Volume,
    },
    /// The write was to find the stock at another version. Read it again and decide on what it is now.
    #[error("stock '{symbol}' is at version {version}, not {expected}; read it again")]
    VersionDiffers {
        /// The stock.
        symbol: Symbol,
        /// The version that it has.
        version: u64,
        /// The version that it was to have.
        expected: u64,
    },
    /// The write was to find the stock not listed.
    #[error("stock '{symbol}' is listed already, at version {version}")]
    AlreadyListed {
        /// The stock.
        symbol: Symbol,
        /// The version that it has.
        version: u64,
    },
    /// The catalog holds as many stocks as it may.
    #[error("the catalog is full: {stocks_max} stocks are listed, the limit; delist some first")]
    CatalogFull {
        /// Stocks that may be listed at once.
        stocks_max: usize,
    },
    /// The system has no memory for a larger catalog.
    #[error("no memory for more than {stocks} stocks; delist some first, or give the server more")]
    NoMemory {
        /// Stocks listed now.
        stocks: usize,
    },
    /// A write could not be kept on the disk, some time ago: from then on the catalog is read-only.
    #[error("the catalog is read-only: {cause}")]
    ReadOnly {
        /// What went wrong then, and the remedy.
        cause: &'static str,
    },
    /// The write was not sent to the cluster, or is known to have had no effect.
    #[error("the write has no effect: {cause}")]
    ClusterDown {
        /// Why, and the remedy.
        cause: &'static str,
    },
    /// The write was sent to the log of the cluster and has not come back. It may take effect yet.
    #[error(
        "the cluster has not said in time whether it has the write; it may or may not take effect: read the stock \
         again; a write with a condition on its version is safe to repeat"
    )]
    Uncertain,
    /// This write, or one beside it, could not be kept on the disk. It has not taken effect; whether
    /// the disk has it all the same shows when the server starts again.
    #[error("the write was not kept: {cause}")]
    NotKept {
        /// What went wrong, and the remedy.
        cause: &'static str,
    },
}
