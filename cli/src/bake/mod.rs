//! `bake`: what bake files define, and building it.
//!
//! The files are read by `garboard-compose`; here are the command line, the file system, and what is printed.

pub(crate) mod args;

use std::path::Path;

use garboard_compose::bake::{BakeError, Definition, Request, Resolved, is_address, read};
use garboard_registry::Platform;

use self::args::{BakeArgs, Listing};
use crate::commands::several::{self, Load, Wanted};
use crate::commands::{Setting, result_files};
use crate::compose::source::Files;
use crate::env;
use crate::failure::Failure;
use crate::text::printable;

/// The right to outputs that remove files.
const DELETE: &str = "buildx.local.delete";

/// Runs the command.
pub(crate) fn run(args: &BakeArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let listing = args.list.as_deref().map(Listing::parse).transpose().map_err(Failure::message)?;
    if listing.is_some() && args.print {
        return Err(Failure::message("--print and --list are mutually exclusive"));
    }
    if let Some(builder) = args.builder.as_ref().filter(|name| !["", "default"].contains(&name.as_str())) {
        let message = format!("`--builder {}` is not supported", printable(builder));
        return Err(Failure::hinted(message, "leave it out: there are no builder instances"));
    }
    // The first target may be the address of a definition.
    if let Some(address) = args.targets.first().filter(|name| is_address(name)) {
        return Err(fail(&BakeError::Remote(address.clone()), setting));
    }
    let request = request(args, setting)?;
    Resolved::check_rights(&args.allowed).map_err(|error| fail(&error, setting))?;
    let definition = read(&Files, &request).map_err(|error| fail(&error, setting))?;
    if let Some(listing) = listing {
        return list(&definition, listing, setting);
    }
    let resolved = definition.resolve(&args.targets, &args.all_overrides());
    let resolved = resolved.map_err(|error| fail(&error, setting))?;
    resolved.warnings().iter().for_each(|warning| setting.printer.warn(&printable(warning)));
    resolved.check(&Files, &request.environment).map_err(|error| fail(&error, setting))?;
    if args.print {
        return setting.printer.data(resolved.json());
    }
    build(&resolved, args, setting)
}

/// What the command line and the environment ask for.
fn request(args: &BakeArgs, setting: &Setting<'_>) -> Result<Request, Failure> {
    let working_dir =
        std::env::current_dir().map_err(|error| Failure::because("can't find the current folder", &error))?;
    let mut files = args.files.clone();
    if let (true, Some(named)) = (files.is_empty(), setting.env.filled(env::BUILDX_BAKE_FILE)) {
        let separator = setting.env.filled(env::BUILDX_BAKE_PATH_SEPARATOR).unwrap_or(":");
        files = named.split(separator).map(str::to_owned).collect();
    }
    let now = jiff::Timestamp::now();
    // time and process tell two runs apart, which is all that such a number is for
    let mut seed = [0; 32];
    seed[..16].copy_from_slice(&now.as_nanosecond().to_le_bytes());
    seed[16..20].copy_from_slice(&std::process::id().to_le_bytes());
    Ok(Request {
        files,
        variables: args.variables.clone(),
        environment: setting.env.matching(&["*"]),
        variables_from_environment: !setting.env.switch(env::BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP),
        relative_to_files: setting.env.switch(env::BUILDX_BAKE_FILE_RELATIVE_PATHS),
        working_dir,
        home: setting.env.path(env::HOME),
        platform: Platform::host().to_string(),
        now: now.as_second(),
        seed,
    })
}

/// Prints what can be built or set.
fn list(definition: &Definition, listing: Listing, setting: &Setting<'_>) -> Result<(), Failure> {
    let printer = setting.printer;
    match (listing.variables, listing.json) {
        (false, true) => printer.data(definition.entries_json()),
        (true, true) => printer.data(definition.variables_json()),
        (false, false) => {
            let rows = definition
                .entries()
                .into_iter()
                .map(|entry| vec![entry.name, entry.description.unwrap_or_default()]);
            printer.data(table(&["TARGET", "DESCRIPTION"], rows))
        }
        (true, false) => {
            let rows = definition.variables().iter().map(|variable| {
                let value = variable.value.clone().unwrap_or_else(|| "<null>".to_owned());
                let text = |text: &Option<String>| text.clone().unwrap_or_default();
                vec![variable.name.clone(), text(&variable.kind), value, text(&variable.description)]
            });
            printer.data(table(&["VARIABLE", "TYPE", "VALUE", "DESCRIPTION"], rows))
        }
    }
}

/// Rows with tabs between their columns.
fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = header.join("\t") + "\n";
    for row in rows {
        let cells: Vec<_> = row.iter().map(|cell| printable(cell)).collect();
        text += &(cells.join("\t") + "\n");
    }
    text
}

/// Builds the targets.
fn build(resolved: &Resolved, args: &BakeArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let missing = resolved.not_allowed(&args.allowed, &Files);
    if !missing.is_empty() {
        let flags: Vec<_> = missing.iter().map(|right| format!("--allow {}", printable(right))).collect();
        let message = format!("targets ask for what isn't allowed: {}", printable(&missing.join(", ")));
        return Err(Failure::hinted(message, format!("to allow it, add {}", flags.join(" "))));
    }
    let mut targets = resolved.targets().map_err(|error| fail(&error, setting))?;
    let deletes = args.allowed.iter().any(|right| right == DELETE);
    for target in &mut targets {
        // Outputs ask for it, not the file.
        if deletes && !target.entitlements.iter().any(|right| right == DELETE) {
            target.entitlements.push(DELETE.to_owned());
        }
        target.call.take_if(|call| call.is_empty() || call == "build");
    }
    let question = targets.iter().any(|target| target.call.is_some());
    let wanted = Wanted {
        parallel: None,
        keep_going: args.keep_going,
        progress: args.progress.clone(),
        quiet: false,
        debug: args.debug,
        load: Load::Docker,
        question,
        definition: question.then(|| resolved.json()),
        env: setting.env.clone(),
    };
    if let Some(file) = &args.metadata_file {
        check_folder(Path::new(file))?;
    }
    let built = several::build_all(&targets, &wanted, setting);
    if let (Some(file), Ok(done)) = (&args.metadata_file, &built) {
        let text = format!("{:#}\n", several::metadata(done));
        result_files::write(Path::new(file), text.as_bytes())?;
    }
    built.map(drop)
}

/// Makes sure that there is a folder for a file before anything is built.
fn check_folder(file: &Path) -> Result<(), Failure> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() {
        return Ok(());
    }
    let name = |path: &Path| printable(&path.to_string_lossy());
    Err(Failure::message(format!("can't write `{}`: there is no folder `{}`", name(file), name(folder))))
}

/// Shows where an error is, and makes a failure of it.
fn fail(error: &BakeError, setting: &Setting<'_>) -> Failure {
    if let Some(excerpt) = error.excerpt() {
        setting.printer.error(&format!("{}\n", lines(&excerpt)));
    }
    let failure = Failure::message(lines(&error.to_string()));
    match error.hint() {
        Some(hint) => failure.with_hint(printable(&hint)),
        None => failure,
    }
}

/// Text of several lines with nothing in it that a terminal would obey; tabs stay, as excerpts have them.
fn lines(text: &str) -> String {
    let line = |line: &str| line.split('\t').map(printable).collect::<Vec<_>>().join("\t");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}
