//! The operations of a build and how they depend on each other.
//!
//! Operations are interned by their definition: what several stages, platforms or targets share is one operation.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::PathBuf;

use serde::Serialize;

use crate::link::Link;
use crate::request::{NetworkMode, Ulimit};
use crate::source::BaseLayer;

/// Number of an operation in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub(crate) struct OpId(pub(crate) usize);

/// One operation.
#[derive(Clone, Debug, Serialize)]
pub(crate) enum Op {
    /// No files.
    Scratch,
    /// The files of an image.
    Image(ImageOp),
    /// The files that another target of the same run makes.
    Linked(LinkedOp),
    /// Files of this machine.
    Context(ContextOp),
    /// A file by HTTP.
    Http(HttpOp),
    /// The files of a git repository.
    Git(GitOp),
    /// RUN.
    Run(RunOp),
    /// COPY, and ADD of files.
    Copy(CopyNode),
    /// WORKDIR.
    Mkdir(MkdirOp),
}

/// The files of an image; only its layers count, not the name that it was found by.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ImageOp {
    pub(crate) layers: Vec<BaseLayer>,
    /// What the name stood for: no part of what the operation is, but caches of others ask for it.
    #[serde(skip)]
    pub(crate) digest: Option<String>,
    pub(crate) platform: String,
}

/// What another target makes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LinkedOp {
    pub(crate) target: String,
    pub(crate) platform: String,
    #[serde(skip)]
    pub(crate) link: Link,
}

/// A build context. What is read of it is decided by the operations that use it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ContextOp {
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// Text of the ignore file; empty where there is none.
    pub(crate) ignore_text: String,
    /// How messages call it.
    pub(crate) name: String,
    /// Whether the owners in it count (an unpacked archive) or all is root's (a folder).
    pub(crate) keep_owners: bool,
    /// Whether later builds may find it again, so that what is known of its files is worth noting.
    pub(crate) lasting: bool,
}

/// A file by HTTP: a tree with nothing else in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct HttpOp {
    /// Without a login.
    pub(crate) url: String,
    /// Host, with its port where one is written.
    pub(crate) host: String,
    /// User name and password.
    pub(crate) login: Option<(String, String)>,
    /// The file's name in its tree.
    pub(crate) name: String,
    /// The digest that its bytes have to have.
    pub(crate) checksum: Option<String>,
}

/// The files of a git repository at one commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct GitOp {
    /// Without a login.
    pub(crate) remote: String,
    /// Host, with its port where one is written.
    pub(crate) host: String,
    /// User name and password.
    pub(crate) login: Option<(String, String)>,
    /// Whether it is reached by SSH.
    pub(crate) ssh: bool,
    /// Branch, tag or commit; none: the default branch.
    pub(crate) reference: Option<String>,
    /// The commit that this has to be, or its beginning.
    pub(crate) checksum: Option<String>,
    /// Whether `.git` stays.
    pub(crate) keep_git_dir: bool,
    pub(crate) submodules: bool,
    /// Files get the time of the commit, not that of the checkout.
    pub(crate) commit_times: bool,
}

/// A RUN step.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RunOp {
    pub(crate) parent: OpId,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: String,
    pub(crate) user: String,
    pub(crate) platform: String,
    pub(crate) hostname: String,
    pub(crate) network: NetworkMode,
    pub(crate) insecure: bool,
    pub(crate) hosts: Vec<(String, IpAddr)>,
    pub(crate) shm_size: Option<u64>,
    pub(crate) ulimits: Vec<Ulimit>,
    pub(crate) cgroup_parent: Option<String>,
    pub(crate) mounts: Vec<RunMount>,
    /// Proxy variables: given to the process, no part of any key.
    pub(crate) proxy_env: Vec<(String, String)>,
}

/// A mount of a RUN step.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RunMount {
    /// Absolute path in the container.
    pub(crate) target: String,
    pub(crate) kind: RunMountKind,
}

/// What is mounted.
#[derive(Clone, Debug, Serialize)]
pub(crate) enum RunMountKind {
    /// Files of another operation.
    Bind { from: OpId, selector: String, writable: bool },
    /// A folder that survives.
    Cache(CacheMount),
    /// An empty folder.
    Tmpfs { size: Option<u64> },
    /// A secret as a file.
    Secret(SecretMount),
    /// The socket of an SSH agent.
    Ssh(SshMount),
    /// A script of a here-document, read-only and executable.
    Script { content: String },
}

/// `--mount=type=cache`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CacheMount {
    pub(crate) id: String,
    pub(crate) sharing: String,
    pub(crate) from: Option<OpId>,
    pub(crate) selector: String,
    pub(crate) readonly: bool,
    /// Owner and mode of the folder where any was given.
    pub(crate) owner: Option<(u32, u32, u32)>,
    /// Begin with an empty one (`--no-cache`).
    pub(crate) reset: bool,
}

/// `--mount=type=secret`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SecretMount {
    pub(crate) id: String,
    /// Whether it becomes a file at the mount's target.
    pub(crate) file: bool,
    pub(crate) env: Option<String>,
    pub(crate) required: bool,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// `--mount=type=ssh`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SshMount {
    pub(crate) id: String,
    pub(crate) required: bool,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// COPY, or ADD of files and archives.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CopyNode {
    /// The tree that is copied to.
    pub(crate) parent: OpId,
    /// Where the files come from, in the order in which they are copied; at least one.
    pub(crate) from: Vec<CopyFrom>,
    /// Here-documents: name and content. They come last.
    pub(crate) inline: Vec<(String, String)>,
    /// Absolute; a trailing slash counts.
    pub(crate) dest: String,
    pub(crate) chown: Option<String>,
    pub(crate) chmod: Option<String>,
    pub(crate) parents: bool,
    pub(crate) excludes: Vec<String>,
    pub(crate) link: bool,
    /// Not a COPY but a part of a context as it is, for a mount: this path, with a folder's own mode.
    pub(crate) mirror: Option<String>,
}

/// What a COPY takes from one tree.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CopyFrom {
    pub(crate) op: OpId,
    pub(crate) sources: Vec<String>,
    /// ADD: archives are unpacked.
    pub(crate) unpack: bool,
    /// Owners of the source count (`--from`).
    pub(crate) keep_owners: bool,
    /// What is named has to be a folder.
    pub(crate) folder: bool,
}

/// WORKDIR's folder.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct MkdirOp {
    pub(crate) parent: OpId,
    pub(crate) path: String,
    pub(crate) user: String,
    /// Time of the folder, in seconds; `None`: now.
    pub(crate) epoch: Option<i64>,
}

/// An operation with what the engine has to know about it.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) op: Op,
    /// `[build 2/4] RUN make`; empty: not shown.
    pub(crate) name: String,
    /// Lines of its instruction.
    pub(crate) lines: Option<(usize, usize)>,
    /// Never taken from the cache.
    pub(crate) no_cache: bool,
    /// Its layer is part of an image that is exported.
    pub(crate) exported: bool,
    /// A step reads its files, not only its table of contents.
    pub(crate) read: bool,
}

/// All operations.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    interned: HashMap<String, OpId>,
}

impl Graph {
    /// Adds an operation, or finds the one that is the same.
    pub(crate) fn add(
        &mut self,
        op: Op,
        name: String,
        lines: Option<(usize, usize)>,
        no_cache: bool,
    ) -> OpId {
        let definition = serde_json::to_string(&(&op, no_cache)).expect("operations are plain data");
        if let Some(&id) = self.interned.get(&definition) {
            return id;
        }
        let id = OpId(self.nodes.len());
        self.nodes.push(Node { op, name, lines, no_cache, exported: false, read: false });
        self.interned.insert(definition, id);
        id
    }

    pub(crate) fn node(&self, id: OpId) -> &Node {
        &self.nodes[id.0]
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Marks the layers of an exported tree.
    pub(crate) fn export(&mut self, tree: OpId) {
        let mut next = Some(tree);
        while let Some(id) = next {
            self.nodes[id.0].exported = true;
            next = self.nodes[id.0].op.parent();
        }
    }

    /// Marks the trees whose files some step reads.
    pub(crate) fn mark_read(&mut self) {
        let mut read = Vec::new();
        for node in &self.nodes {
            match &node.op {
                Op::Run(run) => {
                    read.push(run.parent);
                    read.extend(run.mounts.iter().filter_map(RunMount::from));
                }
                Op::Copy(copy) => {
                    read.extend(copy.from.iter().map(|from| from.op));
                    if copy.from.iter().any(|from| from.unpack) {
                        read.push(copy.parent);
                    }
                }
                _ => {}
            }
        }
        for id in read {
            let mut next = Some(id);
            while let Some(id) = next.filter(|id| !self.nodes[id.0].read) {
                self.nodes[id.0].read = true;
                next = self.nodes[id.0].op.parent();
            }
        }
    }
}

impl RunMount {
    /// The operation that its files come from.
    pub(crate) fn from(&self) -> Option<OpId> {
        match &self.kind {
            RunMountKind::Bind { from, .. } => Some(*from),
            RunMountKind::Cache(cache) => cache.from,
            _ => None,
        }
    }
}

impl Op {
    /// The operation whose tree this one adds a layer to.
    pub(crate) fn parent(&self) -> Option<OpId> {
        match self {
            Self::Run(run) => Some(run.parent),
            Self::Copy(copy) => Some(copy.parent),
            Self::Mkdir(mkdir) => Some(mkdir.parent),
            Self::Scratch
            | Self::Image(_)
            | Self::Linked(_)
            | Self::Context(_)
            | Self::Http(_)
            | Self::Git(_) => None,
        }
    }

    /// All operations that it needs.
    pub(crate) fn inputs(&self) -> Vec<OpId> {
        let mut all: Vec<OpId> = self.parent().into_iter().collect();
        match self {
            Self::Run(run) => all.extend(run.mounts.iter().filter_map(RunMount::from)),
            Self::Copy(copy) => all.extend(copy.from.iter().map(|from| from.op)),
            _ => {}
        }
        all
    }

    /// What of it counts for its key, without its inputs. Neither proxies nor the addresses of added hosts, nor limits
    /// that don't change what a step makes, nor what cache mounts and secrets hold.
    pub(crate) fn definition(&self) -> serde_json::Value {
        use serde_json::json;
        match self {
            Self::Scratch => json!("scratch"),
            Self::Image(image) => {
                let ids: Vec<&str> = image.layers.iter().map(|l| l.diff_id.as_str()).collect();
                json!(["image", image.platform, ids])
            }
            Self::Linked(linked) => json!(["target", linked.target, linked.platform]),
            Self::Context(_) => json!("context"),
            Self::Http(http) => json!(["http", http.url, http.name, http.checksum]),
            Self::Git(git) => {
                json!(["git", git.remote, git.reference, git.keep_git_dir, git.submodules, git.commit_times,])
            }
            Self::Run(run) => {
                let names: Vec<&str> = run.hosts.iter().map(|(name, _)| name.as_str()).collect();
                let mounts: Vec<_> = run.mounts.iter().map(RunMount::definition).collect();
                let limits: Vec<_> = run.ulimits.iter().map(|u| (&u.name, u.soft, u.hard)).collect();
                json!({
                    "run": run.args, "env": run.env.iter().cloned().collect::<BTreeMap<_, _>>(), "cwd": run.cwd,
                    "user": run.user, "platform": run.platform, "hostname": run.hostname,
                    "network": run.network, "insecure": run.insecure, "hosts": names,
                    "shm": run.shm_size, "ulimits": limits, "mounts": mounts,
                })
            }
            Self::Copy(copy) => {
                let from: Vec<_> = copy.from.iter().map(|f| (f.unpack, f.keep_owners)).collect();
                json!({
                    "copy": copy.dest, "inline": copy.inline, "chown": copy.chown, "chmod": copy.chmod,
                    "parents": copy.parents, "link": copy.link, "from": from, "mirror": copy.mirror,
                })
            }
            Self::Mkdir(mkdir) => json!(["mkdir", mkdir.path, mkdir.user, mkdir.epoch]),
        }
    }
}

impl RunMount {
    fn definition(&self) -> serde_json::Value {
        use serde_json::json;
        let kind = match &self.kind {
            RunMountKind::Bind { writable, .. } => json!(["bind", writable]),
            RunMountKind::Cache(cache) => json!(["cache", cache.readonly, cache.from.is_some()]),
            RunMountKind::Tmpfs { size } => json!(["tmpfs", size]),
            RunMountKind::Secret(s) => {
                json!(["secret", s.id, s.file, s.env, s.required, s.mode, s.uid, s.gid])
            }
            RunMountKind::Ssh(s) => json!(["ssh", s.id, s.required, s.mode, s.uid, s.gid]),
            RunMountKind::Script { content } => json!(["script", content]),
        };
        json!([self.target, kind])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_operations_are_one() {
        let mut graph = Graph::default();
        let scratch = graph.add(Op::Scratch, String::new(), None, false);
        let mkdir = |graph: &mut Graph| {
            let op = MkdirOp { parent: scratch, path: "/a".into(), user: String::new(), epoch: None };
            graph.add(Op::Mkdir(op), "WORKDIR /a".into(), None, false)
        };
        assert_eq!(mkdir(&mut graph), mkdir(&mut graph));
        assert_eq!(graph.len(), 2);
    }

    #[test]
    fn an_export_marks_the_whole_chain() {
        let mut graph = Graph::default();
        let scratch = graph.add(Op::Scratch, String::new(), None, false);
        let op = MkdirOp { parent: scratch, path: "/a".into(), user: String::new(), epoch: None };
        let top = graph.add(Op::Mkdir(op), String::new(), None, false);
        graph.export(top);
        assert!(graph.node(scratch).exported && graph.node(top).exported);
    }
}
