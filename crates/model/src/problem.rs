//! What can be wrong with a request, in one table: the name under which HTTP knows it, its status there, the
//! code of gRPC and that of RESP.
//!
//! Every protocol takes its answer from here, so that they agree, and the documents are made of it. This
//! module owns which problems there are; it knows no bytes and no texts of single cases.
//!
//! Invariant: names are stable and unlike each other. They stand in addresses (`/problems/halted`).

use crate::Refusal;

/// Declares the problems once.
macro_rules! problems {
    ($($variant:ident = $name:literal, $status:literal, $grpc:ident, $resp:literal, $title:literal, $remedy:literal;)+) => {
        /// A kind of thing that can be wrong with a request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Problem {
            $(#[doc = $title] $variant,)+
        }

        impl Problem {
            /// All of them.
            pub const ALL: &[Problem] = &[$(Problem::$variant,)+];

            const fn row(self) -> Row {
                match self {
                    $(Problem::$variant => Row {
                        name: $name,
                        status: $status,
                        grpc: GrpcCode::$grpc,
                        resp: $resp,
                        title: $title,
                        remedy: $remedy,
                    },)+
                }
            }
        }
    };
}

problems! {
    InvalidSymbol = "invalid-symbol", 400, InvalidArgument, "ERR",
        "the name cannot be a symbol",
        "A symbol is 1 to 48 bytes of UTF-8 without control and format characters.";
    InvalidValue = "invalid-value", 400, InvalidArgument, "ERR",
        "a field has a value that it cannot have",
        "Decimals are exact, with at most 18 places; times are RFC 3339 or Unix nanoseconds.";
    InvalidRequest = "invalid-request", 400, InvalidArgument, "ERR",
        "the request cannot be understood",
        "The detail says which part; the API description has the forms.";
    InvalidCondition = "invalid-condition", 400, InvalidArgument, "ERR",
        "the condition cannot be understood",
        "If-Match takes the ETag of a quote or *, If-None-Match of a write takes *.";
    InvalidCursor = "invalid-cursor", 400, InvalidArgument, "ERR",
        "the cursor is none that a page has given",
        "Begin without a cursor, then give the next of each page.";
    InvalidPattern = "invalid-pattern", 400, InvalidArgument, "ERR",
        "the pattern is too long",
        "A pattern has at most 256 bytes.";
    ListingIncomplete = "listing-incomplete", 400, InvalidArgument, "ERR",
        "a stock is listed with a price, a bid, an ask or a status",
        "Give one of these.";
    NotListed = "not-listed", 404, NotFound, "ERR",
        "no such stock is listed",
        "List it with PUT, or see which are there with GET /v1/stocks.";
    NoOrder = "no-order", 404, NotFound, "ERR",
        "there is no order of this number, or it is kept no more",
        "The last million orders are kept, with numbers from 0.";
    Unauthenticated = "unauthenticated", 401, Unauthenticated, "NOAUTH",
        "nothing is served without a token, or the one that was shown is none",
        "Show a token in the header Authorization: Bearer, a space, and the token.";
    NotPermitted = "not-permitted", 403, PermissionDenied, "NOPERM",
        "the access file does not permit this",
        "Ask an administrator; stockd access check says what a user may do.";
    Late = "late", 409, FailedPrecondition, "LATE",
        "the write carries an earlier time than the stock has",
        "Nothing is lost: the stock has a later quote already.";
    Halted = "halted", 409, FailedPrecondition, "ERR",
        "the stock is halted, and halted stocks do not trade",
        "Wait until its status is trading.";
    VolumeAbsent = "volume-absent", 409, FailedPrecondition, "ERR",
        "the shares of the stock are not counted, so none can be traded",
        "Give it a volume first.";
    VolumeTooLow = "volume-too-low", 409, FailedPrecondition, "ERR",
        "fewer shares are left than the trade takes",
        "Trade at most the volume.";
    VolumeTooHigh = "volume-too-high", 409, OutOfRange, "ERR",
        "the volume would become larger than a volume can be",
        "Without its point a volume is at most 18446744073709551615.";
    InvalidFeed = "invalid-feed", 400, InvalidArgument, "ERR",
        "a feed cannot have this name",
        "Use 1 to 64 letters, digits, and the marks . _ : / @ + - of ASCII.";
    TooManyFeeds = "too-many-feeds", 507, ResourceExhausted, "ERR",
        "as many names of feeds were used as may be",
        "Use one of them again, or restart the server.";
    NotYourFeed = "not-your-feed", 403, PermissionDenied, "NOPERM",
        "the feed belongs to another user",
        "Use another name, or ask an administrator.";
    NoFeeds = "no-feeds", 501, Unimplemented, "ERR",
        "the writes of a cluster do not carry their feed",
        "Open the feed at a server of its own.";
    OrdersAlone = "orders-alone", 501, Unimplemented, "ERR",
        "orders have no numbers at a node of a cluster",
        "Trade with POST /v1/stocks/{symbol}/trades, or order at a server of its own.";
    VersionDiffers = "version-differs", 412, Aborted, "ERR",
        "the stock has changed since it was read",
        "Read it again and decide on what it is now.";
    AlreadyListed = "already-listed", 412, AlreadyExists, "ERR",
        "the stock is listed already",
        "Leave the condition out to replace it.";
    CatalogFull = "catalog-full", 507, ResourceExhausted, "ERR",
        "as many stocks are listed as may be",
        "Delist some first.";
    NoMemory = "no-memory", 507, ResourceExhausted, "ERR",
        "the system has no memory for more stocks",
        "Delist some first, or give the server more.";
    ReadOnly = "read-only", 503, Unavailable, "MISCONF",
        "a write could not be kept on the disk, and since then the catalog is read-only",
        "See to the disk, then send the server SIGHUP or start it again.";
    NotKept = "not-kept", 503, Unknown, "MISCONF",
        "the write could not be kept on the disk",
        "It has not taken effect here; whether the disk has it shows when the server starts again.";
    ClusterDown = "cluster-down", 503, Unavailable, "CLUSTERDOWN",
        "the node does not reach the log of its cluster, or is behind it; a write has had no effect",
        "Try again in a moment, or another node; lookups go on.";
    Uncertain = "uncertain", 504, Unknown, "UNCERTAIN",
        "the disk or the cluster has not answered in time, and the write may still take effect",
        "Read the stock again; a write with a condition on its version is safe to repeat.";
    NoRoute = "no-route", 404, Unimplemented, "ERR",
        "there is nothing at this path",
        "/docs lists the paths.";
    WrongMethod = "wrong-method", 405, Unimplemented, "ERR",
        "the path has no such method",
        "The header Allow names those that it has.";
    NotAcceptable = "not-acceptable", 406, InvalidArgument, "ERR",
        "the answer cannot be had in this form",
        "Accept one of the forms that the API description names.";
    WrongMediaType = "wrong-media-type", 415, InvalidArgument, "ERR",
        "the body is of another type than it must be",
        "Send the Content-Type that the API description names.";
    BodyTooLarge = "body-too-large", 413, ResourceExhausted, "ERR",
        "the body is larger than it may be",
        "Send several requests.";
    TooManyNames = "too-many-names", 413, ResourceExhausted, "ERR",
        "more stocks are named than a request may name",
        "Send several requests.";
    UriTooLong = "uri-too-long", 414, InvalidArgument, "ERR",
        "the address of the request is longer than it may be",
        "POST /v1/lookup takes many names.";
    ForeignHost = "foreign-host", 421, PermissionDenied, "ERR",
        "the request is for a host that this server is not",
        "Ask for localhost or an address of the loopback, or add the name to allowed_hosts.";
    ForeignOrigin = "foreign-origin", 403, PermissionDenied, "ERR",
        "a page of another site has made the request",
        "Add the host of the page to allowed_hosts if it is yours.";
    TooSlow = "too-slow", 408, DeadlineExceeded, "ERR",
        "the request has not come whole in time",
        "Send it again.";
    Busy = "busy", 503, Unavailable, "ERR",
        "as many requests are being served as may be",
        "Try again in a moment.";
    TooManyStreams = "too-many-streams", 503, ResourceExhausted, "ERR",
        "as many streams are open as may be",
        "Close some, or raise streams_max.";
    TooManySubscriptions = "too-many-subscriptions", 400, ResourceExhausted, "ERR",
        "the stream would have more subscriptions than it may",
        "Use a pattern or another stream.";
    TooManySnapshots = "too-many-snapshots", 503, ResourceExhausted, "ERR",
        "as many snapshots are being read as may be",
        "Try again in some seconds.";
    MemoryFull = "memory-full", 503, ResourceExhausted, "OOM",
        "connections hold nearly as much memory as they may",
        "Raise memory_max, or close those that hold the most.";
    Stopping = "stopping", 503, Unavailable, "ERR",
        "the server is stopping",
        "Connect again in a moment.";
    NotLive = "not-live", 503, Unavailable, "ERR",
        "a thread that serves clients has not turned for some time",
        "Start the server again, and report it with what the log says.";
}

/// What the table has of a problem.
struct Row {
    name: &'static str,
    status: u16,
    grpc: GrpcCode,
    resp: &'static str,
    title: &'static str,
    remedy: &'static str,
}

/// The status codes of gRPC that problems have, with their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum GrpcCode {
    /// `UNKNOWN`
    Unknown = 2,
    /// `INVALID_ARGUMENT`
    InvalidArgument = 3,
    /// `DEADLINE_EXCEEDED`
    DeadlineExceeded = 4,
    /// `NOT_FOUND`
    NotFound = 5,
    /// `ALREADY_EXISTS`
    AlreadyExists = 6,
    /// `PERMISSION_DENIED`
    PermissionDenied = 7,
    /// `RESOURCE_EXHAUSTED`
    ResourceExhausted = 8,
    /// `FAILED_PRECONDITION`
    FailedPrecondition = 9,
    /// `ABORTED`
    Aborted = 10,
    /// `OUT_OF_RANGE`
    OutOfRange = 11,
    /// `UNIMPLEMENTED`
    Unimplemented = 12,
    /// `UNAVAILABLE`
    Unavailable = 14,
    /// `UNAUTHENTICATED`
    Unauthenticated = 16,
}

impl GrpcCode {
    /// Its name in the documents of gRPC.
    pub const fn name(self) -> &'static str {
        match self {
            GrpcCode::Unknown => "UNKNOWN",
            GrpcCode::InvalidArgument => "INVALID_ARGUMENT",
            GrpcCode::DeadlineExceeded => "DEADLINE_EXCEEDED",
            GrpcCode::NotFound => "NOT_FOUND",
            GrpcCode::AlreadyExists => "ALREADY_EXISTS",
            GrpcCode::PermissionDenied => "PERMISSION_DENIED",
            GrpcCode::ResourceExhausted => "RESOURCE_EXHAUSTED",
            GrpcCode::FailedPrecondition => "FAILED_PRECONDITION",
            GrpcCode::Aborted => "ABORTED",
            GrpcCode::OutOfRange => "OUT_OF_RANGE",
            GrpcCode::Unimplemented => "UNIMPLEMENTED",
            GrpcCode::Unavailable => "UNAVAILABLE",
            GrpcCode::Unauthenticated => "UNAUTHENTICATED",
        }
    }
}

impl Problem {
    /// Its name, the last part of its `type` in HTTP: `volume-too-low`.
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The problem of this name.
    pub fn find(name: &str) -> Option<Problem> {
        Problem::ALL.iter().copied().find(|problem| problem.name() == name)
    }

    /// The reason that gRPC gives with its code: `VOLUME_TOO_LOW`.
    pub fn reason(self) -> String {
        self.name().replace('-', "_").to_ascii_uppercase()
    }

    /// The status of HTTP.
    pub const fn status(self) -> u16 {
        self.row().status
    }

    /// The code of gRPC.
    pub const fn grpc_code(self) -> GrpcCode {
        self.row().grpc
    }

    /// The code with which an error of RESP begins.
    pub const fn resp_code(self) -> &'static str {
        self.row().resp
    }

    /// What it is, whatever the case.
    pub const fn title(self) -> &'static str {
        self.row().title
    }

    /// What to do.
    pub const fn remedy(self) -> &'static str {
        self.row().remedy
    }
}

impl Refusal {
    /// What kind of problem it is.
    pub const fn problem(&self) -> Problem {
        match self {
            Refusal::NotListed(_) => Problem::NotListed,
            Refusal::PriceMissing(_) => Problem::ListingIncomplete,
            Refusal::NotPermitted { .. } => Problem::NotPermitted,
            Refusal::Late { .. } => Problem::Late,
            Refusal::Halted(_) => Problem::Halted,
            Refusal::VolumeAbsent(_) => Problem::VolumeAbsent,
            Refusal::VolumeTooLow { .. } => Problem::VolumeTooLow,
            Refusal::VolumeTooHigh { .. } => Problem::VolumeTooHigh,
            Refusal::VersionDiffers { .. } => Problem::VersionDiffers,
            Refusal::AlreadyListed { .. } => Problem::AlreadyListed,
            Refusal::CatalogFull { .. } => Problem::CatalogFull,
            Refusal::NoMemory { .. } => Problem::NoMemory,
            Refusal::ReadOnly { .. } => Problem::ReadOnly,
            Refusal::NotKept { .. } => Problem::NotKept,
            Refusal::ClusterDown { .. } => Problem::ClusterDown,
            Refusal::Uncertain => Problem::Uncertain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_found_by_its_name_alone() {
        for (at, problem) in Problem::ALL.iter().enumerate() {
            assert_eq!(Problem::find(problem.name()), Some(*problem));
            let same = |other: &&Problem| other.name() == problem.name();
            assert_eq!(Problem::ALL.iter().filter(same).count(), 1, "{at}");
            assert!((400..600).contains(&problem.status()), "{problem:?}");
            assert!(problem.remedy().ends_with('.') && !problem.title().ends_with('.'));
        }
        assert_eq!(Problem::VolumeTooLow.reason(), "VOLUME_TOO_LOW");
        assert_eq!(Problem::find("nothing"), None);
    }
}
