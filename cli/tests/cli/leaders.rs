//! Builds that wait for each other, and what is in use while they run. Steps wait for a file in a cache mount, which is a
//! folder of the store: so no test depends on how quick anything is.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Child;

use serde_json::Value;

use crate::support::TestContext;

/// Notes that it runs, and waits.
const WAITS: &str = "FROM base
RUN --mount=type=cache,id=shared,target=/ran echo run >>/ran/runs; echo waiting; while [ ! -e /ran/go ]; do sleep 0.02; done; echo done >/done
";

const ARGS: [&str; 6] = ["build", "--progress=plain", "--build-context=base=base", "-o", "out", "c"];

fn start(context: &TestContext) -> Child {
    context.command(&ARGS).spawn().unwrap()
}

/// Starts a build, and comes back when its step runs.
fn start_waiting(context: &TestContext) -> Child {
    let mut child = start(context);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with(" waiting")));
    // Somebody has to read what it says.
    std::thread::spawn(move || lines.count());
    child
}

/// The folders of cache mounts.
fn mounts(context: &TestContext) -> Vec<PathBuf> {
    let entries = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten().map(|e| e.path());
    entries(context.root().join("cachemounts")).flat_map(entries).map(|slot| slot.join("data")).collect()
}

fn du(context: &TestContext) -> Vec<Value> {
    let output = context.output(&["du", "--format=json", "--filter=type=exec.cachemount"], b"");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_killed_leader_leaves_its_step_to_the_next() {
    let Some(context) = TestContext::with_base() else { return };
    context.write("c/Dockerfile", WAITS);
    let mut leader = start_waiting(&context);
    let followers = [start(&context), start(&context)];
    leader.kill().unwrap();
    leader.wait().unwrap();
    std::fs::write(mounts(&context)[0].join("go"), "").unwrap();
    for follower in followers {
        let output = follower.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(std::fs::read_to_string(context.work().join("out/done")).unwrap(), "done\n");
    let runs = std::fs::read_to_string(mounts(&context)[0].join("runs")).unwrap();
    assert_eq!(runs.lines().count(), 2, "the leader's, and that of one follower");
    assert!(context.run(&["debug", "fsck"]).contains("exit code: 0"));
}

#[test]
fn a_cache_mount_in_use_is_shown_and_stays() {
    let Some(context) = TestContext::with_base() else { return };
    context.write("c/Dockerfile", WAITS);
    let mut build = start_waiting(&context);
    let shown = du(&context);
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert_eq!((&shown[0]["inUse"], &shown[0]["mutable"]), (&true.into(), &true.into()));
    assert!(shown[0]["description"].as_str().unwrap().contains("shared"), "{shown:?}");
    for prune in [&["prune", "--all", "--force"][..], &["prune", "--force", "--filter=type=exec.cachemount"]]
    {
        assert!(context.run(prune).contains("exit code: 0"));
    }
    assert_eq!(std::fs::read_to_string(mounts(&context)[0].join("runs")).unwrap(), "run\n");
    build.kill().unwrap();
    build.wait().unwrap();
    // The warden of the killed build holds nothing, however long it takes to end.
    assert_eq!(du(&context)[0]["inUse"], false);
    let only_layers = context.run(&["prune", "--force", "--filter=type!=exec.cachemount"]);
    assert!(only_layers.contains("exit code: 0") && mounts(&context).len() == 1, "{only_layers}");
    let pruned = context.run(&["prune", "--force", "--filter=mutable", "--filter=unused-for=0s"]);
    assert!(pruned.contains("exec.cachemount") && mounts(&context).is_empty(), "{pruned}");
}
