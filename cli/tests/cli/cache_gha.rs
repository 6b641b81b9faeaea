//! Caches with the cache service of GitHub Actions, of which a stand-in is in the test.

use garboard_testkit::{FakeActions, Fault, SIGNATURE};

use crate::remote_cache::cached;
use crate::support::machines::{Machines, noise};

const MAIN: &str = "refs/heads/main";
const FEATURE: &str = "refs/heads/feature";

/// Machines that run jobs of a branch; they may read those after it, too.
fn start(actions: &FakeActions, branches: &[&str]) -> Option<Machines> {
    let machines = Machines::new("type=gha", "type=gha,mode=max")?;
    let token = FakeActions::token(branches);
    Some(machines.env("ACTIONS_RESULTS_URL", &actions.url()).env("ACTIONS_RUNTIME_TOKEN", &token))
}

/// How a branch is told to a build: as its token.
fn job(actions: &FakeActions, branches: &[&str]) -> String {
    format!("type=gha,url_v2={},token={}", actions.url(), FakeActions::token(branches))
}

fn index_keys(actions: &FakeActions) -> Vec<String> {
    let state = actions.state();
    state.entries.iter().map(|entry| entry.key.clone()).filter(|key| key.contains(".seg-")).collect()
}

#[test]
fn a_new_machine_has_what_another_made() {
    let actions = FakeActions::start_in_thread();
    let Some(machines) = start(&actions, &[MAIN]) else { return };
    let text = machines.build("one", &[]);
    assert!(cached(&text).is_empty() && text.contains("7 steps"), "{text}");
    let text = machines.build("two", &[]);
    assert_eq!(cached(&text).len(), 5, "{text}");
    assert!(text.contains("nothing new"), "{text}");
    machines.context.write("src/a", "changed");
    let text = machines.build("three", &[]);
    assert_eq!(cached(&text), ["RUN echo one > /one", "RUN echo tool > /tool"], "{text}");
    assert!(!text.contains(SIGNATURE) && !text.contains("head."), "{text}");
    assert_eq!(machines.file("four", "sum", &["--cache-from", "type=gha"]), b"changedb");
    assert_eq!(index_keys(&actions).len(), 2);
    // Without a job there is no service.
    let text = machines.file("five", "sum", &["--cache-from", "type=gha,scope=other"]);
    assert_eq!(text, b"changedb");
}

#[test]
fn branches_read_those_of_the_main_one() {
    let actions = FakeActions::start_in_thread();
    let Some(machines) = start(&actions, &[FEATURE, MAIN]) else { return };
    let main = job(&actions, &[MAIN]);
    let on_main = |machine: &str| {
        let done = machines.run(machine, &["--cache-from", &main, "--cache-to", &main]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stderr).into_owned()
    };
    on_main("one");
    machines.context.write("last", "of the branch");
    let text = machines.build("two", &[]);
    assert_eq!(cached(&text).len(), 4, "{text}");
    // Its own is read, and what came to the main one since.
    machines.context.write("last", "of main");
    on_main("three");
    let text = machines.build("four", &[]);
    assert_eq!(cached(&text).len(), 5, "{text}");
    machines.context.write("last", "of the branch");
    let text = machines.build("five", &[]);
    assert_eq!(cached(&text).len(), 5, "{text}");
    assert_eq!(cached(&on_main("six")).len(), 4);
}

#[test]
fn jobs_that_write_at_once_lose_nothing() {
    let actions = FakeActions::start_in_thread();
    let Some(machines) = start(&actions, &[MAIN]) else { return };
    let names: Vec<String> = (0..6).map(|job| format!("job{job}")).collect();
    std::thread::scope(|scope| {
        for name in &names {
            let machines = &machines;
            scope.spawn(move || {
                let arg = format!("JOB={name}");
                let file = format!("{name}.Dockerfile");
                machines.context.write(&file, "FROM base\nARG JOB\nRUN echo $JOB > /job\n");
                machines.build(name, &["--build-arg", &arg, "-f", &file]);
            });
        }
    });
    for name in &names {
        let arg = format!("JOB={name}");
        let file = format!("{name}.Dockerfile");
        let text = machines.build("reader", &["--build-arg", &arg, "-f", &file]);
        assert_eq!(cached(&text).len(), 1, "{name}: {text}");
    }
}

#[test]
fn a_job_that_died_while_it_wrote_is_passed_over() {
    let actions = FakeActions::start_in_thread();
    let Some(machines) = start(&actions, &[MAIN]) else { return };
    machines.build("one", &[]);
    // The first segment was begun only.
    let first = index_keys(&actions).remove(0);
    actions.state().entries.iter_mut().find(|entry| entry.key == first).unwrap().data = None;
    let text = machines.build("two", &[]);
    assert!(cached(&text).is_empty(), "{text}");
    assert_eq!(index_keys(&actions).len(), 2);
    let text = machines.build("three", &[]);
    assert_eq!(cached(&text).len(), 5, "{text}");
}

#[test]
fn layers_that_somebody_began_to_write_are_written() {
    let actions = FakeActions::start_in_thread();
    let Some(machines) = start(&actions, &[MAIN]) else { return };
    machines.build("one", &[]);
    for entry in &mut actions.state().entries {
        entry.data = None;
    }
    let text = machines.build("one", &[]);
    assert!(text.contains("6 steps"), "{text}");
    machines.context.write("src/a", "changed");
    let text = machines.build("two", &[]);
    assert!(cached(&text).contains(&"RUN echo one > /one"), "{text}");
    assert!(!text.contains("is made again"), "{text}");
}

#[test]
fn large_layers_go_in_blocks_and_addresses_end() {
    let actions = FakeActions::start_in_thread();
    let Some(machines) = start(&actions, &[MAIN]) else { return };
    machines.context.write("big", noise(20_000_000));
    let dockerfile =
        "FROM base\nCOPY big /big\nRUN echo x > /x\nCOPY last /last\nRUN cat /big /last > /sum\n";
    machines.context.write("Dockerfile", dockerfile);
    machines.build("one", &[]);
    assert!(actions.state().entries.iter().any(|e| e.data.as_ref().is_some_and(|d| d.len() > 20_000_000)));
    machines.context.write("last", "changed");
    // Part of the bytes come; then the address has ended.
    actions.server.fault("GET", "/storage/", 1, Fault::Status(403, vec![], "the signature is no good"));
    actions.server.fault("GET", "/storage/", 3, Fault::Short(300_000));
    let text = machines.build("two", &[]);
    assert_eq!(cached(&text).len(), 2, "{text}");
    assert_eq!(machines.file("two", "sum", &[]).len(), 20_000_007);
}

#[test]
fn an_entry_that_vanished_is_made_again() {
    let actions = FakeActions::start_in_thread();
    let Some(machines) = start(&actions, &[MAIN]) else { return };
    machines.build("one", &[]);
    actions.state().entries.retain(|entry| !entry.key.contains("blob"));
    machines.context.write("src/a", "changed");
    let text = machines.build("two", &[]);
    assert!(text.contains("is made again"), "{text}");
    machines.context.write("src/a", "changed again");
    let text = machines.build("three", &[]);
    assert_eq!(cached(&text).len(), 2, "{text}");
    assert!(!text.contains("is made again"), "{text}");
}

#[test]
fn a_layer_that_cannot_be_sent_takes_no_other_along() {
    let actions = FakeActions::start_in_thread();
    let Some(machines) = start(&actions, &[MAIN]) else { return };
    // The first try, while the next steps run, and maybe those at the end.
    actions.server.fault("PUT", "/storage/", 2, Fault::Status(413, vec![], ""));
    let text = machines.build("one", &[]);
    assert!(text.contains(" steps, ") && !text.contains(" 0 steps"), "{text}");
    let text = machines.build("two", &[]);
    assert!(!cached(&text).is_empty(), "{text}");
}

#[test]
fn a_service_that_fails_fails_no_build() {
    let actions = FakeActions::start_in_thread();
    let Some(machines) = start(&actions, &[MAIN]) else { return };
    let cases = [
        ("POST", "GetCacheEntryDownloadURL", Fault::Status(429, vec![("Retry-After", "3600".into())], "")),
        ("POST", "GetCacheEntryDownloadURL", Fault::Status(500, vec![], "")),
        ("POST", "GetCacheEntryDownloadURL", Fault::Damaged),
        ("POST", "CreateCacheEntry", Fault::Status(429, vec![], "")),
        ("POST", "CreateCacheEntry", Fault::Status(403, vec![], "")),
        ("PUT", "/storage/", Fault::Status(403, vec![], "")),
        ("POST", "FinalizeCacheEntryUpload", Fault::Reset),
        ("PUT", "/storage/", Fault::Silence),
        ("POST", "/twirp/", Fault::Silence),
    ];
    for (number, (method, path, fault)) in cases.into_iter().enumerate() {
        actions.server.fault(method, path, 1000, fault.clone());
        if matches!(fault, Fault::Silence) {
            actions.server.fault("HEAD", "/", 1000, Fault::Silence);
        }
        let text = machines.build(&format!("m{number}"), &[]);
        assert!(!text.contains(SIGNATURE) && !text.contains("head."), "{method} {path} {fault:?}: {text}");
    }
    let strict = machines.run("strict", &["--cache-to", "type=gha,ignore-error=false"]);
    assert!(!strict.status.success());
}

#[test]
fn outside_of_jobs_there_is_none() {
    let Some(machines) = Machines::new("type=gha", "type=gha,mode=max") else { return };
    let text = machines.build("one", &[]);
    assert!(!text.contains("cache to"), "{text}");
}
