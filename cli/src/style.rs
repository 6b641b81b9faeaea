//! Colours: green success, red error, yellow warning, cyan hints and running steps. Nothing is said by colour alone.

use clap::ValueEnum;

use crate::env::{self, Env};

/// `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorChoice {
    /// Where the stream is a terminal that has them.
    #[default]
    Auto,
    /// In any case.
    Always,
    /// Never.
    Never,
}

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Something that is done.
    Done,
    /// Something that is going on; hints.
    Running,
    /// A warning.
    Warning,
    /// An error.
    Error,
    /// A step that was given up.
    Canceled,
    /// Of less interest.
    Faint,
}

/// How the tones are written: SGR parameters, or nothing at all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Palette {
    codes: Option<Codes>,
}

#[derive(Clone, Debug)]
struct Codes {
    done: String,
    running: String,
    warning: String,
    error: String,
    canceled: String,
}

impl Palette {
    /// The palette for a stream.
    pub(crate) fn choose(choice: ColorChoice, is_terminal: bool, env: &Env) -> Self {
        let colours = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if env.filled(env::NO_COLOR).is_some() => false,
            ColorChoice::Auto if env.filled(env::CLICOLOR_FORCE).is_some_and(|v| v != "0") => true,
            ColorChoice::Auto => is_terminal && env.text(env::TERM) != Some("dumb"),
        };
        if colours { Self::coloured(env.filled(env::BUILDKIT_COLORS)) } else { Self::default() }
    }

    /// Colours, with BuildKit's `run=…:error=…` over the usual ones. What can't be read there is passed over, as it
    /// must not stop a build.
    fn coloured(wishes: Option<&str>) -> Self {
        let mut codes = Codes {
            done: "32".into(),
            running: "36".into(),
            warning: "33".into(),
            error: "31".into(),
            canceled: "33".into(),
        };
        for (what, colour) in wishes.into_iter().flat_map(|w| w.split(':')).filter_map(|w| w.split_once('='))
        {
            let Some(code) = sgr(colour) else { continue };
            match what.to_ascii_lowercase().as_str() {
                "run" => codes.running = code,
                "warning" => codes.warning = code,
                "error" => codes.error = code,
                "cancel" => codes.canceled = code,
                _ => {}
            }
        }
        Self { codes: Some(codes) }
    }

    /// The text in its tone.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        match &self.codes {
            Some(codes) if !text.is_empty() => format!("\x1b[{}m{text}\x1b[0m", codes.of(tone)),
            _ => text.to_owned(),
        }
    }
}

impl Codes {
    fn of(&self, tone: Tone) -> &str {
        match tone {
            Tone::Done => &self.done,
            Tone::Running => &self.running,
            Tone::Warning => &self.warning,
            Tone::Error => &self.error,
            Tone::Canceled => &self.canceled,
            Tone::Faint => "2",
        }
    }
}

/// The SGR parameters of a colour: a name or `red,green,blue`.
fn sgr(colour: &str) -> Option<String> {
    const NAMES: [&str; 8] = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];
    let name = colour.trim().to_ascii_lowercase();
    let (name, base) = match name.strip_prefix("light").map(|rest| rest.trim_start_matches('-').to_owned()) {
        Some(rest) => (rest, 90),
        None => (name, 30),
    };
    if let Some(index) = NAMES.iter().position(|known| *known == name) {
        return Some((base + index).to_string());
    }
    let parts: Vec<u8> = name.split(',').map(str::parse).collect::<Result<_, _>>().ok()?;
    match parts.as_slice() {
        [r, g, b] => Some(format!("38;2;{r};{g};{b}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_chosen_by_flag_then_environment() {
        let painted = |choice, terminal, env: &[(&str, &str)]| {
            Palette::choose(choice, terminal, &Env::of(env)).paint(Tone::Error, "x") != "x"
        };
        assert!(painted(ColorChoice::Auto, true, &[]));
        assert!(!painted(ColorChoice::Auto, false, &[]));
        assert!(!painted(ColorChoice::Auto, true, &[("NO_COLOR", "1")]));
        assert!(!painted(ColorChoice::Auto, true, &[("TERM", "dumb")]));
        assert!(painted(ColorChoice::Auto, false, &[("CLICOLOR_FORCE", "1")]));
        assert!(painted(ColorChoice::Always, false, &[("NO_COLOR", "1")]));
    }

    #[test]
    fn wishes() {
        let palette = Palette::coloured(Some("run=green:error=255,165,0:cancel=nonsense"));
        assert_eq!(palette.paint(Tone::Running, "x"), "\x1b[32mx\x1b[0m");
        assert_eq!(palette.paint(Tone::Error, "x"), "\x1b[38;2;255;165;0mx\x1b[0m");
        assert_eq!(palette.paint(Tone::Canceled, "x"), "\x1b[33mx\x1b[0m");
    }
}
