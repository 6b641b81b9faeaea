//! Results go to remote caches while later steps run. A step waits for a file in a cache mount, which is a folder of the
//! store.

use std::path::Path;
use std::time::{Duration, Instant};

use garboard_testkit::Fault;

use crate::remote_cache::{Machines, cached};

const WAITS: &str = "FROM base
RUN echo one > /one
RUN --mount=type=cache,target=/ran while [ ! -e /ran/go ]; do sleep 0.02; done; echo two > /two
";

/// Longer than anything takes.
const LONG: Duration = Duration::from_mins(1);

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < LONG, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The folder of the one cache mount of a store.
fn mount(root: &Path) -> Option<std::path::PathBuf> {
    let first = |path: &Path| Some(std::fs::read_dir(path).ok()?.flatten().next()?.path());
    Some(first(&first(&root.join("cachemounts"))?)?.join("data")).filter(|path| path.is_dir())
}

fn start(machines: &Machines, cache: &str, output: &str) -> std::process::Child {
    let to = format!("type=registry,ref={cache}");
    let args =
        ["build", "--progress=plain", "--build-context", "base=base", "--cache-to", &to, "-o", output, "."];
    let mut command = machines.context.command(&args);
    command.env("GARBOARD_ROOT", machines.context.work().join("../one"));
    command.spawn().unwrap()
}

#[test]
fn a_result_is_sent_before_the_next_is_made() {
    let Some(machines) = Machines::new() else { return };
    machines.context.write("Dockerfile", WAITS);
    let cache = format!("{}/behind:x", machines.registry.host);
    let build = start(&machines, &cache, "type=cacheonly");
    // The layer and its table of contents.
    let sent =
        || machines.registry.state().blobs.keys().filter(|(repository, _)| repository == "behind").count();
    wait_for("nothing is sent", || (sent() >= 2).then_some(()));
    let folder = wait_for("no cache mount", || mount(&machines.context.work().join("../one")));
    assert!(machines.registry.state().manifests.is_empty(), "a segment is written at the end");
    std::fs::write(folder.join("go"), "").unwrap();
    let output = build.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let log = machines.registry.take_log();
    let mut asked: Vec<&String> = log.iter().filter(|line| line.starts_with("HEAD ")).collect();
    asked.sort();
    let all = asked.len();
    asked.dedup();
    assert!(all == asked.len() && all >= 5, "two layers, two tables and the segment, each once: {log:#?}");
    let output = machines.run("two", &["--cache-from", &cache, "-o", "type=cacheonly"]);
    assert_eq!(cached(&String::from_utf8_lossy(&output.stderr)).len(), 2);
}

#[test]
fn what_cannot_be_sent_early_fails_no_build() {
    let Some(machines) = Machines::new() else { return };
    machines.context.write("Dockerfile", "FROM base\nRUN echo one > /one\nRUN echo two > /two\n");
    let cache = format!("{}/behind:x", machines.registry.host);
    machines.registry.fault("POST", "/behind/blobs/uploads/", 4, Fault::Status(500, vec![], ""));
    let output = machines.run("one", &["--cache-to", &cache, "-o", "type=cacheonly"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // A build that fails ends at once, whatever is being sent.
    machines.context.write("Dockerfile", "FROM base\nRUN echo three > /three\nRUN exit 3\n");
    machines.registry.fault("POST", "/behind/blobs/uploads/", 100, Fault::Silence);
    let output = machines.run("one", &["--cache-to", &cache, "-o", "type=cacheonly"]);
    assert!(!output.status.success());
}

/// What a step costs decides, and not what it is.
#[test]
fn cheap_results_are_left_out_where_that_is_wanted() {
    let Some(machines) = Machines::new() else { return };
    let lines = "FROM base\nRUN echo one > /one\nRUN sleep 1.5; echo two > /two\nRUN echo three > /three\n";
    machines.context.write("Dockerfile", lines);
    let cache = format!("{}/cheap:x", machines.registry.host);
    let to = format!("type=registry,ref={cache},skip-cheap=true");
    let output = machines.run("one", &["--cache-to", &to, "-o", "type=cacheonly"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let root = machines.context.work().join("../one");
    let du = machines.context.output(&["--root", root.to_str().unwrap(), "du", "--format=json"], b"");
    let items: Vec<serde_json::Value> = serde_json::from_slice(&du.stdout).unwrap();
    let last = items.iter().find(|item| item["description"].as_str().unwrap().ends_with("> /three")).unwrap();
    // A machine may be slow.
    let is_cheap = last["durationMs"].as_u64().unwrap() < 200;
    let output = machines.run("two", &["--cache-from", &cache, "-o", "type=cacheonly"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let expected = if is_cheap { 2 } else { 3 };
    assert_eq!(cached(&text).len(), expected, "the dear one, and the one below it: {text}");
}
