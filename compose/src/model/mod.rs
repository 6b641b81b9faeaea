//! The rules of the language: what is done to trees between reading and building.
//!
//! In the order of the steps: [`merge`], [`unique`], [`canonical`], [`defaults`], [`checks`], [`paths`], [`normal`], [`bind`].

pub(crate) mod bind;
pub(crate) mod canonical;
pub(crate) mod checks;
pub(crate) mod defaults;
mod duration;
mod host;
pub(crate) mod merge;
pub(crate) mod normal;
pub(crate) mod paths;
mod port;
mod shell;
mod size;
pub(crate) mod unique;
mod volume;
