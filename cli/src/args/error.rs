//! What can be wrong with a command line, beyond what clap sees.

use std::path::PathBuf;

/// Why the arguments can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArgsError {
    /// A flag, value or attribute that other builders know and this one doesn't yet.
    #[error("`{what}` is not supported yet")]
    NotSupported {
        /// The flag, with its value where only that one isn't supported.
        what: String,
        /// What to do instead.
        hint: Option<&'static str>,
    },
    /// A value that doesn't fit its flag.
    #[error("invalid value `{value}` for `{flag}`: {problem}")]
    Value {
        /// The flag or attribute.
        flag: String,
        /// What was given.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// `--output` without `type`.
    #[error("type is required for output: `{value}`")]
    OutputWithoutType {
        /// What was given.
        value: String,
    },
    /// An attribute that the output's type doesn't have.
    #[error("output type `{kind}` has no attribute `{name}`")]
    UnknownAttribute {
        /// The type.
        kind: String,
        /// The attribute.
        name: String,
        /// One that is written much like it.
        similar: Option<String>,
    },
    /// An attribute that a cache's type doesn't have.
    #[error("`{flag} type={kind}` has no attribute `{name}`")]
    CacheAttribute {
        /// The flag.
        flag: &'static str,
        /// The type.
        kind: String,
        /// The attribute.
        name: String,
        /// One that is written much like it.
        similar: Option<String>,
        /// Those that there are.
        known: Vec<String>,
    },
    /// An archive would be written to a terminal, or two archives to one stream.
    #[error("won't write the archive of `--output {value}` to standard output: {problem}")]
    Stdout {
        /// The output as given.
        value: String,
        /// Why not.
        problem: &'static str,
    },
    /// Files of a folder would be removed that isn't below the current one.
    #[error("won't remove what else is in `{}`: it is not below the current folder", folder.display())]
    Delete {
        /// The folder.
        folder: PathBuf,
    },
    /// Two things are to be read from standard input.
    #[error("can't read both the build context and the Dockerfile from standard input")]
    StdinTwice,
    /// Standard input can't be read, or kept where it is needed as a file.
    #[error("can't read {what} from standard input")]
    Stdin {
        /// What was to be read.
        what: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The context is no folder.
    #[error("can't use `{path}` as the build context")]
    Context {
        /// The folder as given.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file of a secret is missing, no file or too big.
    #[error("can't use `{path}` as secret `{id}`: {problem}")]
    SecretFile {
        /// The secret.
        id: String,
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// An agent is asked for, and the environment names none.
    #[error("can't use an SSH agent as `{id}`: SSH_AUTH_SOCK is not set")]
    NoAgent {
        /// The id of the agent.
        id: String,
    },
    /// The socket or key of an agent is missing, or neither.
    #[error("can't use `{path}` as SSH agent or key `{id}`: {problem}")]
    SshFile {
        /// The id of the agent.
        id: String,
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A tag that is no image reference.
    #[error("invalid tag \"{tag}\": {problem}")]
    Tag {
        /// What was given.
        tag: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An image is to be pushed but has no name.
    #[error("can't push an image without a name")]
    PushWithoutName,
}

impl ArgsError {
    /// An invalid value.
    pub(crate) fn value(flag: &str, value: &str, problem: impl Into<String>) -> Self {
        Self::Value { flag: flag.into(), value: value.into(), problem: problem.into() }
    }

    /// Something that is not supported yet, and what to do instead.
    pub(crate) fn unsupported_but(what: impl Into<String>, hint: &'static str) -> Self {
        Self::NotSupported { what: what.into(), hint: Some(hint) }
    }

    /// Whether the command line itself is wrong, rather than what it names.
    pub(crate) fn is_usage(&self) -> bool {
        !matches!(
            self,
            Self::Stdin { .. }
                | Self::Context { .. }
                | Self::SecretFile { .. }
                | Self::SshFile { .. }
                | Self::NoAgent { .. }
        )
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NotSupported { hint, .. } => hint.map(str::to_owned),
            Self::OutputWithoutType { .. } => Some("write `type=oci,dest=FILE`, or only a folder".into()),
            Self::UnknownAttribute { similar, .. } => {
                similar.as_ref().map(|name| format!("did you mean `{name}`?"))
            }
            Self::CacheAttribute { similar: Some(name), .. } => Some(format!("did you mean `{name}`?")),
            Self::CacheAttribute { known, .. } => Some(format!("there are `{}`", known.join("`, `"))),
            Self::Stdout { .. } => Some("name a file with `dest=`".into()),
            Self::Delete { .. } => Some("allow it with `--allow buildx.local.delete`".into()),
            Self::PushWithoutName => Some("name it with `-t`, or with `name=` in `--output`".into()),
            Self::NoAgent { id } => {
                Some(format!("start one with `eval $(ssh-agent) && ssh-add`, or give `--ssh {id}=KEY`"))
            }
            Self::StdinTwice => Some("pipe the context, and give `-f FILE`".into()),
            _ => None,
        }
    }
}
