//! What each instruction does to a stage's state.

use garboard_parser::instruction::{Arg, CommandLine, Env, Label, Pair};
use garboard_parser::{Instruction, InstructionKind, expand, port};

use super::lint::At;
use super::stage::{Evaluation, State, Step};
use super::{args, metadata};
use crate::error::{Error, Result};
use crate::graph::{Graph, MkdirOp, Op};
use crate::image::{env_text, go_quoted_slice, healthcheck_text};

impl Evaluation<'_> {
    /// Applies one instruction. `trigger`: it comes from the base's ONBUILD.
    pub(super) fn dispatch(
        &self,
        state: &mut State,
        index: usize,
        instruction: &Instruction,
        trigger: bool,
        graph: &mut Graph,
    ) -> Step<()> {
        let lines = if trigger { self.planner.dockerfile.stages[index].lines } else { instruction.lines };
        state.at = At::instruction(index, instruction, lines);
        match &instruction.kind {
            InstructionKind::Run(run) => self.run(state, index, run, instruction, trigger, graph)?,
            InstructionKind::Copy(copy) => self.copy(state, index, copy, instruction, trigger, graph)?,
            InstructionKind::Add(add) => self.add(state, add, instruction, trigger, graph)?,
            InstructionKind::Workdir(path) => self.workdir(state, path, instruction, trigger, graph)?,
            InstructionKind::Arg(arg) => self.arg(state, arg, trigger)?,
            other => self.metadata(state, other, trigger)?,
        }
        Ok(())
    }

    /// The instructions that only change the config.
    fn metadata(&self, state: &mut State, kind: &InstructionKind, trigger: bool) -> Step<()> {
        match kind {
            InstructionKind::Env(env) => self.env(state, env, trigger)?,
            InstructionKind::Label(label) => self.label(state, label, trigger)?,
            InstructionKind::Expose(ports) => {
                let mut words = ports.ports.clone();
                words.sort();
                let mut expanded = Vec::new();
                for word in &words {
                    expanded.extend(self.words(state, word, trigger)?);
                }
                let mut ports: Vec<String> = Vec::new();
                for word in &expanded {
                    let parsed = port::parse(word).map_err(|e| Error::Instruction(e.to_string()))?;
                    self.exposed(state, word, &parsed);
                    ports.extend(parsed.iter().map(|p| p.to_string()));
                }
                state.record(format!("EXPOSE [{}]", ports.join(" ")), false);
                state.config.config.exposed_ports.extend(ports);
            }
            InstructionKind::User(user) => {
                let user = self.word(state, user, trigger)?;
                state.record(format!("USER {user}"), false);
                state.config.config.user = user;
            }
            InstructionKind::Volume(volume) => {
                let mut paths = Vec::new();
                for path in &volume.paths {
                    let path = self.word(state, path, trigger)?;
                    if path.is_empty() {
                        return Err(
                            Error::Instruction("VOLUME specified can not be an empty string".into()).into()
                        );
                    }
                    paths.push(path);
                }
                state.record(format!("VOLUME [{}]", paths.join(" ")), false);
                state.config.config.volumes.extend(paths);
            }
            InstructionKind::Stopsignal(signal) => {
                let signal = self.word(state, signal, trigger)?;
                if !garboard_parser::signal::is_valid(&signal) {
                    return Err(Error::Instruction(format!("invalid signal: {signal}")).into());
                }
                state.record(format!("STOPSIGNAL {signal}"), false);
                state.config.config.stop_signal = signal;
            }
            InstructionKind::Maintainer(author) => {
                state.record(format!("MAINTAINER {author}"), false);
                state.config.author = Some(author.clone());
            }
            InstructionKind::Shell(words) => {
                state.config.config.shell.clone_from(words);
                state.record(format!("SHELL [{}]", words.join(" ")), false);
            }
            InstructionKind::Healthcheck(check) => {
                self.once(&state.at, &mut state.once.healthcheck);
                let check = metadata::healthcheck(check);
                state.record(healthcheck_text(&check), false);
                state.config.config.healthcheck = Some(check);
            }
            InstructionKind::Cmd(command) => {
                self.once(&state.at, &mut state.once.cmd);
                self.command_form(state, command);
                cmd(state, command);
            }
            InstructionKind::Entrypoint(command) => {
                self.once(&state.at, &mut state.once.entrypoint);
                self.command_form(state, command);
                entrypoint(state, command);
            }
            InstructionKind::Onbuild(onbuild) => state.config.config.on_build.push(onbuild.trigger.clone()),
            other => return Err(Error::Internal(format!("{} is no metadata", other.name())).into()),
        }
        Ok(())
    }

    fn env(&self, state: &mut State, env: &Env, trigger: bool) -> Result<()> {
        let pairs = self.pairs(state, &env.pairs, trigger)?;
        if env.legacy {
            self.legacy_pairs(state);
        }
        for (name, value) in &pairs {
            self.secret_name(state, "ENV", name);
            state.set_env(name, value);
            state.config.config.set_env(name, value);
        }
        state.record(env_text("ENV", pairs.iter().map(|(k, v)| (k.as_str(), Some(v.as_str())))), false);
        Ok(())
    }

    fn label(&self, state: &mut State, label: &Label, trigger: bool) -> Result<()> {
        let pairs = self.pairs(state, &label.pairs, trigger)?;
        if label.legacy {
            self.legacy_pairs(state);
        }
        state.record(env_text("LABEL", pairs.iter().map(|(k, v)| (k.as_str(), Some(v.as_str())))), false);
        state.config.config.labels.extend(pairs);
        Ok(())
    }

    /// Names and values with variables replaced; all see the values from before the instruction.
    fn pairs(&self, state: &State, pairs: &[Pair], trigger: bool) -> Result<Vec<(String, String)>> {
        let expand = |pair: &Pair| {
            Ok((self.word(state, &pair.name, trigger)?, self.word(state, &pair.value, trigger)?))
        };
        pairs.iter().map(expand).collect()
    }

    /// ARG: a build argument wins over the default; without either the global value is taken.
    fn arg(&self, state: &mut State, arg: &Arg, trigger: bool) -> Result<()> {
        let globals = self.globals()?;
        let mut texts = Vec::new();
        for item in &arg.items {
            self.secret_name(state, "ARG", &item.name);
            let given = self.planner.request.build_args.get(&item.name);
            let value = match (given, &item.default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => Some(self.word(state, default, trigger)?),
                (None, None) => globals.values.get(&item.name).cloned(),
            };
            if let Some(value) = &value
                && !args::HIDDEN.contains(&item.name.as_str())
            {
                state.set_env(&item.name, value);
            }
            let global = given.is_none() && item.default.is_none() && value.is_some();
            self.seen.borrow_mut().arg(state, item, value.as_deref(), global);
            texts.push((item.name.clone(), value.clone()));
            state.args.push((item.name.clone(), value));
        }
        state.record(env_text("ARG", texts.iter().map(|(k, v)| (k.as_str(), v.as_deref()))), false);
        Ok(())
    }

    /// WORKDIR: an absolute path stays as it is written, a relative one is joined and cleaned.
    fn workdir(
        &self,
        state: &mut State,
        path: &str,
        instruction: &Instruction,
        trigger: bool,
        graph: &mut Graph,
    ) -> Step<()> {
        let path = self.word(state, path, trigger)?;
        self.first_workdir(state, &path);
        state.workdir_set = true;
        let current = &state.config.config.working_dir;
        let full = if path.starts_with('/') { path.clone() } else { clean(&format!("/{current}/{path}")) };
        state.config.config.working_dir.clone_from(&full);
        state.step += 1;
        if full == "/" {
            state.record(format!("WORKDIR {full}"), false);
            return Ok(());
        }
        let op = MkdirOp {
            parent: state.op,
            path: full.clone(),
            user: state.config.config.user.clone(),
            epoch: self.epoch()?,
        };
        let name = self.progress_name(state, &format!("WORKDIR {path}"), trigger);
        state.op = graph.add(Op::Mkdir(op), name, Some(instruction.lines), false);
        state.record(format!("WORKDIR {full}"), true);
        Ok(())
    }

    /// A word with variables replaced; those that are not defined are reported.
    pub(super) fn word(&self, state: &State, text: &str, trigger: bool) -> Result<String> {
        let expanded = self.expanded(state, text, trigger)?;
        self.undefined(state, &expanded.unmatched);
        Ok(expanded.text)
    }

    /// A word with variables replaced, for a look at it.
    pub(super) fn expanded(&self, state: &State, text: &str, trigger: bool) -> Result<expand::Expanded> {
        let expanded = expand::word(text, self.escape(trigger), &state.env);
        Ok(expanded.map_err(|e| Error::Instruction(e.to_string()))?)
    }

    /// As [`Self::word`], and the result is split at blanks.
    fn words(&self, state: &State, text: &str, trigger: bool) -> Result<Vec<String>> {
        let expanded = expand::words(text, self.escape(trigger), &state.env);
        Ok(expanded.map_err(|e| Error::Instruction(e.to_string()))?)
    }

    /// Triggers are always escaped with a backslash.
    pub(super) fn escape(&self, trigger: bool) -> char {
        if trigger { '\\' } else { self.planner.dockerfile.escape }
    }

    /// A vertex name for an instruction.
    pub(super) fn progress_name(&self, state: &State, text: &str, trigger: bool) -> String {
        let prefix = if trigger { "ONBUILD " } else { "" };
        self.step_name(state, &format!("{prefix}{text}"))
    }
}

/// The words of a command, with the shell in front of text.
pub(super) fn command_words(state: &State, command: &CommandLine) -> Vec<String> {
    match command {
        CommandLine::Exec(words) => words.clone(),
        CommandLine::Shell(text) => with_shell(state, text),
    }
}

/// The shell with a text to run.
pub(super) fn with_shell(state: &State, text: &str) -> Vec<String> {
    let mut words = state.config.config.shell.clone();
    if words.is_empty() {
        words = if state.platform.os == "windows" {
            vec!["cmd".into(), "/S".into(), "/C".into()]
        } else {
            vec!["/bin/sh".into(), "-c".into()]
        };
    }
    words.push(text.to_owned());
    words
}

fn cmd(state: &mut State, command: &CommandLine) {
    let words = command_words(state, command);
    state.record(format!("CMD {}", go_quoted_slice(&words)), false);
    state.config.config.cmd = words;
    state.config.config.args_escaped = true;
}

/// An entrypoint drops a CMD that was inherited.
fn entrypoint(state: &mut State, command: &CommandLine) {
    let words = match command {
        CommandLine::Exec(words) if words.is_empty() => Vec::new(),
        other => command_words(state, other),
    };
    let text = if words.is_empty() { "[]".to_owned() } else { go_quoted_slice(&words) };
    state.record(format!("ENTRYPOINT {text}"), false);
    state.config.config.entrypoint = words;
    if state.once.cmd.is_none() {
        state.config.config.cmd = Vec::new();
    }
}

/// Cleans an absolute path: no empty, `.` or `..` components.
pub(crate) fn clean(path: &str) -> String {
    garboard_parser::glob::clean(&format!("/{path}"))
}
