//! Files to what they define: which files, in which language, put together in which order.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::compose_input;
use super::config::{Config, is_local};
use super::diagnostic::Source;
use super::document::Document;
use super::error::BakeError;
use super::functions::Given;
use super::syntax::{Body, read_hcl, read_json};
use super::value::Value;
use super::variable::{self, Overrides, Variable};
use crate::source::{FileKind, FileSource};

/// Files that are looked for where none is named; all that are there count.
const USUAL: [&str; 8] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
    "docker-bake.json",
    "docker-bake.hcl",
    "docker-bake.override.json",
    "docker-bake.override.hcl",
];
/// The stack that evaluation gets: what it goes through is deep in places.
const STACK_BYTES: usize = 256 << 20;

/// What a command asks for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Files (`--file`), in order; `-` is standard input. None: those that are usually there.
    pub files: Vec<String>,
    /// Variables (`--var`), each `name=value`.
    pub variables: Vec<String>,
    /// The environment: values of declared variables and of compose files.
    pub environment: BTreeMap<String, String>,
    /// Whether the environment sets declared variables.
    pub variables_from_environment: bool,
    /// Whether paths are relative to the folder of the file that has them, not to the working folder.
    pub relative_to_files: bool,
    /// The working folder, absolute.
    pub working_dir: PathBuf,
    /// The user's home folder, for `homedir()`.
    pub home: Option<PathBuf>,
    /// The platform of the machine: `BAKE_LOCAL_PLATFORM`.
    pub platform: String,
    /// Seconds since 1970, for `timestamp()`.
    pub now: i64,
    /// What `uuidv4()` makes its numbers of.
    pub seed: [u8; 32],
}

/// What files define.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    pub(crate) config: Config,
    /// `None` where there is no bake file.
    pub(crate) variables: Option<Vec<Variable>>,
    pub(crate) warnings: Vec<String>,
}

/// A file that was read.
pub(super) struct Read {
    /// Its name as the user gave it.
    pub(super) name: String,
    /// What is in it.
    pub(super) text: String,
}

/// Reads all files that a request is about.
pub(crate) fn read(source: &dyn FileSource, request: &Request) -> Result<Contents, BakeError> {
    let vars = request.variables.iter().map(|text| match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(BakeError::Variable(text.clone())),
    });
    let vars = vars.collect::<Result<BTreeMap<_, _>, _>>()?;
    let files = files(source, request)?;
    let mut bodies = Vec::new();
    let mut compose = Vec::new();
    for file in files {
        match on_large_stack(|| parsed(&file))?? {
            Some(body) => bodies.push(body),
            None => compose.push(file),
        }
    }
    let mut contents = Contents::default();
    if !compose.is_empty() {
        compose_input::add(&compose, source, request, &mut contents)?;
    }
    if !bodies.is_empty() {
        let env =
            if request.variables_from_environment { request.environment.clone() } else { BTreeMap::new() };
        let overrides = Overrides { vars, env };
        let config = std::mem::take(&mut contents.config);
        let (config, variables) = on_large_stack(|| evaluate(bodies, overrides, request, config))??;
        (contents.config, contents.variables) = (config, Some(variables));
    }
    Ok(contents)
}

/// Evaluates what must not run out of stack.
pub(super) fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, BakeError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
        let thread = thread.map_err(BakeError::Thread)?;
        Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

fn evaluate(
    bodies: Vec<Body>,
    overrides: Overrides,
    request: &Request,
    mut config: Config,
) -> Result<(Config, Vec<Variable>), BakeError> {
    let home = request.home.as_deref().map(|home| home.to_string_lossy().into_owned());
    let given =
        Given { now: request.now, home: home.unwrap_or_default(), seed: request.seed, ..Given::default() };
    let builtins = BTreeMap::from([
        ("BAKE_CMD_CONTEXT".to_owned(), Value::text("cwd://")),
        ("BAKE_LOCAL_PLATFORM".to_owned(), Value::text(request.platform.as_str())),
    ]);
    let document = Document::new(bodies, given, overrides, builtins)?;
    if let Err(faults) = document.check_names()
        && let Some(error) = BakeError::of(faults)
    {
        return Err(error);
    }
    config.add_document(&document, request.relative_to_files)?;
    let variables = variable::list(&document)?;
    Ok((config, variables))
}

/// The files that a request is about, with what is in them.
fn files(source: &dyn FileSource, request: &Request) -> Result<Vec<Read>, BakeError> {
    let mut files = Vec::new();
    if request.files.is_empty() {
        for name in USUAL {
            let path = request.working_dir.join(name);
            if matches!(source.kind(&path), Ok(FileKind::File)) {
                files.push(file(source, request, name)?);
            }
        }
        return if files.is_empty() { Err(BakeError::NoFile) } else { Ok(files) };
    }
    for name in &request.files {
        files.push(file(source, request, name)?);
    }
    Ok(files)
}

fn file(source: &dyn FileSource, request: &Request, name: &str) -> Result<Read, BakeError> {
    let path = || name.to_owned();
    let place = name.strip_prefix("cwd://").unwrap_or(name);
    let bytes = match name {
        "-" => source.standard_input(),
        _ => source.read(&request.working_dir.join(place)),
    };
    let bytes = bytes.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if !is_local(place) => BakeError::Remote(path()),
        io::ErrorKind::NotFound => BakeError::Missing { path: path() },
        io::ErrorKind::FileTooLarge => BakeError::TooLarge { path: path() },
        _ => BakeError::Read { path: path(), source: error },
    })?;
    let text = String::from_utf8(bytes).map_err(|_| BakeError::NoText { path: path() })?;
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    Ok(Read { name: path(), text })
}

/// A file as a body; `None` where it is a compose file.
fn parsed(file: &Read) -> Result<Option<Body>, BakeError> {
    let source = Arc::new(Source { name: file.name.clone(), text: file.text.clone() });
    let extension = file.name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension {
        "yaml" | "yml" => return Ok(None),
        "json" => return Ok(Some(read_json(&source)?)),
        "hcl" => return Ok(Some(read_hcl(&source)?)),
        _ => {}
    }
    if compose_input::looks_like_compose(&file.text) {
        return Ok(None);
    }
    let fault = match read_hcl(&source) {
        Ok(body) => return Ok(Some(body)),
        Err(fault) => fault,
    };
    match read_json(&source) {
        Ok(body) => Ok(Some(body)),
        // what is said is about the language that it most likely is
        Err(json) => {
            let looks_like_json = file.text.trim_start().starts_with('{');
            let fault = if looks_like_json { json } else { fault };
            Err(fault.into())
        }
    }
}
