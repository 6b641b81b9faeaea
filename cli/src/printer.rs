//! The only gate to standard output and standard error.

use std::io::{self, IsTerminal, Write};

use crate::env::Env;
use crate::failure::{Failure, io_text};
use crate::style::{ColorChoice, Palette, Tone};

/// Prints data, warnings and errors.
#[derive(Clone, Debug)]
pub(crate) struct Printer {
    /// Colours of standard error.
    palette: Palette,
}

impl Printer {
    /// A printer with the colours that standard error may have.
    pub(crate) fn new(choice: ColorChoice, env: &Env) -> Self {
        Self { palette: Palette::choose(choice, io::stderr().is_terminal(), env) }
    }

    /// The colours of standard error.
    pub(crate) fn palette(&self) -> &Palette {
        &self.palette
    }

    /// Writes data to standard output.
    ///
    /// # Errors
    /// [`Failure::BrokenPipe`] when nobody reads it, so that the command can end.
    #[expect(clippy::unused_self, reason = "what prints has a printer")]
    pub(crate) fn data(&self, data: impl AsRef<[u8]>) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(data.as_ref()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
            _ => Failure::message(format!("can't write to standard output: {}", io_text(&error))),
        })
    }

    /// Writes a line of data.
    pub(crate) fn line(&self, line: impl AsRef<str>) -> Result<(), Failure> {
        self.data(format!("{}\n", line.as_ref()))
    }

    /// Prints a value as indented JSON.
    pub(crate) fn json(&self, value: &impl serde::Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::because("can't write JSON", &error))?;
        self.line(text)
    }

    /// Prints a ready report to standard error. There is nowhere to complain if that fails.
    #[expect(clippy::unused_self, reason = "what prints has a printer")]
    pub(crate) fn error(&self, report: &str) {
        let _ = io::stderr().lock().write_all(report.as_bytes());
    }

    /// Prints a warning.
    pub(crate) fn warn(&self, message: &str) {
        self.error(&format!("{} {message}\n", self.palette.paint(Tone::Warning, "warning:")));
    }

    /// Prints a remark.
    pub(crate) fn note(&self, message: &str) {
        self.error(&format!("{message}\n"));
    }
}
