//! Cache mounts that machines share through a remote cache.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use garboard_testkit::Fault;

use crate::remote_cache::Machines;

/// Counts in a cache mount how often it ran, and shows it. `N` makes it run.
const COUNTS: &str = "FROM base
ARG N
RUN --mount=type=cache,target=/var/count,mode=0711 echo $N >>/var/count/runs; cat /var/count/runs >/runs
FROM scratch
COPY --from=0 /runs /
";

/// Builds; gives the lines that all runs left, and all that was said.
fn build(machines: &Machines, machine: &str, number: usize, more: &[&str]) -> (Vec<String>, String) {
    machines.context.write("Dockerfile", COUNTS);
    let out = format!("out-{machine}-{number}");
    let arg = format!("N={number}");
    let mut args = vec!["--build-arg", &arg, "-o", &out];
    args.extend(more);
    let output = machines.run(machine, &args);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    let runs = std::fs::read_to_string(machines.context.work().join(out).join("runs")).unwrap();
    (runs.lines().map(str::to_owned).collect(), text)
}

fn flags(machines: &Machines) -> [String; 4] {
    let cache = format!("type=registry,ref={}/mounts:x,cache-mounts=true", machines.registry.host);
    ["--cache-from".into(), cache.clone(), "--cache-to".into(), cache]
}

/// The folder of the one cache mount of a machine.
fn folder(machines: &Machines, machine: &str) -> PathBuf {
    let top = machines.context.work().join("..").join(machine).join("cachemounts");
    let only = |path: PathBuf| std::fs::read_dir(path).unwrap().next().unwrap().unwrap().path();
    only(only(top)).join("data")
}

#[test]
fn a_new_machine_goes_on_where_another_was() {
    let Some(machines) = Machines::new() else { return };
    let flags = flags(&machines);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let (runs, text) = build(&machines, "one", 1, &flags);
    assert!(runs == ["1"] && text.contains(", 1 cache mounts"), "{text}");
    let first = folder(&machines, "one");
    std::fs::create_dir(first.join("d")).unwrap();
    std::fs::write(first.join("d/old"), "old").unwrap();
    std::os::unix::fs::symlink("d/old", first.join("link")).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    std::fs::File::open(first.join("d/old")).unwrap().set_modified(time).unwrap();
    std::fs::set_permissions(first.join("d"), PermissionsExt::from_mode(0o750)).unwrap();
    build(&machines, "one", 2, &flags);
    let (runs, text) = build(&machines, "two", 3, &flags);
    assert_eq!(runs, ["1", "2", "3"], "{text}");
    assert!(text.contains("restoring cache mount"), "{text}");
    let second = folder(&machines, "two");
    assert_eq!(
        std::fs::metadata(second.join("d/old")).unwrap().modified().unwrap(),
        time,
        "tools go by times"
    );
    assert_eq!(std::fs::read_link(second.join("link")).unwrap().to_str(), Some("d/old"));
    let mode = |path: &str| std::fs::metadata(second.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("d"), mode(".")), (0o750, 0o711));
    // What is there isn't fetched again; what a third machine gets is the newest.
    let (runs, text) = build(&machines, "two", 4, &flags);
    assert!(runs.len() == 4 && !text.contains("restoring"), "{text}");
    assert_eq!(build(&machines, "three", 5, &flags).0, ["1", "2", "3", "4", "5"]);
}

#[test]
fn other_builds_have_folders_of_their_own() {
    let Some(machines) = Machines::new() else { return };
    let flags = flags(&machines);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    build(&machines, "one", 1, &flags);
    build(&machines, "two", 2, &flags);
    assert_eq!(build(&machines, "two", 3, &[]).0, ["3"]);
    // Nor do results that rest on such a folder count for them.
    let (runs, text) = build(&machines, "two", 2, &[]);
    assert_eq!(runs, ["3", "2"], "{text}");
    machines.context.write("all.toml", "[store]\nbelieve-all-caches = true\n");
    let mut trusting = vec!["--config", "all.toml"];
    trusting.extend(&flags);
    assert_eq!(build(&machines, "two", 4, &trusting).0, ["3", "2", "4"]);
}

#[test]
fn what_is_too_big_is_left_out() {
    let Some(machines) = Machines::new() else { return };
    let flags = flags(&machines);
    let small = format!("{},cache-mounts-size=1b", flags[1]);
    let (_, text) = build(&machines, "one", 1, &["--cache-to", &small]);
    assert!(text.contains("is left out: it has 2 bytes, and 1 at most are kept"), "{text}");
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    assert_eq!(build(&machines, "two", 2, &flags).0, ["2"]);
}

#[test]
fn a_cache_mount_that_cannot_be_fetched_begins_anew() {
    let Some(machines) = Machines::new() else { return };
    let flags = flags(&machines);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    build(&machines, "one", 1, &flags);
    {
        let mut state = machines.registry.state();
        for bytes in state.blobs.values_mut() {
            let is_tar = zstd::decode_all(&bytes[..]).is_ok_and(|tar| tar.get(257..262) == Some(b"ustar"));
            if is_tar {
                bytes.reverse();
            }
        }
    }
    let (runs, text) = build(&machines, "two", 2, &flags);
    assert!(runs == ["2"] && text.contains("left out"), "{text}");
    machines.registry.fault("POST", "/mounts/blobs/uploads/", 100, Fault::Status(403, vec![], ""));
    build(&machines, "two", 3, &flags);
}
