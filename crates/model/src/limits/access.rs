//! Bounds of certificates, users and tokens, and of attempts that fail.

use std::time::Duration;

/// Bytes in a file of certificates or keys. A longer one is an error.
pub const CERTIFICATE_FILE_BYTES_MAX: usize = 1024 * 1024;

/// Names in a client's certificate that are looked at. Others count as not there.
pub const CERTIFICATE_NAMES_MAX: usize = 64;

/// How long before a certificate expires the log begins to say so.
pub const CERTIFICATE_EXPIRY_WARNING: Duration = Duration::from_secs(21 * 86_400);

/// How long the log is silent of a certificate that ends soon before it says so again.
pub const CERTIFICATE_SAY_INTERVAL: Duration = Duration::from_secs(86_400);

/// Users of an access file, at most. A file with more is refused.
pub const ACCESS_USERS_MAX: usize = 10_000;

/// Bytes of an access file, at most. A longer one is refused.
pub const ACCESS_FILE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes of the name of a user, at most.
pub const USER_NAME_BYTES_MAX: usize = 64;

/// Tokens of one user, at most: one in use and one that takes its place.
pub const USER_TOKENS_MAX: usize = 2;

/// Bytes that are looked at as a token, at most. A longer text is none.
pub const TOKEN_SHOWN_BYTES_MAX: usize = 256;

/// Attempts of one address to authenticate that may fail within [`FAILED_ATTEMPTS_TIME`] before each
/// further failure is answered after [`FAILED_ATTEMPT_WAIT`]. What is right is answered at once.
pub const FAILED_ATTEMPTS_MAX: u64 = 10;
/// See [`FAILED_ATTEMPTS_MAX`].
pub const FAILED_ATTEMPTS_TIME: Duration = Duration::from_secs(60);
/// See [`FAILED_ATTEMPTS_MAX`].
pub const FAILED_ATTEMPT_WAIT: Duration = Duration::from_secs(6);

/// Addresses whose failed attempts to authenticate are counted at once, at most: 8 bytes each. Others
/// take their places.
pub const FAILED_ADDRESSES_MAX: usize = 4096;

/// Writes of one connection that are all refused before it is named in the log, once.
pub const REFUSED_WRITES_NAMED: u32 = 10;
