//! What a remote cache says counts for the builds that read it, and for no others on the same machine.

use crate::remote_cache::{Machines, cached};

const BASE: &str = "FROM base\nRUN echo one > /one\nRUN cat /one > /two\n";
const MORE: &str = "FROM base\nRUN echo one > /one\nRUN cat /one > /two\nRUN cat /two > /three\n";

/// Builds on a machine; which steps came from a cache, and all that was said.
fn build(machines: &Machines, machine: &str, more: &[&str]) -> (usize, String) {
    let output = machines.run(machine, more);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    (cached(&text).len(), text)
}

fn cache(machines: &Machines, tag: &str) -> String {
    format!("{}/app:{tag}", machines.registry.host)
}

#[test]
fn what_was_taken_over_counts_only_for_who_reads_the_cache() {
    let Some(machines) = Machines::new() else { return };
    machines.context.write("Dockerfile", BASE);
    machines.build("one", &[]);
    machines.context.write("Dockerfile", MORE);
    let from = cache(&machines, "cache");
    assert_eq!(build(&machines, "two", &["--cache-from", &from]).0, 2);
    // What was made on top of it here rests on the same word.
    assert_eq!(build(&machines, "two", &["--cache-from", &from]).0, 3);
    let (count, text) = build(&machines, "two", &["--cache-from", &cache(&machines, "other")]);
    assert_eq!(count, 0, "{text}");
    assert!(text.contains("not cached: its result is from a cache that this build doesn't read"), "{text}");
    // Now it was made here.
    assert_eq!(build(&machines, "two", &[]).0, 3);
    assert_eq!(build(&machines, "two", &["--cache-from", &from]).0, 3);
    assert_eq!(build(&machines, "two", &[]).0, 3);
}

#[test]
fn a_store_may_believe_all_caches() {
    let Some(machines) = Machines::new() else { return };
    machines.context.write("Dockerfile", BASE);
    machines.build("one", &[]);
    machines.context.write("garboard.toml", "[store]\nbelieve-all-caches = true\n");
    let from = cache(&machines, "cache");
    assert_eq!(build(&machines, "two", &["--cache-from", &from]).0, 2);
    assert_eq!(build(&machines, "two", &["--config", "garboard.toml"]).0, 2);
    assert_eq!(build(&machines, "two", &[]).0, 0);
}

#[test]
fn what_was_made_here_is_not_replaced() {
    let Some(machines) = Machines::new() else { return };
    machines
        .context
        .write("Dockerfile", "FROM base\nRUN cat /proc/sys/kernel/random/uuid > /id\nRUN cat /id > /copy\n");
    machines.build("one", &[]);
    assert_eq!(build(&machines, "two", &[]).0, 0);
    let from = cache(&machines, "cache");
    assert_eq!(build(&machines, "two", &["--cache-from", &from]).0, 2);
    assert_eq!(machines.downloads(), Vec::<String>::new());
    assert_eq!(build(&machines, "two", &[]).0, 2);
}

/// What is copied, or mounted, from a stage that a cache vouches for.
#[test]
fn what_was_made_of_it_in_other_stages_rests_on_it_too() {
    let Some(machines) = Machines::new() else { return };
    machines.context.write("Dockerfile", "FROM base\nRUN echo one > /one\n");
    machines.build("one", &[]);
    let stages = "FROM base AS made\nRUN echo one > /one\nFROM base\nCOPY --from=made /one /copy\nRUN --mount=from=made,target=/m cat /m/one > /mounted\n";
    machines.context.write("Dockerfile", stages);
    let from = cache(&machines, "cache");
    assert_eq!(build(&machines, "two", &["--cache-from", &from]).0, 1);
    let (count, text) = build(&machines, "two", &[]);
    assert_eq!(count, 0, "{text}");
}
