//! The operations that `BuildKit` makes of a Dockerfile, for the operations of a graph.
//!
//! One of ours may be several of its: here-documents are files of their own, a linked COPY is a copy and a merge.

use garboard_cache::remote::buildkit::keys::{
    self, Account, CopyAction, Credential, Exec, ExecMount, ExecMountKind, FileAction, FileStep, KeyPlatform,
    NONE, Owner,
};
use oci_spec::image::Digest;

use crate::graph::{
    CacheMount, CopyNode, Graph, ImageOp, MkdirOp, Node, Op, OpId, RunMount, RunMountKind, RunOp,
};
use crate::request::NetworkMode;

/// The name that a step's machine has if none is asked for.
const HOSTNAME: &str = "buildkitsandbox";
const FILE_MODE: i64 = 0o644;
const FOLDER_MODE: i64 = 0o755;

/// An operation of `BuildKit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vertex {
    /// Its digests, today's first; none for what has no name of its own.
    pub(crate) digests: Vec<String>,
    pub(crate) inputs: Vec<Input>,
    /// The context that it is.
    pub(crate) context: Option<OpId>,
    /// Whether it is an image, which has several names at once.
    pub(crate) is_image: bool,
}

/// What an operation starts from or reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Input {
    pub(crate) vertex: usize,
    /// Digest of which part counts; may be empty.
    pub(crate) selector: String,
    /// As older versions have it, where that is something else.
    pub(crate) older: Option<String>,
    /// What is read of it, where the content of that will do as a name.
    pub(crate) content: Option<Vec<Selected>>,
}

/// Files that are read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Selected {
    /// Absolute, maybe a pattern.
    pub(crate) path: String,
    pub(crate) wildcard: bool,
    /// A link at the end of the path is followed.
    pub(crate) follow: bool,
    pub(crate) include: Vec<String>,
    pub(crate) exclude: Vec<String>,
}

/// All operations, each behind what it needs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vertices {
    all: Vec<Vertex>,
    of: Vec<Option<usize>>,
}

impl Vertices {
    /// Translates a graph.
    pub(crate) fn of(graph: &Graph) -> Self {
        let mut this = Self::default();
        for number in 0..graph.len() {
            let node = graph.node(OpId(number));
            let vertex = this.translate(graph, node, OpId(number));
            this.of.push(vertex);
        }
        this
    }

    /// The vertex with an operation's result; none where that is nothing.
    pub(crate) fn vertex(&self, op: OpId) -> Option<usize> {
        self.of.get(op.0).copied().flatten()
    }

    pub(crate) fn all(&self) -> &[Vertex] {
        &self.all
    }

    fn add(&mut self, vertex: Vertex) -> usize {
        if let Some(known) = self.all.iter().position(|known| *known == vertex && !vertex.digests.is_empty())
        {
            return known;
        }
        self.all.push(vertex);
        self.all.len() - 1
    }

    /// One that nothing is known of.
    fn unknown(&mut self) -> usize {
        self.add(Vertex { digests: Vec::new(), inputs: Vec::new(), context: None, is_image: false })
    }

    fn translate(&mut self, graph: &Graph, node: &Node, id: OpId) -> Option<usize> {
        match &node.op {
            Op::Scratch => None,
            Op::Image(image) => Some(self.image(image)),
            Op::Context(_) => Some(self.add(Vertex {
                digests: Vec::new(),
                inputs: Vec::new(),
                context: Some(id),
                is_image: false,
            })),
            Op::Http(_) | Op::Git(_) => Some(self.unknown()),
            Op::Run(run) => Some(self.run(run)),
            Op::Mkdir(mkdir) => Some(self.mkdir(mkdir)),
            Op::Copy(copy) if node.name.is_empty() => Some(self.part_of_context(graph, copy)),
            Op::Copy(copy) => Some(self.copy(graph, copy)),
        }
    }

    fn image(&mut self, image: &ImageOp) -> usize {
        let diff_ids: Option<Vec<Digest>> =
            image.layers.iter().map(|layer| layer.diff_id.parse().ok()).collect();
        let digests = diff_ids.zip(platform(&image.platform));
        let digests = digests
            .map(|(diff_ids, platform)| keys::image(image.digest.as_deref(), &platform, &diff_ids))
            .unwrap_or_default();
        self.add(Vertex { digests, inputs: Vec::new(), context: None, is_image: true })
    }

    /// A context as a tree is the context itself.
    fn part_of_context(&mut self, graph: &Graph, copy: &CopyNode) -> usize {
        let from = copy.from.first().map(|from| from.op);
        let context = from.filter(|from| matches!(graph.node(*from).op, Op::Context(_)));
        match context.and_then(|context| self.vertex(context)) {
            Some(vertex) if matches!(graph.node(copy.parent).op, Op::Scratch) => vertex,
            _ => self.unknown(),
        }
    }

    fn mkdir(&mut self, mkdir: &MkdirOp) -> usize {
        let parent = self.vertex(mkdir.parent);
        let base = if parent.is_some() { 0 } else { NONE };
        let action = FileAction::Mkdir {
            path: crate::plan::clean(&mkdir.path),
            mode: FOLDER_MODE,
            parents: true,
            owner: (!mkdir.user.is_empty()).then(|| Owner::parse(&mkdir.user, base)),
            timestamp: mkdir.epoch.map_or(NONE, |epoch| epoch.saturating_mul(1_000_000_000)),
        };
        let step = FileStep { input: base, secondary: NONE, output: 0, action };
        let inputs = parent.map(plain).into_iter().collect();
        self.add(Vertex { digests: keys::file(&[step]), inputs, context: None, is_image: false })
    }

    /// A file of its own.
    fn mkfile(&mut self, name: &str, mode: i64, data: &str) -> usize {
        let action =
            FileAction::Mkfile { path: crate::plan::clean(name), mode, data: data.as_bytes().to_vec() };
        let step = FileStep { input: NONE, secondary: NONE, output: 0, action };
        self.add(Vertex { digests: keys::file(&[step]), inputs: Vec::new(), context: None, is_image: false })
    }

    fn copy(&mut self, graph: &Graph, copy: &CopyNode) -> usize {
        let parent = self.vertex(copy.parent);
        let linked = copy.link && copy.chmod.is_none();
        let below = if linked { None } else { parent };
        let mut sources: Vec<(usize, CopyAction)> = Vec::new();
        for from in &copy.from {
            let source = self.vertex(from.op);
            if matches!(graph.node(from.op).op, Op::Http(_) | Op::Git(_)) {
                return self.unknown();
            }
            for path in &from.sources {
                // Copying from nothing is an error, or a pattern that matches nothing.
                let Some(source) = source else { return self.unknown() };
                sources.push((source, of_tree(copy, path, from.unpack)));
            }
        }
        for (name, text) in &copy.inline {
            let file = self.mkfile(name, FILE_MODE, text);
            sources.push((file, of_file(&crate::plan::clean(name))));
        }
        if sources.is_empty() {
            return self.unknown();
        }
        let copied = self.copied(copy, below, sources);
        match parent {
            Some(parent) if linked => {
                let inputs = vec![plain(parent), plain(copied)];
                self.add(Vertex { digests: keys::merge(2), inputs, context: None, is_image: false })
            }
            _ => copied,
        }
    }

    fn copied(&mut self, copy: &CopyNode, below: Option<usize>, sources: Vec<(usize, CopyAction)>) -> usize {
        let mut inputs: Vec<usize> = below.into_iter().collect();
        for (source, _) in &sources {
            if !inputs.contains(source) {
                inputs.push(*source);
            }
        }
        let base = if below.is_some() { 0 } else { NONE };
        let owner = copy.chown.as_deref().map(|text| Owner::parse(text, base));
        let (mode, mode_text) = mode(copy.chmod.as_deref());
        let last = sources.len() - 1;
        let mut selected: Vec<Vec<Selected>> = vec![Vec::new(); inputs.len()];
        let mut steps = Vec::new();
        for (number, (source, action)) in sources.into_iter().enumerate() {
            let place = inputs.iter().position(|input| *input == source).unwrap_or_default();
            selected[place].push(selection(&action, &copy.excludes));
            let action = CopyAction {
                dest: copy.dest.clone(),
                owner: owner.clone(),
                mode,
                mode_text: mode_text.clone(),
                exclude: copy.excludes.clone(),
                ..action
            };
            steps.push(FileStep {
                input: if number == 0 { base } else { index(inputs.len() + number - 1) },
                secondary: index(place),
                output: if number == last { 0 } else { NONE },
                action: FileAction::Copy(action),
            });
        }
        let inputs = inputs.into_iter().zip(selected).enumerate().map(|(place, (vertex, selected))| {
            // What is copied to counts as a whole, even if it is copied from as well.
            if selected.is_empty() || (below.is_some() && place == 0) {
                return plain(vertex);
            }
            let mut paths: Vec<&str> = selected.iter().map(|s| s.path.as_str()).collect();
            paths.sort_unstable_by(|a, b| b.cmp(a));
            let selector = keys::selector(&paths);
            Input { vertex, selector, older: None, content: Some(without_doubles(&selected)) }
        });
        let inputs = inputs.collect();
        self.add(Vertex { digests: keys::file(&steps), inputs, context: None, is_image: false })
    }

    fn run(&mut self, run: &RunOp) -> usize {
        let root = Mounted {
            source: self.vertex(run.parent),
            selector: "/".into(),
            content: false,
            output: 0,
            ..Mounted::at("/", ExecMountKind::Bind)
        };
        let mut mounted = vec![root];
        let mut exec = process(run);
        let mut behind = Vec::new();
        for mount in &run.mounts {
            match &mount.kind {
                RunMountKind::Secret(secret) => {
                    let optional = !secret.required;
                    if let Some(name) = &secret.env {
                        exec.secret_env.push((secret.id.clone(), name.clone(), optional));
                    }
                    if secret.file {
                        let kind = credential(&secret.id, (secret.uid, secret.gid, secret.mode), optional);
                        behind.push((0, outside(mount, ExecMountKind::Secret(kind))));
                    }
                }
                RunMountKind::Ssh(ssh) => {
                    // The usual agent has no name there.
                    let id = if ssh.id == "default" { "" } else { &ssh.id };
                    let kind = credential(id, (ssh.uid, ssh.gid, ssh.mode), !ssh.required);
                    behind.push((1, outside(mount, ExecMountKind::Ssh(kind))));
                }
                _ => mounted.push(self.mounted(mount)),
            }
        }
        if let Some(size) = run.shm_size {
            let size = i64::try_from(size).unwrap_or(i64::MAX);
            mounted.push(Mounted::at("/dev/shm", ExecMountKind::Tmpfs(size)));
        }
        mounted.sort_by(|a, b| a.dest.cmp(&b.dest));
        let (inputs, mounts) = mount_inputs(mounted);
        behind.sort_by_key(|(kind, _)| *kind);
        exec.mounts = mounts.into_iter().chain(behind.into_iter().map(|(_, mount)| mount)).collect();
        self.add(Vertex { digests: exec.digests(), inputs, context: None, is_image: false })
    }

    fn mounted(&mut self, mount: &RunMount) -> Mounted {
        match &mount.kind {
            RunMountKind::Bind { from, selector, writable } => Mounted {
                source: self.vertex(*from),
                selector: selector.clone(),
                content: true,
                readonly: !writable,
                ..Mounted::at(&mount.target, ExecMountKind::Bind)
            },
            RunMountKind::Cache(cache) => self.cache(mount, cache),
            RunMountKind::Tmpfs { size } => {
                let size = i64::try_from(size.unwrap_or_default()).unwrap_or(i64::MAX);
                Mounted::at(&mount.target, ExecMountKind::Tmpfs(size))
            }
            RunMountKind::Script { content } => {
                let (folder, name) = mount.target.rsplit_once('/').unwrap_or(("", &mount.target));
                Mounted {
                    source: Some(self.mkfile(name, FOLDER_MODE, content)),
                    selector: "/".into(),
                    content: true,
                    readonly: true,
                    ..Mounted::at(&format!("{folder}/"), ExecMountKind::Bind)
                }
            }
            RunMountKind::Secret(_) | RunMountKind::Ssh(_) => Mounted::at(&mount.target, ExecMountKind::Bind),
        }
    }

    fn cache(&mut self, mount: &RunMount, cache: &CacheMount) -> Mounted {
        let sharing = match cache.sharing.as_str() {
            "private" => 1,
            "locked" => 2,
            _ => 0,
        };
        let mut source = cache.from.and_then(|from| self.vertex(from));
        let mut selector = cache.selector.clone();
        if let Some((uid, gid, mode)) = cache.owner {
            let owner = Owner { user: Some(Account::Id(uid.into())), group: Some(Account::Id(gid.into())) };
            let action = FileAction::Mkdir {
                path: "/cache".into(),
                mode: i64::from(mode & 0o777),
                parents: false,
                owner: Some(owner),
                timestamp: NONE,
            };
            let input = if source.is_some() { 0 } else { NONE };
            let step = FileStep { input, secondary: NONE, output: 0, action };
            let inputs = source.map(plain).into_iter().collect();
            source = Some(self.add(Vertex {
                digests: keys::file(&[step]),
                inputs,
                context: None,
                is_image: false,
            }));
            selector = "/cache".into();
        }
        Mounted {
            source,
            selector,
            content: true,
            readonly: cache.readonly,
            ..Mounted::at(&mount.target, ExecMountKind::Cache(cache.id.clone(), sharing))
        }
    }
}

/// A mount with where its files come from.
struct Mounted {
    dest: String,
    source: Option<usize>,
    selector: String,
    content: bool,
    readonly: bool,
    output: i64,
    kind: ExecMountKind,
}

impl Mounted {
    fn at(dest: &str, kind: ExecMountKind) -> Self {
        let (source, selector) = (None, String::new());
        Self { dest: dest.to_owned(), source, selector, content: false, readonly: false, output: NONE, kind }
    }
}

/// Numbers the inputs in the order of their mounts.
fn mount_inputs(mounted: Vec<Mounted>) -> (Vec<Input>, Vec<ExecMount>) {
    let mut sources: Vec<(usize, Vec<String>, bool)> = Vec::new();
    let mut mounts = Vec::new();
    for Mounted { dest, source, selector, content, readonly, output, kind } in mounted {
        let input = source.map_or(NONE, |source| {
            let known = sources.iter().position(|(known, ..)| *known == source);
            let place = known.unwrap_or_else(|| {
                sources.push((source, Vec::new(), false));
                sources.len() - 1
            });
            sources[place].1.push(crate::plan::clean(&selector));
            sources[place].2 = content;
            index(place)
        });
        mounts.push(ExecMount { input, dest, output, readonly, kind });
    }
    let inputs = sources.into_iter().map(|(vertex, paths, content)| {
        let names: Vec<&str> = paths.iter().map(String::as_str).collect();
        let selector = keys::selector(&names);
        // The whole of an input was no part of it once.
        let parts: Vec<&str> = names.iter().copied().filter(|name| *name != "/").collect();
        let older = Some(keys::selector(&parts)).filter(|older| *older != selector);
        Input { vertex, selector, older, content: content.then(|| of_mounts(&paths)) }
    });
    (inputs.collect(), mounts)
}

/// What mounts read: all, or these paths.
fn of_mounts(paths: &[String]) -> Vec<Selected> {
    let paths = without_inner(paths);
    if paths.iter().any(|path| path == "/") {
        return vec![Selected { path: "/".into(), ..Selected::default() }];
    }
    paths.into_iter().map(|path| Selected { path, follow: true, ..Selected::default() }).collect()
}

fn process(run: &RunOp) -> Exec {
    Exec {
        args: run.args.clone(),
        env: run.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        cwd: if run.cwd.starts_with('/') { run.cwd.clone() } else { crate::plan::clean(&run.cwd) },
        user: run.user.clone(),
        hosts: run.hosts.iter().map(|(name, _)| name.clone()).collect(),
        hostname: if run.hostname == HOSTNAME { String::new() } else { run.hostname.clone() },
        ulimits: run.ulimits.iter().map(|limit| (limit.name.clone(), limit.soft, limit.hard)).collect(),
        cgroup_parent: run.cgroup_parent.clone().unwrap_or_default(),
        mounts: Vec::new(),
        network: match run.network {
            NetworkMode::Default => 0,
            NetworkMode::Host => 1,
            NetworkMode::None => 2,
        },
        insecure: run.insecure,
        secret_env: Vec::new(),
        platform: platform(&run.platform).unwrap_or_default(),
    }
}

fn credential(id: &str, (uid, gid, mode): (u32, u32, u32), optional: bool) -> Credential {
    Credential { id: id.to_owned(), uid: uid.into(), gid: gid.into(), mode: mode.into(), optional }
}

/// A mount that no input is behind.
fn outside(mount: &RunMount, kind: ExecMountKind) -> ExecMount {
    ExecMount { input: NONE, dest: mount.target.clone(), output: 0, readonly: false, kind }
}

/// An input that counts as a whole.
fn plain(vertex: usize) -> Input {
    Input { vertex, selector: String::new(), older: None, content: None }
}

fn index(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A platform as operations name it.
fn platform(text: &str) -> Option<KeyPlatform> {
    let platform = crate::platform::parse(text).ok()?.normalized();
    Some(KeyPlatform {
        os: platform.os,
        architecture: platform.architecture,
        variant: platform.variant.unwrap_or_default(),
        os_version: platform.os_version.unwrap_or_default(),
    })
}

/// `--chmod` as a number, or as text.
fn mode(chmod: Option<&str>) -> (i64, String) {
    match chmod {
        None => (NONE, String::new()),
        Some(text) => {
            i64::from_str_radix(text, 8).map_or_else(|_| (0, text.to_owned()), |m| (m, String::new()))
        }
    }
}

/// What copies a path of a stage, context or image.
fn of_tree(copy: &CopyNode, path: &str, unpack: bool) -> CopyAction {
    let mut action = CopyAction {
        src: crate::plan::clean(path),
        follow: true,
        contents: true,
        unpack,
        create_dest: true,
        wildcard: true,
        empty_wildcard: true,
        ..CopyAction::default()
    };
    if copy.parents {
        let (source, pattern) = path.split_once("/./").unwrap_or(("/", path));
        let pattern = if pattern.starts_with('/') { pattern.to_owned() } else { crate::plan::clean(pattern) };
        action.src = crate::plan::clean(source);
        if !is_pattern(source) && !is_pattern(&pattern) {
            action.required = vec![crate::plan::clean(&format!("{source}/{pattern}"))];
        }
        action.include = vec![pattern.strip_prefix('/').unwrap_or(&pattern).to_owned()];
    }
    action
}

/// What copies a here-document.
fn of_file(path: &str) -> CopyAction {
    CopyAction { src: path.to_owned(), create_dest: true, ..CopyAction::default() }
}

/// What a copy reads of its source.
fn selection(action: &CopyAction, excludes: &[String]) -> Selected {
    Selected {
        path: action.src.clone(),
        wildcard: action.wildcard && is_pattern(&action.src),
        follow: action.follow,
        include: action.include.clone(),
        exclude: excludes.to_vec(),
    }
}

fn is_pattern(path: &str) -> bool {
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'*' | b'?' | b'[' => return true,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    false
}

/// Leaves out paths that lie in others.
fn without_inner(paths: &[String]) -> Vec<String> {
    let is_inner = |path: &String| {
        let inside = |outer: &String| {
            let mut folder = outer.clone();
            if !folder.ends_with('/') {
                folder.push('/');
            }
            outer != path && path.starts_with(&folder)
        };
        paths.iter().any(inside)
    };
    let mut kept: Vec<String> = paths.iter().filter(|path| !is_inner(path)).cloned().collect();
    kept.sort();
    kept.dedup();
    kept
}

/// Leaves out what lies in other selections; patterns stay.
fn without_doubles(selected: &[Selected]) -> Vec<Selected> {
    let is_filter = |s: &Selected| s.wildcard || !s.include.is_empty() || !s.exclude.is_empty();
    let paths = |follow: bool| {
        let plain = selected.iter().filter(|s| !is_filter(s) && s.follow == follow);
        without_inner(&plain.map(|s| s.path.clone()).collect::<Vec<_>>())
    };
    let of = |follow: bool| {
        paths(follow).into_iter().map(move |path| Selected { path, follow, ..Selected::default() })
    };
    let mut out: Vec<Selected> = of(false).chain(of(true)).collect();
    out.extend(selected.iter().filter(|s| is_filter(s)).cloned());
    out.sort_by(|a, b| a.path.cmp(&b.path));
    out
}
