//! RUN --mount: values are expanded, sources become operations.

use garboard_parser::expand;
use garboard_parser::instruction::{Mount, MountKind, Run, Sharing, parse_mount};

use super::dispatch::clean;
use super::stage::{Evaluation, State, Step};
use crate::error::{Error, Result};
use crate::graph::{CacheMount, Graph, Op, OpId, RunMount, RunMountKind, SecretMount, SshMount};

impl Evaluation<'_> {
    /// The mounts of a step in their order; the sandbox sorts them by depth. Variables that mounts set are added to `env`.
    pub(super) fn mounts(
        &self,
        state: &State,
        index: usize,
        run: &Run,
        trigger: bool,
        env: &mut Vec<(String, String)>,
        graph: &mut Graph,
    ) -> Step<Vec<RunMount>> {
        let mut out = Vec::new();
        let mut agents = 0;
        for spec in &run.mounts {
            let expand = |value: &str| {
                let expanded = expand::word(value, self.escape(trigger), &state.env)?;
                self.undefined(state, &expanded.unmatched);
                Ok(expanded.text)
            };
            let mount = parse_mount(&spec.text, expand).map_err(|e| Error::Instruction(e.to_string()))?;
            match mount.kind {
                MountKind::Bind => out.push(self.bind(state, index, &mount, graph)?),
                MountKind::Cache => out.push(self.cache(state, index, &mount, graph)?),
                MountKind::Tmpfs => {
                    out.push(RunMount {
                        target: target(state, &mount)?,
                        kind: RunMountKind::Tmpfs { size: mount.size },
                    });
                }
                MountKind::Secret => {
                    let secret = secret(state, &mount)?;
                    if let RunMountKind::Secret(SecretMount { id, required, .. }) = &secret.kind {
                        self.seen.borrow_mut().secret(state, id, *required);
                    }
                    out.push(secret);
                }
                MountKind::Ssh => {
                    let id = mount.id.as_deref().filter(|id| !id.is_empty()).unwrap_or("default");
                    self.seen.borrow_mut().ssh(state, id, mount.required);
                    let mount = ssh(state, &mount, agents)?;
                    if !env.iter().any(|(k, _)| k == "SSH_AUTH_SOCK") {
                        env.push(("SSH_AUTH_SOCK".into(), mount.target.clone()));
                    }
                    out.push(mount);
                    agents += 1;
                }
            }
        }
        Ok(out)
    }

    fn bind(&self, state: &State, index: usize, mount: &Mount, graph: &mut Graph) -> Step<RunMount> {
        let selector = clean(mount.source.as_deref().unwrap_or("/"));
        let from = self.files_of(state, index, mount, &selector, graph)?;
        let kind = RunMountKind::Bind { from, selector, writable: !mount.read_only };
        Ok(RunMount { target: target(state, mount)?, kind })
    }

    fn cache(&self, state: &State, index: usize, mount: &Mount, graph: &mut Graph) -> Step<RunMount> {
        let selector = clean(mount.source.as_deref().unwrap_or("/"));
        let from = match &mount.from {
            Some(_) => Some(self.files_of(state, index, mount, &selector, graph)?),
            None => None,
        };
        let written = mount.target.clone().unwrap_or_default();
        let id = mount.id.clone().filter(|id| !id.is_empty()).unwrap_or_else(|| lexically_clean(&written));
        let namespace =
            self.planner.request.build_args.get("BUILDKIT_CACHE_MOUNT_NS").cloned().unwrap_or_default();
        let some_owner = mount.uid.is_some() || mount.gid.is_some() || mount.mode.is_some();
        let owner = (some_owner && mount.source.is_none())
            .then(|| (mount.uid.unwrap_or(0), mount.gid.unwrap_or(0), mount.mode.unwrap_or(0o755)));
        let kind = RunMountKind::Cache(CacheMount {
            id: format!("{namespace}/{id}"),
            sharing: match mount.sharing.unwrap_or_default() {
                Sharing::Shared => "shared",
                Sharing::Private => "private",
                Sharing::Locked => "locked",
            }
            .into(),
            from,
            selector,
            readonly: mount.read_only,
            owner,
            reset: state.no_cache,
        });
        Ok(RunMount { target: target(state, mount)?, kind })
    }

    /// The tree that a mount's files come from. Of a context only the path that is mounted is read.
    fn files_of(
        &self,
        state: &State,
        index: usize,
        mount: &Mount,
        selector: &str,
        graph: &mut Graph,
    ) -> Step<OpId> {
        let source = match &mount.from {
            None => self.main_context(graph),
            Some(from) => {
                let target = mount.target.as_deref().unwrap_or_default();
                self.source(state, index, from, Some(target), graph)?
            }
        };
        if !matches!(graph.node(source).op, Op::Context(_)) {
            return Ok(source);
        }
        let empty = graph.add(Op::Scratch, String::new(), None, false);
        Ok(Self::context_path(source, empty, selector, graph))
    }
}

/// Where a mount goes: below the working folder if it is relative.
fn target(state: &State, mount: &Mount) -> Result<String> {
    let text = mount.target.as_deref().unwrap_or_default();
    let full = if text.starts_with('/') {
        clean(text)
    } else {
        clean(&format!("/{}/{text}", state.config.config.working_dir))
    };
    if full == "/" {
        return Err(Error::Instruction(format!("invalid mount target {full:?}")).into());
    }
    Ok(full)
}

fn secret(state: &State, mount: &Mount) -> Result<RunMount> {
    let base = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let id = mount.id.clone().or_else(|| mount.source.clone()).filter(|id| !id.is_empty());
    let id = match (id, mount.target.as_deref()) {
        (Some(id), _) => id,
        (None, Some(target)) if !target.is_empty() => base(target),
        _ => {
            let text = "invalid secret mount. one of source, target required";
            return Err(Error::Instruction(text.into()).into());
        }
    };
    let file = mount.target.is_some() || mount.env.is_none();
    let target = match &mount.target {
        Some(_) => target(state, mount)?,
        None => format!("/run/secrets/{}", base(&id)),
    };
    let kind = RunMountKind::Secret(SecretMount {
        id,
        file,
        env: mount.env.clone(),
        required: mount.required,
        mode: mount.mode.unwrap_or(0o400),
        uid: mount.uid.unwrap_or(0),
        gid: mount.gid.unwrap_or(0),
    });
    Ok(RunMount { target, kind })
}

/// The `number`th agent of a step.
fn ssh(state: &State, mount: &Mount, number: usize) -> Result<RunMount> {
    let target = match &mount.target {
        Some(_) => target(state, mount)?,
        None => format!("/run/buildkit/ssh_agent.{number}"),
    };
    let kind = RunMountKind::Ssh(SshMount {
        id: mount.id.clone().filter(|id| !id.is_empty()).unwrap_or_else(|| "default".into()),
        required: mount.required,
        mode: mount.mode.unwrap_or(0o600),
        uid: mount.uid.unwrap_or(0),
        gid: mount.gid.unwrap_or(0),
    });
    Ok(RunMount { target, kind })
}

/// A path without empty, `.` and inner `..` components, relative or absolute as it was.
fn lexically_clean(path: &str) -> String {
    let full = clean(path);
    if path.starts_with('/') { full } else { full.trim_start_matches('/').to_owned() }
}
