//! One build from request to outcome: alone, or as one target of several.

use std::sync::Arc;

use garboard_parser::Dockerfile;
use tokio::sync::Mutex;

use crate::cancel::Cancel;
use crate::dockerfile::parse;
use crate::engine::{Engine, Input, report, unless_canceled};
use crate::error::{Error, Failure, Result};
use crate::export::{Built, Exported, Exporter, PlannedImage};
use crate::foreign::Records;
use crate::layers::Layers;
use crate::link::Links;
use crate::lost::Lost;
use crate::outcome::{BuildFailure, BuildOutcome};
use crate::plan::{Plan, Planner};
use crate::remote_cache::RemoteCaches;
use crate::reporter::Reporter;
use crate::request::{
    BuildRequest, CacheFormat, CacheMode, Export, ExportKind, ImageAttributes, Keep, SecretSource,
};
use crate::solve::{Environment, Solver, Work};
use crate::source::Contexts;

/// How often a build starts over at most because something in a registry is gone. Each time it forgets something.
const MAX_ROUNDS: u32 = 100;

/// What a build shares with those beside it.
pub(crate) struct Surroundings {
    pub(crate) reporter: Reporter,
    /// Stops this build.
    pub(crate) cancel: Cancel,
    /// The user's switch, which stops all builds of the run.
    pub(crate) interrupt: Cancel,
    pub(crate) lost: Lost,
    pub(crate) contexts: Arc<Contexts>,
    /// Whether other targets start from what this one makes.
    pub(crate) is_linked: bool,
}

impl Surroundings {
    /// Nothing beside it.
    pub(crate) fn alone(reporter: Reporter, cancel: &Cancel) -> Self {
        Self {
            reporter,
            cancel: cancel.clone(),
            interrupt: cancel.clone(),
            lost: Lost::default(),
            contexts: Arc::default(),
            is_linked: false,
        }
    }
}

/// One build.
pub(crate) struct Build<'a> {
    engine: &'a Engine,
    request: &'a BuildRequest,
    around: Surroundings,
    input: Input,
    dockerfile: Dockerfile,
    exports: Vec<Export>,
    layers: Layers,
    /// The last plan, with how often something had been forgotten when it was made.
    planned: Mutex<Option<(u64, Result<Planned>)>>,
}

/// A plan that is being worked on.
#[derive(Clone)]
pub(crate) struct Planned {
    pub(crate) solver: Arc<Solver>,
    /// One for each platform.
    pub(crate) images: Arc<[PlannedImage]>,
}

impl<'a> Build<'a> {
    /// Brings context and Dockerfile here, and looks whether the request makes sense.
    pub(crate) async fn open(
        engine: &'a Engine,
        request: &'a BuildRequest,
        around: Surroundings,
    ) -> std::result::Result<Self, BuildFailure> {
        let Surroundings { reporter, cancel, interrupt, .. } = &around;
        let opened = Box::pin(unless_canceled(cancel, engine.open(request, reporter))).await;
        let input = opened.map_err(|e| report(&e, None, interrupt))?;
        let prepared = (|| {
            check_request(request)?;
            let exports = exports_of(request);
            let push = crate::export::early_targets(&exports)?.into();
            let (options, reach) = (&engine.options, engine.options.reach());
            let remote =
                RemoteCaches::start(request, &options.store, &reach, reporter, options.believe_all_caches);
            Ok((parse(&input.file, request, reporter)?, exports, push, remote))
        })();
        let (dockerfile, exports, push, remote) =
            prepared.map_err(|e: Failure| report(&e, Some(&input.file), interrupt))?;
        let layers = Layers { push, remote, lost: around.lost.clone(), ..engine.layers.clone() };
        Ok(Self { engine, request, around, input, dockerfile, exports, layers, planned: Mutex::default() })
    }

    /// Builds and exports. Also tells whether any step ran.
    pub(crate) async fn run(
        &self,
        links: &dyn Links,
    ) -> std::result::Result<(BuildOutcome, bool), BuildFailure> {
        let done = Box::pin(self.rounds(links)).await;
        done.map_err(|e| report(&e, Some(&self.input.file), &self.around.interrupt))
    }

    async fn rounds(&self, links: &dyn Links) -> Result<(BuildOutcome, bool)> {
        let Layers { lost, store, remote, .. } = &self.layers;
        let _sending = remote.until_the_end();
        let mut rounds = 0;
        loop {
            let before = lost.times();
            let failure = match Box::pin(self.round(links)).await {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            rounds += 1;
            if rounds == MAX_ROUNDS || !failure.is_lost() {
                return Err(failure);
            }
            // What is missing may have been found so, and forgotten, by a build beside this one.
            if !lost.forget(store, remote)? && lost.times() == before {
                return Err(failure);
            }
            tracing::info!(%failure, "the build starts over without what is missing");
        }
    }

    /// The plan, made anew if something was forgotten since.
    pub(crate) async fn planned(&self, links: &dyn Links) -> Result<Planned> {
        let mut planned = self.planned.lock().await;
        let times = self.layers.lost.times();
        if let Some((_, known)) = planned.as_ref().filter(|(at, _)| *at == times) {
            return known.clone();
        }
        let new = Box::pin(self.plan(links)).await;
        *planned = Some((times, new.clone()));
        new
    }

    async fn plan(&self, links: &dyn Links) -> Result<Planned> {
        let Self { engine, request, input, .. } = self;
        let Surroundings { reporter, cancel, is_linked, .. } = &self.around;
        let sources = engine.image_source(request);
        let planner = Planner {
            request,
            dockerfile: &self.dockerfile,
            file_name: &input.file.name,
            ignore_beside: input.file.path.as_deref(),
            sources: &sources,
            links,
            reporter,
            platform: &engine.options.platform,
            fetched: input.fetched.as_ref(),
        };
        let Plan { graph, images, wanted } = unless_canceled(cancel, Box::pin(planner.plan())).await?;
        let linked = images.iter().map(|image| image.op).filter(|_| *is_linked).collect();
        let solver = Arc::new(Solver::new(
            Work { graph, wanted, linked },
            self.layers.clone(),
            reporter.clone(),
            cancel.clone(),
            self.environment()?,
            input.remotes.clone(),
        ));
        solver.ask_ahead();
        Ok(Planned { solver, images: images.into() })
    }

    /// Plans, solves and exports.
    async fn round(&self, links: &dyn Links) -> Result<(BuildOutcome, bool)> {
        let Surroundings { reporter, cancel, .. } = &self.around;
        let layers = &self.layers;
        let Planned { solver, images } = self.planned(links).await?;
        let wanted = solver.results(images.iter().map(|i| i.op).collect());
        let trees = tokio::select! {
            biased;
            trees = unless_canceled(cancel, wanted) => trees,
            refused = solver.push_refused() => Err(refused),
        };
        let is_lost = trees.as_ref().is_err_and(Failure::is_lost);
        if !is_lost {
            // What can't be noted is no failure.
            let _ = crate::explain::keep(&layers.store, &solver.explanations());
        }
        if trees.is_err() && !is_lost {
            // Whatever else runs is of no use any more.
            cancel.cancel();
            solver.abandon().await;
        }
        let trees = trees?;
        solver.settle().await;
        let inline =
            if has_inline_cache(self.request) { Some(solver.records(CacheMode::Min).await) } else { None };
        let built = images.iter().cloned().zip(trees);
        let built: Vec<Built> =
            built.map(|(image, tree)| Built { image, tree, inline: inline.clone() }).collect();
        let outcome = unless_canceled(cancel, Box::pin(self.export(&built))).await?;
        if layers.remote.is_written() {
            let format = solver.cache_format();
            // Blobs that only the cache gets are nothing for the image's repository.
            let layers = Layers { push: Arc::default(), ..layers.clone() };
            let foreign = Box::pin(foreign_records(self.request, &solver));
            let foreign = unless_canceled(cancel, async { Ok(foreign.await) }).await?;
            let written = layers.remote.export(&solver.made, &foreign, &layers, format, reporter);
            unless_canceled(cancel, Box::pin(written)).await?;
        }
        Ok((outcome, solver.has_run()))
    }

    fn environment(&self) -> Result<Environment> {
        let Self { engine, request, exports, input, .. } = self;
        let image = exports.iter().find(|export| export.kind.is_image());
        Ok(Environment {
            secrets: request.secrets.clone(),
            agents: input.agents.clone(),
            resolv_conf: request.resolv_conf.clone(),
            host: engine.options.platform.clone(),
            resources: request.resources.clone(),
            export: image.map(|export| crate::export::format_of(&export.image)),
            file: format!("{:?} {}{}", request.context, input.file.name, self.around.reporter.suffix()),
            destinations: crate::export::push_targets(exports)?,
            copy_trees: engine.options.copy_trees,
            contexts: self.around.contexts.clone(),
        })
    }

    async fn export(&self, built: &[Built]) -> Result<BuildOutcome> {
        let stdout = self.engine.options.stdout;
        let exporter = Exporter {
            layers: &self.layers,
            client: &self.engine.options.client,
            reporter: &self.around.reporter,
            stdout: &move || stdout(),
            force_index: self
                .request
                .build_args
                .get("BUILDKIT_MULTI_PLATFORM")
                .is_some_and(|v| matches!(v.as_str(), "1" | "true" | "TRUE" | "t" | "T" | "True")),
        };
        let mut outcome = Exported::default();
        for export in &self.exports {
            let done = exporter.export(export, built).await?;
            if done.descriptor.is_some() {
                outcome = done;
            }
        }
        Ok(BuildOutcome {
            digest: outcome.descriptor.as_ref().map(|d| d.digest.to_string()),
            descriptor: outcome.descriptor.and_then(|d| serde_json::to_value(d).ok()),
            config_digest: outcome.config_digest,
            names: outcome.names,
        })
    }
}

/// Without any export the image goes to the local store, under its tags if it has some.
fn exports_of(request: &BuildRequest) -> Vec<Export> {
    let mut exports = request.exports.clone();
    if exports.is_empty() {
        let kind = ExportKind::Image { push: false, push_by_digest: false, store: Keep::Yes };
        exports.push(Export { kind, names: Vec::new(), image: ImageAttributes::default() });
    }
    for export in &mut exports {
        if export.names.is_empty() {
            export.names.clone_from(&request.tags);
        }
        export.image.annotations.extend(request.annotations.iter().cloned());
    }
    exports
}

/// Whether images get a cache of their own; the build argument is an older way to ask for it.
fn has_inline_cache(request: &BuildRequest) -> bool {
    let given = request.build_args.get("BUILDKIT_INLINE_CACHE");
    request.inline_cache
        || given.is_some_and(|v| matches!(v.as_str(), "1" | "true" | "TRUE" | "t" | "T" | "True"))
}

/// What caches in BuildKit's format are to get, for each mode that one has.
async fn foreign_records(request: &BuildRequest, solver: &Arc<Solver>) -> Vec<(CacheMode, Records)> {
    let wanted = request.cache_to.iter().filter(|cache| cache.format == CacheFormat::BuildKit);
    let mut all: Vec<(CacheMode, Records)> = Vec::new();
    for mode in wanted.map(|cache| cache.mode) {
        if !all.iter().any(|(known, _)| *known == mode) {
            all.push((mode, solver.records(mode).await));
        }
    }
    all
}

/// What can be known to be wrong before anything is done.
fn check_request(request: &BuildRequest) -> Result<()> {
    if request.build_args.get("BUILDKIT_DISABLE_FILEOP").is_some_and(|value| value == "1") {
        let text = "the build argument BUILDKIT_DISABLE_FILEOP was removed in BuildKit 0.11";
        return Err(Error::Request(text.into()).into());
    }
    crate::export::references(&request.tags)?;
    for export in &request.exports {
        crate::export::references(&export.names)?;
    }
    let platforms: std::collections::BTreeSet<&String> = request.platforms.iter().collect();
    for export in &request.exports {
        if matches!(export.kind, ExportKind::Docker { .. }) && platforms.len() > 1 {
            let text = "docker exporter does not currently support exporting manifest lists";
            return Err(Error::Request(text.into()).into());
        }
        if let Some(annotation) = export.image.annotations.first().filter(|_| !export.image.oci_media_types) {
            return Err(Error::Request(format!("annotation {} needs OCI media types", annotation.key)).into());
        }
    }
    for (id, secret) in &request.secrets {
        if let SecretSource::File(path) = secret
            && (!path.exists() || path.is_dir())
        {
            let source = std::io::ErrorKind::NotFound.into();
            let what = format!("failed to read the secret `{id}` from {}", path.display());
            return Err(Error::Io { what, source }.into());
        }
    }
    Ok(())
}
