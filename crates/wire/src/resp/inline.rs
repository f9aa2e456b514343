//! Inline commands: a line of words, as one types them into `nc` or telnet.
//!
//! A line is rewritten as the array that it stands for, `GET AAPL` as `*2\r\n$3\r\nGET\r\n…`, so
//! that all other modules know arrays alone. Words are separated by white space.
//! Double quotes keep white space and take the escapes `\n \r \t \b \a \xHH` and `\"`; single
//! quotes take only the escape `\'`.
//!
//! Other protocols reach this port too, with bytes that somebody else may have chosen: a browser that
//! posts a form, a TLS client whose hello contains a line. So a line is text: a control character or
//! invalid UTF-8 in it is an error, and so is a request line of HTTP. An error ends the connection
//! before anything behind the line is looked at.
//!
//! Invariant: nothing that follows bytes which are no text, or a request line of HTTP, is ever
//! executed; a connection of another protocol begins with such bytes. Memory is held only from a
//! line until its last part is taken, at most four times [`RESP_INLINE_BYTES_MAX`]: a word of one
//! byte and the space behind it become seven bytes.

use stockd_model::limits::RESP_INLINE_BYTES_MAX;

use super::frame;
use super::protocol_error::ProtocolError;

/// The inline command that is being taken, if any.
#[derive(Debug, Default)]
pub(super) struct Inline {
    /// The line as an array.
    pub(super) array: Box<[u8]>,
    /// Bytes of the array that are taken.
    pub(super) taken: usize,
    /// Bytes at the front of the input that hold no control character, so no line end.
    searched: usize,
}

impl Inline {
    /// Whether parts of a line are left to be taken.
    #[inline]
    pub(super) fn is_pending(&self) -> bool {
        self.taken < self.array.len()
    }

    /// Frees what is taken.
    #[inline]
    pub(super) fn release(&mut self) {
        if !self.is_pending() && !self.array.is_empty() {
            *self = Inline { searched: self.searched, ..Inline::default() };
        }
    }

    /// Rewrites the first line of the input and takes it off the input; nothing is pending after a
    /// blank one. `false` asks for more bytes. After an error the line is still there.
    pub(super) fn read(&mut self, input: &mut &[u8]) -> Result<bool, ProtocolError> {
        let Some((line, line_end)) = self.line(input)? else { return Ok(false) };
        *self = Inline { array: array(line)?.into_boxed_slice(), taken: 0, searched: 0 };
        *input = input.get(line.len() + line_end..).unwrap_or_default();
        Ok(true)
    }

    /// The first line of the input, and the bytes of its line end; `None` when it is not whole.
    fn line<'a>(&mut self, input: &'a [u8]) -> Result<Option<(&'a [u8], usize)>, ProtocolError> {
        let possible = input.get(..=RESP_INLINE_BYTES_MAX).unwrap_or(input);
        let unsearched = possible.get(self.searched..).unwrap_or_default();
        let is_control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
        self.searched += unsearched.iter().position(is_control).unwrap_or(unsearched.len());
        let (line, behind) = possible.split_at(self.searched.min(possible.len()));
        match behind {
            [b'\n', ..] => Ok(Some((line, 1))),
            [b'\r', b'\n', ..] => Ok(Some((line, 2))),
            [] | [b'\r'] if input.len() > RESP_INLINE_BYTES_MAX => Err(ProtocolError::InlineLength),
            [] | [b'\r'] => Ok(None),
            _ => Err(ProtocolError::Binary),
        }
    }
}

/// The array that a line stands for: empty for a blank line.
fn array(line: &[u8]) -> Result<Vec<u8>, ProtocolError> {
    if std::str::from_utf8(line).is_err() {
        return Err(ProtocolError::Binary);
    }
    if is_http(line) {
        return Err(ProtocolError::Http);
    }
    if line.starts_with(b"PROXY TCP") || line.starts_with(b"PROXY UNKNOWN") {
        return Err(ProtocolError::Proxy);
    }
    let mut rest = line;
    let mut parts = Vec::new();
    let mut count = 0_usize;
    let mut word = Vec::new();
    while let Some(after) = first_word(rest, &mut word)? {
        count += 1;
        frame::bulk(&word, &mut parts);
        rest = after;
    }
    if count == 0 {
        return Ok(Vec::new());
    }
    let mut head = Vec::new();
    frame::array(count, &mut head);
    parts.splice(..0, head);
    Ok(parts)
}

/// Whether this is a request line of HTTP, of any method, or may be a line of a request whose
/// beginning was lost. A web page can make a browser send requests to any port, and the lines of
/// what it sends would be commands.
fn is_http(line: &[u8]) -> bool {
    let mut words = line.split(|&byte| is_space(byte)).filter(|word| !word.is_empty());
    let method = words.next().unwrap_or_default();
    let target = words.next();
    let is_version =
        |word: &[u8]| word.get(..5).is_some_and(|name| name.eq_ignore_ascii_case(b"HTTP/"));
    method.eq_ignore_ascii_case(b"POST")
        || method.eq_ignore_ascii_case(b"Host:")
        || (target.is_some() && words.next_back().is_some_and(is_version))
}

/// Which quotes the reader of a word is within.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    None,
    Single,
    Double,
}

/// Puts the first word of a line, without its quotes, in place of what `word` held. Returns what
/// follows it; `None` when there is no word.
fn first_word<'a>(line: &'a [u8], word: &mut Vec<u8>) -> Result<Option<&'a [u8]>, ProtocolError> {
    word.clear();
    let mut rest = line;
    while let [byte, after @ ..] = rest
        && is_space(*byte)
    {
        rest = after;
    }
    if rest.is_empty() {
        return Ok(None);
    }
    let mut quotes = Quotes::None;
    loop {
        rest = match (quotes, rest) {
            (Quotes::None, []) => return Ok(Some(rest)),
            (Quotes::None, [byte, ..]) if is_space(*byte) => return Ok(Some(rest)),
            (_, []) => return Err(ProtocolError::UnbalancedQuotes),
            (Quotes::None, [b'"', after @ ..]) => {
                quotes = Quotes::Double;
                after
            }
            (Quotes::None, [b'\'', after @ ..]) => {
                quotes = Quotes::Single;
                after
            }
            (Quotes::Double, [b'"', after @ ..]) | (Quotes::Single, [b'\'', after @ ..]) => {
                if after.first().is_some_and(|&byte| !is_space(byte)) {
                    return Err(ProtocolError::UnbalancedQuotes);
                }
                quotes = Quotes::None;
                after
            }
            (Quotes::Single, [b'\\', b'\'', after @ ..]) => {
                word.push(b'\'');
                after
            }
            (Quotes::Double, [b'\\', after @ ..]) if !after.is_empty() => {
                let (byte, after) = unescape(after);
                word.push(byte);
                after
            }
            (_, [byte, after @ ..]) => {
                word.push(*byte);
                after
            }
        };
    }
}

/// The byte that an escape within double quotes stands for, and what follows the escape. It is
/// given without its backslash.
fn unescape(escaped: &[u8]) -> (u8, &[u8]) {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    match *escaped {
        [b'x', high, low, ref rest @ ..]
            if let (Some(high), Some(low)) = (digit(high), digit(low)) =>
        {
            ((high * 16 + low) as u8, rest)
        }
        [b'n', ref rest @ ..] => (b'\n', rest),
        [b'r', ref rest @ ..] => (b'\r', rest),
        [b't', ref rest @ ..] => (b'\t', rest),
        [b'b', ref rest @ ..] => (0x08, rest),
        [b'a', ref rest @ ..] => (0x07, rest),
        [byte, ref rest @ ..] => (byte, rest),
        [] => (b'\\', escaped),
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Vec<String>, ProtocolError> {
        let mut rest = line.as_bytes();
        let mut words = Vec::new();
        let mut word = Vec::new();
        while let Some(after) = first_word(rest, &mut word)? {
            words.push(String::from_utf8_lossy(&word).into_owned());
            rest = after;
        }
        Ok(words)
    }

    #[test]
    fn words_are_separated_by_white_space_and_kept_together_by_quotes() {
        for (line, expected) in [
            ("GET AAPL", vec!["GET", "AAPL"]),
            ("  GET\t AAPL ", vec!["GET", "AAPL"]),
            (r#"GET "AAPL  260116C00200000""#, vec!["GET", "AAPL  260116C00200000"]),
            (r#"GET 'A B'"#, vec!["GET", "A B"]),
            (r#"ECHO "" ''"#, vec!["ECHO", "", ""]),
            (r#"ECHO "\x41\n\"\\\q" 'it\'s \n'"#, vec!["ECHO", "A\n\"\\q", "it's \\n"]),
            (r#"ECHO "\x4" "\xzz""#, vec!["ECHO", "x4", "xzz"]),
            (r#"ECHO a"b c""#, vec!["ECHO", "ab c"]),
            ("", vec![]),
            (" \t", vec![]),
        ] {
            assert_eq!(words(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn quotes_that_do_not_close_are_an_error() {
        for line in [r#"GET "A"#, "GET 'A", r#"GET "A"B"#, "GET 'A'B", r#"GET "A\"#, r#"GET "A\""#]
        {
            assert_eq!(words(line), Err(ProtocolError::UnbalancedQuotes), "{line}");
        }
    }

    #[test]
    fn a_line_becomes_the_array_it_stands_for() {
        assert_eq!(array(b"GET AAPL").unwrap(), b"*2\r\n$3\r\nGET\r\n$4\r\nAAPL\r\n");
        assert_eq!(array(b" ").unwrap(), b"");
        let most = "A ".repeat(RESP_INLINE_BYTES_MAX / 2);
        assert!(array(most.as_bytes()).unwrap().len() <= 4 * RESP_INLINE_BYTES_MAX);
    }

    #[test]
    fn a_line_that_comes_byte_by_byte_is_searched_once() {
        let mut inline = Inline::default();
        let line = [b'A'; 1000];
        for end in 0..line.len() {
            assert_eq!(inline.read(&mut &line[..end]), Ok(false));
            assert_eq!(inline.searched, end);
        }
    }

    #[test]
    fn a_line_that_is_an_error_stays_in_the_input() {
        let mut input = b"GET \"A\nPING\n".as_slice();
        let mut inline = Inline::default();
        for _ in 0..2 {
            assert_eq!(inline.read(&mut input), Err(ProtocolError::UnbalancedQuotes));
            assert_eq!((input.len(), inline.is_pending()), (12, false));
        }
    }

    #[test]
    fn a_line_ends_with_a_newline_that_may_have_a_carriage_return_before_it() {
        for (input, rest) in [("PING\nx", "x"), ("PING\r\nx", "x"), ("PING\n\rx", "\rx")] {
            let mut inline = Inline::default();
            let mut left = input.as_bytes();
            assert_eq!(inline.read(&mut left), Ok(true), "{input:?}");
            assert_eq!((left, &*inline.array), (rest.as_bytes(), &b"*1\r\n$4\r\nPING\r\n"[..]));
        }
        assert_eq!(Inline::default().read(&mut b"PING\r".as_slice()), Ok(false));
    }

    #[test]
    fn a_line_that_is_no_text_is_an_error_as_soon_as_that_is_seen() {
        for control in (0..0x20).chain([0x7f]).filter(|byte| !b"\t\n\r".contains(byte)) {
            let line = [b'G', b'E', b'T', b' ', control];
            assert_eq!(Inline::default().read(&mut line.as_slice()), Err(ProtocolError::Binary));
        }
        for line in [&b"GET A\rB"[..], b"GET A\r\r\n", b"GET \xff\n", b"GET \xc3\r\n"] {
            assert_eq!(Inline::default().read(&mut &line[..]), Err(ProtocolError::Binary));
        }
        assert_eq!(Inline::default().read(&mut "GET É\t\r\n".as_bytes()), Ok(true));
        assert_eq!(Inline::default().read(&mut &b"GET \xc3"[..]), Ok(false), "more may come");
    }

    #[test]
    fn a_web_page_cannot_have_its_request_executed() {
        for line in [
            "POST / HTTP/1.1",
            "post /",
            "Host: localhost:7879",
            "GET / HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "PRI * HTTP/2.0",
            "HSET /AAPL http/1.0",
            " \tGET  /a b\tHTTP/1.1 ",
            "GET \"/ HTTP/1.1\"",
            "GET /' HTTP/1.1",
        ] {
            assert_eq!(array(line.as_bytes()), Err(ProtocolError::Http), "{line}");
        }
        for line in ["GET post", "GET HTTP/1.1", "GET HTTP/", "HTTP/1.1 200 OK"] {
            assert!(array(line.as_bytes()).is_ok(), "{line}");
        }
    }
}
