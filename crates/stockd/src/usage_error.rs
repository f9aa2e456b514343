//! Bad usage: the error that ends a command before it has begun.

/// What was asked for is not possible; nothing was begun. Ends with exit code 2.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);
