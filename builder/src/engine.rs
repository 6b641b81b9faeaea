//! One build from request to outcome.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use garboard_cache::remote::Reach;
use garboard_cache::{Lease, PruneOptions, Store};
use garboard_layer::{Encoder, Ids};
use garboard_parser::{Dockerfile, Warning as Finding};
use garboard_registry::{Client, CloudCredentials, Platform};

use crate::cancel::Cancel;
use crate::error::{Attempt, Error, Failure, Result};
use crate::export::{Built, Exported, Exporter};
use crate::foreign::Records;
use crate::layers::{Layers, blocking};
use crate::lost::Lost;
use crate::outcome::{BuildFailure, BuildOutcome, FailedStep, SourcePlace};
use crate::plan::{Plan, Planner};
use crate::remote_cache::RemoteCaches;
use crate::reporter::{EventSink, Reporter};
use crate::request::{
    BuildRequest, CacheFormat, CacheMode, DockerfileSource, Export, ExportKind, ImageAttributes, Keep,
    SecretSource,
};
use crate::solve::{Environment, Solver};
use crate::source::{FetchedContext, GitProgram, ImageSource, Remotes};

/// Waiting for the disk costs seconds at worst: for builds that took longer than this it is worth it, the others are
/// made again as quickly.
const WORTH_FLUSHING: Duration = Duration::from_secs(10);

/// How often a build starts over at most because something in a registry is gone. Each time it forgets something.
const MAX_ROUNDS: u32 = 100;

/// What an engine works with.
#[derive(Clone)]
pub struct EngineOptions {
    /// The local store.
    pub store: Store,
    /// The registry client.
    pub client: Client,
    /// Who has keys for caches that are kept with a cloud's service.
    pub cloud: Arc<CloudCredentials>,
    /// How repositories are fetched.
    pub git: GitProgram,
    /// What the process may do with owners.
    pub ids: Ids,
    /// Copy trees even where overlay file systems can be mounted.
    pub copy_trees: bool,
    /// Threads for compression.
    pub threads: usize,
    /// The platform of this machine.
    pub platform: Platform,
    /// Bounds of the store, held after every build that ran something; `None`: it grows.
    pub bounds: Option<PruneOptions>,
    /// Makes the writer for exports to standard output.
    pub stdout: fn() -> Box<dyn Write + Send>,
}

impl EngineOptions {
    fn reach(&self) -> Reach {
        Reach { client: self.client.clone(), cloud: self.cloud.clone() }
    }
}

/// Builds images.
///
/// ```no_run
/// # async fn example(engine: garboard_builder::Engine, request: garboard_builder::BuildRequest)
/// # -> Result<(), Box<dyn std::error::Error>> {
/// let cancel = garboard_builder::Cancel::new()?;
/// let outcome = engine.build(&request, std::sync::Arc::new(|event| drop(event)), &cancel).await?;
/// println!("{}", outcome.digest.unwrap_or_default());
/// # Ok(())
/// # }
/// ```
pub struct Engine {
    pub(crate) options: EngineOptions,
    layers: Layers,
}

/// What one round of a build works with.
#[derive(Clone, Copy)]
struct Round<'a> {
    request: &'a BuildRequest,
    exports: &'a [Export],
    layers: &'a Layers,
    remotes: &'a Remotes,
    agents: &'a Arc<crate::ssh::Agents>,
    /// How messages call the Dockerfile.
    file: &'a str,
    reporter: &'a Reporter,
    cancel: &'a Cancel,
}

impl Engine {
    /// Sets an engine up; no work is done yet.
    pub fn new(options: EngineOptions) -> Self {
        let blocks = options.store.block_cache();
        let encoder = Arc::new(Encoder::new(options.threads, Some(Arc::new(blocks))));
        let layers = Layers {
            store: options.store.clone(),
            client: options.client.clone(),
            encoder,
            ids: options.ids,
            threads: options.threads,
            push: Arc::default(),
            remote: RemoteCaches::none(&options.store, &options.reach()),
            lost: Lost::default(),
        };
        Self { options, layers }
    }

    /// Builds what is requested and exports it.
    ///
    /// # Errors
    /// A [`BuildFailure`] with the place in the Dockerfile, the step that failed and a hint, as far as they are known.
    pub async fn build(
        &self,
        request: &BuildRequest,
        events: EventSink,
        cancel: &Cancel,
    ) -> std::result::Result<BuildOutcome, BuildFailure> {
        let reporter = Reporter::new(events);
        let opened = Box::pin(unless_canceled(cancel, self.open(request, &reporter))).await;
        let input = opened.map_err(|e| report(&e, None, cancel))?;
        // Boxed, as are its parts: the type of the whole would be too deep for the compiler.
        let result = Box::pin(self.build_file(request, &input, &reporter, cancel)).await;
        result.map_err(|e| report(&e, Some(&input.file), cancel))
    }

    /// Brings context and Dockerfile here.
    pub(crate) async fn open(&self, request: &BuildRequest, reporter: &Reporter) -> Result<Input> {
        let lease = self.options.store.lease().attempt(|| "failed to take a lease".into())?;
        let agents = Arc::new(crate::ssh::Agents::open(&request.ssh)?);
        let layers = &self.layers;
        let (git, secrets) = (self.options.git.clone(), request.secrets.clone());
        let remotes = Remotes::new(layers.clone(), reporter.clone(), git, secrets, agents.clone());
        let fetched = FetchedContext::of(request, layers, &remotes, reporter).await?;
        let file = match &request.dockerfile {
            DockerfileSource::Http(address) => DockerfileText {
                name: address.name.clone(),
                path: None,
                text: crate::source::fetch_dockerfile(address, layers, &remotes).await?,
            },
            other => read_dockerfile(other, fetched.as_ref(), reporter)?,
        };
        Ok(Input { file, fetched, remotes, agents, _lease: lease })
    }

    /// Where base images are looked up.
    pub(crate) fn image_source(&self, request: &BuildRequest) -> ImageSource {
        ImageSource {
            store: self.options.store.clone(),
            client: self.options.client.clone(),
            pull: request.pull,
        }
    }

    async fn build_file(
        &self,
        request: &BuildRequest,
        Input { file, fetched, remotes, agents, .. }: &Input,
        reporter: &Reporter,
        cancel: &Cancel,
    ) -> Result<BuildOutcome> {
        let begin = Instant::now();
        check_request(request)?;
        let remote = RemoteCaches::start(request, &self.options.store, &self.options.reach(), reporter);
        let dockerfile = parse(file, request, reporter)?;
        let sources = self.image_source(request);
        let planner = Planner {
            request,
            dockerfile: &dockerfile,
            file_name: &file.name,
            ignore_beside: file.path.as_deref(),
            sources: &sources,
            reporter,
            platform: &self.options.platform,
            fetched: fetched.as_ref(),
        };
        let exports = exports_of(request);
        let layers = Layers {
            push: crate::export::early_targets(&exports)?.into(),
            remote,
            lost: Lost::default(),
            ..self.layers.clone()
        };
        let mut rounds = 0;
        let (outcome, has_run) = loop {
            let plan = unless_canceled(cancel, Box::pin(planner.plan())).await?;
            let round = Round {
                request,
                exports: &exports,
                layers: &layers,
                remotes,
                agents,
                file: &file.name,
                reporter,
                cancel,
            };
            let failure = match Box::pin(self.round(&round, plan)).await {
                Ok(done) => break done,
                Err(failure) => failure,
            };
            rounds += 1;
            let may_help = rounds < MAX_ROUNDS && failure.is_lost();
            if !may_help || !layers.lost.forget(&layers.store, &layers.remote)? {
                return Err(failure);
            }
            tracing::info!(%failure, "the build starts over without what is missing");
        };
        if has_run {
            unless_canceled(cancel, self.tidy(begin.elapsed())).await?;
        }
        Ok(outcome)
    }

    /// Solves and exports a plan. Also tells whether any step ran.
    async fn round(&self, round: &Round<'_>, plan: Plan) -> Result<(BuildOutcome, bool)> {
        let Round { request, exports, layers, reporter, cancel, .. } = *round;
        let Plan { graph, images, wanted } = plan;
        let solver = Arc::new(Solver::new(
            graph,
            layers.clone(),
            reporter.clone(),
            cancel.clone(),
            self.environment(round)?,
            round.remotes.clone(),
            wanted,
        ));
        solver.ask_ahead();
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
            if has_inline_cache(request) { Some(solver.records(CacheMode::Min).await) } else { None };
        let built = images.into_iter().zip(trees);
        let built: Vec<Built> =
            built.map(|(image, tree)| Built { image, tree, inline: inline.clone() }).collect();
        let export = Box::pin(self.export(exports, layers, &built, request, reporter));
        let outcome = unless_canceled(cancel, export).await?;
        if layers.remote.is_written() {
            let format = solver.environment.export;
            let format = format.unwrap_or_else(|| crate::export::format_of(&ImageAttributes::default()));
            // Blobs that only the cache gets are nothing for the image's repository.
            let layers = Layers { push: Arc::default(), ..layers.clone() };
            let foreign = Box::pin(foreign_records(request, &solver));
            let foreign = unless_canceled(cancel, async { Ok(foreign.await) }).await?;
            let written = layers.remote.export(&solver.made, &foreign, &layers, format, reporter);
            unless_canceled(cancel, Box::pin(written)).await?;
        }
        Ok((outcome, solver.has_run()))
    }

    fn environment(&self, round: &Round<'_>) -> Result<Environment> {
        let Round { request, exports, .. } = *round;
        let image = exports.iter().find(|export| export.kind.is_image());
        Ok(Environment {
            secrets: request.secrets.clone(),
            agents: round.agents.clone(),
            resolv_conf: request.resolv_conf.clone(),
            host: self.options.platform.clone(),
            resources: request.resources.clone(),
            export: image.map(|export| crate::export::format_of(&export.image)),
            file: format!("{:?} {}", request.context, round.file),
            destinations: crate::export::push_targets(exports)?,
            copy_trees: self.options.copy_trees,
        })
    }

    /// Makes what took long to build safe from a crash of the machine, and holds the store's bounds. A build that came
    /// to its end doesn't fail by either.
    async fn tidy(&self, took: Duration) -> Result<()> {
        let (store, bounds) = (self.options.store.clone(), self.options.bounds.clone());
        blocking(move || {
            if took >= WORTH_FLUSHING {
                let _ = store.flush();
            }
            if let Some(bounds) = bounds {
                let _ = store.hold_bounds(&bounds);
            }
            Ok(())
        })
        .await
    }

    async fn export(
        &self,
        exports: &[Export],
        layers: &Layers,
        built: &[Built],
        request: &BuildRequest,
        reporter: &Reporter,
    ) -> Result<BuildOutcome> {
        let stdout = self.options.stdout;
        let exporter = Exporter {
            layers,
            client: &self.options.client,
            reporter,
            stdout: &move || stdout(),
            force_index: request
                .build_args
                .get("BUILDKIT_MULTI_PLATFORM")
                .is_some_and(|v| matches!(v.as_str(), "1" | "true" | "TRUE" | "t" | "T" | "True")),
        };
        let mut outcome = Exported::default();
        for export in exports {
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

/// Does something until it is done or the build is stopped.
pub(crate) async fn unless_canceled<T>(cancel: &Cancel, work: impl Future<Output = Result<T>>) -> Result<T> {
    // In a box: the state of all that a build does is big, and nests deep.
    let work = Box::pin(work);
    tokio::select! {
        // A failure that is known counts, even if others were stopped for it.
        biased;
        result = work => result,
        () = cancel.canceled() => Err(Error::Canceled.into()),
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

/// A Dockerfile that was read.
pub(crate) struct DockerfileText {
    pub(crate) name: String,
    pub(crate) path: Option<PathBuf>,
    pub(crate) text: Vec<u8>,
}

/// What a build starts from.
pub(crate) struct Input {
    pub(crate) file: DockerfileText,
    /// The context, where it is neither a folder nor empty.
    pub(crate) fetched: Option<FetchedContext>,
    pub(crate) remotes: Remotes,
    agents: Arc<crate::ssh::Agents>,
    /// Holds what was fetched.
    _lease: Lease,
}

fn read_dockerfile(
    source: &DockerfileSource,
    fetched: Option<&FetchedContext>,
    reporter: &Reporter,
) -> Result<DockerfileText> {
    let text = |text: &Vec<u8>| DockerfileText { name: "Dockerfile".into(), path: None, text: text.clone() };
    let (path, name) = match source {
        DockerfileSource::Text(given) => return Ok(text(given)),
        DockerfileSource::File { path, display } => (path.clone(), display.clone()),
        DockerfileSource::InContext(path) => match fetched {
            Some(FetchedContext { dockerfile: Some(found), .. }) => return Ok(text(found)),
            _ => (path.clone(), path.display().to_string()),
        },
        DockerfileSource::Http(_) => {
            return Err(Error::Internal("the Dockerfile was not fetched".into()).into());
        }
    };
    let step = reporter.internal(&format!("[internal] load build definition from {name}"));
    let foreign = matches!(source, DockerfileSource::InContext(_));
    let place = if foreign { fetched.and_then(|context| context.inside(&path)) } else { Some(path) };
    let reason = || "no such file or directory".to_owned();
    let missing = || Error::NoDockerfile { name: name.clone(), reason: reason(), near: Vec::new() }.into();
    let result = place.ok_or_else(missing).and_then(|path| read_file(path, name.clone(), foreign));
    step.finish(&result);
    result
}

/// `foreign`: it is of a context that came from elsewhere, which may hold pipes that never end and devices.
fn read_file(mut path: PathBuf, name: String, foreign: bool) -> Result<DockerfileText> {
    const MAX: u64 = 64 << 20;
    if !path.exists() && path.file_name().is_some_and(|n| n == "Dockerfile") {
        let lower = path.with_file_name("dockerfile");
        if lower.exists() {
            path = lower;
        }
    }
    let fail = |e: &std::io::Error| {
        let reason = match e.kind() {
            std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
            _ => e.to_string(),
        };
        Error::NoDockerfile { name: name.clone(), reason, near: near_names(&path) }
    };
    if leads_out(&path) {
        let reason = "it is a link that leads out of its folder".to_owned();
        return Err(Error::NoDockerfile { name, reason, near: Vec::new() }.into());
    }
    // Looked at before it is opened, which alone may block or do something to a device.
    if foreign && std::fs::metadata(&path).is_ok_and(|found| !found.is_file()) {
        let reason = "it is not a regular file".to_owned();
        return Err(Error::NoDockerfile { name, reason, near: near_names(&path) }.into());
    }
    // A pipe of the user's is fine: `-f <(command)`.
    let file = std::fs::File::open(&path).map_err(|e| fail(&e))?;
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX), &mut text).map_err(|e| fail(&e))?;
    Ok(DockerfileText { name, path: Some(path), text })
}

/// Whether a Dockerfile is a link to a file outside its own folder. A folder may come from strangers, and the excerpt of an
/// error would show what no step may see.
fn leads_out(path: &Path) -> bool {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let inside = || Some(path.canonicalize().ok()?.starts_with(folder.canonicalize().ok()?));
    path.symlink_metadata().is_ok_and(|found| found.is_symlink()) && path.is_file() && inside() != Some(true)
}

/// Files beside a missing Dockerfile that could be meant.
fn near_names(path: &std::path::Path) -> Vec<String> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten().take(10_000);
    let mut names: Vec<String> = names
        .filter(|e| e.file_type().is_ok_and(|kind| kind.is_file() || kind.is_symlink()))
        .filter_map(|e| e.file_name().into_string().ok())
        .filter(|n| {
            n.to_ascii_lowercase().contains("dockerfile") || n.to_ascii_lowercase().contains("containerfile")
        })
        .filter(|n| !n.ends_with(".dockerignore"))
        .collect();
    names.sort();
    names.truncate(5);
    names
}

/// Parses the file; what was found before an error is reported.
pub(crate) fn parse(
    file: &DockerfileText,
    request: &BuildRequest,
    reporter: &Reporter,
) -> Result<Dockerfile> {
    try_parse(file, request).map_err(|(found, failure)| {
        for finding in &found {
            reporter.warn(crate::plan::warning(finding, &file.name));
        }
        failure
    })
}

/// Parses the file; an error comes with what was found before it and is to be reported.
pub(crate) fn try_parse(
    file: &DockerfileText,
    request: &BuildRequest,
) -> std::result::Result<Dockerfile, (Vec<Finding>, Failure)> {
    crate::plan::check_syntax(&file.text, request).map_err(|e| (Vec::new(), e))?;
    let directive = garboard_parser::directive::check(&file.text);
    let config = crate::plan::check_config(directive.as_deref(), request).map_err(|e| (Vec::new(), e))?;
    garboard_parser::parse(&file.text).map_err(|error| {
        let failure = crate::plan::syntax_failure(&error, &file.text);
        let mut found = error.warnings;
        found.retain(|finding| config.reports(finding));
        (found, failure)
    })
}

pub(crate) fn report(failure: &Failure, file: Option<&DockerfileText>, cancel: &Cancel) -> BuildFailure {
    let place = file.filter(|_| !failure.lines().is_empty()).map(|file| SourcePlace {
        file: file.name.clone(),
        text: file.text.clone(),
        ranges: failure.lines().to_vec(),
        column: failure.column(),
    });
    BuildFailure {
        message: failure.to_string(),
        hint: failure.hint(),
        source_excerpt: place,
        step: failure.step().map(|(name, last_lines)| FailedStep {
            name: name.clone(),
            last_lines: last_lines.clone(),
            kept: None,
        }),
        interrupted: failure.is_canceled() && cancel.is_canceled(),
    }
}
