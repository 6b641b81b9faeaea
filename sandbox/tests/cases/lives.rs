//! Beginnings and ends of processes, also of those around them.

use std::fs;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Instant;

use garboard_sandbox::{BindSource, Child, MountKind, Process, Root, spawn};
use rustix::fs::{CWD, FileType, Mode, OFlags};

use super::cases;
use crate::support::{Kind, Stage, finish, list, mount};

cases! {
    ALL: descendants_end_with_the_program, in_parallel, dropped_means_killed, helper_killed, builder_killed, signals, ignored_children, speed;
}

fn descendants_end_with_the_program(_: Kind) {
    let stage = Stage::new();
    // The pipes reach their end only because the sleeper is gone.
    let outcome = stage.run(&stage.sh("sleep 100000 & (sleep 100000 &) ; echo done; exit 3"));
    assert_eq!((outcome.code, outcome.out.as_str()), (3, "done\n"));
}

fn in_parallel(_: Kind) {
    let stages: Vec<_> = (0..8).map(|_| Stage::new()).collect();
    thread::scope(|scope| {
        for (number, stage) in stages.iter().enumerate() {
            scope.spawn(move || {
                for round in 0..10 {
                    let code = (number * 10 + round) as i32;
                    let outcome = stage.run(&stage.sh(&format!("echo {code}; exit {code}")));
                    assert_eq!((outcome.code, outcome.out), (code, format!("{code}\n")));
                    assert_eq!(stage.changes(), [""; 0]);
                }
            });
        }
    });
}

/// A process that holds a named pipe of the host open as long as it lives, and cares for no signal.
fn holder(stage: &Stage, folder: &Path) -> Process {
    let mut process = stage.sh("trap '' HUP INT TERM; exec 9> /held/pipe; echo held; sleep 100000");
    let source = BindSource::Folder(folder.to_owned());
    process.mounts = vec![mount("/held", MountKind::Bind { source, selector: "".into(), writable: true })];
    process
}

/// The other end of the pipe.
fn pipe_in(folder: &Path) -> OwnedFd {
    fs::create_dir_all(folder).unwrap();
    rustix::fs::mknodat(CWD, folder.join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    // Not to wait for the writer, who would wait for us.
    let pipe = rustix::fs::open(
        folder.join("pipe"),
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
        Mode::empty(),
    );
    let pipe = pipe.unwrap();
    rustix::fs::fcntl_setfl(&pipe, OFlags::empty()).unwrap();
    pipe
}

fn wait_for_word(child: &Child) {
    let mut word = [0; 5];
    let mut out = File::from(child.stdout.try_clone().unwrap());
    out.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"held\n");
}

/// Waits until the holder of the pipe is gone; for ever, if it isn't going to be.
fn wait_for_end(pipe: OwnedFd) {
    assert_eq!(File::from(pipe).read(&mut [0]).unwrap(), 0);
}

fn dropped_means_killed(_: Kind) {
    let stage = Stage::new();
    let folder = stage.path("held");
    let pipe = pipe_in(&folder);
    let child = spawn(&holder(&stage, &folder)).unwrap();
    wait_for_word(&child);
    drop(child);
    wait_for_end(pipe);
}

fn builder_killed(_: Kind) {
    let stage = Stage::new();
    let folder = stage.path("held");
    let pipe = pipe_in(&folder);
    let mut builder = Command::new("/proc/self/exe");
    let mut builder = builder
        .arg("--hold")
        .arg(&folder)
        .env("TMPDIR", stage.folder("tmp"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut word = [0; 5];
    builder.stdout.as_mut().unwrap().read_exact(&mut word).unwrap();
    builder.kill().unwrap();
    builder.wait().unwrap();
    wait_for_end(pipe);
}

/// The builder that is killed: starts a step, says so, and waits.
pub(crate) fn hold(folder: &Path) -> ExitCode {
    let stage = Stage::new();
    let child = spawn(&holder(&stage, folder)).unwrap();
    wait_for_word(&child);
    println!("held");
    let _ = child.handle.wait();
    ExitCode::SUCCESS
}

fn helper_killed(_: Kind) {
    let stage = Stage::new();
    let folder = stage.path("held");
    let pipe = pipe_in(&folder);
    let mut process = holder(&stage, &folder);
    // Mount points are made in it, and have to go also now.
    process.root = Root::Folder(stage.base(""));
    let before = list(&stage.base(""));
    let child = spawn(&process).unwrap();
    wait_for_word(&child);
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", child.handle.as_fd().as_raw_fd())).unwrap();
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:")).unwrap().trim();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let warden = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim();
    assert!(Command::new("kill").args(["-9", warden]).status().unwrap().success());
    assert!(child.handle.wait().is_err());
    assert_eq!(list(&stage.base("")), before);
    wait_for_end(pipe);
    // The pipe may be closed a moment before the helper's socket is closed: one attempt may still meet the old helper.
    let other = Stage::new();
    let outcome = spawn(&other.sh("echo again")).or_else(|_| spawn(&other.sh("echo again"))).unwrap();
    assert_eq!(finish(outcome).success(), "again\n");
}

/// A program starts without what its builder ignored or blocked.
fn signals(_: Kind) {
    let stage = Stage::new();
    let out = stage.run(&stage.args(&["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"])).success();
    assert_eq!(out, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

/// A builder started by something that ignores the end of its children, as some supervisors do.
fn ignored_children(_: Kind) {
    let stage = Stage::new();
    // Shells quietly don't ignore this signal.
    let output = Command::new("env")
        .arg("--ignore-signal=CHLD")
        .arg(std::env::current_exe().unwrap())
        .arg("--once")
        .env("TMPDIR", stage.folder("tmp"))
        .output()
        .unwrap();
    assert_eq!((output.status.code(), &*output.stdout), (Some(7), &b"once\n"[..]), "{output:?}");
}

/// The builder so started: runs one step and ends as it does.
pub(crate) fn once() -> ExitCode {
    let stage = Stage::new();
    let outcome = stage.run(&stage.sh("echo once; exit 7"));
    print!("{}", outcome.out);
    ExitCode::from(outcome.code as u8)
}

fn speed(kind: Kind) {
    let stage = Stage::new();
    let process = stage.args(&["/bin/true"]);
    let mut times: Vec<_> = (0..30)
        .map(|_| {
            stage.clear();
            let start = Instant::now();
            let child = spawn(&process).unwrap();
            let started = start.elapsed();
            child.handle.wait().unwrap();
            (start.elapsed(), started)
        })
        .collect();
    times.sort();
    println!("     {kind:?}: spawn to end {:?}, spawn {:?} (median of 30)", times[15].0, times[15].1);
}
