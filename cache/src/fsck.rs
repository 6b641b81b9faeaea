//! Checking the store.

use crate::store::unfinished;
use crate::{Result, Store};

/// Something wrong with the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path below the root, or `db.sqlite` with the row.
    pub place: String,
    /// What is wrong, a lower-case fragment.
    pub what: String,
}

impl Store {
    /// Reads everything and compares: digests of all blobs, tables of contents, folders, database, image index.
    /// Takes as long as reading the whole store.
    pub fn fsck(&self) -> Result<Vec<Problem>> {
        Err(unfinished())
    }
}
