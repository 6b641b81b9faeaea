//! Resolving names, finding what is needed, and putting it in order.

use std::collections::BTreeSet;

use super::error::GraphErrorKind;
use super::{Base, Dependency, Graph, GraphError, Node, Place, Reader, Source};
use crate::dockerfile::{Dockerfile, Stage};
use crate::expand::{self, Env};
use crate::instruction::{Instruction, InstructionKind, parse_trigger};
use crate::platform::Platform;
use crate::suggest::did_you_mean;

/// What the graph of a file depends on besides the file.
pub struct Request<'r> {
    /// The stage to build, in any case; the last one if `None`.
    pub target: Option<&'r str>,
    /// The values of global arguments, automatic ones included.
    pub globals: &'r dyn Env,
    /// The names of variables to suggest for an unset one in `--platform`.
    pub global_names: &'r [&'r str],
    /// Says whether there is a named context of that name: a stage's in lower case, or an image as FROM or `--from`
    /// has it. Comparing images in normal form is up to the function. `scratch` and `context` are never asked for.
    pub is_context: &'r dyn Fn(&str) -> bool,
    /// The machine's platform, for what `--platform` leaves out.
    pub host: &'r Platform,
}

/// Resolves the stages of a file.
///
/// Bases and platforms are resolved for all stages, so a blank base fails even where it isn't needed. What
/// instructions need is looked at only in stages that the target needs.
///
/// # Errors
/// An unknown target, names that mean nothing, circles and needs for stages further down.
pub fn resolve(file: &Dockerfile, request: &Request<'_>) -> Result<Graph, GraphError> {
    let mut nodes = Vec::with_capacity(file.stages.len());
    for (index, stage) in file.stages.iter().enumerate() {
        let node = base_node(file, index, request).map_err(|error| error.at(stage.base_span, stage.lines))?;
        nodes.push(node);
    }
    let target = target(file, request.target)?;
    let mut walk =
        Walk { file, request, nodes, marks: vec![Mark::New; file.stages.len()], order: Vec::new() };
    walk.run(target)?;
    walk.check_order()?;
    Ok(Graph { target, order: walk.order, nodes: walk.nodes })
}

fn target(file: &Dockerfile, name: Option<&str>) -> Result<usize, GraphError> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(file.stages.len() - 1) };
    file.stage_named(name).ok_or_else(|| {
        let names = file.stages.iter().filter_map(|stage| stage.name.as_deref());
        let suggestion = did_you_mean(name, names, false).map(str::to_owned);
        GraphError::new(GraphErrorKind::Target { name: name.to_owned(), suggestion })
    })
}

/// Names that no context can have.
fn is_reserved(name: &str) -> bool {
    matches!(name, "scratch" | "context")
}

fn base_node(file: &Dockerfile, index: usize, request: &Request<'_>) -> Result<Node, GraphError> {
    let stage = &file.stages[index];
    let expanded = expand::word(&stage.base, file.escape, request.globals).map_err(GraphError::new)?;
    if expanded.text.is_empty() {
        return Err(GraphError::new(GraphErrorKind::BlankBase { base: stage.base.clone() }));
    }
    let mut unset = expanded.unmatched;
    let platform = platform(file, stage, request, &mut unset)?;
    let base_name = expanded.text;
    let base = base(file, index, &base_name, request);
    Ok(Node { base, base_name, platform, unset, dependencies: Vec::new() })
}

fn base(file: &Dockerfile, index: usize, base_name: &str, request: &Request<'_>) -> Base {
    let is_context = |name: &str| !is_reserved(name) && (request.is_context)(name);
    if let Some(name) = file.stages[index].name.as_deref().filter(|name| is_context(name)) {
        return Base::Context { name: name.to_owned(), replaces_stage: true };
    }
    let earlier = file.stages[..index].iter().rposition(|stage| stage.name.as_deref() == Some(base_name));
    if let Some(earlier) = earlier {
        Base::Stage(earlier)
    } else if base_name == "scratch" {
        Base::Scratch
    } else if is_context(base_name) {
        Base::Context { name: base_name.to_owned(), replaces_stage: false }
    } else {
        Base::Image(base_name.to_owned())
    }
}

fn platform(
    file: &Dockerfile,
    stage: &Stage,
    request: &Request<'_>,
    unset: &mut BTreeSet<String>,
) -> Result<Option<Platform>, GraphError> {
    let Some(written) = &stage.platform else { return Ok(None) };
    let expanded = expand::word(written, file.escape, request.globals).map_err(GraphError::new)?;
    if expanded.text.is_empty() {
        let names = request.global_names.iter().copied();
        let mut suggestions =
            expanded.unmatched.iter().filter_map(|name| did_you_mean(name, names.clone(), false));
        let suggestion = suggestions.next().map(str::to_owned);
        return Err(GraphError::new(GraphErrorKind::EmptyPlatform { written: written.clone(), suggestion }));
    }
    unset.extend(expanded.unmatched);
    let platform = Platform::parse(&expanded.text, request.host);
    platform
        .map(Some)
        .map_err(|problem| GraphError::new(GraphErrorKind::Platform { platform: expanded.text, problem }))
}

/// Finds what a `--from` means, wherever it stands.
pub(super) fn find_source(
    file: &Dockerfile,
    reader: Reader,
    from: &str,
    is_context: &dyn Fn(&str) -> bool,
) -> Result<Source, GraphError> {
    if reader == Reader::Copy {
        if expand::word(from, file.escape, &()).is_ok_and(|expanded| expanded.text != from) {
            return Err(GraphError::new(GraphErrorKind::FromVariable));
        }
        if let Ok(index) = from.parse::<i64>() {
            let index = usize::try_from(index).ok().filter(|index| *index < file.stages.len());
            let invalid = || GraphError::new(GraphErrorKind::Index { index: from.to_owned() });
            return index.map(Source::Stage).ok_or_else(invalid);
        }
    }
    Ok(if let Some(stage) = file.stage_named(from) {
        Source::Stage(stage)
    } else if !is_reserved(from) && is_context(from) {
        Source::Context(from.to_owned())
    } else {
        Source::Image(from.to_owned())
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    New,
    Open,
    Done,
}

/// A walk from the target to everything it needs.
struct Walk<'w> {
    file: &'w Dockerfile,
    request: &'w Request<'w>,
    nodes: Vec<Node>,
    marks: Vec<Mark>,
    order: Vec<usize>,
}

impl Walk<'_> {
    /// Visits stages depth first, with a stack of its own, since a file may have very many.
    fn run(&mut self, target: usize) -> Result<(), GraphError> {
        let mut stack: Vec<(usize, Vec<usize>)> = Vec::new();
        let mut enter = Some(target);
        loop {
            if let Some(stage) = enter.take() {
                self.marks[stage] = Mark::Open;
                let mut needs = self.needs(stage)?;
                needs.reverse();
                stack.push((stage, needs));
            }
            let Some((stage, needs)) = stack.last_mut() else { return Ok(()) };
            let stage = *stage;
            match needs.pop() {
                Some(next) if self.marks[next] == Mark::New => enter = Some(next),
                Some(next) if self.marks[next] == Mark::Open => {
                    let open: Vec<usize> = stack.iter().map(|(stage, _)| *stage).collect();
                    return Err(self.circle(&open, next));
                }
                Some(_) => {}
                None => {
                    self.marks[stage] = Mark::Done;
                    self.order.push(stage);
                    stack.pop();
                }
            }
        }
    }

    /// Finds what a stage needs, notes it, and returns the stages among it.
    fn needs(&mut self, stage: usize) -> Result<Vec<usize>, GraphError> {
        let mut stages = Vec::new();
        match self.nodes[stage].base {
            Base::Context { replaces_stage: true, .. } => return Ok(stages),
            Base::Stage(base) => stages.push(base),
            _ => {}
        }
        let mut dependencies = Vec::new();
        if let Base::Stage(base) = self.nodes[stage].base {
            self.trigger_dependencies(base, &mut dependencies)?;
        }
        for (index, instruction) in self.file.stages[stage].instructions.iter().enumerate() {
            let at = (instruction.span, instruction.lines);
            self.dependencies(Place::Instruction(index), instruction, at, &mut dependencies)?;
        }
        stages.extend(dependencies.iter().filter_map(|dependency| match dependency.source {
            Source::Stage(stage) => Some(stage),
            _ => None,
        }));
        self.nodes[stage].dependencies = dependencies;
        Ok(stages)
    }

    /// Notes what the triggers need that the base stage recorded. A context in its place has other triggers, and
    /// texts that are no instruction are left to whoever runs them.
    fn trigger_dependencies(&self, base: usize, found: &mut Vec<Dependency>) -> Result<(), GraphError> {
        if matches!(self.nodes[base].base, Base::Context { replaces_stage: true, .. }) {
            return Ok(());
        }
        let recorded =
            self.file.stages[base].instructions.iter().filter_map(|instruction| match &instruction.kind {
                InstructionKind::Onbuild(onbuild) => Some((instruction, &onbuild.trigger)),
                _ => None,
            });
        for (index, (onbuild, trigger)) in recorded.enumerate() {
            if let Ok(instruction) = parse_trigger(trigger) {
                self.dependencies(Place::Trigger(index), &instruction, (onbuild.span, onbuild.lines), found)?;
            }
        }
        Ok(())
    }

    fn dependencies(
        &self,
        place: Place,
        instruction: &Instruction,
        (span, lines): (crate::span::Span, (usize, usize)),
        found: &mut Vec<Dependency>,
    ) -> Result<(), GraphError> {
        let mut add = |reader, from: &str| {
            let source = find_source(self.file, reader, from, self.request.is_context);
            let source = source.map_err(|error| error.at(span, lines))?;
            found.push(Dependency { place, reader, source, span, lines });
            Ok(())
        };
        match &instruction.kind {
            InstructionKind::Copy(copy) => {
                copy.from.as_deref().map_or(Ok(()), |from| add(Reader::Copy, from))
            }
            InstructionKind::Run(run) => {
                let mounts = run.mounts.iter().enumerate();
                let mut from = mounts.filter_map(|(index, mount)| Some((index, mount.from.as_deref()?)));
                from.try_for_each(|(index, from)| add(Reader::Mount(index), from))
            }
            _ => Ok(()),
        }
    }

    /// Makes the error of a circle: the stages being visited, and the one among them that is needed again.
    fn circle(&self, open: &[usize], again: usize) -> GraphError {
        let start = open.iter().position(|stage| *stage == again).unwrap_or_default();
        let circle = &open[start..];
        let mut error = GraphError::new(GraphErrorKind::Circle { stage: self.file.stage_label(again) });
        for (position, stage) in circle.iter().enumerate() {
            let next = circle.get(position + 1).copied().unwrap_or(again);
            let node = &self.nodes[*stage];
            let dependency =
                node.dependencies.iter().find(|dependency| dependency.source == Source::Stage(next));
            let stage = &self.file.stages[*stage];
            let (span, lines) =
                dependency.map_or((stage.span, stage.lines), |found| (found.span, found.lines));
            error.span.get_or_insert(span);
            error.lines.push(lines);
        }
        error
    }

    /// Checks that stages only need those before them.
    fn check_order(&self) -> Result<(), GraphError> {
        for stage in &self.order {
            for dependency in &self.nodes[*stage].dependencies {
                let Source::Stage(other) = dependency.source else { continue };
                if other >= *stage {
                    let target = self.mount_target(*stage, dependency);
                    let error = GraphError::order(self.file, *stage, other, dependency.reader, target);
                    return Err(error.at(dependency.span, dependency.lines));
                }
            }
        }
        Ok(())
    }

    /// Returns the target of a mount as written, for the message.
    fn mount_target(&self, stage: usize, dependency: &Dependency) -> Option<String> {
        let (Place::Instruction(index), Reader::Mount(mount)) = (dependency.place, dependency.reader) else {
            return None;
        };
        let InstructionKind::Run(run) = &self.file.stages[stage].instructions.get(index)?.kind else {
            return None;
        };
        let text = &run.mounts.get(mount)?.text;
        crate::instruction::parse_mount(text, |value| Ok(value.to_owned())).ok()?.target
    }
}
