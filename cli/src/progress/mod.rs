//! Displays of a build's progress: consumers of the engine's events, each on standard error.
//!
//! A display only turns events into bytes; one thread owns it, tells it the time and writes what it gives.

mod model;
mod plain;
mod quiet;
mod rawjson;
mod screen;
mod tty;

use std::time::SystemTime;

use garboard_builder::Event;

pub(crate) use screen::{Ended, Progress, Sink};
pub(crate) use tty::TtyOptions;

use crate::style::Palette;

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Lines, as they come.
    Plain,
    /// A picture that is redrawn.
    Tty,
    /// One JSON object a line, as BuildKit writes them.
    RawJson,
    /// Nothing.
    Quiet,
}

impl Mode {
    /// Reads `--progress`; `None` for an unknown word.
    pub(crate) fn read(text: &str, terminal: bool) -> Option<Self> {
        match text {
            "auto" if terminal => Some(Self::Tty),
            "auto" | "plain" => Some(Self::Plain),
            "tty" => Some(Self::Tty),
            "rawjson" => Some(Self::RawJson),
            "quiet" | "none" => Some(Self::Quiet),
            _ => None,
        }
    }
}

/// One way to show events.
pub(crate) trait Display: Send {
    /// Takes an event in.
    fn event(&mut self, event: &Event);

    /// Appends to `out` what is to be written now.
    fn render(&mut self, now: SystemTime, out: &mut Vec<u8>);

    /// Appends what is to be written at the end.
    fn finish(&mut self, now: SystemTime, out: &mut Vec<u8>);
}

/// Makes the display of a mode.
pub(crate) fn display(mode: Mode, palette: &Palette, tty: TtyOptions) -> Box<dyn Display> {
    match mode {
        Mode::Plain => Box::new(plain::Plain::new(palette.clone())),
        Mode::Tty => Box::new(tty::Tty::new(palette.clone(), tty)),
        Mode::RawJson => Box::new(rawjson::RawJson::default()),
        Mode::Quiet => Box::new(quiet::Quiet),
    }
}

#[cfg(test)]
mod samples;
