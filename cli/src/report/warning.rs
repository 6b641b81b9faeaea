//! The warnings of a build, as they are listed at its end.

use std::fmt::Write;

use garboard_builder::{SourcePlace, Warning};

use super::excerpt;
use crate::style::{Palette, Tone};
use crate::text::printable;

/// One warning in a line: `Rule: message (line 3)`.
pub(crate) fn warning_text(warning: &Warning) -> String {
    let mut text = match &warning.rule {
        Some(rule) => format!("{rule}: {}", printable(&warning.message)),
        None => printable(&warning.message),
    };
    if let Some((line, _)) = warning.lines {
        let _ = write!(text, " (line {line})");
    }
    text
}

/// The list of warnings. With `source`, the text of the Dockerfile, every warning has its excerpt.
pub(crate) fn summary(warnings: &[Warning], source: Option<&[u8]>, palette: &Palette) -> String {
    let plural = if warnings.len() == 1 { "" } else { "s" };
    let count = format!(" {} warning{plural} found", warnings.len());
    let Some(source) = source else {
        let mut out = palette.paint(Tone::Warning, &format!("{count} (use --debug to expand):")) + "\n";
        for warning in warnings {
            let _ = writeln!(out, " - {}", warning_text(warning));
        }
        return out;
    };
    let mut out = palette.paint(Tone::Warning, &format!("{count}:")) + "\n";
    for warning in warnings {
        out.push('\n');
        out.push_str(&palette.paint(Tone::Warning, &format!("WARNING: {}", warning_text(warning))));
        out.push('\n');
        if let Some(url) = &warning.url {
            let _ = writeln!(out, "More info: {url}");
        }
        if let (Some(file), Some(lines)) = (&warning.file, warning.lines) {
            let place =
                SourcePlace { file: file.clone(), text: source.to_vec(), ranges: vec![lines], column: None };
            out.push_str(&excerpt(&place, palette));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings() -> Vec<Warning> {
        let plain = Warning {
            rule: None,
            message: "the mirror doesn't answer".into(),
            description: None,
            url: None,
            file: None,
            lines: None,
        };
        let rule = Warning {
            rule: Some("MaintainerDeprecated".into()),
            message: "Maintainer instruction is deprecated in favor of using label".into(),
            description: Some("A label names the author".into()),
            url: Some("https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/".into()),
            file: Some("Dockerfile".into()),
            lines: Some((2, 2)),
        };
        vec![plain, rule]
    }

    #[test]
    fn short() {
        insta::assert_snapshot!(summary(&warnings(), None, &Palette::default()), @r"
         2 warnings found (use --debug to expand):
         - the mirror doesn't answer
         - MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 2)
        ");
    }

    #[test]
    fn expanded() {
        let text = b"FROM busybox\nMAINTAINER me\n";
        insta::assert_snapshot!(summary(&warnings()[1..], Some(text), &Palette::default()), @r"
         1 warning found:

        WARNING: MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 2)
        More info: https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/
        Dockerfile:2
        --------------------
           1 |     FROM busybox
           2 | >>> MAINTAINER me
        --------------------
        ");
    }
}
