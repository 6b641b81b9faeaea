//! Why bake files come to nothing.

use std::io;
use std::path::PathBuf;

use super::diagnostic::{Diagnostic, Fault};
use crate::source::MAX_FILE_BYTES;

/// Why bake files come to nothing. The texts are those that `docker buildx bake` has, where it has any.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BakeError {
    /// No file was named, and none of the usual ones is there.
    #[error("couldn't find a bake definition")]
    NoFile,
    /// A file can't be read.
    #[error("can't read `{path}`: {source}")]
    Read {
        /// The file as it was named.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file that was named isn't there.
    #[error("open {path}: no such file or directory")]
    Missing {
        /// The file as it was named.
        path: String,
    },
    /// A file is no text.
    #[error("`{path}` is not UTF-8")]
    NoText {
        /// The file as it was named.
        path: String,
    },
    /// A file is larger than people write them.
    #[error("`{path}` has more than {MAX_FILE_BYTES} bytes")]
    TooLarge {
        /// The file as it was named.
        path: String,
    },
    /// There is something wrong at a place in a file.
    #[error("{first}{}", more(.others.len()))]
    Diagnostics {
        /// What is wrong first.
        first: Box<Diagnostic>,
        /// What else is wrong.
        others: Vec<Diagnostic>,
    },
    /// A compose file can't be used.
    #[error("failed to parse compose file: {0}")]
    Compose(Box<crate::Error>),
    /// A service has a build section that can't be baked.
    #[error("failed to parse compose file: service {service:?}: {why}")]
    Service {
        /// The service.
        service: String,
        /// Why not.
        why: String,
    },
    /// A target that is asked for, inherited from or linked to isn't there.
    #[error("failed to find target {name}")]
    UnknownTarget {
        /// Its name.
        name: String,
        /// One that is there and was probably meant.
        near: Option<String>,
    },
    /// What `--allow` allows is no right.
    #[error("unknown entitlement key {right:?}")]
    UnknownRight {
        /// What was given.
        right: String,
        /// One that there is and was probably meant.
        near: Option<String>,
    },
    /// A bake file that is not on this machine.
    #[error("can't read `{0}`: bake files on other machines are not supported")]
    Remote(String),
    /// A target is its own context.
    #[error("target {0} cannot link to itself")]
    SelfLink(String),
    /// Targets are each other's contexts.
    #[error("infinite loop from {from} to {to}")]
    Loop {
        /// The target that closes the loop.
        from: String,
        /// The target it links to.
        to: String,
    },
    /// A target has not all platforms of one that it is a context of.
    #[error(
        "target {linked} can't be used by {by} because its platforms [{}] are not a subset of [{}]",
        wanted.join(" "),
        there.join(" ")
    )]
    Platforms {
        /// The target that is a context.
        linked: String,
        /// The target that it is a context of.
        by: String,
        /// The platforms that it needs.
        wanted: Vec<String>,
        /// The platforms that there are.
        there: Vec<String>,
    },
    /// Groups or inheriting go too deep.
    #[error("too many targets or groups are named through one another to get to {0}")]
    TooDeep(String),
    /// Targets link to one another too many times in a row.
    #[error("target {0} is reached through too many links from target to target")]
    TooManyLinks(String),
    /// An override has no attribute.
    #[error("invalid override key {0}, expected target.name")]
    OverrideKey(String),
    /// An override has no value.
    #[error("invalid override {0}, expected target.name=value")]
    OverrideValue(String),
    /// An override lacks the name of what it sets.
    #[error("invalid key {key}, {attribute} requires name")]
    OverrideName {
        /// The key.
        key: String,
        /// The attribute, which has values by name.
        attribute: String,
    },
    /// An override's pattern matches nothing.
    #[error("could not find any target matching '{0}'")]
    NoMatch(String),
    /// An override's pattern can't be read.
    #[error("invalid pattern '{0}'")]
    Pattern(String),
    /// An override sets what targets don't have.
    #[error("unknown key: {0}")]
    UnknownKey(String),
    /// An override gives a switch something else than true or false.
    #[error("invalid value {value} for boolean key {key}")]
    Switch {
        /// The attribute.
        key: String,
        /// What was given.
        value: String,
    },
    /// An override gives an attribute something that it can't be.
    #[error("invalid value {value} for {key}: {why}")]
    Value {
        /// The attribute.
        key: String,
        /// What was given.
        value: String,
        /// Why it can't be.
        why: String,
    },
    /// An override adds to what has one value.
    #[error("key {0} has one value, to which nothing can be added with +=")]
    Append(String),
    /// An override is of a secret that isn't there.
    #[error("secret {0:?} must be declared before it can be overridden")]
    UndeclaredSecret(String),
    /// A variable of the command line has no value.
    #[error("invalid variable {0:?}, expected key=value")]
    Variable(String),
    /// The file of a secret isn't there.
    #[error("failed to stat {0}: stat {0}: no such file or directory")]
    SecretFile(String),
    /// There is no SSH agent.
    #[error(
        "failed to convert agent config {{{0} [] false}}: invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set"
    )]
    NoAgent(String),
    /// The file of an SSH key isn't there.
    #[error(
        "failed to convert agent config {{{id} [{path}] false}}: failed to convert agent config for ID: {id:?}: \
         stat {path}: no such file or directory"
    )]
    KeyFile {
        /// The entry.
        id: String,
        /// The file.
        path: String,
    },
    /// Files would be read from standard input.
    #[error("target {target}: {what} from stdin not allowed")]
    Stdin {
        /// The target.
        target: String,
        /// What would be read.
        what: &'static str,
    },
    /// A size can't be read.
    #[error("invalid size {0:?}")]
    Size(String),
    /// The thread that evaluates can't be started.
    #[error("can't start evaluation: {0}")]
    Thread(io::Error),
    /// A folder can't be looked at.
    #[error("can't look at `{}`: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What is said about further diagnostics.
fn more(count: usize) -> String {
    if count == 0 { String::new() } else { format!(", and {count} other diagnostic(s)") }
}

impl BakeError {
    /// The lines of the file that it is about.
    pub fn excerpt(&self) -> Option<String> {
        match self {
            Self::Diagnostics { first, .. } => Some(first.excerpt()),
            Self::Compose(error) => error.place.as_ref().map(|place| place.excerpt()),
            _ => None,
        }
    }

    /// What may help.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownTarget { name, near: Some(near) } if near == name => {
                Some(format!("`{name}` is a group, in a circle or where only a target can be"))
            }
            Self::UnknownRight { near: Some(near), .. } => Some(format!("did you mean `{near}`?")),
            Self::Remote(_) => Some("get the file first, and name it with `-f`".to_owned()),
            Self::UnknownTarget { near: Some(near), .. } => Some(format!("there is a target `{near}`")),
            Self::Compose(error) => error.hint.clone(),
            Self::NoFile => {
                Some("`-f` names a file; docker-bake.hcl is one of those that are found".to_owned())
            }
            _ => None,
        }
    }

    /// Several diagnostics as one error.
    pub(crate) fn of(faults: Vec<Fault>) -> Option<Self> {
        let mut faults = faults.into_iter();
        let first = faults.next()?.0;
        Some(Self::Diagnostics { first, others: faults.map(|fault| *fault.0).collect() })
    }
}

impl From<Fault> for BakeError {
    fn from(fault: Fault) -> Self {
        Self::Diagnostics { first: fault.0, others: Vec::new() }
    }
}
