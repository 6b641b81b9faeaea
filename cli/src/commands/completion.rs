//! `completion`.

use clap::CommandFactory;

use crate::args::{Cli, CompletionArgs};
use crate::failure::Failure;
use crate::printer::Printer;

/// Prints a shell's completion script.
pub(crate) fn run(args: &CompletionArgs, printer: &Printer) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "garboard", &mut script);
    printer.data(script)
}
