//! Walks the operations of a build: looks for results, runs what has none, as parallel as the graph is.
//!
//! A result is looked for under two keys. Both hold the operation and the content of the tree that it starts from. The
//! first names further sources by their definition, so that a hit needs none of them to exist. The second names
//! them by the content of what is read of them: a stage that ran again and made the same files changes nothing for
//! those that copy from it.

mod ahead;
mod claimed;
mod copy;
mod early;
mod key;
mod mkdir;
mod mounts;
mod permission;
mod rest;
mod run;
mod why;

pub(crate) use copy::operation as copy_operation;
pub(crate) use key::{Name, stands_alone};

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures_util::future::{BoxFuture, FutureExt, try_join_all};
use garboard_cache::{Key, LayerBlob, LayerId, Origin, Place, Record, Vouchers};
use garboard_layer::ContentDigest;
use tokio::sync::{OnceCell, oneshot};
use tokio::task::JoinHandle;

use crate::cancel::Cancel;
use crate::error::{Attempt, Error, Failure, Result};
use crate::explain::{Explanation, Inputs};
use crate::graph::{Graph, ImageOp, LinkedOp, Node, Op, OpId, RunMountKind};
use crate::layers::{BlobFormat, Layers, blocking};
use crate::remote_cache::{Made, MadeStep};
use crate::reporter::{Reporter, Step};
use crate::request::SecretSource;
use crate::source::{ContextTree, Contexts, Remotes};
use crate::tree::{KeyBuilder, RootFolder, Tree, TreeLayer};

/// Namespace of small facts: what a step whose layer has a content made of `/` itself.
const ROOT: &str = "root";

/// A result that takes longer than this doesn't come from the cache.
const SOON: std::time::Duration = std::time::Duration::from_millis(50);

/// How long stopped steps may take to end.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(3);

/// What steps get from outside.
pub(crate) struct Environment {
    pub(crate) secrets: std::collections::BTreeMap<String, SecretSource>,
    pub(crate) agents: Arc<crate::ssh::Agents>,
    pub(crate) resolv_conf: Vec<u8>,
    /// The platform of this machine.
    pub(crate) host: garboard_registry::Platform,
    pub(crate) resources: crate::request::Resources,
    /// The form in which layers will be exported, if they will.
    pub(crate) export: Option<BlobFormat>,
    /// What tells this Dockerfile from others, where steps are compared with earlier ones.
    pub(crate) file: String,
    /// One name of every repository that the image will be pushed to.
    pub(crate) destinations: Vec<garboard_registry::Reference>,
    /// Copy trees even where overlay file systems can be mounted.
    pub(crate) copy_trees: bool,
    /// Contexts that targets beside this one have read.
    pub(crate) contexts: Arc<Contexts>,
}

/// What there is to do.
pub(crate) struct Work {
    pub(crate) graph: Graph,
    /// For each context the path prefixes that are read of it; empty: all.
    pub(crate) wanted: Vec<Vec<Vec<u8>>>,
    /// What other targets start from.
    pub(crate) linked: Vec<OpId>,
}

/// Solves one graph.
pub(crate) struct Solver {
    pub(crate) graph: Graph,
    pub(crate) layers: Layers,
    pub(crate) reporter: Reporter,
    pub(crate) cancel: Cancel,
    pub(crate) environment: Environment,
    pub(crate) remotes: Remotes,
    /// For each context the path prefixes that are read of it; empty: all.
    pub(crate) wanted: Vec<Vec<Vec<u8>>>,
    results: Vec<OnceCell<Result<Tree>>>,
    contexts: Vec<OnceCell<Result<Arc<ContextTree>>>>,
    definitions: Vec<OnceCell<Result<Name>>>,
    /// For each operation: whether it or anything it needs must not come from the cache.
    fresh: Vec<bool>,
    overlay: std::sync::OnceLock<bool>,
    background: Tasks,
    refusal: early::Refusal,
    /// Why steps ran.
    explained: std::sync::Mutex<Vec<Explanation>>,
    permission: permission::Permission,
    /// What caches in BuildKit's format have.
    pub(crate) claims: crate::foreign::Claims,
    /// What remote caches are to get.
    pub(crate) made: Made,
    steps: Tasks,
    /// For each operation: whether what it reads was started already.
    ahead: Vec<AtomicBool>,
    /// For each operation: whether others read it, and not only build on it.
    sources: Vec<bool>,
    /// For each operation: its digest in progress output.
    vertices: Vec<String>,
}

/// Work that goes on when nobody waits for its result any more.
#[derive(Default)]
struct Tasks(std::sync::Mutex<Vec<JoinHandle<()>>>);

impl Tasks {
    fn add(&self, task: JoinHandle<()>) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(task);
    }

    fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).is_empty()
    }

    /// Waits until all of it is over.
    async fn end(&self) {
        loop {
            let tasks =
                std::mem::take(&mut *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
            if tasks.is_empty() {
                return;
            }
            for task in tasks {
                drop(task.await);
            }
        }
    }
}

impl Solver {
    pub(crate) fn new(
        Work { graph, wanted, linked }: Work,
        layers: Layers,
        reporter: Reporter,
        cancel: Cancel,
        environment: Environment,
        remotes: Remotes,
    ) -> Self {
        let results = (0..graph.len()).map(|_| OnceCell::new()).collect();
        let contexts = (0..graph.len()).map(|_| OnceCell::new()).collect();
        let definitions = (0..graph.len()).map(|_| OnceCell::new()).collect();
        let fresh = fresh_steps(&graph);
        let vertices = vertex_digests(&graph);
        let sources = read_by_others(&graph, &linked);
        let ahead = (0..graph.len()).map(|_| AtomicBool::new(false)).collect();
        Self {
            graph,
            layers,
            reporter,
            cancel,
            environment,
            remotes,
            wanted,
            results,
            contexts,
            definitions,
            fresh,
            overlay: std::sync::OnceLock::new(),
            background: Tasks::default(),
            steps: Tasks::default(),
            ahead,
            refusal: early::Refusal::default(),
            explained: std::sync::Mutex::default(),
            permission: permission::Permission::default(),
            claims: crate::foreign::Claims::default(),
            made: Made::default(),
            vertices,
            sources,
        }
    }

    /// Whether overlay file systems can be mounted; tried when it first matters.
    fn overlay(&self) -> Result<bool> {
        if let Some(known) = self.overlay.get() {
            return Ok(*known);
        }
        let what = || "failed to try an overlay mount".to_owned();
        let works = !self.environment.copy_trees && {
            let scratch = self.layers.store.scratch().attempt(what)?;
            garboard_sandbox::overlay_supported(scratch.path()).attempt(what)?
        };
        Ok(*self.overlay.get_or_init(|| works))
    }

    /// The result of an operation; made once, whoever asks.
    pub(crate) fn result(self: &Arc<Self>, id: OpId) -> BoxFuture<'static, Result<Tree>> {
        let this = self.clone();
        async move { this.results[id.0].get_or_init(|| this.solve(id)).await.clone() }.boxed()
    }

    /// The results of several operations at once.
    pub(crate) async fn results(self: &Arc<Self>, ids: Vec<OpId>) -> Result<Vec<Tree>> {
        try_join_all(ids.into_iter().map(|id| self.result(id))).await
    }

    /// Asks the servers of all downloads and repositories at once, before steps need to know one by one.
    pub(crate) fn ask_ahead(self: &Arc<Self>) {
        for id in (0..self.graph.len()).map(OpId) {
            if matches!(self.graph.node(id).op, Op::Http(_) | Op::Git(_)) {
                let this = self.clone();
                // A failure comes up again when a step asks.
                self.in_background(async move { drop(this.definition(id).await) });
            }
        }
    }

    /// Waits for what still runs in the background. Its failures show where its results are needed.
    pub(crate) async fn settle(&self) {
        self.stop_asking();
        self.background.end().await;
    }

    /// Why steps ran, in the order in which they ended.
    pub(crate) fn explanations(&self) -> Vec<Explanation> {
        self.explained.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Whether any step didn't come from the cache.
    pub(crate) fn has_run(&self) -> bool {
        !self.steps.is_empty()
    }

    /// After a stop: waits for the steps that run to be over, so that none is left behind and each reports its end. One
    /// that doesn't heed the stop, such as a long COPY, isn't waited for: it ends with the process.
    pub(crate) async fn abandon(&self) {
        drop(tokio::time::timeout(PATIENCE, self.steps.end()).await);
    }

    /// Lets a task run beside the steps.
    fn in_background(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.background.add(tokio::spawn(task));
    }

    /// Whether an operation, or anything that it needs, must not come from the cache.
    pub(crate) fn must_run(&self, id: OpId) -> bool {
        self.fresh[id.0]
    }

    /// What is in a context.
    pub(crate) async fn context(&self, id: OpId) -> Result<Arc<ContextTree>> {
        let load = || async {
            let Op::Context(op) = &self.graph.node(id).op else {
                return Err(Error::Internal("not a context".into()).into());
            };
            let step = self.reporter.internal(&op.name);
            let readers = self.readers(id)?;
            let (op, only) = (op.clone(), self.wanted[id.0].clone());
            let stat_cache = self.layers.store.stat_cache_path(&op.folder);
            let load = {
                let (op, only, readers) = (op.clone(), only.clone(), readers.clone());
                blocking(move || crate::source::load_context(&op, only, &readers, &stat_cache))
            };
            let tree = self.environment.contexts.get(&op, &only, &readers, load).await;
            step.finish(&tree);
            tree
        };
        self.contexts[id.0].get_or_init(load).await.clone()
    }

    /// The COPYs that read a context: links in it lead them to further parts of it.
    fn readers(&self, context: OpId) -> Result<Vec<crate::copy::CopyOp>> {
        let nodes = (0..self.graph.len()).map(|id| &self.graph.node(OpId(id)).op);
        let copies = nodes.filter_map(|op| if let Op::Copy(copy) = op { Some(copy) } else { None });
        let parts = copies.flat_map(|copy| (0..copy.from.len()).map(move |index| (copy, index)));
        let readers = parts.filter(|(copy, index)| copy.from[*index].op == context);
        readers.map(|(copy, index)| copy::operation(copy, index)).collect()
    }

    async fn solve(self: &Arc<Self>, id: OpId) -> Result<Tree> {
        let node = self.graph.node(id);
        match &node.op {
            Op::Scratch => Ok(Tree::default()),
            Op::Image(image) => self.image(id, node, image),
            Op::Linked(linked) => self.linked(id, node, linked).await.map_err(|e| e.at(node.lines)),
            Op::Context(_) => Err(Error::Internal("a context is no tree".into()).into()),
            Op::Http(http) => self.remotes.http(http).await.map_err(|e| e.at(node.lines)),
            Op::Git(git) => self.remotes.git(git).await.map_err(|e| e.at(node.lines)),
            Op::Run(_) | Op::Copy(_) | Op::Mkdir(_) => {
                let parent = node.op.parent().expect("these operations have one");
                let parent = self.result(parent).await?;
                let tree = self.step(id, node, parent).await.map_err(|e| e.at(node.lines))?;
                if self.sources[id.0] {
                    self.note_made(id, &tree).await?;
                }
                Ok(tree)
            }
        }
    }

    /// What another target makes.
    async fn linked(self: &Arc<Self>, id: OpId, node: &Node, linked: &LinkedOp) -> Result<Tree> {
        let step = self.reporter.start(&node.name, &self.vertices[id.0], &[]);
        let mut result = linked.link.0.result();
        let result = if let Ok(result) = tokio::time::timeout(SOON, &mut result).await {
            result
        } else {
            // It is being made: meanwhile, what the steps behind it read can be, too.
            self.start_ahead(id);
            result.await
        };
        let tree = result.map_err(|failure| {
            let needed = || Error::Needed { target: linked.target.clone() }.into();
            let stopped = failure.is_canceled() && self.cancel.is_canceled();
            if failure.is_lost() || stopped { failure } else { needed() }
        });
        step.finish(&tree);
        tree
    }

    /// A base image: its layers are noted, not fetched.
    fn image(&self, id: OpId, node: &Node, image: &ImageOp) -> Result<Tree> {
        let step = self.reporter.start(&node.name, &self.vertices[id.0], &[]);
        let layers: Result<Vec<TreeLayer>> =
            image.layers.iter().map(|layer| self.base_layer(layer)).collect();
        step.finish(&layers);
        let layers = layers?;
        self.made.base(&layers);
        Ok(Tree { layers })
    }

    fn base_layer(&self, layer: &crate::source::BaseLayer) -> Result<TreeLayer> {
        let what = || format!("failed to note layer {}", layer.digest);
        let digest = |text: &str| -> Result<oci_spec::image::Digest> {
            let bad = |e: oci_spec::OciSpecError| Error::BadImage {
                what: format!("layer {text}"),
                reason: e.to_string(),
            };
            Ok(text.parse().map_err(bad)?)
        };
        let diff_id = digest(&layer.diff_id)?;
        let blob = LayerBlob {
            media_type: layer.media_type.clone(),
            digest: digest(&layer.digest)?,
            size: layer.size,
            annotations: layer.annotations.clone(),
            urls: layer.urls.clone(),
            present: false,
        };
        let store = &self.layers.store;
        let id = if let Some((host, repository)) = &layer.origin {
            let origin = Origin { place: Place::registry(host, repository), digest: blob.digest.clone() };
            store.add_remote_layer(&diff_id, &blob, &origin).attempt(what)?
        } else {
            store.add_foreign_layer(&diff_id, &blob).attempt(what)?
        };
        let content = KeyBuilder::new("diff id").part(layer.diff_id.as_bytes()).finish();
        let (content, vouchers) = (ContentDigest(content.0), Vouchers::default());
        Ok(TreeLayer { id, created: 0, content, base: true, root: None, vouchers })
    }

    /// An operation that adds a layer: from the cache, or made now.
    async fn step(self: &Arc<Self>, id: OpId, node: &Node, parent: Tree) -> Result<Tree> {
        let first = self.definition_key(id, &parent).await?;
        let fresh_inputs = self.must_run_inputs(id);
        if !node.no_cache
            && !fresh_inputs
            && let Some(mut layer) = self.lookup(&first.key).await?
        {
            layer.vouchers.add(&first.vouchers);
            self.begin(id, node).cached();
            self.note_step(node, &[first.key], &layer, &parent);
            return Ok(parent.with(layer));
        }
        if !node.no_cache
            && !fresh_inputs
            && let Some(mut layer) = self.claimed(id, node, &parent, &first.key).await?
        {
            layer.vouchers.add(&first.vouchers);
            self.begin(id, node).cached();
            self.note_step(node, &[first.key], &layer, &parent);
            return Ok(parent.with(layer));
        }
        self.start_ahead(id);
        let second = self.content_key(id, &parent, &first.key).await?;
        // The sources have results now; that is what the definitions stand for from here on.
        let Name { key: first, vouchers: named_by } = self.definition_key(id, &parent).await?;
        let keys = if second == first { vec![first] } else { vec![first, second] };
        if !node.no_cache
            && let Some(layer) = self.found_by_content(id, &parent, &keys, &named_by).await?
        {
            self.begin(id, node).cached();
            self.note_step(node, &keys, &layer, &parent);
            return Ok(parent.with(layer));
        }
        // One process at a time makes the result of a key; the others wait and find it.
        let guard = self.layers.lock(format!("step-{second}")).await?;
        if !node.no_cache
            && let Some(layer) = self.found_by_content(id, &parent, &keys, &named_by).await?
        {
            self.begin(id, node).cached();
            self.note_step(node, &keys, &layer, &parent);
            return Ok(parent.with(layer));
        }
        if self.cancel.is_canceled() {
            return Err(Error::Canceled.into());
        }
        self.ask_to_push();
        // A task of its own: when another step fails and nobody waits for this one any more, it still gets to its end.
        let (this, (sender, receiver)) = (self.clone(), oneshot::channel());
        self.steps.add(tokio::spawn(async move {
            let made = this.make_step(id, parent, &keys, &named_by).await;
            drop(guard);
            // Nobody waits after a stop.
            let _ = sender.send(made);
        }));
        receiver.await.unwrap_or_else(|_| Err(Error::Internal("a step broke off".into()).into()))
    }

    /// Makes a step's layer, for the holder of its lock. `named_by` has to be believed for its key by definition.
    async fn make_step(
        self: &Arc<Self>,
        id: OpId,
        parent: Tree,
        keys: &[Key],
        named_by: &Vouchers,
    ) -> Result<Tree> {
        let node = self.graph.node(id);
        let step = Arc::new(self.begin(id, node));
        let begin = std::time::Instant::now();
        let made = self.make(node, &parent, &step).await;
        let took = begin.elapsed();
        let layer = match made {
            Ok(layer) => {
                let mut vouchers = self.vouchers(id, &parent)?;
                vouchers.add(named_by);
                TreeLayer { vouchers, ..layer }
            }
            Err(e) if e.is_canceled() => {
                step.canceled();
                return Err(e);
            }
            Err(e) if e.is_lost() => {
                let text = format!("{e}\nwhat it was the result of is made again\n");
                step.log(crate::event::Stream::Stderr, text.as_bytes());
                step.canceled();
                return Err(e.in_step(step.name(), step.last_lines()));
            }
            Err(e) => {
                step.finish::<(), _>(&Err(&e));
                return Err(e.in_step(step.name(), step.last_lines()));
            }
        };
        let inputs = self.inputs(id, &parent);
        // What can't be explained is no failure.
        let why = self.why(id, node, keys, &inputs, &layer, took).await.unwrap_or_default();
        self.remember(node, keys, &layer, &inputs, took)?;
        if let Some(why) = why {
            self.explained.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(why.clone());
            step.explained(why);
        }
        self.note_step(node, keys, &layer, &parent);
        step.done();
        self.cache_early(node, &MadeStep::new(node, keys, &layer, &parent));
        let tree = parent.with(layer);
        self.note_made(id, &tree).await?;
        self.compress_early(node, &tree);
        Ok(tree)
    }

    async fn make(self: &Arc<Self>, node: &Node, parent: &Tree, step: &Arc<Step>) -> Result<TreeLayer> {
        match &node.op {
            Op::Run(run) => self.run(run, parent, step).await,
            Op::Copy(copy) => self.copy(node, copy, parent).await,
            Op::Mkdir(mkdir) => self.mkdir(mkdir, parent).await,
            _ => Err(Error::Internal("not a step".into()).into()),
        }
    }

    /// A record under the key, as the layer that it stands for.
    async fn lookup(&self, key: &Key) -> Result<Option<TreeLayer>> {
        let record = self.find(key).await?;
        record.and_then(|record| self.recorded(record).transpose()).transpose()
    }

    /// The record under a key, of the store or of a remote cache.
    async fn find(&self, key: &Key) -> Result<Option<Record>> {
        let what = || "failed to look into the cache".to_owned();
        let found = self.layers.store.record(key).attempt(what)?;
        if let Some(record) = found.filter(|record| self.layers.remote.believes(&record.vouchers)) {
            return Ok(Some(record));
        }
        let Some((record, root)) = self.layers.remote.record(key).await else { return Ok(None) };
        if let (Some([mode, uid, gid]), Some(content)) = (root, &record.content) {
            let root = RootFolder { mode: mode & 0o7777, uid, gid }.to_bytes();
            for name in record.vouchers.names() {
                self.layers.store.put_meta(&claimed_root(name), &content.to_string(), &root).attempt(what)?;
            }
        }
        Ok(Some(record))
    }

    /// The layer of a record, with what its step made of `/`.
    fn recorded(&self, record: Record) -> Result<Option<TreeLayer>> {
        let Record { layer: Some(id), content: Some(content), created, vouchers, .. } = record else {
            return Ok(None);
        };
        let what = || "failed to look into the cache".to_owned();
        // What a cache says of a content counts for what rests on its word, and where nothing is known of our own.
        let mut root = self.layers.store.get_meta(ROOT, &content.to_string()).attempt(what)?;
        for name in vouchers.names() {
            if root.is_none() {
                root = self.layers.store.get_meta(&claimed_root(name), &content.to_string()).attempt(what)?;
            }
        }
        let root = root.and_then(|bytes| RootFolder::from_bytes(&bytes));
        Ok(Some(TreeLayer { id, created, content, base: false, root, vouchers }))
    }

    /// A record under the key by content, the last of `keys`; all keys then have it. The key by definition doesn't count here:
    /// where a source was made anew, it says nothing about what that is now.
    ///
    /// That the sources are what their definitions lead to rests on those who vouch for them (and on `named_by`), whoever
    /// made the record.
    async fn found_by_content(
        &self,
        id: OpId,
        parent: &Tree,
        keys: &[Key],
        named_by: &Vouchers,
    ) -> Result<Option<TreeLayer>> {
        let Some(second) = keys.last() else { return Ok(None) };
        let Some(mut record) = self.find(second).await? else { return Ok(None) };
        if keys.len() > 1 {
            record.vouchers.add(&self.vouchers(id, parent)?);
            record.vouchers.add(named_by);
            let store = &self.layers.store;
            let bound = if record.vouchers.is_empty() {
                store.put_record(keys, &record)
            } else {
                // The record itself stays as it is, for those who come to it without believing any of them.
                store.put_claimed_record(&keys[..keys.len() - 1], &record)
            };
            bound.attempt(|| "failed to write to the cache".into())?;
        }
        self.recorded(record)
    }

    fn remember(
        &self,
        node: &Node,
        keys: &[Key],
        layer: &TreeLayer,
        inputs: &Inputs,
        took: std::time::Duration,
    ) -> Result<()> {
        let record = Record {
            layer: Some(layer.id.clone()),
            content: Some(layer.content),
            created: layer.created,
            description: node.name.clone(),
            inputs_json: serde_json::to_string(inputs).unwrap_or_default(),
            duration_ms: why::milliseconds(took),
            vouchers: layer.vouchers.clone(),
        };
        let hints = self.place_of(node).map(|place| crate::explain::hints(&place));
        let hints = hints.as_ref().map_or(&[][..], |hints| hints);
        self.layers
            .store
            .put_record_with(keys, &record, hints)
            .attempt(|| "failed to write to the cache".into())
    }

    /// Notes a result for the remote caches that are written.
    fn note_step(&self, node: &Node, keys: &[Key], layer: &TreeLayer, parent: &Tree) {
        if self.layers.remote.is_written() {
            self.made.step(MadeStep::new(node, keys, layer, parent));
        }
    }

    /// Who has to be believed for what a step was made of: whoever vouches for a layer, or for what is in it.
    fn vouchers(&self, id: OpId, parent: &Tree) -> Result<Vouchers> {
        let inputs = self.graph.node(id).op.inputs();
        let sources = inputs.iter().filter_map(|input| self.results[input.0].get()?.as_ref().ok());
        let mut all = Vouchers::default();
        if let Op::Run(run) = &self.graph.node(id).op
            && run.mounts.iter().any(|mount| matches!(mount.kind, RunMountKind::Cache(_)))
        {
            self.layers.remote.mount_domain().iter().for_each(|name| all.add(&Vouchers::one(name.as_str())));
        }
        for tree in sources.chain([parent]) {
            all.add(&tree.vouchers());
            for layer in tree.layers.iter().filter(|layer| layer.may_be_claimed()) {
                let claimed = self.layers.store.claimed_by(&layer.id);
                let claimed = claimed.attempt(|| "failed to look into the cache".into())?;
                if let Some(name) = claimed {
                    all.add(&Vouchers::one(name));
                }
            }
        }
        Ok(all)
    }

    fn begin(&self, id: OpId, node: &Node) -> Step {
        let inputs: Vec<_> = node.op.inputs().into_iter().map(|i| self.vertices[i.0].clone()).collect();
        self.reporter.start(&node.name, &self.vertices[id.0], &inputs)
    }

    /// Whether some source (not the parent) has steps that must not come from the cache, so that its definition says
    /// nothing about what it will be.
    fn must_run_inputs(&self, id: OpId) -> bool {
        let node = self.graph.node(id);
        let parent = node.op.parent();
        node.op.inputs().into_iter().filter(|i| Some(*i) != parent).any(|i| self.fresh[i.0])
    }

    /// A layer of the store as part of a tree.
    fn own_layer(id: LayerId, created: i64, toc: &garboard_layer::Toc) -> TreeLayer {
        let vouchers = Vouchers::default();
        TreeLayer { id, created, content: toc.content_digest(), base: false, root: None, vouchers }
    }
}

/// Which operations need a step that must not come from the cache. Inputs have lower numbers than what needs them.
fn fresh_steps(graph: &Graph) -> Vec<bool> {
    let mut fresh = Vec::with_capacity(graph.len());
    for id in 0..graph.len() {
        let node = graph.node(OpId(id));
        let linked = matches!(&node.op, Op::Linked(linked) if linked.link.0.must_run());
        fresh.push(node.no_cache || linked || node.op.inputs().into_iter().any(|i| fresh[i.0]));
    }
    fresh
}

/// Which operations are sources of others, or of other targets.
fn read_by_others(graph: &Graph, linked: &[OpId]) -> Vec<bool> {
    let mut read = vec![false; graph.len()];
    for id in linked {
        read[id.0] = true;
    }
    for id in 0..graph.len() {
        let op = &graph.node(OpId(id)).op;
        let parent = op.parent();
        op.inputs().into_iter().filter(|i| Some(*i) != parent).for_each(|i| read[i.0] = true);
    }
    read
}

/// Digests that name operations in progress output: the same in every build of the same definitions.
fn vertex_digests(graph: &Graph) -> Vec<String> {
    let mut digests: Vec<String> = Vec::with_capacity(graph.len());
    for id in 0..graph.len() {
        let op = &graph.node(OpId(id)).op;
        let inputs: Vec<&String> = op.inputs().into_iter().map(|i| &digests[i.0]).collect();
        let text = serde_json::to_string(&(op.definition(), inputs)).unwrap_or_default();
        let digest = format!("sha256:{}", blake3::hash(text.as_bytes()).to_hex());
        digests.push(digest);
    }
    digests
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .map_or(0, |d| d.as_secs() as i64)
}

/// Namespace of small facts: what a remote cache says that a step made of `/` itself.
fn claimed_root(cache: &str) -> String {
    format!("claimed {ROOT} {cache}")
}

/// A failure about a COPY.
pub(crate) fn copy_failure(message: String, hint: Option<String>) -> Failure {
    Error::Copy { message, hint }.into()
}
