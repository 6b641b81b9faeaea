//! RUN as an operation.

use garboard_parser::Instruction;
use garboard_parser::instruction::{Network, Run, Security};

use super::args;
use super::dispatch::{command_words, with_shell};
use super::stage::{Evaluation, State, Step};
use crate::error::{Error, Result};
use crate::graph::{Graph, Op, RunMount, RunMountKind, RunOp};
use crate::image::run_text;
use crate::request::NetworkMode;

const HOSTNAME: &str = "buildkitsandbox";
/// Where scripts of here-documents are mounted.
const PIPES: &str = "/dev/pipes";

impl Evaluation<'_> {
    pub(super) fn run(
        &self,
        state: &mut State,
        index: usize,
        run: &Run,
        instruction: &Instruction,
        trigger: bool,
        graph: &mut Graph,
    ) -> Step<()> {
        let request = self.planner.request;
        if !run.devices.is_empty() {
            let failure = crate::error::Failure::from(Error::Unsupported { what: "RUN --device".into() });
            let hint = "a step with `--security=insecure` has the machine's fuse, kvm, tun and loop devices";
            return Err(failure.with_hint(Some(hint.into())).into());
        }
        let network = self.network(run)?;
        let insecure = run.security == Some(Security::Insecure);
        if insecure && !request.entitlements.security_insecure {
            return Err(not_allowed("security.insecure").into());
        }
        let (args, script) = command(state, run);
        let mut env = state.env.clone();
        let mut mounts = self.mounts(state, index, run, trigger, &mut env, graph)?;
        mounts.extend(script);
        let declared = |name: &str| state.args.iter().any(|(k, _)| k == name);
        let proxies = args::proxies(&request.build_args).into_iter().filter(|(name, _)| !declared(name));
        let op = RunOp {
            parent: state.op,
            args: args.clone(),
            env,
            cwd: state.config.config.working_dir.clone(),
            user: state.config.config.user.clone(),
            platform: state.platform.to_string(),
            hostname: request
                .build_args
                .get("BUILDKIT_SANDBOX_HOSTNAME")
                .cloned()
                .unwrap_or_else(|| HOSTNAME.into()),
            network,
            insecure,
            hosts: request.add_hosts.clone(),
            shm_size: request.shm_size,
            ulimits: request.ulimits.clone(),
            cgroup_parent: request.cgroup_parent.clone(),
            mounts,
            proxy_env: proxies.collect(),
        };
        state.step += 1;
        let mut shown = instruction.original.clone();
        if let Some(heredoc) = run.script() {
            let first = heredoc.content.lines().next().unwrap_or_default();
            shown = format!("{shown} ({first}...)");
        }
        let name = self.progress_name(state, &shown, trigger);
        state.op = graph.add(Op::Run(op), name, Some(instruction.lines), state.no_cache);
        state.record(run_text(&args, &declared_args(state)), true);
        Ok(())
    }

    /// The network of a step: what it says itself, else what the request says.
    fn network(&self, run: &Run) -> Result<NetworkMode> {
        let request = self.planner.request;
        let mode = match run.network {
            Some(Network::None) => NetworkMode::None,
            Some(Network::Host) => NetworkMode::Host,
            Some(Network::Default) | None => request.network,
        };
        if mode == NetworkMode::Host && !request.entitlements.network_host {
            return Err(not_allowed("network.host"));
        }
        Ok(mode)
    }
}

fn not_allowed(name: &str) -> crate::error::Failure {
    let failure =
        crate::error::Failure::from(Error::Instruction(format!("entitlement {name} is not allowed")));
    failure.with_hint(Some(format!("allow it with `--allow {name}`")))
}

/// The words to execute; a here-document with `#!` is mounted as a file.
fn command(state: &State, run: &Run) -> (Vec<String>, Option<RunMount>) {
    let Some(heredoc) = run.script() else {
        return match run.shell_text() {
            Some(text) => (with_shell(state, &text), None),
            None => (command_words(state, &run.command), None),
        };
    };
    let text = heredoc.text();
    if !text.starts_with("#!") || state.platform.os == "windows" {
        return (with_shell(state, &text), None);
    }
    let path = format!("{PIPES}/{}", heredoc.name);
    let mount = RunMount { target: path.clone(), kind: RunMountKind::Script { content: text } };
    (with_shell(state, &path), Some(mount))
}

/// Every ARG in scope once, at its first position, with the value that a step sees.
fn declared_args(state: &State) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    for (name, value) in &state.args {
        let value = state.env(name).map(str::to_owned).or_else(|| value.clone()).unwrap_or_default();
        match out.iter_mut().find(|(k, _)| k == name) {
            Some((_, v)) => *v = value,
            None => out.push((name.clone(), value)),
        }
    }
    out
}
