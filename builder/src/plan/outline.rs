//! What is seen of arguments, secrets and agents while stages are evaluated, and the outline of a target made of it.

use std::collections::{BTreeMap, BTreeSet};

use garboard_parser::instruction::ArgItem;

use super::globals::{GlobalArg, Globals};
use super::stage::{Evaluation, State};
use crate::call::{OutlineArg, OutlineMount};
use crate::error::Result;

/// What was seen, by number of stage.
#[derive(Debug, Default)]
pub(super) struct Seen {
    stages: BTreeMap<usize, StageSeen>,
}

/// What was seen in one stage.
#[derive(Debug, Default)]
struct StageSeen {
    /// Variables of FROM, and declared arguments.
    used: BTreeSet<String>,
    /// Arguments that the stage defines itself; of each name the last one.
    args: BTreeMap<String, OutlineArg>,
    secrets: Vec<OutlineMount>,
    ssh: Vec<OutlineMount>,
    /// The stages that it needs, its base first.
    needs: Vec<usize>,
}

/// The parts of an outline.
pub(crate) struct Parts {
    pub(crate) stage: usize,
    pub(crate) args: Vec<OutlineArg>,
    pub(crate) secrets: Vec<OutlineMount>,
    pub(crate) ssh: Vec<OutlineMount>,
}

impl Seen {
    fn stage(&mut self, index: usize) -> &mut StageSeen {
        self.stages.entry(index).or_default()
    }

    pub(super) fn used(&mut self, stage: usize, names: impl IntoIterator<Item = String>) {
        self.stage(stage).used.extend(names);
    }

    pub(super) fn needs(&mut self, stage: usize, other: usize) {
        self.stage(stage).needs.push(other);
    }

    /// An ARG of a stage. One that is only handed down from the global scope is defined there.
    pub(super) fn arg(&mut self, state: &State, item: &ArgItem, value: Option<&str>, global: bool) {
        let seen = self.stage(state.at.stage);
        seen.used.insert(item.name.clone());
        if !global {
            let arg = OutlineArg {
                name: item.name.clone(),
                description: item.description.clone(),
                value: value.map(str::to_owned),
                lines: state.at.lines,
            };
            seen.args.insert(item.name.clone(), arg);
        }
    }

    pub(super) fn secret(&mut self, state: &State, id: &str, required: bool) {
        let mount = OutlineMount { name: id.to_owned(), required, lines: state.at.lines };
        self.stage(state.at.stage).secrets.push(mount);
    }

    pub(super) fn ssh(&mut self, state: &State, id: &str, required: bool) {
        let mount = OutlineMount { name: id.to_owned(), required, lines: state.at.lines };
        self.stage(state.at.stage).ssh.push(mount);
    }

    /// The stages that a target needs: itself, then of each its base and what else it needs.
    fn chain(&self, target: usize) -> Vec<usize> {
        let (mut order, mut todo) = (Vec::new(), vec![target]);
        let mut done = BTreeSet::new();
        while let Some(stage) = todo.pop() {
            if done.insert(stage) {
                order.push(stage);
                todo.extend(self.stages.get(&stage).into_iter().flat_map(|seen| seen.needs.iter().rev()));
            }
        }
        order
    }
}

impl StageSeen {
    /// The arguments that the stage uses: its own, and global ones with those that their defaults name.
    fn arguments(&self, globals: &Globals) -> Vec<OutlineArg> {
        let mut todo: Vec<&str> = self.used.iter().map(String::as_str).collect();
        let mut done = BTreeSet::new();
        let mut out = Vec::new();
        while let Some(name) = todo.pop() {
            if !done.insert(name) {
                continue;
            }
            if let Some(own) = self.args.get(name) {
                out.push(own.clone());
            } else if let Some(global) = globals.declared.get(name) {
                out.push(global_arg(name, global));
                todo.extend(global.needs.iter().map(String::as_str));
            }
        }
        out
    }
}

fn global_arg(name: &str, arg: &GlobalArg) -> OutlineArg {
    OutlineArg {
        name: name.to_owned(),
        description: arg.description.clone(),
        value: arg.value.clone(),
        lines: arg.lines,
    }
}

impl Evaluation<'_> {
    /// The outline of a target that was evaluated.
    pub(super) fn outline(&self, stage: usize) -> Result<Parts> {
        let globals = self.globals()?;
        let seen = self.seen.borrow();
        let mut parts = Parts { stage, args: Vec::new(), secrets: Vec::new(), ssh: Vec::new() };
        for seen in seen.chain(stage).iter().filter_map(|stage| seen.stages.get(stage)) {
            parts.args.extend(seen.arguments(globals));
            parts.secrets.extend(seen.secrets.iter().cloned());
            parts.ssh.extend(seen.ssh.iter().cloned());
        }
        first_of_each(&mut parts.args, |arg| &arg.name, |arg| arg.lines);
        first_of_each(&mut parts.secrets, |mount| &mount.name, |mount| mount.lines);
        first_of_each(&mut parts.ssh, |mount| &mount.name, |mount| mount.lines);
        Ok(parts)
    }
}

/// Keeps the first of each name, and sorts by lines.
fn first_of_each<T>(list: &mut Vec<T>, name: impl Fn(&T) -> &str, lines: impl Fn(&T) -> (usize, usize)) {
    let mut names = BTreeSet::new();
    list.retain(|item| names.insert(name(item).to_owned()));
    list.sort_by(|a, b| lines(a).cmp(&lines(b)).then_with(|| name(a).cmp(name(b))));
}
