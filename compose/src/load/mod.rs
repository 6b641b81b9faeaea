//! From files to one merged tree: finding, naming, reading, variables, `include`, `extends`.

mod environment;
mod extends;
mod find;
mod include;
mod interpolate;
mod merged;
mod name;

pub(crate) use environment::read_text;
pub(crate) use find::find;
pub(crate) use merged::{Loader, Rules, Scope};
pub(crate) use name::project_name;
