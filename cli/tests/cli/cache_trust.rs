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

/// A step whose key doesn't tell what it makes: a cache may claim anything of it.
const SECRET: &str = "RUN --mount=type=secret,id=s cat /run/secrets/s > /id\n";

/// The file `/copy` of what a machine makes with the secret `secret`.
fn copied(machines: &Machines, machine: &str, secret: &str, more: &[&str]) -> String {
    machines.context.write("secret", secret);
    let out = machines.context.work().join("../out.tar");
    let output = format!("type=tar,dest={}", out.display());
    let mut args = vec!["--secret", "id=s,src=secret", "--output", &output];
    args.extend(more);
    build(machines, machine, &args);
    let file = std::process::Command::new("tar").arg("xOf").arg(&out).arg("copy").output().unwrap();
    String::from_utf8(file.stdout).unwrap()
}

/// A result that was made here of what a cache claims of a source isn't the result of the source's definition for others.
#[test]
fn what_a_source_is_rests_on_its_voucher_whoever_made_the_result() {
    let Some(machines) = Machines::new() else { return };
    let copy = "FROM base\nCOPY --from=made /id /copy\n";
    machines.context.write("secret", "evil");
    machines.context.write("Dockerfile", format!("FROM base\n{SECRET}"));
    machines.build("one", &["--secret", "id=s,src=secret"]);
    machines.context.write("Dockerfile", format!("FROM base AS made\nRUN printf evil > /id\n{copy}"));
    assert_eq!(copied(&machines, "two", "", &[]), "evil");
    machines.context.write("Dockerfile", format!("FROM base AS made\n{SECRET}{copy}"));
    let from = cache(&machines, "cache");
    assert_eq!(copied(&machines, "two", "evil", &["--cache-from", &from]), "evil");
    assert_eq!(copied(&machines, "two", "good", &[]), "good");
    // Who reads the cache has its word for it still, or what was made here since.
    assert_eq!(copied(&machines, "two", "good", &[]), "good");
}
