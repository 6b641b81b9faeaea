//! What can be wrong with compose files, where it is written, and what to do about it.

use std::fmt::{self, Write};
use std::path::{Path, PathBuf};

use crate::node::Mark;

/// The files that were read, so that a [`Mark`] can be shown with its lines.
#[derive(Debug, Clone, Default)]
pub struct Files {
    files: Vec<(PathBuf, String)>,
}

impl Files {
    /// Adds a file, and gives its number for marks.
    pub(crate) fn add(&mut self, path: &Path, text: &str) -> u16 {
        // more files than that are all shown as the last one: loading ends long before
        let number = u16::try_from(self.files.len()).unwrap_or(u16::MAX);
        self.files.push((path.to_owned(), text.to_owned()));
        number
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// Where a mark is, with the lines around it; none where a value is written nowhere.
    pub fn place(&self, at: Mark) -> Option<Place> {
        let (path, text) = self.files.get(usize::from(at.file)).filter(|_| at.line > 0)?;
        let first = at.line.saturating_sub(3).max(1);
        let lines = text.lines().enumerate().skip(first as usize - 1).take((at.line - first) as usize + 2);
        let lines = lines.map(|(index, line)| (index as u32 + 1, shorten(line))).collect();
        Some(Place { file: path.clone(), line: at.line, column: at.column, lines })
    }
}

/// A line as much as fits a report.
fn shorten(line: &str) -> String {
    const MOST: usize = 160;
    let mut short: String = line.chars().take(MOST).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    short
}

/// Where something is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// Its line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// The line and those around it, with their numbers.
    pub lines: Vec<(u32, String)>,
}

impl Place {
    /// The place as text of several lines: `file:line:column`, then the lines, `>>>` before the one that is meant.
    pub fn excerpt(&self) -> String {
        let mut text = format!("{}:{}:{}\n", self.file.display(), self.line, self.column);
        for (number, line) in &self.lines {
            let arrow = if *number == self.line { ">>>" } else { "   " };
            // writing to a string can't fail
            let _ = writeln!(text, "{number:4} | {arrow} {line}");
        }
        text
    }
}

/// Why compose files can't be used.
#[derive(Debug)]
pub struct Error {
    /// What is wrong.
    pub kind: Box<ErrorKind>,
    /// Where, as far as that is one place.
    pub place: Option<Box<Place>>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.kind)
    }
}

/// What can be wrong. The texts are those of docker compose wherever it has one, so that they can be searched for.
#[derive(Debug, thiserror::Error)]
pub enum ErrorKind {
    /// There is no compose file here or in a folder above.
    #[error("no configuration file provided: not found")]
    NoFile,
    /// A file that was named isn't there.
    #[error("{call} {}: {}", path.display(), io_text(source))]
    Read {
        /// What was attempted.
        call: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Standard input can't be read.
    #[error("can't read standard input: {}", io_text(.0))]
    StandardInput(std::io::Error),
    /// A file isn't text.
    #[error("failed to parse {}: yaml: invalid UTF-8", .0.display())]
    NotText(PathBuf),
    /// A file breaks the rules of YAML.
    #[error("failed to parse {}: yaml: line {line}, column {column}: {problem}", path.display())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u32,
        /// The column, from 1.
        column: u32,
        /// What is wrong.
        problem: String,
    },
    /// The values of a file can't be made: a key twice, an alias in itself, too much of something.
    #[error("failed to parse {}: yaml: construct errors:\n  line {line}: {problem}", path.display())]
    Construct {
        /// The file.
        path: PathBuf,
        /// The line where its document begins.
        line: u32,
        /// What is wrong.
        problem: String,
    },
    /// A key that isn't text.
    #[error("non-string key {}: {key}", place_of(path))]
    Key {
        /// The map.
        path: String,
        /// The key.
        key: String,
    },
    /// The file isn't a map.
    #[error("top-level object must be a mapping")]
    TopLevel,
    /// There is nothing in the files.
    #[error("empty compose file")]
    Empty,
    /// The variables of values can't be replaced; one line for each.
    #[error("{0}")]
    Interpolation(String),
    /// An `.env` file that was asked for isn't there.
    #[error("couldn't find env file: {}", .0.display())]
    NoEnvFile(PathBuf),
    /// A folder in place of an `.env` file.
    #[error("{} is a directory", .0.display())]
    EnvFolder(PathBuf),
    /// A folder in place of an included `.env` file.
    #[error("{} is not a file", .0.display())]
    NotAFile(PathBuf),
    /// An `.env` file is wrong.
    #[error("failed to read {}: {problem}", path.display())]
    EnvFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A file that a service names isn't there.
    #[error("{what} {} not found: stat {}: no such file or directory", path.display(), path.display())]
    ServiceFile {
        /// What it is for.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Loads itself.
    #[error("include cycle detected:\n{}", .0.join("\n include "))]
    IncludeCycle(Vec<String>),
    /// A value has the wrong form, or names what it must not.
    #[error("validating {}: {problem}", file.display())]
    Schema {
        /// The file that was read last.
        file: PathBuf,
        /// What is wrong, with the place in the tree.
        problem: String,
    },
    /// What is said of something can't be used.
    #[error("{0}")]
    Value(String),
    /// A value can't be read as what it is for.
    #[error("decoding failed due to the following error(s):\n\n'{path}' {problem}")]
    Decode {
        /// The place in the tree.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// Parts of the project don't fit together.
    #[error("{0}: invalid compose project")]
    Project(String),
    /// A service that doesn't exist is asked for.
    #[error("no such service: {0}")]
    NoService(String),
    /// The project's name can't be one.
    #[error(
        "invalid project name {name:?}: must consist only of lowercase alphanumeric characters, hyphens, and underscores as well as start with a letter or number"
    )]
    ProjectName {
        /// The name.
        name: String,
    },
    /// The project has no name.
    #[error("project name must not be empty")]
    NoProjectName,
    /// Services are built from one another in a circle.
    #[error("infinite loop from {0}")]
    BuildLoop(String),
    /// A file that is not on this machine.
    #[error("can't read `{0}`: files on other machines are not supported")]
    Remote(String),
    /// There is more of something than is sane.
    #[error("{0} are too large: together they have more than {1} bytes or values")]
    TooMuch(&'static str, usize),
    /// Files name more files than is sane.
    #[error("more than {0} files are included or extended")]
    TooManyFiles(usize),
}

impl ErrorKind {
    /// The error without a place.
    pub(crate) fn bare(self) -> Error {
        Error { kind: Box::new(self), place: None, hint: None }
    }

    /// The error with the place of a mark.
    pub(crate) fn at(self, files: &Files, at: Mark) -> Error {
        Error { kind: Box::new(self), place: files.place(at).map(Box::new), hint: None }
    }
}

impl Error {
    /// The error with what may have been meant.
    pub(crate) fn or_hint(mut self, similar: Option<String>) -> Self {
        self.hint = self.hint.or_else(|| similar.map(|name| format!("did you mean `{name}`?")));
        self
    }
}

/// A fault with the place it is at, before the place's lines are looked up.
#[derive(Debug)]
pub(crate) struct Fail {
    kind: Box<ErrorKind>,
    at: Mark,
    similar: Option<String>,
}

impl Fail {
    /// A fault at a place.
    pub(crate) fn new(kind: ErrorKind, at: Mark) -> Self {
        Self { kind: Box::new(kind), at, similar: None }
    }

    /// Something that is said can't be used.
    pub(crate) fn value(problem: impl Into<String>, at: Mark) -> Self {
        Self::new(ErrorKind::Value(problem.into()), at)
    }

    /// Parts of the project don't fit together.
    pub(crate) fn project(problem: impl Into<String>, at: Mark) -> Self {
        Self::new(ErrorKind::Project(problem.into()), at)
    }

    /// The fault with a name that may have been meant.
    pub(crate) fn or(mut self, similar: Option<String>) -> Self {
        self.similar = similar;
        self
    }

    /// The error, with its lines.
    pub(crate) fn into_error(self, files: &Files) -> Error {
        Error { kind: self.kind, place: files.place(self.at).map(Box::new), hint: None }.or_hint(self.similar)
    }
}

/// Where a key is, for the message.
fn place_of(path: &str) -> String {
    if path.is_empty() { "at top level".to_owned() } else { format!("in {path}") }
}

/// What the system said, as it is written elsewhere: without the number.
pub(crate) fn io_text(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        std::io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::FileTooLarge => {
            format!("file is larger than {} MiB", crate::source::MAX_FILE_BYTES >> 20)
        }
        _ => {
            let text = error.to_string();
            text.split_once(" (os error").map_or(text.clone(), |(text, _)| text.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_an_excerpt() {
        let mut files = Files::default();
        let file = files.add(Path::new("/p/compose.yaml"), "a\nb\nc\nd\ne\n");
        let place = files.place(Mark { file, line: 4, column: 2 }).unwrap();
        assert_eq!(
            place.excerpt(),
            "/p/compose.yaml:4:2\n   1 |     a\n   2 |     b\n   3 |     c\n   4 | >>> d\n   5 |     e\n"
        );
        assert!(files.place(Mark::default()).is_none());
    }
}
