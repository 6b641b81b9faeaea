//! From a Dockerfile to operations and the images that they end in.
//!
//! Planning is a pure evaluation of stages that is repeated until no base image is unknown: a stage that needs an image
//! which has not been resolved names it and gives up; all that were named are resolved at once. ONBUILD triggers of a
//! resolved image may name further ones. Stages that the target doesn't need are never evaluated.

mod args;
#[cfg(test)]
mod check_tests;
mod copy;
mod directives;
mod dispatch;
mod globals;
mod lint;
mod metadata;
mod mount;
mod outline;
mod run;
mod stage;
#[cfg(test)]
pub(crate) mod tests;

pub(crate) use directives::{check_config, check_syntax};
pub(crate) use dispatch::clean;
pub(crate) use outline::Parts as OutlineParts;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use futures_util::future::join_all;
use garboard_parser::lint::CheckConfig;
use garboard_parser::suggest::did_you_mean;
use garboard_parser::{Dockerfile, ParseError, Warning as Finding};
use garboard_registry::Platform;

use crate::error::{Error, Failure, Result};
use crate::event::Warning;
use crate::export::PlannedImage;
use crate::graph::{ContextOp, Graph, Op};
use crate::link::Links;
use crate::reporter::Reporter;
use crate::request::{BuildRequest, ContextSource, NamedContext};
use crate::source::{BaseImage, FetchedContext, ImageSource};

/// What planning gives.
pub(crate) struct Plan {
    pub(crate) graph: Graph,
    /// One for each platform.
    pub(crate) images: Vec<PlannedImage>,
    /// For each operation that is a context: the path prefixes that are read; empty: all.
    pub(crate) wanted: Vec<Vec<Vec<u8>>>,
}

/// What names of images that don't exist are compared with, besides the stages'.
const COMMON_IMAGES: [&str; 7] = ["alpine", "busybox", "centos", "debian", "fedora", "golang", "ubuntu"];

/// Plans one build.
pub(crate) struct Planner<'a> {
    pub(crate) request: &'a BuildRequest,
    pub(crate) dockerfile: &'a Dockerfile,
    pub(crate) file_name: &'a str,
    /// The Dockerfile, for the ignore file beside it.
    pub(crate) ignore_beside: Option<&'a Path>,
    pub(crate) sources: &'a ImageSource,
    /// Where other targets are found.
    pub(crate) links: &'a dyn Links,
    pub(crate) reporter: &'a Reporter,
    pub(crate) platform: &'a Platform,
    /// The context, where it is neither a folder nor empty.
    pub(crate) fetched: Option<&'a FetchedContext>,
}

/// An image that planning needs: its name as written, its platform, and the lines that ask for it.
type Wanted = (String, String);

/// What is done with the stages of one platform.
type Work<T> = fn(&stage::Evaluation<'_>, &mut Graph) -> stage::Step<T>;

/// Images by name and platform; an error is only the failure of the stage that needs it.
pub(crate) type Images = HashMap<Wanted, Result<BaseImage>>;

impl Planner<'_> {
    /// Plans all platforms of the request, and reports what was found on the way.
    pub(crate) async fn plan(&self) -> Result<Plan> {
        let work: Work<PlannedImage> = |evaluation, graph| evaluation.target(graph);
        let (graph, images) = self.strictly(&self.platforms()?, work).await?;
        Ok(finish(graph, images))
    }

    /// What checks find: in all stages, or in those that the target needs.
    pub(crate) async fn check(&self) -> (Vec<Finding>, Result<()>) {
        let work: Work<()> = match self.request.target {
            Some(_) => |evaluation, graph| evaluation.target(graph).map(drop),
            None => |evaluation, graph| evaluation.all(graph),
        };
        let (found, result) = self.checked(std::slice::from_ref(self.platform), work).await;
        (found, result.map(drop))
    }

    /// What the target takes.
    pub(crate) async fn outline(&self) -> Result<OutlineParts> {
        let work: Work<OutlineParts> = |evaluation, graph| {
            evaluation.target(graph)?;
            Ok(evaluation.outline(evaluation.target_index()?)?)
        };
        let (_, mut parts) = self.strictly(std::slice::from_ref(self.platform), work).await?;
        parts.pop().ok_or_else(|| Error::Internal("no platform was evaluated".into()).into())
    }

    /// As [`Self::checked`], with the findings sent to the reporter.
    async fn strictly<T>(&self, platforms: &[Platform], work: Work<T>) -> Result<(Graph, Vec<T>)> {
        let (found, result) = self.checked(platforms, work).await;
        for finding in &found {
            self.reporter.warn(warning(finding, self.file_name));
        }
        result
    }

    /// Evaluates stages, and returns the findings that the file wants reported, in the order of its lines.
    async fn checked<T>(
        &self,
        platforms: &[Platform],
        work: Work<T>,
    ) -> (Vec<Finding>, Result<(Graph, Vec<T>)>) {
        let config = match directives::check_config(self.dockerfile.check(), self.request) {
            Ok(config) => config,
            Err(failure) => return (Vec::new(), Err(failure)),
        };
        let (more, result) = self.evaluate(platforms, work).await;
        self.settle(&config, more, result)
    }

    /// Takes the parser's findings in, leaves out what isn't to be reported, and sorts; with `error=true` what is left is
    /// an error.
    fn settle<T>(
        &self,
        config: &CheckConfig,
        more: Vec<Finding>,
        result: Result<T>,
    ) -> (Vec<Finding>, Result<T>) {
        let found = self.dockerfile.warnings.iter().cloned().chain(more);
        let mut found: Vec<Finding> = found.filter(|finding| config.reports(finding)).collect();
        found.sort_by_key(|finding| finding.lines.0);
        let result = result.and_then(|value| directives::violation(config, &found).map(|()| value));
        (found, result)
    }

    /// Evaluates stages for each platform, again until no image is unknown. Returns what was found for the first one.
    async fn evaluate<T>(
        &self,
        platforms: &[Platform],
        work: Work<T>,
    ) -> (Vec<Finding>, Result<(Graph, Vec<T>)>) {
        let contexts = match self.contexts() {
            Ok(contexts) => contexts,
            Err(failure) => return (Vec::new(), Err(failure)),
        };
        let mut images = Images::new();
        loop {
            let mut graph = Graph::default();
            let mut missing = BTreeSet::new();
            let (mut values, mut found) = (Vec::new(), None);
            for platform in platforms {
                let evaluation =
                    stage::Evaluation::new(self, platform, platforms.len() > 1, &contexts, &images);
                let step = work(&evaluation, &mut graph);
                found.get_or_insert_with(|| evaluation.findings.take());
                match step {
                    Ok(value) => values.push(value),
                    Err(stage::Stop::Missing(wanted)) => missing.extend(wanted),
                    Err(stage::Stop::Failed(failure)) => return (found.unwrap_or_default(), Err(failure)),
                }
            }
            if missing.is_empty() {
                return (found.unwrap_or_default(), Ok((graph, values)));
            }
            self.resolve(missing, &mut images).await;
        }
    }

    /// The platforms to build for, each once.
    fn platforms(&self) -> Result<Vec<Platform>> {
        let mut out: Vec<Platform> = Vec::new();
        for text in &self.request.platforms {
            let platform = crate::platform::parse(text)?.normalized();
            if !out.iter().any(|p| crate::platform::same(p, &platform)) {
                out.push(platform);
            }
        }
        if out.is_empty() {
            out.push(self.platform.clone());
        }
        Ok(out)
    }

    /// The main context and the named ones that are folders.
    fn contexts(&self) -> Result<Contexts> {
        let main = match &self.request.context {
            ContextSource::Folder(folder) => Some(ContextOp {
                folder: folder.clone(),
                ignore_text: self.main_ignore(folder)?,
                name: "[internal] load build context".into(),
                keep_owners: false,
                lasting: true,
            }),
            ContextSource::Empty => None,
            _ => self.fetched.map(|fetched| ContextOp {
                folder: fetched.folder.clone(),
                ignore_text: String::new(),
                name: "[internal] load build context".into(),
                keep_owners: fetched.keep_owners,
                lasting: false,
            }),
        };
        let mut named = BTreeMap::new();
        for (name, context) in &self.request.named_contexts {
            if let NamedContext::Folder(folder) = context {
                let op = ContextOp {
                    folder: folder.clone(),
                    ignore_text: read_ignore(&folder.join(".dockerignore"))?.unwrap_or_default(),
                    name: format!("[context {name}] load from client"),
                    keep_owners: false,
                    lasting: true,
                };
                named.insert(name.clone(), op);
            }
        }
        Ok(Contexts { main, named })
    }

    /// `<Dockerfile>.dockerignore` beside the Dockerfile, else `.dockerignore` in the context.
    fn main_ignore(&self, context: &Path) -> Result<String> {
        if let Some(path) = self.ignore_beside {
            let mut name = path.as_os_str().to_owned();
            name.push(".dockerignore");
            if let Some(text) = read_ignore(Path::new(&name))? {
                return Ok(text);
            }
        }
        Ok(read_ignore(&context.join(".dockerignore"))?.unwrap_or_default())
    }

    /// Resolves images at the same time, each with a vertex of its own.
    async fn resolve(&self, missing: BTreeSet<Wanted>, images: &mut Images) {
        let resolved = join_all(missing.into_iter().map(|wanted| async move {
            if let Some(target) = wanted.0.strip_prefix(stage::TARGET_PREFIX) {
                let result = self.target(target, &wanted.1).await;
                return (wanted, result);
            }
            let name = wanted
                .0
                .parse::<garboard_registry::Reference>()
                .map_or_else(|_| wanted.0.clone(), |r| r.to_string());
            let step = self.reporter.internal(&format!("[internal] load metadata for {name}"));
            let result = self.resolve_one(&wanted).await;
            step.finish(&result);
            (wanted, result)
        }));
        images.extend(resolved.await);
    }

    /// The image of another target.
    async fn target(&self, name: &str, platform: &str) -> Result<BaseImage> {
        self.links.image(name, &crate::platform::parse(platform)?).await
    }

    async fn resolve_one(&self, (name, platform): &Wanted) -> Result<BaseImage> {
        let platform = crate::platform::parse(platform)?;
        if let Some(context) = name.strip_prefix(stage::LAYOUT_PREFIX)
            && let Some(NamedContext::OciLayout { path, tag, digest }) =
                self.request.named_contexts.get(context)
        {
            return self.sources.layout(path, tag.as_deref(), digest.as_deref(), &platform);
        }
        self.sources.resolve(name, &platform).await.map_err(|failure| match self.meant(name) {
            Some(meant) if failure.is_missing_image() => {
                failure.with_hint(Some(format!("did you mean `{meant}`?")))
            }
            _ => failure,
        })
    }

    /// The stage or well-known image that a name of nothing could have been meant for.
    fn meant(&self, name: &str) -> Option<&str> {
        let stages = self.dockerfile.stages.iter().filter_map(|stage| stage.name.as_deref());
        did_you_mean(name, stages.chain(COMMON_IMAGES), false)
    }
}

/// Contexts that are folders of this machine.
pub(crate) struct Contexts {
    pub(crate) main: Option<ContextOp>,
    pub(crate) named: BTreeMap<String, ContextOp>,
}

/// Marks what is exported and read, and collects what contexts have to give.
fn finish(mut graph: Graph, images: Vec<PlannedImage>) -> Plan {
    for image in &images {
        graph.export(image.op);
    }
    graph.mark_read();
    let mut wanted: Vec<Option<BTreeSet<Vec<u8>>>> = vec![Some(BTreeSet::new()); graph.len()];
    for id in 0..graph.len() {
        if let Op::Copy(copy) = &graph.node(crate::graph::OpId(id)).op {
            for (index, from) in copy.from.iter().enumerate() {
                let paths = crate::solve::copy_operation(copy, index)
                    .map(|op| crate::copy::needed_paths(&op))
                    .unwrap_or_default();
                match &mut wanted[from.op.0] {
                    _ if paths.is_empty() || paths.iter().any(Vec::is_empty) => wanted[from.op.0] = None,
                    Some(set) => set.extend(paths),
                    None => {}
                }
            }
        }
    }
    let wanted =
        wanted.into_iter().map(|w| w.map(|set| set.into_iter().collect()).unwrap_or_default()).collect();
    Plan { graph, images, wanted }
}

/// A regular file of a sensible size: a context comes from strangers, and may hold pipes and links to devices.
fn read_small(path: &Path) -> std::io::Result<Vec<u8>> {
    const LIMIT: u64 = 16 << 20;
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = std::os::unix::fs::OpenOptionsExt::custom_flags(std::fs::OpenOptions::new().read(true), flags)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, LIMIT + 1), &mut text)?;
    if text.len() as u64 > LIMIT {
        return Err(std::io::Error::other("it is larger than 16 MiB"));
    }
    Ok(text)
}

/// The text of an ignore file that can be read as one.
pub(crate) fn read_ignore(path: &Path) -> Result<Option<String>> {
    let text = match read_small(path) {
        Ok(text) => text,
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(source) => {
            return Err(Error::Io { what: format!("failed to read {}", path.display()), source }.into());
        }
    };
    garboard_parser::ignore::read(&text)
        .map_err(|e| Error::Request(format!("failed to read {}: {e}", path.display())))?;
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

/// A finding as an event.
pub(crate) fn warning(warning: &Finding, file: &str) -> Warning {
    Warning {
        rule: Some(warning.rule.name().to_owned()),
        message: warning.message.clone(),
        description: Some(warning.rule.description().to_owned()),
        url: warning.rule.url(),
        file: Some(file.to_owned()),
        lines: Some(warning.lines),
    }
}

/// A parser's error with its place.
pub(crate) fn syntax_failure(error: &ParseError, text: &[u8]) -> Failure {
    let column = error.span.and_then(|span| {
        let before = text.get(..span.start)?;
        let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        Some(String::from_utf8_lossy(&before[start..]).chars().count() + 1)
    });
    let failure = Failure::from(Error::Syntax(error.to_string())).with_hint(error.hint().map(str::to_owned));
    match error.lines {
        Some(lines) => failure.at_all(vec![lines], column),
        None => failure,
    }
}
