//! What may stand in compose files: a compact description, and trees held against it.
//!
//! The description is data, in `compose.txt`. It says both what may be written, which [`check`] looks at, and what is made of
//! it, which [`crate::model`] does.

mod check;
mod parse;

pub(crate) use check::check;
pub(crate) use parse::{Field, Keep, Made, Open, Struct, schema};
