//! Caches that many builds wrote to: their segments become one.

use std::fmt::Write as _;

use garboard_testkit::Fault;

use crate::remote_cache::{Machines, cached};

/// So many segments are folded into one.
const MANY: usize = 32;

/// Lets builds write so many segments, each with a step of its own. Each number makes another step.
fn write(machines: &Machines, numbers: std::ops::Range<usize>) {
    let to = format!("type=registry,ref={}/many:x", machines.registry.host);
    for number in numbers {
        machines.context.write("Dockerfile", format!("FROM base\nRUN echo {number} > /number\n"));
        let output = machines.run("writer", &["--cache-to", &to, "-o", "type=cacheonly"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// How many steps a machine that was never used before finds of so many builds', and what it said.
fn found(machines: &Machines, machine: &str, count: usize) -> (usize, String) {
    let mut stages = String::new();
    let mut last = "FROM base\n".to_owned();
    for number in 0..count {
        let _ = write!(stages, "FROM base AS s{number}\nRUN echo {number} > /number\n");
        let _ = writeln!(last, "COPY --from=s{number} /number /n{number}");
    }
    machines.context.write("Dockerfile", stages + &last);
    let from = format!("{}/many:x", machines.registry.host);
    let output = machines.run(machine, &["--cache-from", &from, "-o", "type=cacheonly"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    (cached(&text).len(), text)
}

fn tags(machines: &Machines) -> usize {
    machines.registry.state().manifests.keys().filter(|(_, tag)| tag.contains(".seg-")).count()
}

#[test]
fn many_segments_become_one() {
    let Some(machines) = Machines::new() else { return };
    write(&machines, 0..MANY + 2);
    assert_eq!(tags(&machines), 2, "one of all before, one of the last build");
    let (count, text) = found(&machines, "reader", MANY + 2);
    assert_eq!(count, MANY + 2, "{text}");
    assert!(text.contains(" 2 segments"), "{text}");
}

#[test]
fn where_nothing_may_be_removed_the_old_ones_are_not_read() {
    let Some(machines) = Machines::new() else { return };
    machines.registry.state().deletes = false;
    write(&machines, 0..MANY + 2);
    assert_eq!(tags(&machines), MANY + 2);
    let (count, text) = found(&machines, "reader", MANY + 2);
    assert_eq!(count, MANY + 2, "{text}");
    assert!(text.contains(" 2 segments"), "{text}");
    // Nor is all folded again with each build.
    let largest = || {
        let state = machines.registry.state();
        let segments = state.manifests.iter().filter(|((_, tag), _)| tag.contains(".seg-"));
        segments.filter(|(_, (_, manifest))| manifest.len() > 10_000).count()
    };
    let before = largest();
    write(&machines, MANY + 2..MANY + 4);
    assert_eq!((before, largest()), (1, 1));
}

#[test]
fn what_is_gone_since_it_was_listed_is_found_where_it_is_now() {
    let Some(machines) = Machines::new() else { return };
    write(&machines, 0..3);
    // The segments are the only blobs that are asked for.
    machines.registry.fault("GET", "/blobs/", 1, Fault::Status(404, vec![], ""));
    let (count, text) = found(&machines, "reader", 2);
    // The one that is gone is gone; the others are read all the same.
    assert!(count > 0, "{text}");
    assert!(text.contains(" 2 segments"), "{text}");
    let lists = machines.registry.take_log().iter().filter(|line| line.contains("/tags/list")).count();
    assert_eq!(lists, 2, "listed again");
}
