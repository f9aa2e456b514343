//! How many clients at once: `5`, `1..5`, `1,2,10`.

use std::str::FromStr;

use stockd_model::limits::LOOKUP_CLIENTS_MAX;

/// Numbers of clients, in the order they are measured: at least one, none of them 0, and no more than there are
/// numbers up to [`LOOKUP_CLIENTS_MAX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientCounts(Vec<usize>);

impl ClientCounts {
    pub(super) fn counts(&self) -> &[usize] {
        &self.0
    }
}

impl FromStr for ClientCounts {
    type Err = String;

    fn from_str(text: &str) -> Result<ClientCounts, String> {
        let hint =
            || format!("write numbers from 1 to {LOOKUP_CLIENTS_MAX}, as in 5, 1..5 or 1,2,10");
        let count = |text: &str| {
            let count = text.trim().parse().ok();
            count.filter(|count| (1..=LOOKUP_CLIENTS_MAX).contains(count)).ok_or_else(hint)
        };
        let counts: Vec<usize> = match text.split_once("..") {
            Some((first, last)) => {
                // Rust writes the same with a sign.
                let (first, last) = (count(first)?, count(last.strip_prefix('=').unwrap_or(last))?);
                (first..=last).collect()
            }
            None => text.split(',').map(count).collect::<Result<_, _>>()?,
        };
        match counts.len() {
            1..=LOOKUP_CLIENTS_MAX => Ok(ClientCounts(counts)),
            _ => Err(hint()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_one_a_range_or_a_list() {
        let counts = |text: &str| text.parse::<ClientCounts>().map(|counts| counts.0);
        assert_eq!(counts("5").unwrap(), [5]);
        assert_eq!(counts("1..5").unwrap(), [1, 2, 3, 4, 5]);
        assert_eq!(counts("2..=3").unwrap(), [2, 3]);
        assert_eq!(counts("1, 2,10").unwrap(), [1, 2, 10]);
        for wrong in ["", "0", "65", "5..1", "0..3", "1..", "..5", "1...5", "a", "1,,2", "-1"] {
            let why = counts(wrong).unwrap_err();
            assert!(why.contains("1 to 64") && why.contains("1..5"), "{wrong}: {why}");
        }
    }
}
