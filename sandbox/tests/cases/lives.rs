//! Beginnings and ends of processes, also of those around them.

use std::fs;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Instant;

use garboard_sandbox::{BindSource, Child, MountKind, Process, spawn};
use rustix::fs::{FlockOperation, flock};

use super::cases;
use crate::support::{Kind, Stage, finish, mount};

cases! {
    ALL: descendants_end_with_the_program, in_parallel, dropped_means_killed, helper_killed, builder_killed, signals, speed;
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

/// A process that holds a lock of the host as long as it lives, in whatever way it is protected from signals.
fn holder(stage: &Stage, folder: &Path) -> Process {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("lock"), "").unwrap();
    let mut process = stage.sh("trap '' HUP INT TERM; flock /lock/lock sh -c 'echo held; sleep 100000'");
    let source = BindSource::Folder(folder.to_owned());
    process.mounts = vec![mount("/lock", MountKind::Bind { source, selector: "".into(), writable: true })];
    process
}

fn wait_for_word(child: &Child) {
    let mut word = [0; 100];
    let read = rustix::io::read(&child.stdout, &mut word).unwrap();
    if read == 0 {
        rustix::io::read(&child.stderr, &mut word).unwrap();
    }
    assert_eq!(str::from_utf8(&word).unwrap(), "held\n");
}

/// Waits until the holder of the lock is gone; for ever, if it isn't going to be.
fn wait_for_lock(folder: &Path) {
    let lock = File::open(folder.join("lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
}

fn dropped_means_killed(_: Kind) {
    let stage = Stage::new();
    let folder = stage.path("lock");
    let child = spawn(&holder(&stage, &folder)).unwrap();
    wait_for_word(&child);
    drop(child);
    wait_for_lock(&folder);
}

fn builder_killed(_: Kind) {
    let stage = Stage::new();
    let folder = stage.path("lock");
    let mut builder = Command::new("/proc/self/exe");
    let mut builder = builder.arg("--hold").arg(&folder).stdout(Stdio::piped()).spawn().unwrap();
    let mut word = [0; 5];
    std::io::Read::read_exact(builder.stdout.as_mut().unwrap(), &mut word).unwrap();
    builder.kill().unwrap();
    builder.wait().unwrap();
    wait_for_lock(&folder);
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
    let folder = stage.path("lock");
    let child = spawn(&holder(&stage, &folder)).unwrap();
    wait_for_word(&child);
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", child.handle.as_fd().as_raw_fd())).unwrap();
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:")).unwrap().trim();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let warden = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim();
    assert!(Command::new("kill").args(["-9", warden]).status().unwrap().success());
    assert!(child.handle.wait().is_err());
    wait_for_lock(&folder);
    // The lock may be free a moment before the helper's socket is closed: one attempt may still meet the old helper.
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
