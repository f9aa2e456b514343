//! Work on many things, some of them at once.

/// What an iterator has, in batches of this size; the last may be smaller, and none is empty.
pub(crate) fn batches<T>(
    mut all: impl Iterator<Item = T>,
    size: usize,
) -> impl Iterator<Item = Vec<T>> {
    std::iter::from_fn(move || {
        let batch: Vec<T> = all.by_ref().take(size).collect();
        (!batch.is_empty()).then_some(batch)
    })
}
