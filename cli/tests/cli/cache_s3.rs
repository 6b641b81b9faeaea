//! Caches in a bucket, of a server that looks at signatures.

use std::time::{Duration, SystemTime};

use crate::remote_cache::cached;
use crate::support::machines::{Machines, noise};
use crate::support::s3::{KEYS, S3Server};

fn start(more: &str) -> Option<(S3Server, Machines)> {
    let server = S3Server::start()?;
    let cache = server.cache(&format!("{KEYS}{more}"));
    let machines = Machines::new(cache.clone(), cache)?;
    Some((server, machines))
}

#[test]
fn a_new_machine_has_what_another_made() {
    let Some((server, machines)) = start(",prefix=team/,name=app;main") else { return };
    let text = machines.build("one", &[]);
    assert!(cached(&text).is_empty() && text.contains("7 steps"), "{text}");
    assert!(!text.contains("SECRETKEY"), "{text}");
    assert!(!server.objects("team/blobs/sha256").is_empty());
    for name in ["app", "main"] {
        assert_eq!(server.objects(&format!("team/manifests/{name}.segments/")).len(), 1);
    }
    let text = machines.build("two", &[]);
    assert_eq!(cached(&text).len(), 5, "{text}");
    assert!(text.contains("nothing new"), "{text}");
    machines.context.write("src/a", "changed");
    let text = machines.build("three", &[]);
    assert_eq!(cached(&text), ["RUN echo one > /one", "RUN echo tool > /tool"], "{text}");
    let text = machines.file(
        "four",
        "sum",
        &["--cache-from", &server.cache(&format!("{KEYS},prefix=team/,name=main"))],
    );
    assert_eq!(text, b"changedb");
}

/// There are more than a page of other names, which are none of segments, so that nothing else is fetched.
#[test]
fn the_newest_segments_are_found_behind_many() {
    let Some((server, machines)) = start("") else { return };
    machines.build("one", &[]);
    let folder = server.objects(".segments/")[0].parent().unwrap().to_owned();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for (time, count) in [(1, 1100), (now - 3600, 250)] {
        for n in 0..count {
            std::fs::write(folder.join(format!("{time:08x}-{n}")), "").unwrap();
        }
    }
    let text = machines.build("two", &[]);
    assert_eq!(cached(&text).len(), 5, "{text}");
}

#[test]
fn keys_may_be_the_environment_s_and_layers_come_later() {
    let Some(server) = S3Server::start() else { return };
    let cache = server.cache("mode=max");
    let from = server.cache("name=buildkit");
    let Some(machines) = Machines::new(from, cache) else { return };
    let machines = machines.env("AWS_ACCESS_KEY_ID", "ACCESSKEY").env("AWS_SECRET_ACCESS_KEY", "SECRETKEY");
    machines.build("one", &[]);
    let text = machines.build("two", &[]);
    assert_eq!(cached(&text).len(), 5, "{text}");
    // Nothing was fetched so far. The cache needn't be named again.
    assert_eq!(machines.file("two", "sum", &[]), b"ab");
    let text = machines.build("three", &[]);
    assert_eq!(cached(&text).len(), 5, "{text}");
    for object in server.objects("blobs/sha256") {
        std::fs::remove_file(object).unwrap();
    }
    assert_eq!(machines.file("three", "sum", &[]), b"ab");
}

#[test]
fn wrong_keys_are_no_failure_and_are_not_shown() {
    let Some(server) = S3Server::start() else { return };
    for keys in
        ["access_key_id=ACCESSKEY,secret_access_key=hushhush", "access_key_id=hushhush,secret_access_key=x"]
    {
        let cache = server.cache(keys);
        let Some(machines) = Machines::new(cache.clone(), cache.clone()) else { return };
        let text = machines.build("one", &[]);
        assert!(text.contains("left out") && !text.contains("hushhush"), "{text}");
        let strict = machines.run("two", &["--cache-to", &format!("{cache},ignore-error=false")]);
        let text = String::from_utf8_lossy(&strict.stderr);
        assert!(!strict.status.success() && !text.contains("hushhush"), "{text}");
    }
}

#[test]
fn large_layers_go_in_pieces() {
    let Some((server, machines)) = start("") else { return };
    machines.context.write("big", noise(20_000_000));
    let dockerfile =
        "FROM base\nCOPY big /big\nRUN echo x > /x\nCOPY last /last\nRUN cat /big /last > /sum\n";
    machines.context.write("Dockerfile", dockerfile);
    machines.build("one", &[]);
    let largest = server.objects("blobs/").iter().map(|path| path.metadata().unwrap().len()).max();
    assert!(largest > Some(20_000_000), "{largest:?}");
    machines.context.write("last", "changed");
    let text = machines.build("two", &[]);
    assert_eq!(cached(&text).len(), 2, "{text}");
    assert_eq!(machines.file("two", "sum", &[]).len(), 20_000_007);
}

#[test]
fn a_layer_that_vanished_is_made_again() {
    let Some((server, machines)) = start("") else { return };
    machines.build("one", &[]);
    for object in server.objects("blobs/sha256") {
        std::fs::remove_file(object).unwrap();
    }
    machines.context.write("src/a", "changed");
    let text = machines.build("two", &[]);
    assert!(text.contains("is made again"), "{text}");
    machines.context.write("src/a", "changed again");
    let text = machines.build("three", &[]);
    assert_eq!(cached(&text).len(), 2, "{text}");
    assert!(!text.contains("is made again"), "{text}");
}

#[test]
fn damage_is_a_miss() {
    let Some((server, machines)) = start("") else { return };
    machines.build("one", &[]);
    for object in server.objects("") {
        let mut bytes = std::fs::read(&object).unwrap();
        bytes.reverse();
        std::fs::write(&object, bytes).unwrap();
    }
    let text = machines.build("two", &[]);
    assert!(cached(&text).is_empty(), "{text}");
}

#[test]
fn a_server_that_falls_silent_or_dies_is_done_without() {
    let Some((server, machines)) = start("") else { return };
    machines.build("one", &[]);
    let text = machines.build("two", &[]);
    assert_eq!(cached(&text).len(), 5, "{text}");
    server.freeze();
    let text = machines.build("three", &[]);
    assert!(cached(&text).is_empty() && text.contains("left out"), "{text}");
    // This one's layers are there only.
    assert_eq!(machines.file("two", "sum", &[]), b"ab");
    let host = server.host.clone();
    drop(server);
    let text = machines.build("four", &[]);
    assert!(cached(&text).is_empty() && text.contains(&host), "{text}");
}

#[test]
fn what_is_in_use_is_made_new() {
    let Some((server, machines)) = start(",touch_refresh=1h") else { return };
    machines.context.write("Dockerfile", "FROM base\nRUN echo one > /one\n");
    machines.build("one", &[]);
    let old = SystemTime::now() - Duration::from_hours(48);
    let objects = server.objects("blobs/sha256");
    let age = |path: &std::path::PathBuf| path.metadata().unwrap().modified().unwrap().elapsed().unwrap();
    for object in &objects {
        std::fs::File::options().write(true).open(object).unwrap().set_modified(old).unwrap();
    }
    // As long as the records are new nobody looks.
    machines.build("two", &[]);
    assert!(objects.iter().all(|path| age(path) > Duration::from_hours(40)));
    let cache = server.cache(&format!("{KEYS},touch_refresh=0"));
    let text = machines.build("three", &["--cache-to", &cache]);
    assert!(text.contains("2 steps"), "{text}");
    assert!(objects.iter().all(|path| age(path) < Duration::from_hours(1)), "{text}");
}

#[test]
fn many_segments_become_one() {
    let Some((server, machines)) = start("") else { return };
    machines.context.write("Dockerfile", "FROM base\nARG N\nRUN echo $N > /n\n");
    for n in 0..17 {
        machines.build("one", &["--build-arg", &format!("N={n}")]);
    }
    assert_eq!(server.objects("manifests/").len(), 1);
    for n in [0, 8, 16] {
        let text = machines.build(&format!("m{n}"), &["--build-arg", &format!("N={n}")]);
        assert_eq!(cached(&text).len(), 1, "{n}: {text}");
    }
}
