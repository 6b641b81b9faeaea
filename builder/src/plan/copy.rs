//! COPY and ADD as operations.

use garboard_parser::instruction::{Add, Copy};
use garboard_parser::{Heredoc, Instruction, expand};

use super::stage::{Base, Evaluation, State, Step};
use crate::error::{Error, Result};
use crate::graph::{CopyNode, Graph, ImageOp, Op, OpId};
use crate::image::copy_text;

/// What COPY and ADD have in common.
struct Files<'a> {
    keyword: &'static str,
    chown: Option<&'a str>,
    chmod: Option<&'a str>,
    link: bool,
    parents: bool,
    excludes: &'a [String],
    /// The sources are in the main context.
    in_context: bool,
    sources: &'a [String],
    heredocs: &'a [Heredoc],
    dest: &'a str,
    unpack: bool,
}

impl Evaluation<'_> {
    pub(super) fn copy(
        &self,
        state: &mut State,
        index: usize,
        copy: &Copy,
        instruction: &Instruction,
        trigger: bool,
        graph: &mut Graph,
    ) -> Step<()> {
        let files = Files {
            keyword: "COPY",
            chown: copy.chown.as_deref(),
            chmod: copy.chmod.as_deref(),
            link: copy.link,
            parents: copy.parents,
            excludes: &copy.excludes,
            in_context: copy.from.is_none(),
            sources: &copy.sources,
            heredocs: &copy.heredocs,
            dest: &copy.dest,
            unpack: false,
        };
        let from = match &copy.from {
            None if copy.sources.is_empty() => graph.add(Op::Scratch, String::new(), None, false),
            None => self.main_context(graph),
            Some(from) => {
                self.check_not_expanded(state, from, "--from", trigger)?;
                self.source(state, index, from, None, graph)?
            }
        };
        let keep_owners = copy.from.is_some() || self.context_has_owners();
        self.files(state, &files, from, keep_owners, instruction, trigger, graph)?;
        Ok(())
    }

    pub(super) fn add(
        &self,
        state: &mut State,
        add: &Add,
        instruction: &Instruction,
        trigger: bool,
        graph: &mut Graph,
    ) -> Step<()> {
        for source in &add.sources {
            let source = self.expanded(state, source, trigger)?.text;
            if is_url(&source) || is_git(&source) {
                return Err(Error::Unsupported { what: format!("ADD of {}", without_query(&source)) }.into());
            }
        }
        if add.checksum.is_some() {
            return Err(Error::Instruction("checksum requires HTTP(S) or Git sources".into()).into());
        }
        let files = Files {
            keyword: "ADD",
            chown: add.chown.as_deref(),
            chmod: add.chmod.as_deref(),
            link: add.link,
            parents: false,
            excludes: &add.excludes,
            in_context: true,
            sources: &add.sources,
            heredocs: &add.heredocs,
            dest: &add.dest,
            unpack: add.unpack.unwrap_or(true) && !add.sources.is_empty(),
        };
        let from = if add.sources.is_empty() {
            graph.add(Op::Scratch, String::new(), None, false)
        } else {
            self.main_context(graph)
        };
        self.files(state, &files, from, self.context_has_owners(), instruction, trigger, graph)?;
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "all of them are one instruction in its stage")]
    fn files(
        &self,
        state: &mut State,
        files: &Files<'_>,
        from: OpId,
        keep_owners: bool,
        instruction: &Instruction,
        trigger: bool,
        graph: &mut Graph,
    ) -> Result<()> {
        let word = |text: &str| self.word(state, text, trigger);
        let chown = files.chown.map(word).transpose()?;
        let chmod = files.chmod.map(word).transpose()?;
        let sources = files.sources.iter().map(|s| word(s)).collect::<Result<Vec<_>>>()?;
        for source in &sources {
            if files.keyword == "COPY" && is_url(source) {
                return Err(Error::Instruction("source can't be a URL for COPY".into()).into());
            }
            if files.keyword == "COPY" && is_git(source) {
                return Err(Error::Instruction("source can't be a git ref for COPY".into()).into());
            }
        }
        let dest = word(files.dest)?;
        let inline = files
            .heredocs
            .iter()
            .map(|h| Ok((h.name.clone(), self.heredoc_text(state, h)?)))
            .collect::<Result<Vec<_>>>()?;
        if files.in_context {
            let verb = if files.keyword == "ADD" { "Add" } else { "Copy" };
            self.ignored_sources(state, verb, &sources);
        }
        let mut shown = sources.clone();
        shown.extend(files.heredocs.iter().map(|h| format!("<<{}", h.name)));
        let text = copy_text(files.keyword, files.parents, chown.as_deref(), chmod.as_deref(), &shown, &dest);
        let node = CopyNode {
            parent: state.op,
            from,
            sources,
            inline,
            dest: crate::copy::join_destination(&state.config.config.working_dir, &dest),
            chown: chown.filter(|c| !c.is_empty()),
            chmod: chmod.filter(|c| !c.is_empty()),
            parents: files.parents,
            excludes: files.excludes.to_vec(),
            link: files.link,
            unpack: files.unpack,
            keep_owners,
            mirror: None,
        };
        // A wrong mode or pattern is an error of the instruction, wherever its files come from.
        crate::solve::copy_operation(&node)?;
        state.step += 1;
        let shown =
            if files.link { format!("LINK {}", instruction.original) } else { instruction.original.clone() };
        let name = self.progress_name(state, &shown, trigger);
        state.op = graph.add(Op::Copy(node), name, Some(instruction.lines), state.no_cache);
        state.record(text, true);
        Ok(())
    }

    /// The content of a here-document that becomes a file.
    fn heredoc_text(&self, state: &State, heredoc: &Heredoc) -> Result<String> {
        if !heredoc.expand {
            return Ok(heredoc.text());
        }
        let expanded = expand::heredoc(&heredoc.text(), &state.env);
        let failed = |e| Error::Instruction(format!("failed to process here-document {}: {e}", heredoc.name));
        let expanded = expanded.map_err(failed)?;
        self.undefined(state, &expanded.unmatched);
        Ok(expanded.text)
    }

    /// `--from` and `from=` are taken as they are.
    pub(super) fn check_not_expanded(
        &self,
        state: &State,
        text: &str,
        what: &str,
        trigger: bool,
    ) -> Result<()> {
        if self.expanded(state, text, trigger).is_ok_and(|expanded| expanded.text == text) {
            return Ok(());
        }
        let text = format!(
            "variable expansion is not supported for {what}, define a new stage with FROM using ARG from global scope \
             as a workaround"
        );
        Err(Error::Instruction(text).into())
    }

    /// Whether the owners of files in the main context count.
    fn context_has_owners(&self) -> bool {
        self.contexts.main.as_ref().is_some_and(|c| c.keep_owners)
    }

    /// The main build context; without one nothing can be copied from it.
    pub(super) fn main_context(&self, graph: &mut Graph) -> OpId {
        match &self.contexts.main {
            Some(context) => graph.add(Op::Context(context.clone()), String::new(), None, false),
            None => graph.add(Op::Scratch, String::new(), None, false),
        }
    }

    /// What `--from` names: a stage, a named context, or an image. For a `mount` it is its target; without one stages
    /// may be named by index too.
    pub(super) fn source(
        &self,
        state: &State,
        index: usize,
        from: &str,
        mount: Option<&str>,
        graph: &mut Graph,
    ) -> Step<OpId> {
        let numbers = mount.is_none();
        if numbers && from.parse::<i64>().is_ok() && self.stage_index(from, true).is_none() {
            return Err(Error::Instruction(format!("invalid stage index {from}")).into());
        }
        if let Some(stage) = self.stage_index(from, numbers) {
            self.check_earlier(stage, index, mount)?;
            self.seen.borrow_mut().needs(index, stage);
            // A context of the same name takes the stage's place.
            return Ok(self.stage(stage, graph)?.op);
        }
        let base = match self.named(from, &state.platform)? {
            Some(base) => base,
            None if from == "scratch" => Base::Scratch,
            None => Base::Image((from.to_owned(), self.target.to_string())),
        };
        match base {
            Base::Stage(stage) => Ok(self.stage(stage, graph)?.op),
            Base::Scratch => Ok(graph.add(Op::Scratch, String::new(), None, false)),
            Base::Context(context) => Ok(graph.add(Op::Context(context), String::new(), None, false)),
            Base::Image(wanted) => {
                let as_written = wanted.0 == from;
                let image = self.image(wanted)?;
                if as_written {
                    self.base_platform(&state.at, from, self.target, &image.config);
                }
                if image.layers.is_empty() {
                    return Ok(graph.add(Op::Scratch, String::new(), None, false));
                }
                let op = ImageOp { layers: image.layers.clone(), platform: self.target.to_string() };
                Ok(graph.add(Op::Image(op), format!("FROM {}", image.name), None, false))
            }
        }
    }

    /// Files can only come from stages that are defined before.
    fn check_earlier(&self, stage: usize, index: usize, mount: Option<&str>) -> Result<()> {
        let (name, current) = (self.stage_label(stage), self.stage_label(index));
        if stage == index {
            return Err(Error::Instruction(format!("circular dependency detected on stage: {name}")).into());
        }
        if stage > index {
            let text = match mount {
                None => format!(
                    "cannot copy from stage {name:?}, it needs to be defined before current stage {current:?}"
                ),
                Some(target) => format!(
                    "cannot mount from stage {name:?} to {target:?}, stage needs to be defined before current command"
                ),
            };
            return Err(Error::Instruction(text).into());
        }
        Ok(())
    }

    /// A context's files as a tree: COPY of everything onto `base`.
    pub(super) fn whole_context(context: OpId, base: OpId, graph: &mut Graph) -> OpId {
        Self::context_path(context, base, "/", graph)
    }

    /// A part of a context as a tree of its own.
    pub(super) fn context_path(context: OpId, base: OpId, path: &str, graph: &mut Graph) -> OpId {
        let whole = super::dispatch::clean(path) == "/";
        let node = CopyNode {
            parent: base,
            from: context,
            sources: vec![if whole { "/".into() } else { literal(path.trim_start_matches('/')) }],
            inline: Vec::new(),
            dest: path.to_owned(),
            chown: None,
            chmod: None,
            parents: false,
            excludes: Vec::new(),
            link: false,
            unpack: false,
            keep_owners: false,
            mirror: (!whole).then(|| path.to_owned()),
        };
        graph.add(Op::Copy(node), String::new(), None, false)
    }
}

/// A path as a pattern that matches it alone.
fn literal(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn is_url(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// `git@host:path`, `ssh://`, `git://`.
fn is_git(text: &str) -> bool {
    text.starts_with("git@") || text.starts_with("ssh://") || text.starts_with("git://")
}

/// A URL without what may be secret in it.
fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}
