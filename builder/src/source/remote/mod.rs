//! Files and repositories elsewhere, as layers of the store.
//!
//! What is fetched is kept under what it is (the digest of a file, the commit of a repository), so that a build asks the
//! server only whether that is still so. The names are known before anything is fetched: they are the keys of the steps
//! that read it.

mod address;
mod auth;
mod checkout;
mod download;
mod git;
mod git_command;
mod git_refs;
mod http;

use std::collections::BTreeMap;
use std::sync::Arc;

use garboard_cache::{Key, Record, Vouchers};

pub(crate) use address::{AnyRemote, git_op, http_op, parse_checksum};
pub use git_command::GitProgram;

use crate::error::{Attempt, Result};
use crate::layers::Layers;
use crate::memo::Memo;
use crate::reporter::Reporter;
use crate::request::SecretSource;
use crate::ssh::Agents;
use crate::tree::{Tree, TreeLayer};

/// Fetches for one build; whatever several steps want is fetched once.
#[derive(Clone)]
pub(crate) struct Remotes(Arc<Inner>);

struct Inner {
    layers: Layers,
    reporter: Reporter,
    git: GitProgram,
    secrets: BTreeMap<String, SecretSource>,
    agents: Arc<Agents>,
    files: Memo<http::HttpFile>,
    commits: Memo<git::Commit>,
    trees: Memo<TreeLayer>,
}

impl Remotes {
    pub(crate) fn new(
        layers: Layers,
        reporter: Reporter,
        git: GitProgram,
        secrets: BTreeMap<String, SecretSource>,
        agents: Arc<Agents>,
    ) -> Self {
        let (files, commits, trees) = (Memo::default(), Memo::default(), Memo::default());
        Self(Arc::new(Inner { layers, reporter, git, secrets, agents, files, commits, trees }))
    }
}

impl Inner {
    /// What an earlier build fetched.
    fn lookup(&self, key: &Key) -> Result<Option<TreeLayer>> {
        let record = self.layers.store.record(key).attempt(|| "failed to look into the cache".into())?;
        // Nobody's word counts for what is fetched from elsewhere.
        let own = record.filter(|record| record.vouchers.is_empty());
        let found = own.and_then(|r| Some((r.layer?, r.content?, r.created)));
        Ok(found.map(|(id, content, created)| {
            let vouchers = Vouchers::default();
            TreeLayer { id, created, content, base: false, root: None, vouchers }
        }))
    }

    fn remember(&self, keys: &[Key], layer: &TreeLayer, description: String) -> Result<()> {
        let record = Record {
            layer: Some(layer.id.clone()),
            content: Some(layer.content),
            created: layer.created,
            description,
            ..Record::default()
        };
        self.layers.store.put_record(keys, &record).attempt(|| "failed to write to the cache".into())
    }
}

/// A tree of one layer.
fn tree(layer: TreeLayer) -> Tree {
    Tree { layers: vec![layer] }
}
