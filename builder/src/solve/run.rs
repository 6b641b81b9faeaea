//! RUN: one process in the sandbox, on an overlay of the layers below; what it changed becomes a layer.

use std::ffi::OsString;
use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use garboard_cache::{NewLayer, Staging};
use garboard_layer::{ContentDigest, Entry, EntryKind, Mtime, Planned, Targets, TreeStamp, TreeView};
use garboard_sandbox::{Child, Exit, Network, Process, Root, Security, Status};
use rustix::event::{PollFd, PollFlags, poll};

use super::mounts::Prepared;
use super::{Solver, now};
use crate::cancel::Cancel;
use crate::emulate;
use crate::error::{Attempt, DISK_FULL, Error, Result};
use crate::event::Stream;
use crate::graph::RunOp;
use crate::layer_folder::{LayerFolder, lowers};
use crate::layers::blocking;
use crate::reporter::Step;
use crate::request::NetworkMode;
use crate::tree::{KeyBuilder, RootFolder, Tree, TreeLayer};

/// With less room than this a failure is put down to it.
const LITTLE_SPACE: u64 = 64 << 10;
/// What programs say when they get the error `ENOSPC`.
const NO_SPACE: &str = "No space left on device";

impl Solver {
    pub(super) async fn run(
        self: &Arc<Self>,
        run: &RunOp,
        parent: &Tree,
        step: &Arc<Step>,
    ) -> Result<TreeLayer> {
        let folders = self.layers.folders(parent).await?;
        let view = self.layers.view(parent).await?;
        let root = parent.root();
        let prepared = self.prepare_mounts(run).await?;
        let this = self.clone();
        let run = run.clone();
        let step = step.clone();
        blocking(move || this.run_blocking(&run, (&folders, root), &view, prepared, &step)).await
    }

    fn run_blocking(
        &self,
        run: &RunOp,
        (folders, top): (&[LayerFolder], Option<RootFolder>),
        view: &TreeView,
        prepared: Prepared,
        step: &Step,
    ) -> Result<TreeLayer> {
        let what = || "failed to prepare a layer".to_owned();
        let store = &self.layers.store;
        let staging = store.staging().attempt(what)?;
        if let Some(top) = top {
            top.put(staging.fs()).attempt(what)?;
        }
        let before = RootFolder::of(staging.fs()).attempt(what)?;
        let (root, stamp) = if self.overlay()? {
            let root = Root::Overlay {
                lowers: lowers(folders),
                upper: staging.fs().to_owned(),
                work: staging.work().to_owned(),
                volatile: true,
            };
            (root, None)
        } else {
            super::mounts::flatten(folders, view, staging.fs(), self.layers.ids)?;
            (
                Root::Folder(staging.fs().to_owned()),
                Some(TreeStamp::take(staging.fs(), self.layers.threads).attempt(what)?),
            )
        };
        let mut process = self.process(run, root, &prepared);
        // In the folder that is cleared when this process is found dead.
        process.own_stubs = staging.work().with_extension("stubs");
        self.execute(run, &process, step)?;
        drop(prepared);
        let after = RootFolder::of(staging.fs()).attempt(what)?;
        let layer = self.record_changes(staging, view, stamp.as_ref())?;
        if after == before { Ok(layer) } else { self.with_root(layer, after) }
    }

    fn process(&self, run: &RunOp, root: Root, prepared: &Prepared) -> Process {
        let mut env: Vec<OsString> =
            run.env.iter().chain(&run.proxy_env).map(|(k, v)| format!("{k}={v}").into()).collect();
        for (name, value) in &prepared.env {
            let prefix = format!("{name}=").into_bytes();
            env.retain(|e| !e.as_bytes().starts_with(&prefix));
            env.push(OsString::from_vec([&prefix[..], value].concat()));
        }
        let mut process = Process::new(root, self.layers.store.stubs_path());
        process.mounts.clone_from(&prepared.mounts);
        process.args = run.args.iter().map(Into::into).collect();
        process.env = env;
        process.cwd = PathBuf::from(if run.cwd.is_empty() { "/" } else { &run.cwd });
        process.user.clone_from(&run.user);
        process.hostname.clone_from(&run.hostname);
        process.network = if run.network == NetworkMode::None { Network::None } else { Network::Host };
        process.hosts = hosts_file(run);
        process.resolv_conf.clone_from(&self.environment.resolv_conf);
        process.shm_size = run.shm_size.unwrap_or(process.shm_size);
        process.ulimits = run
            .ulimits
            .iter()
            .map(|u| garboard_sandbox::Ulimit {
                name: u.name.clone(),
                soft: limit(u.soft),
                hard: limit(u.hard),
            })
            .collect();
        process.security = if run.insecure { Security::Insecure } else { Security::Sandbox };
        process.cgroup_parent.clone_from(&run.cgroup_parent);
        process.limits.clone_from(&self.environment.resources);
        process
    }

    /// Runs the process to its end and passes on what it prints.
    fn execute(&self, run: &RunOp, process: &Process, step: &Step) -> Result<()> {
        let command = run.args.join(" ");
        let child = garboard_sandbox::spawn(process).map_err(|e| self.start_failure(run, &command, &e))?;
        let exit = attend(child, step, &self.cancel)?;
        if self.cancel.is_canceled() {
            return Err(Error::Canceled.into());
        }
        if exit.status == Status::Code(0) {
            return Ok(());
        }
        let status = format!("exit code: {}", exit.code());
        // What the step wrote is still there; it is gone when the report is made.
        let hint =
            if self.is_disk_full(&step.last_lines()) { Some(DISK_FULL.to_owned()) } else { exit_hint(exit) };
        Err(Error::Process { command, status, hint }.into())
    }

    /// Why a step didn't start. What is no program here may be one of another kind of processor.
    fn start_failure(
        &self,
        run: &RunOp,
        command: &str,
        error: &garboard_sandbox::SpawnError,
    ) -> crate::error::Failure {
        let foreign = || {
            let platform = crate::platform::parse(&run.platform).ok()?;
            emulate::explain(Path::new(emulate::BINFMT), &platform, &self.environment.host)
        };
        let reason = super::copy::chain(error);
        let (reason, hint) = match is_no_program(error).then(foreign).flatten() {
            Some((why, hint)) => (format!("{reason}: {why}"), Some(hint)),
            None => (reason, start_hint(error)),
        };
        Error::Start { command: command.to_owned(), reason, hint }.into()
    }

    /// Whether the store's file system has no room for more, or had none when the step said so: what others gave back
    /// since is room again.
    fn is_disk_full(&self, said: &[String]) -> bool {
        let says_so = said.iter().any(|line| line.contains(NO_SPACE));
        let stat = rustix::fs::statvfs(self.layers.store.root());
        stat.is_ok_and(|stat| {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            free < LITTLE_SPACE
                || says_so && stat.f_bavail < stat.f_blocks / 10
                || stat.f_favail == 0 && stat.f_files > 0
        })
    }

    /// Notes what a step made of `/` itself, for the steps behind it.
    fn with_root(&self, mut layer: TreeLayer, root: RootFolder) -> Result<TreeLayer> {
        let content = KeyBuilder::new("root").part(&layer.content.0).part(&root.to_bytes()).finish();
        layer.content = ContentDigest(content.0);
        layer.root = Some(root);
        let noted = self.layers.store.put_meta(super::ROOT, &layer.content.to_string(), &root.to_bytes());
        noted.attempt(|| "failed to write to the cache".into())?;
        Ok(layer)
    }

    /// Turns what changed into a layer with a table of contents; its blob is made when an export wants it.
    fn record_changes(
        &self,
        staging: Staging,
        view: &TreeView,
        stamp: Option<&TreeStamp>,
    ) -> Result<TreeLayer> {
        let what = || "failed to record what the step changed".to_owned();
        let options = self.layers.diff_options();
        let created = now();
        let mut planned = match stamp {
            None => garboard_layer::diff_overlay(staging.fs(), view, options),
            Some(stamp) => garboard_layer::diff_trees(view, staging.fs(), Some(stamp), options),
        }
        .attempt(what)?;
        let stubs = missing_system_folders(view, &planned, created);
        if stamp.is_some() {
            planned.extend(stubs);
            return super::copy::write(&self.layers, planned, None);
        }
        // The folder of an overlay is the layer, but for the folders that only the image shows.
        for stub in &stubs {
            let folder = staging.fs().join(String::from_utf8_lossy(&stub.entry.path).as_ref());
            std::fs::create_dir_all(folder).attempt(what)?;
        }
        planned.extend(stubs);
        let targets = Targets { blob: None, folder: None, diff_id: false, ids: self.layers.ids };
        let written = garboard_layer::write_layer(planned.into_iter().map(Ok), targets).attempt(what)?;
        let toc = Arc::new(written.toc);
        let new = NewLayer {
            toc: Some(toc.clone()),
            keep_folder: true,
            created: Some(created),
            ..NewLayer::default()
        };
        let id = staging.commit(new).attempt(what)?;
        Ok(Self::own_layer(id, created, &toc))
    }
}

/// `/dev`, `/proc` and `/sys` stay behind as empty folders where an image had none: so do BuildKit's layers, and a
/// container of the image has the places to mount them.
fn missing_system_folders(view: &TreeView, planned: &[Planned], now: i64) -> Vec<Planned> {
    let missing =
        |path: &&[u8]| view.lookup(path).is_none() && !planned.iter().any(|p| p.entry.path == *path);
    let folder = |path: &[u8]| {
        Planned::bare(Entry {
            path: path.to_vec(),
            kind: EntryKind::Dir { opaque: false },
            mode: 0o755,
            uid: 0,
            gid: 0,
            mtime: Mtime { secs: now, nanos: 0 },
            xattrs: std::collections::BTreeMap::default(),
        })
    };
    [&b"dev"[..], b"proc", b"sys"].into_iter().filter(missing).map(folder).collect()
}

/// Passes on output until the process has ended and its pipes are dry; kills it when the build is canceled.
fn attend(child: Child, step: &Step, cancel: &Cancel) -> Result<Exit> {
    let what = || "failed to wait for a step".to_owned();
    let Child { stdout, stderr, handle, foreign_proc } = child;
    if foreign_proc {
        let text =
            b"/proc of this step shows all processes: the container around the build forbids mounting it\n";
        step.log(Stream::Stderr, text);
    }
    let mut pipes = vec![(File::from(stdout), Stream::Stdout), (File::from(stderr), Stream::Stderr)];
    let mut buffer = vec![0; 64 << 10];
    let mut killed = false;
    while !pipes.is_empty() {
        let ready: Vec<bool> = {
            let mut fds: Vec<PollFd<'_>> = pipes.iter().map(|(f, _)| PollFd::new(f, PollFlags::IN)).collect();
            if !killed {
                fds.push(PollFd::from_borrowed_fd(cancel.fd(), PollFlags::IN));
            }
            match poll(&mut fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(std::io::Error::from(e)).attempt(what),
            }
            fds.iter().map(|fd| !fd.revents().is_empty()).collect()
        };
        if !killed && ready.last() == Some(&true) {
            killed = true;
            handle.kill();
        }
        let mut ready = ready.into_iter();
        let mut failed = None;
        pipes.retain_mut(|(pipe, stream)| {
            if ready.next() != Some(true) {
                return true;
            }
            match pipe.read(&mut buffer) {
                Ok(0) => false,
                Ok(n) => {
                    step.log(*stream, &buffer[..n]);
                    true
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => true,
                Err(e) => {
                    failed = Some(e);
                    false
                }
            }
        });
        if let Some(e) = failed {
            return Err(e).attempt(what);
        }
    }
    handle.wait().attempt(what)
}

/// -1 stands for no limit.
fn limit(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

fn hosts_file(run: &RunOp) -> Vec<u8> {
    let mut text =
        format!("127.0.0.1\tlocalhost {}\n::1\tlocalhost ip6-localhost ip6-loopback\n", run.hostname);
    for (name, address) in &run.hosts {
        // Writing to a string can't fail.
        let _ = writeln!(text, "{address}\t{name}");
    }
    text.into_bytes()
}

fn exit_hint(exit: Exit) -> Option<String> {
    match exit.code() {
        _ if exit.oom => Some("the step ran out of memory and was killed".into()),
        137 => Some(
            "the step was killed (signal 9); most often the machine or its container ran out of memory"
                .into(),
        ),
        127 => Some("the shell didn't find a command; is it installed in this stage, and in PATH?".into()),
        126 => Some("a command was found but can't be executed; is it a program for this platform?".into()),
        _ => None,
    }
}

/// Whether the kernel can't make anything of a program, or not find what is to run it.
fn is_no_program(error: &garboard_sandbox::SpawnError) -> bool {
    use garboard_sandbox::SpawnError;
    match error {
        SpawnError::Exec { interpreter_missing, source, .. } => *interpreter_missing || is_no_exec(source),
        _ => false,
    }
}

fn is_no_exec(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error())
}

fn start_hint(error: &garboard_sandbox::SpawnError) -> Option<String> {
    use garboard_sandbox::SpawnError;
    match error {
        SpawnError::NotInPath { .. } => Some("is it installed in this stage? A shell's builtins need the shell form".into()),
        SpawnError::Exec { source, .. } if is_no_exec(source) => {
            Some("is it a script without a first line `#!/bin/sh`, or a program for another kind of processor?".into())
        }
        SpawnError::Exec { interpreter_missing: true, .. } => {
            Some("the image lacks the interpreter or loader that the program names in its first line or header".into())
        }
        SpawnError::UnknownUser { .. } | SpawnError::UnknownGroup { .. } => {
            Some("make the user in an earlier step, or give numbers".into())
        }
        SpawnError::Limit { .. } => Some(
            "steps can be limited and grouped only where control groups may be changed: run as root, or below a group of yours by `--cgroup-parent`, or \
             in a session of systemd; else leave the option out"
                .into(),
        ),
        SpawnError::UnmappedId { .. } => Some(
            "only some ids are known here: give this user ranges in /etc/subuid and /etc/subgid, and install newuidmap \
             (package uidmap)"
                .into(),
        ),
        _ => None,
    }
}
