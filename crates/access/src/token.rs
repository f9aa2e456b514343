//! Tokens: what a client shows to be known.
//!
//! ```text
//! stk_ <64 characters of base64url: 32 random bytes, then the first 16 of their SHA-256>
//! ```
//!
//! The checksum tells a mistyped or cut token from a wrong one, and lets programs that look for secrets
//! find tokens without mistakes. A server keeps the SHA-256 of the whole text, as
//! `sha256:<64 hexadecimal digits>`, which `printf %s TOKEN | sha256sum` prints too: the bits are random,
//! so nothing slower is needed, and the token cannot be had from the hash.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What a token begins with.
const PREFIX: &str = "stk_";

/// What a hash of one begins with.
const HASH_PREFIX: &str = "sha256:";

const RANDOM_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 16;

/// A whole token. Neither shown by `Debug` nor kept by a server.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// The SHA-256 of a token.
#[derive(Clone, Copy)]
pub struct TokenHash([u8; 32]);

/// Why a text is no token, or no hash of one. The text is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It does not have the form of a token.
    #[error(
        "a token is stk_ and 64 characters of base64url; make one with `stockd token new USER`"
    )]
    NoToken,
    /// The checksum is wrong: a character was lost or changed.
    #[error("the token is damaged: a character of it was lost or changed; copy it again")]
    Damaged,
    /// It does not have the form of a hash.
    #[error(
        "a token is kept as sha256: and 64 hexadecimal digits; `stockd token new USER` prints that line"
    )]
    NoHash,
    /// It is a token itself, which must not be kept.
    #[error(
        "this is a token itself, and now it is no secret any more; make a new one with `stockd token new USER` and keep the hash that it prints"
    )]
    NotHashed,
}

impl Token {
    /// The token of these random bytes.
    pub fn new(random: [u8; RANDOM_BYTES]) -> Token {
        let mut bytes = random.to_vec();
        bytes.extend_from_slice(&checksum(&random));
        Token(format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&bytes)))
    }

    /// The token as a client shows it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a server keeps of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(self.0.as_bytes())
    }
}

impl FromStr for Token {
    type Err = TokenError;

    /// Reads a token, white space around it passed over.
    fn from_str(text: &str) -> Result<Token, TokenError> {
        let text = text.trim();
        let coded = text.strip_prefix(PREFIX).ok_or(TokenError::NoToken)?;
        let bytes = BASE64URL_NOPAD.decode(coded.as_bytes()).map_err(|_| {
            let is_cut =
                coded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
            if is_cut { TokenError::Damaged } else { TokenError::NoToken }
        })?;
        let (random, sum) = bytes.split_first_chunk::<RANDOM_BYTES>().ok_or(TokenError::Damaged)?;
        match sum == checksum(random) {
            true => Ok(Token(text.to_owned())),
            false => Err(TokenError::Damaged),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

fn checksum(random: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut sum = [0; CHECKSUM_BYTES];
    let hash = Sha256::digest(random);
    sum.iter_mut().zip(hash.iter()).for_each(|(to, from)| *to = *from);
    sum
}

impl TokenHash {
    /// The hash of what a client shows, whatever it is.
    pub fn of(shown: &[u8]) -> TokenHash {
        TokenHash(Sha256::digest(shown).into())
    }

    /// A few of its bits, to find where it may lie. Who shows a token cannot choose them, so how long that
    /// takes says nothing of other tokens.
    pub(crate) fn place(&self) -> u64 {
        self.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }

    /// Whether two are the same, in a time that does not depend on where they differ.
    pub(crate) fn is(&self, other: &TokenHash) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl FromStr for TokenHash {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<TokenHash, TokenError> {
        if text.contains(PREFIX) {
            return Err(TokenError::NotHashed);
        }
        let digits = text.strip_prefix(HASH_PREFIX).ok_or(TokenError::NoHash)?;
        let bytes = HEXLOWER.decode(digits.to_ascii_lowercase().as_bytes());
        let bytes = bytes.ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(TokenHash).ok_or(TokenError::NoHash)
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HASH_PREFIX}{}", HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Independent of this crate: `printf 'stk_…' | sha256sum` of coreutils.
    #[test]
    fn a_token_is_its_prefix_the_bits_and_their_checksum() {
        let token = Token::new([0; 32]);
        assert_eq!(
            token.as_str(),
            "stk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABmaHqt-GK9d2yPwYuOn44g"
        );
        assert_eq!(token.as_str().parse(), Ok(token.clone()));
        assert_eq!(format!(" {}\n", token.as_str()).parse(), Ok(token.clone()));
        assert_eq!(token.hash().to_string().len(), 7 + 64);
        assert!(token.hash().to_string().parse::<TokenHash>().unwrap().is(&token.hash()));
        assert!(!format!("{token:?} {:?}", token.hash()).contains("AAAA"));
    }

    #[test]
    fn what_is_no_token_is_told_from_a_damaged_one() {
        let token = Token::new([9; 32]);
        let damaged = token.as_str().replacen('k', "l", 2);
        assert_eq!(damaged.parse::<Token>(), Err(TokenError::NoToken));
        let cut = &token.as_str()[..40];
        assert_eq!(cut.parse::<Token>(), Err(TokenError::Damaged));
        for text in ["", "secret", "stk_ß", "stk_a b"] {
            assert_eq!(text.parse::<Token>(), Err(TokenError::NoToken), "{text}");
        }
        for text in ["", "sha256:", "sha256:00", "md5:00"] {
            assert_eq!(text.parse::<TokenHash>().unwrap_err(), TokenError::NoHash, "{text}");
        }
        let kept = token.as_str().parse::<TokenHash>();
        assert_eq!(kept.unwrap_err(), TokenError::NotHashed);
    }

    proptest! {
        /// Whatever one character of a token becomes, it is no token any more.
        #[test]
        fn no_slip_of_the_pen_is_a_token(random: [u8; 32], at in 4..68_usize, other in "[A-Za-z0-9_-]") {
            let token = Token::new(random);
            let mut text = token.as_str().to_owned();
            text.replace_range(at..=at, &other);
            prop_assert_eq!(text == token.as_str(), text.parse::<Token>().is_ok());
        }

        #[test]
        fn rubbish_never_panics(text in ".*") {
            let _ = text.parse::<Token>();
            let _ = text.parse::<TokenHash>();
        }
    }
}
