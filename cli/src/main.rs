//! The `garboard` program: arguments in, a command's result out.
//!
//! The library crates neither print nor read the environment; both happen here, and only here. Standard output is for
//! data; progress, warnings and errors go to standard error.
#![forbid(unsafe_code)]

mod access;
mod answer;
mod archive;
mod args;
mod bake;
mod commands;
mod compose;
mod daemon;
mod docker;
mod engine;
mod env;
mod exit;
mod failure;
mod interrupt;
mod line_range;
mod names;
mod parts;
mod printer;
mod progress;
mod registries;
mod report;
mod settings;
mod stored;
mod style;
mod table;
mod template;
mod text;
mod transfer;

use std::process::ExitCode;

use args::Cli;
use env::Env;
use exit::Exit;
use printer::Printer;

fn main() -> ExitCode {
    engine::dispatch();
    raise_file_limit();
    let env = Env::of_process();
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error).into(),
    };
    let printer = Printer::new(cli.global.color, &env);
    let exit = match commands::run(cli, &env, &printer) {
        Ok(()) => Exit::Ok,
        Err(failure) => {
            printer.error(&report::failure(&failure, printer.palette()));
            failure.exit()
        }
    };
    exit.into()
}

/// Allows for as many open files as the machine lets us have: runs of many targets need more than is usual. Steps have a
/// limit of their own.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Without it only such runs fail, and say why.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Prints clap's complaint, or the help that was asked for.
fn refuse(error: &clap::Error) -> Exit {
    // nobody may be reading, which is no failure
    let _ = error.print();
    match error.use_stderr() {
        false => Exit::Ok,
        // docker compose knows no other code
        true if is_compose() => Exit::Failure,
        true => Exit::Usage,
    }
}

/// Whether the first word that is no flag is `compose`.
fn is_compose() -> bool {
    std::env::args_os()
        .skip(1)
        .find(|word| !word.as_encoded_bytes().starts_with(b"-"))
        .is_some_and(|it| it == "compose")
}
