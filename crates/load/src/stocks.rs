//! The stocks that are looked up: their names, and the prices that filling gives them.
//!
//! Invariant: names and prices depend on a stock's number alone, so every run that fills a server
//! fills it alike.

use stockd_model::Price;

/// Texts by number, in one piece of memory.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    /// The names of `count` generated stocks: `S0000000`, `S0000001`…
    pub fn generated(count: usize) -> Texts {
        let mut texts = Texts::default();
        (0..count).for_each(|number| texts.push(format!("S{number:07}").as_bytes()));
        texts
    }

    /// Adds a text; its number is how many were there before.
    pub fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// One of them.
    #[inline]
    pub fn get(&self, number: usize) -> &[u8] {
        let begin = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.bytes[begin..self.ends[number]]
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|number| self.get(number))
    }
}

/// The price that filling gives a stock, or the price one cent higher; updates alternate between
/// the two.
pub(crate) fn price(number: u32, higher: bool) -> Price {
    // Between 1 and 1000 and one cent, the neighbours far apart.
    let cents = 100 + i64::from(number) * 7919 % 99_901 + i64::from(higher);
    Price::new(cents, 2).unwrap_or(Price::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_are_as_said() {
        let names = Texts::generated(3);
        let names: Vec<&[u8]> = names.iter().collect();
        assert_eq!(names, [b"S0000000", b"S0000001", b"S0000002"]);
    }

    #[test]
    fn prices_are_what_they_are_forever() {
        let text = |number, higher| price(number, higher).to_string();
        assert_eq!([text(0, false), text(0, true), text(1, false)], ["1", "1.01", "80.19"]);
        assert_eq!(text(u32::MAX, false).parse::<Price>().unwrap(), price(u32::MAX, false));
    }
}
