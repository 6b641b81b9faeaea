//! Reports of failures.

use std::fmt::Write;

use garboard_builder::{BuildFailure, FailedStep};

use super::excerpt;
use crate::failure::Failure;
use crate::style::{Palette, Tone};
use crate::text::printable;

const RULE: &str = "------";
/// Log lines that are repeated.
const LAST_LINES: usize = 20;

/// The whole report of a failed command, to be written to standard error; empty where nothing is to be said.
pub(crate) fn failure(failure: &Failure, palette: &Palette) -> String {
    match failure {
        Failure::Build(failure) => build(failure, palette),
        Failure::Usage(error) => usage(&crate::failure::chain(error), error.hint().as_deref(), palette),
        Failure::Other(complaint) => {
            message("ERROR", &complaint.message, palette) + &hint(complaint.hint.as_deref(), palette)
        }
        Failure::Reported | Failure::BrokenPipe => String::new(),
    }
}

/// The report of a wrong command line, in clap's look.
fn usage(text: &str, advice: Option<&str>, palette: &Palette) -> String {
    let more = "\nFor more information, try '--help'.\n";
    message("error", text, palette) + &hint(advice, palette) + more
}

fn build(failure: &BuildFailure, palette: &Palette) -> String {
    if failure.interrupted {
        // the user knows where it was
        return message("ERROR", "interrupted", palette);
    }
    let mut out = String::new();
    if let Some(step) = &failure.step {
        out.push_str(&log(step));
    }
    if let Some(place) = &failure.source_excerpt {
        out.push_str(&excerpt(place, palette));
    }
    out.push_str(&message("ERROR", &failure.message, palette));
    out.push_str(&hint(failure.hint.as_deref(), palette));
    if let Some(kept) = failure.step.as_ref().and_then(|step| step.kept.as_ref()) {
        let _ = writeln!(out, "note: the step's files are kept in {}", kept.display());
    }
    out
}

/// The last lines of the step's log between two rules.
fn log(step: &FailedStep) -> String {
    let mut out = format!("{RULE}\n > {}:\n", printable(&step.name.replace('\n', " ")));
    let skipped = step.last_lines.len().saturating_sub(LAST_LINES);
    for line in &step.last_lines[skipped..] {
        out.push_str(&printable(line));
        out.push('\n');
    }
    out + RULE + "\n"
}

fn message(word: &str, text: &str, palette: &Palette) -> String {
    format!("{} {}\n", palette.paint(Tone::Error, &format!("{word}:")), text.trim_end())
}

fn hint(text: Option<&str>, palette: &Palette) -> String {
    text.map_or_else(String::new, |text| format!("{} {text}\n", palette.paint(Tone::Running, "hint:")))
}

#[cfg(test)]
mod tests {
    use garboard_builder::SourcePlace;

    use super::*;

    #[test]
    fn failed_step() {
        let failure = BuildFailure {
            message: "process \"/bin/sh -c make\" did not complete successfully: exit code: 127".into(),
            hint: Some("`make` was not found in the image".into()),
            source_excerpt: Some(SourcePlace {
                file: "Dockerfile".into(),
                text: b"FROM busybox\nRUN make\n".into(),
                ranges: vec![(2, 2)],
                column: None,
            }),
            step: Some(FailedStep {
                name: "[2/2] RUN make".into(),
                last_lines: vec!["\x1b[1m/bin/sh: make: not found\x1b[0m".into()],
                kept: Some("/var/lib/garboard/tmp/x".into()),
            }),
            interrupted: false,
            follows: false,
        };
        insta::assert_snapshot!(build(&failure, &Palette::default()), @r#"
        ------
         > [2/2] RUN make:
        /bin/sh: make: not found
        ------
        Dockerfile:2
        --------------------
           1 |     FROM busybox
           2 | >>> RUN make
        --------------------
        ERROR: process "/bin/sh -c make" did not complete successfully: exit code: 127
        hint: `make` was not found in the image
        note: the step's files are kept in /var/lib/garboard/tmp/x
        "#);
    }

    #[test]
    fn wrong_command_line() {
        let error = crate::args::ArgsError::unsupported_but("--ssh default", "use a secret");
        insta::assert_snapshot!(super::failure(&Failure::Usage(error), &Palette::default()), @r"
        error: `--ssh default` is not supported yet
        hint: use a secret

        For more information, try '--help'.
        ");
    }
}
