//! The fields of a row of a stock, as `HSETROWS` writes and `HGETROWS` reads them.
//!
//! Invariant: there are at most as many as a quote has fields. One may be there several times.

use stockd_model::Field;

/// Fields, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    fields: [Option<Field>; Columns::MAX],
    len: u8,
}

impl Columns {
    /// How many there can be.
    pub const MAX: usize = Field::ALL.len();

    /// Adds a field behind the others. One beyond [`MAX`](Columns::MAX) is left out.
    pub fn push(&mut self, field: Field) {
        let len = self.len();
        if let Some(place) = self.fields.get_mut(len) {
            *place = Some(field);
            self.len += 1;
        }
    }

    /// How many they are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len.into()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The fields, in order.
    #[inline]
    pub fn fields(&self) -> impl Iterator<Item = Field> + '_ {
        self.fields.iter().map_while(|field| *field)
    }
}
