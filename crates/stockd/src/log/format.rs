//! What a line of the log looks like: text for people, or a JSON object for programs.
//!
//! Invariant: a line is one line, whatever is in its fields.

use std::fmt::{self, Debug};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Time, level, message and fields, in colour on a terminal.
    #[default]
    Text,
    /// `{"timestamp":…,"level":…,"message":…}` and the fields.
    Json,
}

impl LogFormat {
    /// A line that comes from no event.
    pub(super) fn line(self, level: Level, text: &str) -> Vec<u8> {
        match self {
            LogFormat::Text => format!("{} {level:>5} {text}\n", now()).into_bytes(),
            LogFormat::Json => {
                let mut fields = Map::new();
                fields.insert("message".to_owned(), text.into());
                format!("{}\n", object(level, fields)).into_bytes()
            }
        }
    }
}

/// Formats events as JSON.
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields(Map::new());
        event.record(&mut fields);
        writeln!(writer, "{}", object(*event.metadata().level(), fields.0))
    }
}

fn now() -> String {
    let mut time = String::new();
    let timed = SystemTime.format_time(&mut Writer::new(&mut time));
    debug_assert!(timed.is_ok(), "a string takes everything");
    time
}

fn object(level: Level, mut fields: Map<String, Value>) -> Value {
    let mut object = Map::new();
    object.insert("timestamp".to_owned(), now().into());
    object.insert("level".to_owned(), level.as_str().into());
    object.append(&mut fields);
    Value::Object(object)
}

/// The fields of an event; its message is one of them.
struct Fields(Map<String, Value>);

impl Fields {
    fn insert(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.insert(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value);
    }
}
