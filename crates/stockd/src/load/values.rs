//! Values of the options of `stockd load`.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use stockd_load::Load;
use stockd_model::limits::{
    LOAD_CONNECTIONS_MAX, LOAD_PIPELINE_MAX, LOAD_RATE_MAX, LOAD_RATE_MIN, LOAD_RUNS_MAX,
    LOAD_THREADS_MAX, TIMEOUT_MAX,
};

/// The parameter that changes from run to run, and its values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sweep {
    pub(super) parameter: Parameter,
    pub(super) values: Vec<f64>,
}

/// The parameters that a sweep can change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Parameter {
    Connections,
    Pipeline,
    Threads,
    Rate,
}

impl Parameter {
    const ALL: [Parameter; 4] =
        [Parameter::Connections, Parameter::Pipeline, Parameter::Threads, Parameter::Rate];

    pub(super) fn name(self) -> &'static str {
        match self {
            Parameter::Connections => "connections",
            Parameter::Pipeline => "pipeline",
            Parameter::Threads => "threads",
            Parameter::Rate => "rate",
        }
    }

    fn range(self) -> RangeInclusive<f64> {
        match self {
            Parameter::Connections => 1.0..=LOAD_CONNECTIONS_MAX as f64,
            Parameter::Pipeline => 1.0..=LOAD_PIPELINE_MAX as f64,
            Parameter::Threads => 1.0..=LOAD_THREADS_MAX as f64,
            Parameter::Rate => LOAD_RATE_MIN..=LOAD_RATE_MAX,
        }
    }

    /// The load with this changed.
    pub(super) fn set(self, mut load: Load, value: f64) -> Load {
        match self {
            Parameter::Connections => load.connections = value as usize,
            Parameter::Pipeline => load.pipeline = value as usize,
            Parameter::Threads => load.threads = value as usize,
            Parameter::Rate => load.rate = Some(value),
        }
        load
    }
}

/// A whole number from 1 on.
pub(super) fn count(max: usize) -> RangedU64ValueParser<u64> {
    let range: RangeInclusive<u64> = 1..=max as u64;
    RangedU64ValueParser::new().range(range)
}

pub(super) fn rate(text: &str) -> Result<f64, String> {
    number(text, LOAD_RATE_MIN, LOAD_RATE_MAX, "requests a second")
}

pub(super) fn percent(text: &str) -> Result<f64, String> {
    number(text, 0.0, 100.0, "a share in percent")
}

pub(super) fn theta(text: &str) -> Result<f64, String> {
    number(text, 0.0, 10.0, "an exponent")
}

fn number(text: &str, min: f64, max: f64, what: &str) -> Result<f64, String> {
    let digits = text.replace('_', "");
    let value = digits.parse().ok().filter(|value| (min..=max).contains(value));
    value.ok_or_else(|| format!("write {what} from {min} to {max}"))
}

/// A time with its unit, as in `500ms`, `5s`, `2m`.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let hint = || "write a time with its unit, as in 500ms, 5s or 2m".to_owned();
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(hint)?;
    let (number, unit) = text.split_at(unit_at);
    let number: f64 = number.parse().ok().filter(|number| *number >= 0.0).ok_or_else(hint)?;
    let seconds = match unit {
        "ms" => number / 1e3,
        "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err(hint()),
    };
    let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| *time <= TIMEOUT_MAX);
    time.ok_or_else(|| "write a time of at most 720h".to_owned())
}

/// A sweep, as in `connections=1,10,100`.
pub(super) fn sweep(text: &str) -> Result<Sweep, String> {
    let hint = || {
        let names = Parameter::ALL.map(Parameter::name).join(", ");
        format!("write one of {names}, and its values, as in connections=1,10,100")
    };
    let (name, values) = text.split_once('=').ok_or_else(hint)?;
    let parameter = Parameter::ALL.into_iter().find(|parameter| parameter.name() == name);
    let parameter = parameter.ok_or_else(hint)?;
    let value = |text: &str| {
        let (min, max) = parameter.range().into_inner();
        let value = number(text, min, max, "a number").ok();
        let value = value.filter(|value| parameter == Parameter::Rate || value.fract() == 0.0);
        value.ok_or_else(|| {
            format!("'{text}' is not possible for {name}: write a number from {min} to {max}")
        })
    };
    let values: Vec<f64> = values.split(',').map(value).collect::<Result<_, _>>()?;
    match values.len() <= LOAD_RUNS_MAX {
        true => Ok(Sweep { parameter, values }),
        false => Err(format!("write at most {LOAD_RUNS_MAX} values")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_are_read_and_wrong_ones_refused_with_a_remedy() {
        let values = vec![1.0, 10.0, 100.0];
        let expected = Sweep { parameter: Parameter::Connections, values };
        assert_eq!(sweep("connections=1,10,100"), Ok(expected));
        assert_eq!(sweep("rate=0.5,20_000").unwrap().values, [0.5, 20_000.0]);
        for wrong in ["connections", "clients=1", "connections=", "pipeline=1.5", "threads=999"] {
            assert!(sweep(wrong).unwrap_err().starts_with(['w', '\'']), "{wrong}");
        }
        assert!(sweep("rate=0").unwrap_err().ends_with("from 0.001 to 1000000000"));
    }

    #[test]
    fn numbers_are_within_their_bounds() {
        assert_eq!(rate("20_000"), Ok(20_000.0));
        assert_eq!(percent("0"), Ok(0.0));
        for wrong in ["0", "-1", "1e-300", "inf", "nan", "many"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
        assert_eq!(percent("101").unwrap_err(), "write a share in percent from 0 to 100");
    }

    #[test]
    fn times_have_units() {
        assert_eq!(seconds("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(seconds("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(seconds("0s"), Ok(Duration::ZERO));
        for wrong in ["", "5", "s", "-1s", "5 s", "5d", "1e9h", "nans"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
