//! Several targets built in one run: beside each other, each step that they share once, and one target from what another
//! makes.
//!
//! Each target is a build of its own, with its own secrets, network and exports. What they share they share by their
//! keys: a step that several need is made by the first that comes to it, the others wait and have it. A target that
//! names another as a context plans with the other's image config and waits for the other's tree only where it reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use futures_util::future::{BoxFuture, FutureExt, join_all};
use garboard_registry::Platform;
use tokio::sync::{OnceCell, Semaphore};

use crate::build::{Build, Surroundings};
use crate::cancel::Cancel;
use crate::engine::{Engine, report};
use crate::error::{Error, Failure, Result};
use crate::export::PlannedImage;
use crate::graph::OpId;
use crate::link::{Link, Linked, Links};
use crate::lost::Lost;
use crate::outcome::{BuildFailure, BuildOutcome};
use crate::reporter::{EventSink, Reporter};
use crate::request::{BuildRequest, NamedContext};
use crate::solve::{Name, Solver};
use crate::source::{BaseFiles, BaseImage, Contexts};
use crate::tree::Tree;

/// One target of a run.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name, by which [`NamedContext::Target`] means it; unique in the run.
    pub name: String,
    /// What it is. One that is only there for others has [`ExportKind::CacheOnly`](crate::ExportKind::CacheOnly) as export.
    pub request: BuildRequest,
}

/// How a run goes about its targets.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// Targets that are worked on at once; `None`: all. One that others wait for is worked on beside them.
    pub parallel: Option<NonZeroUsize>,
    /// Build all that can be built when one fails, rather than stopping the rest.
    pub keep_going: bool,
}

/// What a target ended with.
type Ended = std::result::Result<BuildOutcome, Box<BuildFailure>>;

impl Engine {
    /// Builds several targets at once; the results are in the order of `members`. What was finished before another failed
    /// is kept, and named as if it had been built alone.
    ///
    /// # Errors
    /// A [`BuildFailure`] if the targets can't be built in any order, or name a target that isn't there.
    pub async fn build_all(
        &self,
        members: &[Member],
        options: RunOptions,
        events: EventSink,
        cancel: &Cancel,
    ) -> std::result::Result<Vec<Ended>, BuildFailure> {
        let begin = Instant::now();
        check_links(members).map_err(|e| report(&e, None, cancel))?;
        let run = Run::new(self, members, events, cancel);
        let slots = Semaphore::new(options.parallel.map_or(Semaphore::MAX_PERMITS, NonZeroUsize::get));
        let all = join_all((0..members.len()).map(|index| run.build(index, &slots, options.keep_going)));
        let interrupted = async {
            cancel.canceled().await;
            run.stop();
            // The builds end by themselves.
            std::future::pending::<()>().await;
        };
        let ended: Vec<_> = tokio::select! {
            ended = Box::pin(all) => ended,
            () = interrupted => Vec::new(),
        };
        if ended.iter().flatten().any(|(_, has_run)| *has_run) {
            // Whoever interrupts this has his images all the same.
            let _ = self.tidy(begin.elapsed(), cancel).await;
        }
        Ok(ended.into_iter().map(|ended| ended.map(|(outcome, _)| outcome)).collect())
    }
}

/// All targets while they are built.
struct Run<'a> {
    engine: &'a Engine,
    members: &'a [Member],
    targets: Vec<Target<'a>>,
    interrupt: &'a Cancel,
    is_stopped: AtomicBool,
    lost: Lost,
    contexts: Arc<Contexts>,
}

/// A target while it is built.
struct Target<'a> {
    reporter: Reporter,
    /// Made when it is opened: it takes file descriptors.
    cancel: OnceLock<Cancel>,
    is_linked: bool,
    /// Of a target that others need: opened by whoever needs it first. A failure is reported by its own build.
    build: OnceCell<std::result::Result<Build<'a>, Arc<BuildFailure>>>,
}

impl<'a> Run<'a> {
    fn new(engine: &'a Engine, members: &'a [Member], events: EventSink, interrupt: &'a Cancel) -> Self {
        let reporter = Reporter::new(events);
        let needed: BTreeSet<&str> = members.iter().flat_map(links).collect();
        let target = |member: &Member| Target {
            reporter: if members.len() == 1 { reporter.clone() } else { reporter.of_target(&member.name) },
            cancel: OnceLock::new(),
            is_linked: needed.contains(member.name.as_str()),
            build: OnceCell::new(),
        };
        let targets = members.iter().map(target).collect();
        let (lost, contexts) = (Lost::default(), Arc::default());
        Self { engine, members, targets, interrupt, is_stopped: AtomicBool::new(false), lost, contexts }
    }

    /// Stops all targets.
    fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        self.targets.iter().filter_map(|target| target.cancel.get()).for_each(Cancel::cancel);
    }

    async fn build(
        &self,
        index: usize,
        slots: &Semaphore,
        keep_going: bool,
    ) -> std::result::Result<(BuildOutcome, bool), Box<BuildFailure>> {
        // A semaphore that nobody closes.
        let _slot = slots.acquire().await;
        if self.is_stopped.load(Ordering::SeqCst) {
            return Err(Box::new(report(&Error::Canceled.into(), None, self.interrupt)));
        }
        let done = if self.targets[index].is_linked {
            match self.opened(index).await {
                Ok(build) => Box::pin(build.run(self)).await,
                Err(failure) => Err(failure.as_ref().clone()),
            }
        } else {
            // Nobody else wants it: what it holds goes with it.
            match self.open(index).await {
                Ok(build) => Box::pin(build.run(self)).await,
                Err(failure) => Err(failure),
            }
        };
        if done.is_err() && !keep_going {
            self.stop();
        }
        done.map_err(Box::new)
    }

    async fn opened(&self, index: usize) -> std::result::Result<&Build<'a>, Arc<BuildFailure>> {
        let open = || async { self.open(index).await.map_err(Arc::new) };
        self.targets[index].build.get_or_init(open).await.as_ref().map_err(Arc::clone)
    }

    async fn open(&self, index: usize) -> std::result::Result<Build<'a>, BuildFailure> {
        let target = &self.targets[index];
        let cancel = Cancel::new().map_err(|source| {
            report(&Error::Io { what: "failed to begin".into(), source }.into(), None, self.interrupt)
        })?;
        let cancel = target.cancel.get_or_init(|| cancel).clone();
        // A stop that came before it was there to be seen.
        if self.is_stopped.load(Ordering::SeqCst) {
            cancel.cancel();
        }
        let around = Surroundings {
            reporter: target.reporter.clone(),
            cancel,
            interrupt: self.interrupt.clone(),
            lost: self.lost.clone(),
            contexts: self.contexts.clone(),
            is_linked: target.is_linked,
        };
        Box::pin(Build::open(self.engine, &self.members[index].request, around)).await
    }

    async fn linked(&self, name: &str, platform: &Platform) -> Result<BaseImage> {
        let index = self.members.iter().position(|member| member.name == name);
        let index = index.ok_or_else(|| Error::Request(format!("there is no target `{name}`")))?;
        let needed = || Failure::from(Error::Needed { target: name.to_owned() });
        let build = self.opened(index).await.map_err(|_| needed())?;
        let planned = build.planned(self).await.map_err(|e| if e.is_lost() { e } else { needed() })?;
        let image = image_for(&planned.images, platform).ok_or_else(|| {
            let built: Vec<String> = planned.images.iter().map(|i| i.platform.to_string()).collect();
            Error::Request(format!(
                "the target `{name}` is built for {}, not for {platform}",
                built.join(", ")
            ))
        })?;
        let link = Link(Arc::new(TreeOf { solver: planned.solver.clone(), op: image.op }));
        Ok(BaseImage {
            name: format!("target {name}"),
            config: image.config.clone(),
            history: image.history.clone(),
            files: BaseFiles::Target(name.to_owned(), link),
        })
    }
}

impl Links for Run<'_> {
    fn image<'b>(&'b self, target: &'b str, platform: &'b Platform) -> BoxFuture<'b, Result<BaseImage>> {
        self.linked(target, platform).boxed()
    }
}

/// The image for a platform. The only one there is serves all: assets that are built once, for images of several platforms.
fn image_for<'i>(images: &'i [PlannedImage], platform: &Platform) -> Option<&'i PlannedImage> {
    match images {
        [only] => Some(only),
        _ => images.iter().find(|image| crate::platform::same(&image.platform, platform)),
    }
}

/// What an operation of another target's build makes.
struct TreeOf {
    solver: Arc<Solver>,
    op: OpId,
}

impl Linked for TreeOf {
    fn result(&self) -> BoxFuture<'static, Result<Tree>> {
        self.solver.result(self.op)
    }

    fn definition(&self) -> BoxFuture<'static, Result<Name>> {
        self.solver.definition(self.op)
    }

    fn must_run(&self) -> bool {
        self.solver.must_run(self.op)
    }
}

/// The targets that a target names as contexts.
fn links(member: &Member) -> impl Iterator<Item = &str> {
    let contexts = member.request.named_contexts.values();
    contexts.filter_map(|context| match context {
        NamedContext::Target(name) => Some(name.as_str()),
        _ => None,
    })
}

/// Every target that is named is there, and none needs itself.
fn check_links(members: &[Member]) -> Result<()> {
    let by_name: BTreeMap<&str, &Member> = members.iter().map(|m| (m.name.as_str(), m)).collect();
    let mut done: BTreeMap<&str, bool> = BTreeMap::new();
    // Depth first without recursion: a target with what is still to be looked at of it.
    for member in members {
        let mut open: Vec<(&str, Vec<&str>)> = vec![(&member.name, links(member).collect())];
        if done.insert(&member.name, false) == Some(true) {
            done.insert(&member.name, true);
            continue;
        }
        while let Some((name, todo)) = open.last_mut() {
            let Some(next) = todo.pop() else {
                done.insert(name, true);
                open.pop();
                continue;
            };
            let Some(other) = by_name.get(next) else {
                let text = format!("the target `{name}` needs `{next}`, which is not there");
                return Err(Error::Request(text).into());
            };
            match done.get(next) {
                Some(true) => {}
                Some(false) => {
                    return Err(Error::Request(format!("infinite loop from {name} to {next}")).into());
                }
                None => {
                    done.insert(&other.name, false);
                    open.push((&other.name, links(other).collect()));
                }
            }
        }
    }
    Ok(())
}
