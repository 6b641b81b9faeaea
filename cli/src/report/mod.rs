//! What is printed when something failed or was warned about: pure text, with BuildKit's look.

mod excerpt;
mod failure;
mod warning;

pub(crate) use excerpt::excerpt;
pub(crate) use failure::failure;
pub(crate) use warning::{summary, warning_text};
