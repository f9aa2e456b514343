//! Which symbols are asked of a live source: some, those of a file, or all.

use std::str::FromStr;

/// Symbols as a source names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Symbols {
    All,
    These(Vec<String>),
}

impl FromStr for Symbols {
    type Err = String;

    fn from_str(text: &str) -> Result<Symbols, String> {
        let read;
        let listed = match text.strip_prefix('@') {
            None if text == "ALL" => return Ok(Symbols::All),
            None => text,
            Some(file) => {
                read = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
                read.as_str()
            }
        };
        let names = listed.split([',', '\n']).map(str::trim).filter(|name| !name.is_empty());
        let names: Vec<String> = names.map(str::to_owned).collect();
        let is_name = |name: &String| name.bytes().all(|byte| byte > b' ' && byte != b'|');
        match names.iter().find(|name| !is_name(name)) {
            Some(name) => Err(format!("'{name}' is no symbol of a source")),
            None if names.is_empty() => Err("no symbols: write A,B or @FILE or ALL".to_owned()),
            None => Ok(Symbols::These(names)),
        }
    }
}

impl Symbols {
    /// Lists of at most this many names with commas between, each with whether it is the last. `all` stands for all.
    pub(super) fn parts(&self, max: usize, all: &str) -> Vec<(bool, String)> {
        match self {
            Symbols::All => vec![(true, all.to_owned())],
            Symbols::These(names) => {
                let parts = names.chunks(max);
                let last = parts.len() - 1;
                parts.enumerate().map(|(at, names)| (at == last, names.join(","))).collect()
            }
        }
    }

    /// The names; `*` stands for all.
    pub(super) fn names(&self) -> Vec<&str> {
        match self {
            Symbols::All => vec!["*"],
            Symbols::These(names) => names.iter().map(String::as_str).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_a_list_a_file_or_all() {
        let parse = str::parse::<Symbols>;
        assert_eq!(parse("ALL"), Ok(Symbols::All));
        let some = parse("A, BRK.B ,C").unwrap();
        assert_eq!(some.names(), ["A", "BRK.B", "C"]);
        assert_eq!(some.parts(2, "*"), [(false, "A,BRK.B".to_owned()), (true, "C".to_owned())]);
        assert_eq!(Symbols::All.parts(2, "*"), [(true, "*".to_owned())]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("names");
        std::fs::write(&path, "A\nB,C\n\n").unwrap();
        assert_eq!(parse(&format!("@{}", path.display())).unwrap().names(), ["A", "B", "C"]);
        for text in ["", ",", "A|B", "A B", "@/nowhere/names"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
