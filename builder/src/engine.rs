//! The engine: what all builds work with.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use garboard_cache::remote::Reach;
use garboard_cache::{Lease, PruneOptions, Store};
use garboard_layer::{Encoder, Ids};
use garboard_registry::{Client, CloudCredentials, Platform};

use crate::build::{Build, Surroundings};
use crate::cancel::Cancel;
use crate::dockerfile::{self, DockerfileText};
use crate::error::{Attempt, Error, Failure, Result};
use crate::layers::{Layers, blocking};
use crate::link::NoLinks;
use crate::lost::Lost;
use crate::outcome::{BuildFailure, BuildOutcome, FailedStep, SourcePlace};
use crate::remote_cache::RemoteCaches;
use crate::reporter::{EventSink, Reporter};
use crate::request::{BuildRequest, DockerfileSource};
use crate::source::{FetchedContext, GitProgram, ImageSource, Remotes};

/// Waiting for the disk costs seconds at worst: for builds that took longer than this it is worth it, the others are
/// made again as quickly.
const WORTH_FLUSHING: Duration = Duration::from_secs(10);

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
    /// Believe what earlier builds took over from remote caches that a build doesn't name itself.
    pub believe_all_caches: bool,
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
    pub(crate) fn reach(&self) -> Reach {
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
    pub(crate) layers: Layers,
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
        let begin = Instant::now();
        let around = Surroundings::alone(Reporter::new(events), cancel);
        let build = Box::pin(Build::open(self, request, around)).await?;
        let (outcome, has_run) = Box::pin(build.run(&NoLinks)).await?;
        if has_run {
            self.tidy(begin.elapsed(), cancel).await?;
        }
        Ok(outcome)
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
            other => dockerfile::read(other, fetched.as_ref(), reporter)?,
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

    /// Makes what took long to build safe from a crash of the machine, and holds the store's bounds. A build that came
    /// to its end doesn't fail by either.
    pub(crate) async fn tidy(
        &self,
        took: Duration,
        cancel: &Cancel,
    ) -> std::result::Result<(), BuildFailure> {
        let (store, bounds) = (self.options.store.clone(), self.options.bounds.clone());
        let tidied = blocking(move || {
            if took >= WORTH_FLUSHING {
                let _ = store.flush();
            }
            if let Some(bounds) = bounds {
                let _ = store.hold_bounds(&bounds);
            }
            Ok(())
        });
        unless_canceled(cancel, tidied).await.map_err(|e| report(&e, None, cancel))
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

/// What a build starts from.
pub(crate) struct Input {
    pub(crate) file: DockerfileText,
    /// The context, where it is neither a folder nor empty.
    pub(crate) fetched: Option<FetchedContext>,
    pub(crate) remotes: Remotes,
    pub(crate) agents: Arc<crate::ssh::Agents>,
    /// Holds what was fetched.
    _lease: Lease,
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
        follows: failure.is_needed() || (failure.is_canceled() && !cancel.is_canceled()),
    }
}
