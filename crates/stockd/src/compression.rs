//! How compressed files begin, whatever their names are.
//!
//! Sources: RFC 1952 for gzip, RFC 8878 for zstd.

/// How gzip begins.
pub(crate) const GZIP: &[u8] = &[0x1f, 0x8b];

/// How a frame of zstd begins that is to be read.
pub(crate) const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Whether a frame of zstd that begins like this is to be passed over. pzstd begins with one.
pub(crate) fn is_zstd_to_pass_over(start: &[u8]) -> bool {
    matches!(start, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}
