//! SSH agents for steps (`--ssh`, `RUN --mount=type=ssh`) and for whatever else has to log in somewhere.
//!
//! Nobody gets the user's own agent: each mount has a socket of ours, which is there as long as its step runs. Behind it
//! are keys from files or the user's agent, of which only listing keys and signing is passed on: a step can't add, remove
//! or lock keys. Nothing of it is part of a key of the cache, of a history or of a log.

mod ecdsa;
mod keys;
mod message;
mod serve;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use serve::AgentSocket;

use crate::error::{Error, Failure, Result};
use crate::request::SshSource;
use keys::{Key, KeyError};

/// What is behind a socket.
enum Source {
    /// Keys that were read from files.
    Keys(Vec<Key>),
    /// An agent.
    Agent(PathBuf),
    /// Anything that listens on a socket.
    Raw(PathBuf),
}

/// The agents of one build, by id.
#[derive(Default)]
pub(crate) struct Agents(BTreeMap<String, Arc<Source>>);

impl Agents {
    /// Reads the keys, so that one that can't be used fails the build before anything else is done.
    pub(crate) fn open(sources: &BTreeMap<String, SshSource>) -> Result<Self> {
        let open = |(id, source): (&String, &SshSource)| {
            let source = match source {
                SshSource::Agent(path) => Source::Agent(path.clone()),
                SshSource::Raw(path) => Source::Raw(path.clone()),
                SshSource::Keys(paths) => {
                    Source::Keys(paths.iter().map(|path| read_key(path)).collect::<Result<_>>()?)
                }
            };
            Ok((id.clone(), Arc::new(source)))
        };
        sources.iter().map(open).collect::<Result<_>>().map(Self)
    }

    /// Serves the agent `id` on a new socket in `folder`, which is nobody else's, until the socket is dropped; `None`
    /// where there is no such agent. The socket's mode is 0600. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// When no socket can be made in the folder.
    pub(crate) fn listen(&self, id: &str, folder: &Path) -> std::io::Result<Option<AgentSocket>> {
        self.0.get(id).map(|source| AgentSocket::listen(source.clone(), folder)).transpose()
    }

    /// Whether there is an agent of this id.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }
}

fn read_key(path: &Path) -> Result<Key> {
    Key::read(path).map_err(|error| {
        let hint = match &error {
            KeyError::Passphrase => Some("add it to an agent with `ssh-add`, and give `--ssh default`"),
            KeyError::Kind(_) => Some("ed25519, ECDSA P-256 and P-384, and RSA of 2048 to 4096 bits work; an agent takes others, too"),
            KeyError::NoKey | KeyError::Damaged => Some("a file in the form that `ssh-keygen` writes, or the socket of an agent, is needed"),
            KeyError::Io(_) => None,
        };
        let error = Error::Request(format!("failed to read the SSH key {}: {error}", path.display()));
        Failure::from(error).with_hint(hint.map(str::to_owned))
    })
}
