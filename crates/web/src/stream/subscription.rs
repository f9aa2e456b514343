//! What a stream is asked for: names, patterns, an interval, and from where it resumes.
//!
//! It knows no protocol. Invariant: what is here is valid; what is not listed is.

use std::time::Duration;

use stockd_model::limits::{
    STREAM_IMPOSSIBLE_NAMES_MAX, STREAM_INTERVAL_MAX, STREAM_NAME_BYTES_MAX, STREAM_RESUME_OVERLAP,
};
use stockd_model::{Problem, Symbol};

use crate::refused::Refused;
use crate::stream::clock::Clock;
use crate::stream::hub::Stream;

/// What a stream is asked for at its beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) names: Names,
    pub(crate) patterns: Vec<Vec<u8>>,
    /// At most one quote a symbol in this time.
    pub(crate) interval: Option<Duration>,
    /// What the client calls itself; empty unless it does.
    pub(crate) name: String,
    pub(crate) resumes: Option<EventId>,
}

/// The names of stocks that are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) symbols: Vec<Symbol>,
    /// Those that can be no symbols, as they are shown. They are told as not listed, which they will always be.
    pub(crate) impossible: Vec<String>,
}

/// Up to where a stream has told everything: `8f3a…-1790000000123456789-1789999999000000001`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventId {
    pub(crate) epoch: u64,
    /// Every change before this moment, in Unix nanoseconds, has been told.
    pub(crate) told_ns: u64,
    /// In which life of its server that was: when this began.
    pub(crate) life_ns: u64,
}

/// What a stream may go on with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resumable<'a> {
    pub(crate) epoch: u64,
    /// Whether all that was told is there after a crash.
    pub(crate) keeps_all: bool,
    /// Whether the moments of changes are by the clocks of other nodes, too.
    pub(crate) is_node: bool,
    pub(crate) clock: &'a Clock,
}

impl Names {
    /// Reads names, of which some may be impossible.
    ///
    /// # Errors
    ///
    /// Where too many are, or all of them and nothing else `is_asked`: the first of them.
    pub(crate) fn parse<'a>(
        names: impl Iterator<Item = &'a str>,
        is_asked: bool,
    ) -> Result<Names, Refused> {
        let (mut parsed, mut first) = (Names::default(), None);
        for name in names {
            match Symbol::parse(name.as_bytes()) {
                Ok(symbol) => parsed.symbols.push(symbol),
                Err(error) => {
                    let shown = stockd_model::escaped(name.as_bytes()).at_most(100).to_string();
                    first.get_or_insert((shown.clone(), error));
                    parsed.impossible.push(shown);
                }
            }
            if parsed.impossible.len() > STREAM_IMPOSSIBLE_NAMES_MAX {
                break;
            }
        }
        let are_too_many = parsed.impossible.len() > STREAM_IMPOSSIBLE_NAMES_MAX;
        let are_all = parsed.symbols.is_empty() && !is_asked;
        match first.filter(|_| are_too_many || are_all) {
            None => Ok(parsed),
            Some((shown, error)) => {
                let detail = format!("'{shown}' can be no symbol: {error}");
                Err(Refused::new(Problem::InvalidSymbol, detail).with("symbol", shown))
            }
        }
    }
}

impl Subscription {
    pub(crate) fn is_empty(&self) -> bool {
        self.names.symbols.is_empty() && self.patterns.is_empty()
    }

    /// Subscribes to all of it.
    pub(crate) fn apply(&self, stream: &Stream) -> Result<(), Refused> {
        self.names.symbols.iter().try_for_each(|symbol| stream.subscribe(symbol))?;
        self.patterns.iter().try_for_each(|pattern| stream.subscribe_pattern(pattern))
    }

    /// The moment from which changes are told, if the stream can go on from where another has ended.
    ///
    /// A pattern cannot: what was delisted meanwhile would never be told. Where a crash may have taken back what was
    /// told, only what this process has told counts. And a change is found by its moment, so clocks must agree.
    pub(crate) fn resumed_from(&self, here: &Resumable<'_>) -> Option<u64> {
        let EventId { epoch, told_ns, life_ns } = self.resumes?;
        let can = epoch == here.epoch
            && self.patterns.is_empty()
            && (here.keeps_all || life_ns == here.clock.began_ns)
            && !here.is_node
            && here.clock.trusts(told_ns, life_ns);
        can.then(|| told_ns.saturating_sub(STREAM_RESUME_OVERLAP.as_nanos() as u64))
    }
}

impl EventId {
    pub(crate) fn parse(text: &str) -> Option<EventId> {
        let (epoch, moments) = text.split_once('-')?;
        // Servers of older versions did not say in which life it was: none began then.
        let (told, life) = moments.split_once('-').unwrap_or((moments, "0"));
        let is_number = |text: &&str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if ![epoch, told, life].iter().all(is_number) {
            return None;
        }
        let epoch = u64::from_str_radix(epoch, 16).ok()?;
        Some(EventId { epoch, told_ns: told.parse().ok()?, life_ns: life.parse().ok()? })
    }
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}-{}-{}", self.epoch, self.told_ns, self.life_ns)
    }
}

/// Reads what a client calls itself.
pub(crate) fn parse_name(text: &str) -> Result<String, Refused> {
    let bytes = text.len();
    if bytes > STREAM_NAME_BYTES_MAX {
        let detail = format!("the name has {bytes} bytes, the limit is {STREAM_NAME_BYTES_MAX}");
        return Err(Refused::new(Problem::InvalidRequest, detail));
    }
    if text.chars().any(char::is_control) {
        let detail = "the name of a stream has no control characters";
        return Err(Refused::new(Problem::InvalidRequest, detail));
    }
    Ok(text.to_owned())
}

/// Reads an interval in milliseconds.
pub(crate) fn parse_interval(text: &str) -> Result<Option<Duration>, Refused> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let ms = text.parse::<u64>().ok().filter(|_| is_number);
    let max = STREAM_INTERVAL_MAX.as_millis() as u64;
    match ms.filter(|ms| *ms <= max) {
        Some(0) => Ok(None),
        Some(ms) => Ok(Some(Duration::from_millis(ms))),
        None => {
            let shown = stockd_model::escaped(text.as_bytes()).at_most(100).to_string();
            let detail = format!("interval '{shown}' is no number of milliseconds up to {max}");
            Err(Refused::new(Problem::InvalidRequest, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_and_nothing_else_is_one() {
        let id = EventId { epoch: 0xabc, told_ns: 17, life_ns: 5 };
        assert_eq!(id.to_string(), "0000000000000abc-17-5");
        assert_eq!(EventId::parse("0000000000000abc-17-5"), Some(id));
        let of_no_life = EventId { life_ns: 0, ..id };
        assert_eq!(EventId::parse("0000000000000abc-17"), Some(of_no_life));
        for text in [
            "",
            "-",
            "abc",
            "abc-",
            "-17",
            "abc--17",
            "+abc-17",
            "abc-17 ",
            "xyz-17",
            "abc-17-",
            "abc-17-5-1",
            "abc-17-+5",
        ] {
            assert_eq!(EventId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_names_of_the_same_epoch_are_resumed() {
        let second = 1_000_000_000;
        let clock = Clock::new();
        let here = Resumable { epoch: 7, keeps_all: false, is_node: false, clock: &clock };
        let told_ns = clock.began_ns + 100 * second;
        let overlapped = Some(told_ns - 60 * second);
        let id = EventId { epoch: 7, told_ns, life_ns: clock.began_ns };
        let names = Subscription { resumes: Some(id), ..Subscription::default() };
        assert_eq!(names.resumed_from(&here), overlapped);
        assert_eq!(names.resumed_from(&Resumable { epoch: 8, ..here }), None, "another epoch");
        assert_eq!(names.resumed_from(&Resumable { is_node: true, ..here }), None, "other clocks");
        let patterns = Subscription { patterns: vec![b"*".to_vec()], ..names };
        assert_eq!(patterns.resumed_from(&here), None);
        assert_eq!(Subscription::default().resumed_from(&here), None);
        let keeps_all = Resumable { keeps_all: true, ..here };
        let of = |id| Subscription { resumes: Some(id), ..Subscription::default() };
        let earlier = of(EventId { told_ns: clock.began_ns, life_ns: 5, ..id });
        assert_eq!(earlier.resumed_from(&here), None, "before a crash, perhaps");
        assert_eq!(earlier.resumed_from(&keeps_all), Some(clock.began_ns - 60 * second));
        let ahead = of(EventId { life_ns: 5, ..id });
        assert_eq!(ahead.resumed_from(&keeps_all), None, "the clock was set back since");
    }

    #[test]
    fn names_that_can_be_no_symbols_are_kept_apart() {
        let long = "x".repeat(60);
        let names = Names::parse(["A", &long, "B", ""].into_iter(), false).unwrap();
        let symbols: Vec<&str> = names.symbols.iter().map(Symbol::as_str).collect();
        assert_eq!(
            (symbols, names.impossible),
            (vec!["A", "B"], vec![long.clone(), String::new()])
        );
        assert_eq!(Names::parse([].into_iter(), false).unwrap(), Names::default());
        assert!(Names::parse([&*long].into_iter(), true).is_ok());
        // Nothing would ever come, or too much would be held: it is said which name it is.
        let many = std::iter::once("A").chain(std::iter::repeat_n(&*long, 1025));
        for refused in [Names::parse([&*long].into_iter(), false), Names::parse(many, true)] {
            let refused = refused.unwrap_err();
            assert_eq!(refused.problem, Problem::InvalidSymbol);
            assert!(refused.detail.contains(&long), "{}", refused.detail);
        }
    }

    #[test]
    fn a_name_is_short_text() {
        assert_eq!(parse_name("desk 7").unwrap(), "desk 7");
        assert!(parse_name(&"x".repeat(STREAM_NAME_BYTES_MAX)).is_ok());
        assert!(parse_name(&"x".repeat(STREAM_NAME_BYTES_MAX + 1)).is_err());
        assert!(parse_name("a\nb").is_err());
    }

    #[test]
    fn an_interval_is_a_number_of_milliseconds() {
        assert_eq!(parse_interval("250").unwrap(), Some(Duration::from_millis(250)));
        assert_eq!(parse_interval("0").unwrap(), None);
        for text in ["", "+1", "-1", "1s", "3600001"] {
            assert!(parse_interval(text).is_err(), "{text}");
        }
    }
}
