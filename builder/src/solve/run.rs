//! RUN: one process in the sandbox, on an overlay of the layers below; what it changed becomes a layer.

use std::io::Read;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

use garboard_cache::{NewLayer, Staging};
use garboard_layer::{DiffOptions, Entry, EntryKind, Mtime, Planned, Targets, TreeStamp, TreeView};
use garboard_sandbox::{Child, Exit, Network, Process, Root, Security};
use rustix::event::{PollFd, PollFlags, poll};

use super::mounts::Prepared;
use super::{Solver, now};
use crate::cancel::Cancel;
use crate::error::{Attempt, Error, Result};
use crate::event::Stream;
use crate::graph::RunOp;
use crate::layers::blocking;
use crate::reporter::Step;
use crate::request::NetworkMode;
use crate::tree::{Tree, TreeLayer};

const DEFAULT_SHM: u64 = 64 << 20;

impl Solver {
    pub(super) async fn run(self: &Arc<Self>, run: &RunOp, parent: &Tree, step: &Step) -> Result<TreeLayer> {
        let folders = self.layers.folders(parent).await?;
        let view = self.layers.view(parent).await?;
        let prepared = self.prepare_mounts(run).await?;
        let this = self.clone();
        let run = run.clone();
        let output = step.output();
        blocking(move || this.run_blocking(&run, folders, &view, prepared, &output)).await
    }

    fn run_blocking(
        &self,
        run: &RunOp,
        mut folders: Vec<PathBuf>,
        view: &TreeView,
        prepared: Prepared,
        output: &crate::reporter::Output,
    ) -> Result<TreeLayer> {
        let what = || "failed to prepare a layer".to_owned();
        let store = &self.layers.store;
        let staging = store.staging().attempt(what)?;
        let scratch = store.scratch().attempt(what)?;
        folders.reverse();
        let (root, stamp) = if self.environment.overlay {
            let root = Root::Overlay {
                lowers: folders,
                upper: staging.fs().to_owned(),
                work: staging.work().to_owned(),
                volatile: true,
            };
            (root, None)
        } else {
            super::mounts::copy_layers(&folders, staging.fs(), self.layers.ids)?;
            (Root::Folder(staging.fs().to_owned()), Some(TreeStamp::take(staging.fs()).attempt(what)?))
        };
        let process = self.process(run, root, prepared.mounts.clone(), prepared.env.clone(), scratch.path().to_owned());
        self.execute(run, &process, output)?;
        drop(prepared);
        self.record_changes(staging, view, stamp.as_ref())
    }

    fn process(
        &self,
        run: &RunOp,
        root: Root,
        mounts: Vec<garboard_sandbox::Mount>,
        secrets: Vec<(String, Vec<u8>)>,
        stub: PathBuf,
    ) -> Process {
        let mut env: Vec<std::ffi::OsString> =
            run.env.iter().chain(&run.proxy_env).map(|(k, v)| format!("{k}={v}").into()).collect();
        for (name, value) in secrets {
            let mut entry = format!("{name}=").into_bytes();
            entry.extend(value);
            env.retain(|e| !e.as_encoded_bytes().starts_with(format!("{name}=").as_bytes()));
            env.push(<std::ffi::OsString as std::os::unix::ffi::OsStringExt>::from_vec(entry));
        }
        Process {
            root,
            mounts,
            args: run.args.iter().map(Into::into).collect(),
            env,
            cwd: PathBuf::from(if run.cwd.is_empty() { "/" } else { &run.cwd }),
            user: run.user.clone(),
            hostname: run.hostname.clone(),
            network: if run.network == NetworkMode::None { Network::None } else { Network::Host },
            hosts: hosts_file(run),
            resolv_conf: self.environment.resolv_conf.clone(),
            shm_size: run.shm_size.unwrap_or(DEFAULT_SHM),
            ulimits: run
                .ulimits
                .iter()
                .map(|u| garboard_sandbox::Ulimit { name: u.name.clone(), soft: u.soft, hard: u.hard })
                .collect(),
            security: if run.insecure { Security::Insecure } else { Security::Sandbox },
            cgroup_parent: run.cgroup_parent.clone(),
            stub,
        }
    }

    /// Runs the process to its end and passes on what it prints.
    fn execute(&self, run: &RunOp, process: &Process, output: &crate::reporter::Output) -> Result<()> {
        let command = run.args.join(" ");
        let child = garboard_sandbox::spawn(process).map_err(|e| start_failure(&command, &e))?;
        let exit = attend(child, output, &self.cancel)?;
        match exit {
            _ if self.cancel.is_canceled() => Err(Error::Canceled.into()),
            Exit { code: Some(0), .. } => Ok(()),
            exit => Err(Error::Process { command, status: status_text(&exit), hint: exit_hint(&exit) }.into()),
        }
    }

    /// Turns what changed into a layer with a table of contents; its blob is made when an export wants it.
    fn record_changes(&self, staging: Staging, view: &TreeView, stamp: Option<&TreeStamp>) -> Result<TreeLayer> {
        let what = || "failed to record what the step changed".to_owned();
        let options = DiffOptions { ids: self.layers.ids };
        let created = now();
        let mut planned = match stamp {
            None => garboard_layer::diff_overlay(staging.fs(), view, options),
            Some(stamp) => garboard_layer::diff_trees(view, staging.fs(), Some(stamp), options),
        }
        .attempt(what)?;
        let stubs = missing_system_folders(view, &planned, created);
        // The folder of an overlay is the layer, but for the folders that only the image shows.
        let layer = if stamp.is_none() {
            for stub in &stubs {
                std::fs::create_dir_all(staging.fs().join(String::from_utf8_lossy(&stub.entry.path).as_ref()))
                    .attempt(what)?;
            }
            planned.extend(stubs);
            let targets = Targets { blob: None, folder: None, diff_id: false, ids: self.layers.ids };
            let written = garboard_layer::write_layer(planned.into_iter().map(Ok), targets).attempt(what)?;
            let toc = Arc::new(written.toc);
            let new =
                NewLayer { toc: Some(toc.clone()), keep_folder: true, created: Some(created), ..NewLayer::default() };
            let id = staging.commit(new).attempt(what)?;
            Self::own_layer(id, created, &toc)
        } else {
            planned.extend(stubs);
            let layer = self.layers.store.staging().attempt(what)?;
            let targets =
                Targets { blob: None, folder: Some(layer.fs()), diff_id: false, ids: self.layers.ids };
            let written = garboard_layer::write_layer(planned.into_iter().map(Ok), targets).attempt(what)?;
            let toc = Arc::new(written.toc);
            let new =
                NewLayer { toc: Some(toc.clone()), keep_folder: true, created: Some(created), ..NewLayer::default() };
            let id = layer.commit(new).attempt(what)?;
            Self::own_layer(id, created, &toc)
        };
        Ok(layer)
    }
}

/// `/dev`, `/proc` and `/sys` stay behind as empty folders where an image had none: so do BuildKit's layers, and a
/// container of the image has the places to mount them.
fn missing_system_folders(view: &TreeView, planned: &[Planned], now: i64) -> Vec<Planned> {
    let missing = |path: &&[u8]| {
        view.lookup(path).is_none() && !planned.iter().any(|p| p.entry.path == *path)
    };
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
fn attend(mut child: Child, output: &crate::reporter::Output, cancel: &Cancel) -> Result<Exit> {
    let what = || "failed to wait for a step".to_owned();
    let mut pipes = [
        (std::fs::File::from(child.take_stdout()), Stream::Stdout, true),
        (std::fs::File::from(child.take_stderr()), Stream::Stderr, true),
    ];
    let mut buffer = vec![0; 64 << 10];
    let mut killed = false;
    while pipes.iter().any(|(_, _, open)| *open) {
        let ready = {
            let mut fds: Vec<PollFd<'_>> =
                pipes.iter().filter(|(_, _, open)| *open).map(|(f, _, _)| PollFd::new(f, PollFlags::IN)).collect();
            let cancel_fd = cancel.fd();
            if !killed {
                fds.push(PollFd::from_borrowed_fd(cancel_fd.as_fd(), PollFlags::IN));
            }
            match poll(&mut fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(std::io::Error::from(e)).attempt(what),
            }
            fds.iter().map(|fd| !fd.revents().is_empty()).collect::<Vec<bool>>()
        };
        let mut ready = ready.into_iter();
        for (pipe, stream, open) in pipes.iter_mut().filter(|(_, _, open)| *open) {
            if ready.next() != Some(true) {
                continue;
            }
            match pipe.read(&mut buffer) {
                Ok(0) => *open = false,
                Ok(n) => output.log(*stream, &buffer[..n]),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e).attempt(what),
            }
        }
        if ready.next() == Some(true) {
            killed = true;
            child.kill().attempt(what)?;
        }
    }
    child.wait().attempt(what)
}

fn hosts_file(run: &RunOp) -> Vec<u8> {
    let mut text = format!("127.0.0.1\tlocalhost {}\n::1\tlocalhost ip6-localhost ip6-loopback\n", run.hostname);
    for (name, address) in &run.hosts {
        text.push_str(&format!("{address}\t{name}\n"));
    }
    text.into_bytes()
}

fn status_text(exit: &Exit) -> String {
    match (exit.code, exit.signal) {
        (Some(code), _) => format!("exit code: {code}"),
        (None, Some(signal)) => format!("exit code: {}", 128 + signal),
        (None, None) => "unknown status".to_owned(),
    }
}

fn exit_hint(exit: &Exit) -> Option<String> {
    match (exit.code, exit.signal) {
        _ if exit.oom => Some("the step ran out of memory and was killed".into()),
        (_, Some(9)) | (Some(137), _) => {
            Some("the step was killed (signal 9); most often the machine or its container ran out of memory".into())
        }
        (Some(127), _) => Some("the shell didn't find the command; is it installed in this stage, and in PATH?".into()),
        (Some(126), _) => Some("the command was found but can't be executed; is it a program for this platform?".into()),
        _ => None,
    }
}

fn start_failure(command: &str, error: &garboard_sandbox::SpawnError) -> crate::error::Failure {
    Error::Start { command: command.to_owned(), reason: error.to_string(), hint: error.hint() }.into()
}
