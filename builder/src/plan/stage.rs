//! Evaluation of stages: from FROM to the last instruction.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use garboard_parser::{Instruction, InstructionKind, Stage, Warning, expand};
use garboard_registry::Platform;

use super::globals::Globals;
use super::lint::{At, Ignored, Once};
use super::outline::Seen;
use super::{Contexts, Images, Planner, Wanted, args};
use crate::error::{Error, Failure, Result};
use crate::export::{PlannedHistory, PlannedImage};
use crate::graph::{Graph, Op, OpId};
use crate::image::ImageConfig;
use crate::request::{NamedContext, NoCache};
use crate::source::{AnyRemote, BaseImage, git_op, http_op};

const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Marks a wanted image that is an OCI layout given as a named context.
pub(super) const LAYOUT_PREFIX: &str = "oci-layout-context://";
/// Marks a wanted image that another target of the run makes.
pub(super) const TARGET_PREFIX: &str = "target://";

/// Why a stage has no result yet.
pub(super) enum Stop {
    /// These images have to be resolved first.
    Missing(BTreeSet<Wanted>),
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error.into())
    }
}

pub(super) type Step<T> = std::result::Result<T, Stop>;

/// What is known after some instructions of a stage.
#[derive(Clone, Debug)]
pub(super) struct State {
    /// Name of its stage; of a child the child's.
    pub(super) stage: String,
    pub(super) op: OpId,
    pub(super) config: ImageConfig,
    pub(super) history: Vec<PlannedHistory>,
    /// Variables of RUN and of expansion: ENV and ARG, the later instruction wins.
    pub(super) env: Vec<(String, String)>,
    /// ARGs in scope in the order of their instructions.
    pub(super) args: Vec<(String, Option<String>)>,
    pub(super) platform: Platform,
    /// The instruction that is worked on.
    pub(super) at: At,
    pub(super) once: Once,
    /// The stage or one that it is built on has a WORKDIR.
    pub(super) workdir_set: bool,
    pub(super) no_cache: bool,
    /// Progress names: how many steps the stage has, and at which we are.
    pub(super) steps: usize,
    pub(super) step: usize,
}

/// Evaluates the stages for one platform.
pub(super) struct Evaluation<'a> {
    pub(super) planner: &'a Planner<'a>,
    pub(super) target: &'a Platform,
    /// Names tell the platform.
    pub(super) several: bool,
    pub(super) contexts: &'a Contexts,
    images: &'a Images,
    stages: RefCell<BTreeMap<usize, State>>,
    missing: RefCell<BTreeSet<Wanted>>,
    globals: OnceCell<Result<Globals>>,
    pub(super) ignored: OnceCell<Option<Ignored>>,
    pub(super) findings: RefCell<Vec<Warning>>,
    pub(super) seen: RefCell<Seen>,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(
        planner: &'a Planner<'a>,
        target: &'a Platform,
        several: bool,
        contexts: &'a Contexts,
        images: &'a Images,
    ) -> Self {
        Self {
            planner,
            target,
            several,
            contexts,
            images,
            stages: RefCell::default(),
            missing: RefCell::default(),
            globals: OnceCell::new(),
            ignored: OnceCell::new(),
            findings: RefCell::default(),
            seen: RefCell::default(),
        }
    }

    /// Evaluates every stage.
    pub(super) fn all(&self, graph: &mut Graph) -> Step<()> {
        self.check_froms()?;
        let stages = 0..self.planner.dockerfile.stages.len();
        self.request_bases(stages.clone().collect())?;
        for index in stages {
            self.stage(index, graph)?;
        }
        Ok(())
    }

    /// The image of the target stage.
    pub(super) fn target(&self, graph: &mut Graph) -> Step<PlannedImage> {
        self.check_froms()?;
        let index = self.target_index()?;
        self.request_bases(vec![index])?;
        let state = self.stage(index, graph)?;
        let mut config = state.config;
        for (name, value) in &self.planner.request.labels {
            config.config.labels.insert(name.clone(), value.clone());
        }
        self.set_platform(&mut config, &state.platform);
        config.created = None;
        Ok(PlannedImage {
            op: state.op,
            config,
            history: state.history,
            platform: self.target.clone(),
            epoch: self.epoch()?,
        })
    }

    /// `SOURCE_DATE_EPOCH` from the build arguments or a global default.
    pub(super) fn epoch(&self) -> Result<Option<i64>> {
        let name = "SOURCE_DATE_EPOCH";
        let globals = self.globals()?;
        let given = self.planner.request.build_args.get(name).cloned();
        let text = given.or_else(|| globals.declared.get(name).and_then(|arg| arg.value.clone()));
        match text.as_deref() {
            None | Some("") => Ok(None),
            Some(text) => match text.parse() {
                Ok(epoch) => Ok(Some(epoch)),
                Err(e) => Err(Error::Request(format!("invalid SOURCE_DATE_EPOCH: {text}: {e}")).into()),
            },
        }
    }

    /// The image is for the platform that was asked for; without asking it keeps that of its base.
    fn set_platform(&self, config: &mut ImageConfig, stage: &Platform) {
        let wanted = if self.planner.request.platforms.is_empty() { stage } else { self.target };
        let other = config.os != wanted.os || config.architecture != wanted.architecture;
        if other || wanted.variant.is_some() {
            config.variant.clone_from(&wanted.variant);
        }
        if other || wanted.os_version.is_some() {
            config.os_version.clone_from(&wanted.os_version);
        }
        config.os.clone_from(&wanted.os);
        config.architecture.clone_from(&wanted.architecture);
    }

    pub(super) fn target_index(&self) -> Result<usize> {
        let stages = &self.planner.dockerfile.stages;
        let Some(target) = &self.planner.request.target else { return Ok(stages.len() - 1) };
        self.planner.dockerfile.stage_named(target).ok_or_else(|| {
            let names: Vec<&str> = stages.iter().filter_map(|s| s.name.as_deref()).collect();
            let mean = garboard_parser::suggest::did_you_mean(target, names, false)
                .map(|n| format!(" (did you mean {n}?)"))
                .unwrap_or_default();
            Error::Request(format!("target stage {target:?} could not be found{mean}")).into()
        })
    }

    /// Names all base images that the targets need as far as that is known before ONBUILD, so that they are resolved at
    /// once.
    fn request_bases(&self, mut todo: Vec<usize>) -> Step<()> {
        let mut seen = BTreeSet::new();
        while let Some(index) = todo.pop() {
            if !seen.insert(index) {
                continue;
            }
            let stage = &self.planner.dockerfile.stages[index];
            match self.base(index, stage).map_err(|e| e.at(Some(stage.lines)))? {
                Base::Image(wanted) => self.note(wanted),
                Base::Stage(parent) => todo.push(parent),
                Base::Scratch | Base::Context(_) | Base::Remote(_) => {}
            }
            if self.replacement(stage)?.is_some() {
                continue;
            }
            for instruction in &stage.instructions {
                if let InstructionKind::Copy(copy) = &instruction.kind
                    && let Some(from) = &copy.from
                    && let Some(earlier) = self.stage_index(from, true).filter(|i| *i < index)
                {
                    todo.push(earlier);
                }
            }
        }
        let missing = self.missing.borrow().clone();
        if missing.is_empty() { Ok(()) } else { Err(Stop::Missing(missing)) }
    }

    fn note(&self, wanted: Wanted) {
        if !self.images.contains_key(&wanted) {
            self.missing.borrow_mut().insert(wanted);
        }
    }

    /// An image that has been resolved.
    pub(super) fn image(&self, wanted: Wanted) -> Step<&'a BaseImage> {
        match self.images.get(&wanted) {
            Some(Ok(image)) => Ok(image),
            Some(Err(failure)) => Err(Stop::Failed(failure.clone())),
            None => Err(Stop::Missing([wanted].into())),
        }
    }

    /// The state at the end of a stage.
    pub(super) fn stage(&self, index: usize, graph: &mut Graph) -> Step<State> {
        if let Some(state) = self.stages.borrow().get(&index) {
            return Ok(state.clone());
        }
        let stage = &self.planner.dockerfile.stages[index];
        let lines = Some(stage.lines);
        let place = |stop| match stop {
            Stop::Failed(failure) => Stop::Failed(failure.at(lines)),
            other @ Stop::Missing(_) => other,
        };
        let mut state = self.begin(index, stage, graph).map_err(place)?;
        if self.replacement(stage)?.is_some() {
            // The whole stage is replaced: neither its instructions nor triggers run here; a child takes the triggers.
            self.stages.borrow_mut().insert(index, state.clone());
            return Ok(state);
        }
        self.note_variables(index, stage)?;
        let triggers = Self::triggers(&mut state, stage).map_err(place)?;
        // FROM counts where it is a step of its own.
        state.steps = state.step + countable(&triggers) + countable(&stage.instructions);
        let no_cache = &self.planner.request.no_cache;
        state.no_cache = match no_cache {
            NoCache::Use => false,
            NoCache::All => true,
            NoCache::Stages(names) => {
                names.iter().any(|n| stage.name.as_deref().is_some_and(|s| s.eq_ignore_ascii_case(n)))
            }
        };
        for trigger in &triggers {
            self.dispatch(&mut state, index, trigger, true, graph).map_err(place)?;
        }
        for instruction in &stage.instructions {
            let lines = Some(instruction.lines);
            self.dispatch(&mut state, index, instruction, false, graph).map_err(|stop| match stop {
                Stop::Failed(failure) => Stop::Failed(failure.at(lines)),
                other @ Stop::Missing(_) => other,
            })?;
        }
        self.stages.borrow_mut().insert(index, state.clone());
        Ok(state)
    }

    /// The state before the first instruction.
    fn begin(&self, index: usize, stage: &Stage, graph: &mut Graph) -> Step<State> {
        let name = self.stage_label(index);
        let platform = self.stage_platform(stage)?;
        let mut state = match self.base(index, stage)? {
            Base::Stage(parent) => {
                self.seen.borrow_mut().needs(index, parent);
                let parent = self.stage(parent, graph)?;
                let mut state = State { stage: name, once: Once::default(), steps: 0, step: 0, ..parent };
                // Arguments are inherited, but what is set by ENV counts again.
                for variable in state.config.config.env.clone() {
                    let (name, value) = variable.split_once('=').unwrap_or((&variable, ""));
                    state.set_env(name, value);
                }
                state
            }
            Base::Scratch => Self::scratch(name, platform, graph),
            Base::Context(context) => {
                let op = graph.add(Op::Context(context), String::new(), None, false);
                let mut state = Self::scratch(name, platform, graph);
                state.op = Self::whole_context(op, state.op, graph);
                state
            }
            Base::Remote(remote) => {
                let mut state = Self::scratch(name, platform, graph);
                let (from, folder) = Self::remote_op(remote, Some(stage.lines), graph);
                state.op = Self::folder_of(from, &folder, state.op, graph);
                state
            }
            Base::Image(wanted) => {
                let as_written = self.base_name(stage)? == wanted.0;
                let image = self.image(wanted)?;
                if as_written {
                    let written = self.base_name(stage)?;
                    self.base_platform(&At::from(index, stage), &written, &platform, &image.config);
                }
                self.on_image(name, image, platform, stage, graph)
            }
        };
        if state.config.config.env("PATH").is_none() && state.platform.os != "windows" {
            state.set_env("PATH", DEFAULT_PATH);
            state.config.config.set_env("PATH", DEFAULT_PATH);
        }
        Ok(state)
    }

    fn scratch(name: String, platform: Platform, graph: &mut Graph) -> State {
        let mut config = ImageConfig {
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            variant: platform.variant.clone(),
            os_version: platform.os_version.clone(),
            ..ImageConfig::default()
        };
        config.config.working_dir = "/".into();
        State {
            stage: name,
            op: graph.add(Op::Scratch, String::new(), None, false),
            config,
            history: Vec::new(),
            env: Vec::new(),
            args: Vec::new(),
            platform,
            at: At::default(),
            once: Once::default(),
            workdir_set: false,
            no_cache: false,
            steps: 0,
            step: 0,
        }
    }

    fn on_image(
        &self,
        name: String,
        image: &BaseImage,
        platform: Platform,
        stage: &Stage,
        graph: &mut Graph,
    ) -> State {
        let mut config = image.config.clone();
        let variables = config.config.env.clone();
        if config.os.is_empty() {
            config.os.clone_from(&platform.os);
        }
        if config.architecture.is_empty() {
            config.architecture.clone_from(&platform.architecture);
        }
        let triggers = config.config.on_build.iter().filter(|text| countable_trigger(text)).count();
        let steps = 1 + triggers + countable(&stage.instructions);
        let mut state = State { steps, step: 1, ..Self::scratch(name, platform, graph) };
        if let Some(op) = image.op(&state.platform) {
            let progress = self.step_name(&state, &format!("FROM {}", image.name));
            state.op = graph.add(op, progress, Some(stage.lines), false);
        }
        state.history.clone_from(&image.history);
        if stage.platform.is_none() && self.planner.request.platforms.is_empty() {
            state.platform.os.clone_from(&config.os);
            state.platform.architecture.clone_from(&config.architecture);
            state.platform.variant.clone_from(&config.variant);
        }
        state.env = variables
            .iter()
            .map(|e| {
                e.split_once('=').map_or_else(|| (e.clone(), String::new()), |(k, v)| (k.into(), v.into()))
            })
            .collect();
        state.config = config;
        state
    }

    /// The base's ONBUILD instructions; they are spent with this stage, and stand where its FROM stands.
    fn triggers(state: &mut State, stage: &Stage) -> Step<Vec<Instruction>> {
        let texts = std::mem::take(&mut state.config.config.on_build);
        let parse = |text: &String| {
            let trigger = garboard_parser::parse_trigger(text).map_err(|e| {
                Stop::from(Error::Syntax(format!("failed to parse the ONBUILD trigger {text:?}: {e}")))
            })?;
            Ok(Instruction { lines: stage.lines, span: stage.span, ..trigger })
        };
        texts.iter().map(parse).collect()
    }

    /// The named context that takes a stage's place, by the stage's own name.
    fn replacement(&self, stage: &Stage) -> Result<Option<Base>> {
        match &stage.name {
            Some(name) => self.named(name, &self.stage_platform(stage)?),
            None => Ok(None),
        }
    }

    /// What a stage is built on.
    fn base(&self, index: usize, stage: &Stage) -> Result<Base> {
        if let Some(base) = self.replacement(stage)? {
            return Ok(base);
        }
        let name = self.base_name(stage)?;
        let earlier = &self.planner.dockerfile.stages[..index];
        if let Some(parent) = earlier.iter().rposition(|s| s.name.as_deref() == Some(&name)) {
            return Ok(Base::Stage(parent));
        }
        if name == "scratch" {
            return Ok(Base::Scratch);
        }
        let platform = self.stage_platform(stage)?;
        if let Some(base) = self.named(&name, &platform)? {
            return Ok(base);
        }
        Ok(Base::Image((name, platform.to_string())))
    }

    /// A named context, by the name as typed or as a normalised image name.
    pub(super) fn named(&self, name: &str, platform: &Platform) -> Result<Option<Base>> {
        let contexts = &self.planner.request.named_contexts;
        if matches!(name, "scratch" | "context") || contexts.is_empty() {
            return Ok(None);
        }
        let normal = |n: &str| n.parse::<garboard_registry::Reference>().ok().map(|r| r.to_string());
        let wanted = normal(name);
        let specific = format!("{name}::{platform}");
        let found = contexts
            .get_key_value(&specific)
            .or_else(|| contexts.get_key_value(name))
            .or_else(|| contexts.iter().find(|(k, _)| wanted.is_some() && normal(k) == wanted));
        let Some((key, context)) = found else { return Ok(None) };
        Ok(Some(match context {
            NamedContext::Folder(_) => {
                let op = self.contexts.named.get(key).cloned();
                Base::Context(op.ok_or_else(|| Error::Internal(format!("context {key} was not prepared")))?)
            }
            NamedContext::Image(reference) if reference == "scratch" => Base::Scratch,
            NamedContext::Image(reference) => Base::Image((reference.clone(), platform.to_string())),
            NamedContext::OciLayout { .. } => {
                Base::Image((format!("{LAYOUT_PREFIX}{key}"), platform.to_string()))
            }
            NamedContext::Target(target) => {
                Base::Image((format!("{TARGET_PREFIX}{target}"), platform.to_string()))
            }
            NamedContext::Git(address) => {
                let op = git_op(address, false, self.epoch()?.is_some());
                Base::Remote(AnyRemote::Git(op, address.subdir.clone()))
            }
            NamedContext::Http(address) => Base::Remote(AnyRemote::Http(http_op(address, "context", None))),
        }))
    }

    /// FROM's name with variables replaced.
    pub(super) fn base_name(&self, stage: &Stage) -> Result<String> {
        let name = self.expand_global(&stage.base)?.text;
        if name.is_empty() {
            let text = format!("base name ({}) should not be blank", stage.base);
            return Err(Error::Instruction(text).into());
        }
        Ok(name)
    }

    /// The platform of a stage.
    pub(super) fn stage_platform(&self, stage: &Stage) -> Result<Platform> {
        let Some(text) = &stage.platform else { return Ok(self.target.clone()) };
        let value = self.expand_global(text)?;
        let problem = match value.text.parse::<Platform>() {
            Ok(platform) => return Ok(platform.normalized()),
            Err(_) if value.text.is_empty() => format!("empty platform value from expression {text}"),
            Err(e) => format!("failed to parse platform {text}: {e}"),
        };
        let mean = self.globals()?.suggestion(&value.unmatched);
        Err(Error::Instruction(problem + &mean).into())
    }

    pub(super) fn expand_global(&self, text: &str) -> Result<expand::Expanded> {
        let globals = self.globals()?;
        let expanded = expand::word(text, self.planner.dockerfile.escape, &globals.values);
        Ok(expanded.map_err(|e| Error::Instruction(e.to_string()))?)
    }

    /// Notes which variables a stage's FROM uses.
    fn note_variables(&self, index: usize, stage: &Stage) -> Result<()> {
        for text in std::iter::once(&stage.base).chain(&stage.platform) {
            let matched = self.expand_global(text)?.matched;
            self.seen.borrow_mut().used(index, matched);
        }
        Ok(())
    }

    /// The global scope.
    pub(super) fn globals(&self) -> Result<&Globals> {
        let read = || {
            let given = &self.planner.request.build_args;
            Globals::read(self.planner.dockerfile, self.automatic(), given)
        };
        self.globals.get_or_init(read).as_ref().map_err(Clone::clone)
    }

    /// The global scope as it is without build arguments, if that can be read.
    pub(super) fn default_globals(&self) -> Option<Globals> {
        Globals::read(self.planner.dockerfile, self.automatic(), &BTreeMap::new()).ok()
    }

    fn automatic(&self) -> BTreeMap<String, String> {
        let request = self.planner.request;
        let last = self.planner.dockerfile.stages.last().and_then(|s| s.name.clone());
        let stage = request.target.clone().or(last).unwrap_or_else(|| "default".into());
        args::automatic(self.planner.platform, self.target, &stage, &request.build_args)
    }

    /// A stage by name (of several the last), or by number where `numbers`.
    pub(super) fn stage_index(&self, text: &str, numbers: bool) -> Option<usize> {
        let stages = &self.planner.dockerfile.stages;
        if numbers && let Ok(index) = text.parse::<usize>() {
            return (index < stages.len()).then_some(index);
        }
        self.planner.dockerfile.stage_named(text)
    }

    /// Name of a stage in messages.
    pub(super) fn stage_label(&self, index: usize) -> String {
        let stages = &self.planner.dockerfile.stages;
        match &stages[index].name {
            Some(name) => name.clone(),
            None if stages.len() == 1 => String::new(),
            None => format!("stage-{index}"),
        }
    }

    /// `[linux/arm64 build 2/5] RUN make`.
    pub(super) fn step_name(&self, state: &State, text: &str) -> String {
        let mut words: Vec<String> = Vec::new();
        if self.several {
            let build = self.planner.platform;
            let same = crate::platform::same(build, &state.platform);
            words.push(if same { build.to_string() } else { format!("{build}->{}", state.platform) });
        }
        if !state.stage.is_empty() {
            words.push(state.stage.clone());
        }
        let width = state.steps.to_string().len();
        words.push(format!("{:>width$}/{}", state.step, state.steps));
        let line = text.split('\n').next().unwrap_or_default();
        let more = if text.contains('\n') { "..." } else { "" };
        format!("[{}] {line}{more}", words.join(" "))
    }
}

/// The instructions that are counted in progress names.
fn countable(instructions: &[Instruction]) -> usize {
    let counts = |i: &&Instruction| {
        matches!(
            i.kind,
            InstructionKind::Run(_)
                | InstructionKind::Copy(_)
                | InstructionKind::Add(_)
                | InstructionKind::Workdir(_)
        )
    };
    instructions.iter().filter(counts).count()
}

/// Whether an ONBUILD instruction of a base image is one of these; it is parsed later.
fn countable_trigger(text: &str) -> bool {
    let keyword = text.split_whitespace().next().unwrap_or_default();
    ["RUN", "COPY", "ADD", "WORKDIR"].iter().any(|counted| counted.eq_ignore_ascii_case(keyword))
}

/// What FROM names.
pub(super) enum Base {
    Stage(usize),
    Scratch,
    Context(crate::graph::ContextOp),
    Remote(AnyRemote),
    Image(Wanted),
}

impl State {
    /// Sets a variable; what was set last stands last.
    pub(super) fn set_env(&mut self, name: &str, value: &str) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    pub(super) fn env(&self, name: &str) -> Option<&str> {
        self.env.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    /// Adds a history entry.
    pub(super) fn record(&mut self, created_by: String, layer: bool) {
        self.history.push(PlannedHistory { created_by, layer });
    }
}
