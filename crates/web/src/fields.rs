//! The fields of a quote that a body gives, as JSON.
//!
//! A decimal is a string, or a number whose digits are taken as they are written: it is never turned into a float.
//! Invariant: what is not a field, stands there twice or has a value that the field cannot have is refused.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use stockd_model::{Field, Fields, Problem, Symbol, Volume};

use crate::refused::Refused;

/// The members of an object as they are written.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members<'a>, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    members.push((Cow::Owned(name), map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// What an object says of one stock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given {
    /// The stock, if the object names it.
    pub(crate) symbol: Option<Symbol>,
    /// The fields that it gives; `null` takes one away.
    pub(crate) fields: Fields,
}

/// Reads an object. `symbol` is a member of it, if it is there; what a server alone sets is not.
pub(crate) fn parse(json: &[u8]) -> Result<Given, Refused> {
    let Members(members) = serde_json::from_slice(json).map_err(|error| {
        Refused::new(Problem::InvalidRequest, format!("the body is no object of fields: {error}"))
    })?;
    let mut given = Given { symbol: None, fields: Fields::default() };
    for (at, (name, value)) in members.iter().enumerate() {
        if members[..at].iter().any(|(earlier, _)| earlier == name) {
            return Err(invalid(format!("field '{}' is given twice", shown(name))));
        }
        let text = text_of(value);
        match Field::find(name.as_bytes()) {
            Some(Field::Symbol) => given.symbol = Some(symbol(&text)?),
            Some(field) => set(&mut given.fields, field, &text)?,
            None => {
                let fields = Field::WRITABLE.map(Field::name).join(", ");
                let name = shown(name);
                return Err(invalid(format!("there is no field '{name}'; there are {fields}")));
            }
        }
    }
    Ok(given)
}

/// Shares above 0, an exact decimal as text or as a number.
pub(crate) fn shares_of(value: &RawValue) -> Result<Volume, Refused> {
    let text = serde_json::from_str::<String>(value.get()).unwrap_or(value.get().to_owned());
    let volume = Volume::parse(text.as_bytes());
    volume.ok().filter(|volume| !volume.is_exhausted()).ok_or_else(|| {
        let shown = stockd_model::escaped(text.as_bytes()).at_most(100);
        let detail = format!("quantity '{shown}' is no number of shares above 0");
        Refused::new(Problem::InvalidValue, detail)
    })
}

/// The value of a member.
enum Text<'a> {
    /// A string without its quotes, or a number as it is written.
    Value(Cow<'a, str>),
    Null,
    /// Anything else, as it is written.
    Other(&'a str),
}

fn text_of(value: &RawValue) -> Text<'_> {
    let json = value.get();
    match json.as_bytes().first() {
        Some(b'"') => match serde_json::from_str::<String>(json) {
            Ok(text) => Text::Value(Cow::Owned(text)),
            Err(_) => Text::Other(json),
        },
        Some(b'-' | b'0'..=b'9') => Text::Value(Cow::Borrowed(json)),
        Some(b'n') => Text::Null,
        _ => Text::Other(json),
    }
}

fn symbol(text: &Text<'_>) -> Result<Symbol, Refused> {
    match text {
        Text::Value(text) => Ok(Symbol::parse(text.as_bytes())?),
        Text::Null => Err(invalid("the symbol is null".to_owned())),
        Text::Other(json) => Err(invalid(format!("'{}' is no symbol", shown(json)))),
    }
}

fn set(fields: &mut Fields, field: Field, text: &Text<'_>) -> Result<(), Refused> {
    let name = field.name();
    match text {
        // `none` is a word of other protocols.
        Text::Value(text) if text.trim() != "none" => Ok(fields.set(field, text.as_bytes())?),
        Text::Value(text) => {
            Err(invalid(format!("{name} cannot be '{}'; null takes it away", shown(text))))
        }
        Text::Null if field.is_optional() => {
            fields.clear(field);
            Ok(())
        }
        Text::Null => Err(invalid(format!("every quote has {name}: it cannot be taken away"))),
        Text::Other(json) => Err(invalid(format!("{name} cannot be {}", shown(json)))),
    }
}

fn invalid(detail: String) -> Refused {
    Refused::new(Problem::InvalidValue, detail)
}

fn shown(text: &str) -> String {
    stockd_model::escaped(text.as_bytes()).at_most(100).to_string()
}

#[cfg(test)]
mod tests {
    use stockd_model::{Edit, Status};

    use super::*;

    #[test]
    fn fields_are_read_as_they_are_written() {
        let given = parse(
            br#"{"symbol":"AAPL","price":172.50,"volume":"1e3","bid":null,"status":"halted","time":"2026-09-21T14:13:20Z"}"#,
        )
        .unwrap();
        assert_eq!(given.symbol, "AAPL".parse().ok());
        assert_eq!(given.fields.price, "172.5".parse().unwrap());
        assert_eq!(given.fields.volume, Edit::Set(Volume::new(1000)));
        assert_eq!((given.fields.bid, given.fields.ask), (Edit::Clear, Edit::Keep));
        assert_eq!(given.fields.status, Some(Status::Halted));
        assert_eq!(given.fields.time_ns, Edit::Set(1_790_000_000_000_000_000));
        let exact = parse(br#"{"price":0.30000000000000004}"#).unwrap();
        assert_eq!(exact.fields.price, "0.30000000000000004".parse().unwrap());
    }

    #[test]
    fn what_is_no_field_or_no_value_is_refused() {
        for (json, words) in [
            ("", "no object"),
            ("[]", "no object"),
            ("{}x", "no object"),
            (r#"{"price":1,"price":2}"#, "'price' is given twice"),
            (r#"{"prise":1}"#, "no field 'prise'; there are price, volume"),
            (r#"{"price":true}"#, "price cannot be true"),
            (r#"{"price":{"a":1}}"#, "price cannot be"),
            (r#"{"price":"none"}"#, "null takes it away"),
            (r#"{"price":"$1"}"#, "'$1' is not a price"),
            (r#"{"status":null}"#, "every quote has status"),
            (r#"{"version":1}"#, "read-only"),
            (r#"{"symbol":null}"#, "the symbol is null"),
            (r#"{"symbol":""}"#, "the symbol is empty"),
        ] {
            let refused = parse(json.as_bytes()).unwrap_err();
            assert!(refused.detail.contains(words), "{json}: {}", refused.detail);
        }
    }
}
