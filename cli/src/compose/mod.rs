//! `compose`: what compose files say, and building from them.
//!
//! The files are read by `garboard-compose`; here are the command line, the file system, and what is printed.

pub(crate) mod args;
pub(crate) mod build;
mod config;
pub(crate) mod source;
mod transfer;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use garboard_compose::{Error, Options, Project};

use self::args::{ComposeArgs, ComposeCommand};
use self::source::Files;
use crate::commands::Setting;
use crate::env::{self, Env};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::style::ColorChoice;
use crate::text::printable;

/// Runs a command of `compose`.
pub(crate) fn run(args: ComposeArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let ComposeArgs { project, command } = args;
    let printer = printer(&project, setting)?;
    let setting = &Setting { printer: &printer, ..*setting };
    let compose = Compose { setting, options: options(&project, setting.env)?, project: &project };
    check_progress(compose.progress())?;
    match command {
        ComposeCommand::Config(args) => config::run(&compose, &args),
        ComposeCommand::Build(args) => build::run(&compose, *args),
        ComposeCommand::Push(args) => transfer::push(&compose, &args),
        ComposeCommand::Pull(args) => transfer::pull(&compose, &args),
        ComposeCommand::Images(args) => transfer::images(&compose, &args),
        ComposeCommand::Version(args) => config::version(&compose, &args),
        ComposeCommand::Containers(words) => Err(containers(&words)),
    }
}

/// Refuses a progress that there is not, whatever the command shows of it.
fn check_progress(mode: Option<&str>) -> Result<(), Failure> {
    match mode {
        None | Some("" | "auto" | "tty" | "plain" | "json" | "rawjson" | "quiet" | "none") => Ok(()),
        Some(other) => {
            let message = format!("unsupported --progress value {:?}", printable(other));
            Err(Failure::hinted(message, "auto, tty, plain, json or quiet"))
        }
    }
}

/// A printer with the colours that `--ansi` wants.
fn printer(args: &args::ProjectArgs, setting: &Setting<'_>) -> Result<Printer, Failure> {
    let choice = match args.ansi.as_deref().or_else(|| setting.env.filled(env::COMPOSE_ANSI)) {
        None | Some("auto") => return Ok(setting.printer.clone()),
        Some("never") => ColorChoice::Never,
        Some("always") => ColorChoice::Always,
        Some(other) => {
            let message = format!("invalid value `{}` for `--ansi`", printable(other));
            return Err(Failure::hinted(message, "never, always or auto"));
        }
    };
    Ok(Printer::new(choice, setting.env))
}

/// What commands of running containers answer with.
fn containers(words: &[String]) -> Failure {
    let name = words.first().map(|word| printable(word)).unwrap_or_default();
    let known = args::CONTAINER_COMMANDS.contains(&name.as_str());
    if !known {
        let names = args::COMMANDS.iter().copied();
        let similar = crate::text::similar(&name, names);
        let failure = Failure::message(format!("compose has no command `{name}`"));
        return match similar {
            Some(similar) => failure.with_hint(format!("did you mean `{similar}`?")),
            None => failure,
        };
    }
    let message = format!("`compose {name}` is about running containers, which garboard doesn't do");
    let hint = "images that `compose build` makes are in the local store; where Docker or podman runs, `compose build \
                --load` hands them over, and `docker compose up --no-build` starts them";
    Failure::hinted(message, hint)
}

/// What every command of `compose` gets.
struct Compose<'a> {
    setting: &'a Setting<'a>,
    options: Options,
    project: &'a args::ProjectArgs,
}

impl Compose<'_> {
    /// How progress is shown, as far as it is said before the command or in the environment.
    fn progress(&self) -> Option<&str> {
        let from_env = || self.setting.env.filled(env::COMPOSE_PROGRESS);
        self.project.progress.as_deref().or_else(from_env)
    }

    /// Reads the project; `keep`: with what no service uses.
    fn load(&self, services: &[String], keep: bool) -> Result<Project, Failure> {
        let mut project = self.loaded()?;
        project.enable(services);
        project.select(services).map_err(|error| self.fail(&error))?;
        if !keep && !self.project.all_resources {
            project.drop_unused();
        }
        Ok(project)
    }

    /// How many services are worked on at once; `None`: all.
    fn parallel(&self) -> Result<Option<NonZeroUsize>, Failure> {
        let name = "COMPOSE_PARALLEL_LIMIT";
        let given = match (self.project.parallel, self.setting.env.filled(name)) {
            (Some(number), _) => Some(number),
            (None, Some(text)) => {
                let bad = |_| {
                    Failure::message(format!("{name} must be an integer (found: \"{}\")", printable(text)))
                };
                Some(text.parse().map_err(bad)?)
            }
            (None, None) => None,
        };
        // Docker compose means "as many as there are" by -1.
        Ok(given.and_then(|number| usize::try_from(number).ok()).and_then(NonZeroUsize::new))
    }

    /// Reads the project with all of its services.
    fn loaded(&self) -> Result<Project, Failure> {
        let mut warnings = Vec::new();
        let project = Project::load(&self.options, &Files, &mut warnings);
        self.warn(&warnings);
        project.map_err(|error| self.fail(&error))
    }

    fn warn(&self, warnings: &[String]) {
        for warning in warnings {
            self.setting.printer.warn(&lines(warning));
        }
    }

    /// Shows where an error is, and makes a failure of it.
    fn fail(&self, error: &Error) -> Failure {
        if let Some(place) = &error.place {
            self.setting.printer.error(&format!("{}\n", lines(&place.excerpt())));
        }
        let failure = Failure::message(lines(&error.to_string()));
        match &error.hint {
            Some(hint) => failure.with_hint(printable(hint)),
            None => failure,
        }
    }
}

/// Text of several lines with nothing in it that a terminal would obey.
fn lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// What is said of the project by flags and environment.
fn options(args: &args::ProjectArgs, env: &Env) -> Result<Options, Failure> {
    let project_folder = match (&args.project_directory, &args.workdir) {
        (Some(_), Some(_)) => {
            return Err(Failure::message(
                "cannot specify DEPRECATED \"--workdir\" and \"--project-directory\". Please use only \"--project-directory\" instead",
            ));
        }
        (folder, old) => folder.clone().or_else(|| old.clone()),
    };
    let mut options = Options::new(current_folder(env)?, env.texts());
    options.project_folder = project_folder.filter(|folder| !folder.is_empty());
    options.files.clone_from(&args.files);
    options.env_files.clone_from(&args.env_files);
    options.project_name.clone_from(&args.project_name);
    options.profiles.clone_from(&args.profiles);
    options.compatibility = args.compatibility;
    Ok(options)
}

/// The current folder, by the name that the shell has for it: that may be a link, and names the project.
fn current_folder(env: &Env) -> Result<PathBuf, Failure> {
    let real =
        std::env::current_dir().map_err(|error| Failure::because("can't find the current folder", &error))?;
    let named = env.path(env::PWD).filter(|named| named.is_absolute());
    let same = named.filter(|named| named.canonicalize().is_ok_and(|named| named == real));
    Ok(same.unwrap_or(real))
}
