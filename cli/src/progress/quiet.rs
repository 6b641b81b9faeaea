//! The display that shows nothing.

use std::time::SystemTime;

use garboard_builder::Event;

use super::Display;

/// Shows nothing.
pub(crate) struct Quiet;

impl Display for Quiet {
    fn event(&mut self, _: &Event) {}

    fn render(&mut self, _: SystemTime, _: &mut Vec<u8>) {}

    fn finish(&mut self, _: SystemTime, _: &mut Vec<u8>) {}
}
