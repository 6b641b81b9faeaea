//! COPY and ADD as operations.

use garboard_parser::instruction::{Add, Copy};
use garboard_parser::remote::{self, Address, GitAddress, HttpAddress};
use garboard_parser::{Heredoc, Instruction, expand};

use super::stage::{Base, Evaluation, State, Step};
use crate::error::{Error, Result};
use crate::graph::{CopyFrom, CopyNode, Graph, Op, OpId};
use crate::image::copy_text;
use crate::source::{AnyRemote, git_op, http_op, parse_checksum};

/// What COPY and ADD have in common.
struct Files<'a> {
    keyword: &'static str,
    chown: Option<String>,
    chmod: Option<String>,
    link: bool,
    parents: bool,
    excludes: &'a [String],
    /// As history and progress show them.
    sources: Vec<String>,
    from: Vec<CopyFrom>,
    heredocs: &'a [Heredoc],
    dest: &'a str,
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
        let chown = self.some_word(state, copy.chown.as_deref(), trigger)?;
        let chmod = self.some_word(state, copy.chmod.as_deref(), trigger)?;
        let sources = self.all_words(state, &copy.sources, trigger)?;
        for source in &sources {
            let text = match remote::parse(source).map_err(|e| Error::Instruction(e.to_string()))? {
                Some(Address::Http(_)) => "source can't be a URL for COPY",
                Some(Address::Git(git)) if !git.may_be_path => "source can't be a git ref for COPY",
                _ => continue,
            };
            return Err(Error::Instruction(text.into()).into());
        }
        if copy.from.is_none() {
            self.ignored_sources(state, "Copy", &sources);
        }
        let op = match &copy.from {
            None if sources.is_empty() => graph.add(Op::Scratch, String::new(), None, false),
            None => self.main_context(graph),
            Some(from) => {
                self.check_not_expanded(state, from, "--from", trigger)?;
                self.source(state, index, from, None, graph)?
            }
        };
        let keep_owners = copy.from.is_some() || self.context_has_owners();
        let files = Files {
            keyword: "COPY",
            chown,
            chmod,
            link: copy.link,
            parents: copy.parents,
            excludes: &copy.excludes,
            from: vec![CopyFrom { op, sources: sources.clone(), unpack: false, keep_owners, folder: false }],
            sources,
            heredocs: &copy.heredocs,
            dest: &copy.dest,
        };
        self.files(state, files, instruction, trigger, graph)?;
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
        let chown = self.some_word(state, add.chown.as_deref(), trigger)?;
        let chmod = self.some_word(state, add.chmod.as_deref(), trigger)?;
        let checksum = self.some_word(state, add.checksum.as_deref(), trigger)?;
        let checksum = checksum.filter(|text| !text.is_empty());
        let sources = self.all_words(state, &add.sources, trigger)?;
        if checksum.is_some() && sources.len() != 1 {
            let text = "checksum can't be specified for multiple sources";
            return Err(Error::Instruction(text.into()).into());
        }
        let lines = Some(instruction.lines);
        let mut from: Vec<CopyFrom> = Vec::new();
        for source in &sources {
            let part = match remote::parse(source).map_err(|e| Error::Instruction(e.to_string()))? {
                Some(Address::Git(git)) if !git.may_be_path => {
                    add_git(add, git, checksum.as_deref(), lines, graph)?
                }
                Some(Address::Http(http)) => add_http(add, &http, checksum.as_deref(), lines, graph)?,
                _ if checksum.is_some() => {
                    let text = "checksum requires HTTP(S) or Git sources";
                    return Err(Error::Instruction(text.into()).into());
                }
                _ => {
                    self.ignored_sources(state, "Add", std::slice::from_ref(source));
                    CopyFrom {
                        op: self.main_context(graph),
                        sources: vec![source.clone()],
                        unpack: add.unpack.unwrap_or(true),
                        keep_owners: self.context_has_owners(),
                        folder: false,
                    }
                }
            };
            match from.last_mut().filter(|last| last.op == part.op && last.unpack == part.unpack) {
                Some(last) => last.sources.extend(part.sources),
                None => from.push(part),
            }
        }
        if from.is_empty() {
            let op = graph.add(Op::Scratch, String::new(), None, false);
            from.push(CopyFrom { op, sources: Vec::new(), unpack: false, keep_owners: false, folder: false });
        }
        let files = Files {
            keyword: "ADD",
            chown,
            chmod,
            link: add.link,
            parents: false,
            excludes: &add.excludes,
            sources: sources.iter().map(|source| remote::redact(source).into_owned()).collect(),
            from,
            heredocs: &add.heredocs,
            dest: &add.dest,
        };
        self.files(state, files, instruction, trigger, graph)?;
        Ok(())
    }

    fn some_word(&self, state: &State, text: Option<&str>, trigger: bool) -> Result<Option<String>> {
        text.map(|text| self.word(state, text, trigger)).transpose()
    }

    fn all_words(&self, state: &State, texts: &[String], trigger: bool) -> Result<Vec<String>> {
        texts.iter().map(|text| self.word(state, text, trigger)).collect()
    }

    fn files(
        &self,
        state: &mut State,
        files: Files<'_>,
        instruction: &Instruction,
        trigger: bool,
        graph: &mut Graph,
    ) -> Result<()> {
        let dest = self.word(state, files.dest, trigger)?;
        let inline = files
            .heredocs
            .iter()
            .map(|h| Ok((h.name.clone(), self.heredoc_text(state, h)?)))
            .collect::<Result<Vec<_>>>()?;
        let mut shown = files.sources;
        shown.extend(files.heredocs.iter().map(|h| format!("<<{}", h.name)));
        let text = copy_text(
            files.keyword,
            files.parents,
            files.chown.as_deref(),
            files.chmod.as_deref(),
            &shown,
            &dest,
        );
        let node = CopyNode {
            parent: state.op,
            from: files.from,
            inline,
            dest: crate::copy::join_destination(&state.config.config.working_dir, &dest),
            chown: files.chown.filter(|c| !c.is_empty()),
            chmod: files.chmod.filter(|c| !c.is_empty()),
            parents: files.parents,
            excludes: files.excludes.to_vec(),
            link: files.link,
            mirror: None,
        };
        // A wrong mode or pattern is an error of the instruction, wherever its files come from.
        crate::solve::copy_operation(&node, 0)?;
        state.step += 1;
        let original = remote::redact(&instruction.original);
        let shown = if files.link { format!("LINK {original}") } else { original.into_owned() };
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
            Base::Remote(remote) => {
                let (op, folder) = Self::remote_op(remote, None, graph);
                if folder == "/" {
                    return Ok(op);
                }
                let empty = graph.add(Op::Scratch, String::new(), None, false);
                Ok(Self::folder_of(op, &folder, empty, graph))
            }
            Base::Image(wanted) => {
                let as_written = wanted.0 == from;
                let image = self.image(wanted)?;
                if as_written {
                    self.base_platform(&state.at, from, self.target, &image.config);
                }
                if image.layers.is_empty() {
                    return Ok(graph.add(Op::Scratch, String::new(), None, false));
                }
                let op = image.operation(self.target);
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
        Self::folder_of(context, "/", base, graph)
    }

    /// A part of a context as a tree of its own.
    pub(super) fn context_path(context: OpId, base: OpId, path: &str, graph: &mut Graph) -> OpId {
        if super::dispatch::clean(path) == "/" {
            return Self::whole_context(context, base, graph);
        }
        Self::mirror(
            context,
            &literal(path.trim_start_matches('/')),
            path,
            Some(path.to_owned()),
            base,
            graph,
        )
    }

    /// What is in a folder of a tree (`/`: all of it, else a pattern that matches it alone), copied onto `base`.
    pub(super) fn folder_of(from: OpId, folder: &str, base: OpId, graph: &mut Graph) -> OpId {
        Self::mirror(from, folder, "/", None, base, graph)
    }

    fn mirror(
        from: OpId,
        source: &str,
        dest: &str,
        mirror: Option<String>,
        base: OpId,
        graph: &mut Graph,
    ) -> OpId {
        let node = CopyNode {
            parent: base,
            from: vec![CopyFrom {
                op: from,
                sources: vec![source.into()],
                unpack: false,
                keep_owners: false,
                folder: mirror.is_none(),
            }],
            inline: Vec::new(),
            dest: dest.to_owned(),
            chown: None,
            chmod: None,
            parents: false,
            excludes: Vec::new(),
            link: false,
            mirror,
        };
        graph.add(Op::Copy(node), String::new(), None, false)
    }

    /// The operation for a named context that is elsewhere, and the folder of it that is meant, as a pattern.
    pub(super) fn remote_op(
        remote: AnyRemote,
        lines: Option<(usize, usize)>,
        graph: &mut Graph,
    ) -> (OpId, String) {
        match remote {
            AnyRemote::Http(http) => (graph.add(Op::Http(http), String::new(), lines, false), "/".into()),
            AnyRemote::Git(git, folder) => {
                let folder = folder.map_or_else(|| "/".to_owned(), |folder| literal(&folder));
                (graph.add(Op::Git(git), String::new(), lines, false), folder)
            }
        }
    }
}

/// A repository as a source of ADD.
fn add_git(
    add: &Add,
    git: GitAddress,
    checksum: Option<&str>,
    lines: Option<(usize, usize)>,
    graph: &mut Graph,
) -> Result<CopyFrom> {
    let wrong = |text: String| Error::Instruction(text);
    if add.keep_git_dir.zip(git.keep_git_dir).is_some_and(|(flag, query)| flag != query) {
        return Err(wrong("inconsistent keep-git-dir configuration".into()).into());
    }
    let git = match (checksum, &git.checksum) {
        (Some(flag), Some(query)) if flag != query => {
            return Err(wrong(format!("checksum mismatch {flag:?} != {query:?}")).into());
        }
        (Some(flag), _) => git.with_checksum(flag).map_err(|e| wrong(e.to_string()))?,
        (None, _) => git,
    };
    let op = graph.add(
        Op::Git(git_op(&git, add.keep_git_dir.unwrap_or(false), false)),
        String::new(),
        lines,
        false,
    );
    let folder = git.subdir.as_deref().map_or_else(|| "/".to_owned(), literal);
    Ok(CopyFrom { op, sources: vec![folder], unpack: false, keep_owners: false, folder: true })
}

/// A file by HTTP as a source of ADD.
fn add_http(
    add: &Add,
    http: &HttpAddress,
    checksum: Option<&str>,
    lines: Option<(usize, usize)>,
    graph: &mut Graph,
) -> Result<CopyFrom> {
    let checksum = checksum.map(parse_checksum).transpose()?;
    let op = Op::Http(http_op(http, &http.name, checksum));
    let op = graph.add(op, String::new(), lines, false);
    let unpack = add.unpack.unwrap_or(false);
    Ok(CopyFrom { op, sources: vec![literal(&http.name)], unpack, keep_owners: false, folder: false })
}

/// A path as a pattern that matches it alone. An escaped character would not do: outside of patterns a backslash is one.
fn literal(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        match c {
            '\\' => out.push_str("[\\\\]"),
            '*' | '?' | '[' => {
                out.push('[');
                out.push(c);
                out.push(']');
            }
            c => out.push(c),
        }
    }
    out
}
