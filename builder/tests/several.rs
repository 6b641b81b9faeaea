//! Several targets built in one run. Nothing here runs a process, so that it needs no rights.
#![expect(clippy::unwrap_used, reason = "tests fail by it")]

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex};

use garboard_builder::{
    BuildFailure, BuildOutcome, BuildRequest, Cancel, ContextSource, DockerfileSource, Engine, EngineOptions,
    Event, GitProgram, Member, NamedContext, RunOptions,
};
use garboard_cache::{OpenOptions, Store};
use garboard_layer::Ids;
use garboard_registry::{Client, ClientConfig, CloudCredentials, CloudSettings, Platform};
use serde_json::Value;

struct Bench {
    folder: tempfile::TempDir,
    store: Store,
    engine: Engine,
}

/// What a run ended with, and the names of the steps that ran and that came from the cache.
struct Run {
    ended: Vec<Result<BuildOutcome, Box<BuildFailure>>>,
    ran: Vec<String>,
    cached: Vec<String>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let context = folder.path().join("context");
        std::fs::create_dir(&context).unwrap();
        for name in ["a", "b", "c"] {
            std::fs::write(context.join(name), name).unwrap();
        }
        let store = Store::open(&folder.path().join("store"), OpenOptions::default()).unwrap();
        let engine = Engine::new(EngineOptions {
            store: store.clone(),
            client: Client::new(ClientConfig::default()),
            git: GitProgram { program: None, env: Vec::new(), known_hosts: None },
            ids: Ids::Squash,
            copy_trees: false,
            believe_all_caches: false,
            cloud: Arc::new(CloudCredentials::new(CloudSettings::default())),
            threads: 1,
            platform: Platform::host(),
            bounds: None,
            stdout: || Box::new(std::io::sink()),
        });
        Self { folder, store, engine }
    }

    fn member(&self, name: &str, dockerfile: &str, links: &[(&str, &str)]) -> Member {
        let target = |to: &str| NamedContext::Target(to.to_owned());
        let links = links.iter().map(|(context, to)| ((*context).to_owned(), target(to)));
        let context = self.folder.path().join("context");
        Member { name: name.into(), request: request(name, dockerfile, &context, links.collect()) }
    }

    async fn run(&self, members: &[Member], options: RunOptions) -> Run {
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let sink = events.clone();
        let sink = Arc::new(move |event| sink.lock().unwrap().push(event));
        let cancel = Cancel::new().unwrap();
        let ended = self.engine.build_all(members, options, sink, &cancel).await.unwrap();
        let events = std::mem::take(&mut *events.lock().unwrap());
        let mut names = BTreeMap::new();
        let mut cached = BTreeSet::new();
        let (mut ran, mut from_cache) = (Vec::new(), Vec::new());
        for event in events {
            match event {
                Event::Started { vertex, .. } => drop(names.insert(vertex.id, vertex.name)),
                Event::Cached { id } => drop(cached.insert(id)),
                Event::Completed { id, .. } => {
                    let name = names[&id].clone();
                    if cached.contains(&id) { from_cache.push(name) } else { ran.push(name) }
                }
                _ => {}
            }
        }
        Run { ended, ran, cached: from_cache }
    }

    /// The config of an image, by its tag.
    fn config(&self, tag: &str) -> Value {
        let image = self.store.image(&format!("docker.io/library/{tag}:latest")).unwrap().unwrap();
        let manifest: Value =
            serde_json::from_slice(&self.store.read_blob(&image.digest, 1 << 20).unwrap()).unwrap();
        let config = manifest["config"]["digest"].as_str().unwrap().parse().unwrap();
        serde_json::from_slice(&self.store.read_blob(&config, 1 << 20).unwrap()).unwrap()
    }
}

fn request(
    name: &str,
    dockerfile: &str,
    context: &Path,
    links: BTreeMap<String, NamedContext>,
) -> BuildRequest {
    let dockerfile = DockerfileSource::Text(dockerfile.as_bytes().to_vec());
    let plain = BuildRequest::new(dockerfile, ContextSource::Folder(context.to_owned()));
    BuildRequest { named_contexts: links, tags: vec![name.into()], ..plain }
}

fn steps<'n>(names: &'n [String], instruction: &str) -> Vec<&'n str> {
    names.iter().filter(|name| name.contains(instruction)).map(String::as_str).collect()
}

#[tokio::test]
async fn one_target_starts_from_what_another_makes() {
    let bench = Bench::new();
    let base = "FROM scratch\nENV FROM_BASE=1\nLABEL base=1\nCOPY a /a\nONBUILD LABEL child=1\n";
    let members = [
        bench.member("app", "FROM base\nCOPY b /b\n", &[("base", "base")]),
        bench.member("files", "FROM scratch\nCOPY --from=base /a /copied\n", &[("base", "base")]),
        bench.member("base", base, &[]),
    ];
    for parallel in [None, NonZeroUsize::new(1)] {
        let run = bench.run(&members, RunOptions { parallel, keep_going: false }).await;
        assert!(run.ended.iter().all(Result::is_ok), "{:?}", run.ended);
        let (base, app, files) = (bench.config("base"), bench.config("app"), bench.config("files"));
        assert!(app["config"]["Env"].as_array().unwrap().contains(&"FROM_BASE=1".into()), "{app}");
        assert_eq!(app["config"]["Labels"], serde_json::json!({ "base": "1", "child": "1" }));
        assert_eq!(app["rootfs"]["diff_ids"][0], base["rootfs"]["diff_ids"][0]);
        assert_eq!(app["rootfs"]["diff_ids"].as_array().unwrap().len(), 2);
        let layers = app["history"].as_array().unwrap().iter().filter(|entry| entry["empty_layer"] != true);
        assert_eq!(layers.count(), 2, "{app}");
        assert!(app["history"].as_array().unwrap().iter().all(|entry| entry["created"].is_string()), "{app}");
        assert_eq!(files["rootfs"]["diff_ids"].as_array().unwrap().len(), 1);
        assert!(files["config"]["Labels"].is_null(), "{files}");
    }
    let run = bench.run(&members, RunOptions::default()).await;
    assert!(steps(&run.ran, "COPY").is_empty(), "{:?}", run.ran);
    assert_eq!(steps(&run.cached, "COPY").len(), 3, "{:?}", run.cached);
}

#[tokio::test]
async fn what_is_built_once_serves_all_platforms() {
    let bench = Bench::new();
    let app = bench.member("app", "FROM scratch\nCOPY --from=assets /a /a\n", &[("assets", "assets")]);
    let platforms = vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()];
    let app = Member { request: BuildRequest { platforms: platforms.clone(), ..app.request }, ..app };
    let assets = bench.member("assets", "FROM scratch\nCOPY a /a\n", &[]);
    let run = bench.run(&[app.clone(), assets.clone()], RunOptions::default()).await;
    assert!(run.ended.iter().all(Result::is_ok), "{:?}", run.ended);
    let other =
        BuildRequest { platforms: vec!["linux/s390x".into(), "linux/amd64".into()], ..assets.request };
    let run = bench.run(&[app, Member { request: other, ..assets }], RunOptions::default()).await;
    let failed = run.ended[0].as_ref().unwrap_err();
    assert!(
        failed.message.contains("is built for linux/s390x, linux/amd64, not for linux/arm64"),
        "{failed}"
    );
}

#[tokio::test]
async fn what_targets_share_is_made_once() {
    let bench = Bench::new();
    let file = |last: &str| {
        format!(
            "FROM scratch AS shared\nCOPY a /a\nCOPY b /b\nFROM scratch\nCOPY --from=shared / /\nENV N={last}\n"
        )
    };
    let members: Vec<Member> =
        (0..8).map(|n| bench.member(&format!("t{n}"), &file(&n.to_string()), &[])).collect();
    let run = bench.run(&members, RunOptions::default()).await;
    assert!(run.ended.iter().all(Result::is_ok), "{:?}", run.ended);
    assert_eq!(steps(&run.ran, "COPY a").len(), 1, "{:?}", run.ran);
    assert_eq!(steps(&run.ran, "COPY b").len(), 1, "{:?}", run.ran);
    assert_eq!(steps(&run.ran, "COPY --from").len(), 1, "{:?}", run.ran);
    assert_eq!(steps(&run.cached, "COPY").len(), 21, "{:?}", run.cached);
    assert!(run.ran.contains(&"[t7 internal] load build context".to_owned()), "{:?}", run.ran);
}

#[tokio::test]
async fn a_failure_stops_what_needs_it_and_else_only_without_leave_to_go_on() {
    let bench = Bench::new();
    let members = [
        bench.member("bad", "FROM scratch\nCOPY missing /\n", &[]),
        bench.member("needs", "FROM bad\nCOPY a /a\n", &[("bad", "bad")]),
        bench.member("good", "FROM scratch\nCOPY c /c\n", &[]),
    ];
    let run = bench.run(&members, RunOptions { parallel: None, keep_going: true }).await;
    let [bad, needs, good] = run.ended.as_slice() else { panic!("three targets") };
    let bad = bad.as_ref().unwrap_err();
    assert!(bad.message.contains("\"/missing\": not found") && !bad.follows, "{bad:?}");
    assert_eq!(bad.source_excerpt.as_ref().unwrap().ranges, [(2, 2)]);
    let needs = needs.as_ref().unwrap_err();
    assert!(needs.follows && !needs.interrupted, "{needs:?}");
    assert_eq!(needs.message, "the target `bad`, whose result it needs, failed");
    assert!(good.is_ok());
    bench.config("good");

    let run = bench.run(&members, RunOptions { parallel: NonZeroUsize::new(1), keep_going: false }).await;
    let follows: Vec<bool> = run.ended.iter().map(|e| e.as_ref().is_err_and(|e| e.follows)).collect();
    assert_eq!(follows, [false, true, true], "{:?}", run.ended);
}

#[tokio::test]
async fn a_target_must_not_need_itself() {
    let bench = Bench::new();
    let cancel = Cancel::new().unwrap();
    let rows = [
        (vec![("a", "a")], "infinite loop from a to a"),
        (vec![("a", "b"), ("b", "c"), ("c", "a")], "infinite loop from c to a"),
        (vec![("a", "nowhere")], "the target `a` needs `nowhere`, which is not there"),
    ];
    for (links, message) in rows {
        let members: Vec<Member> =
            links.iter().map(|(name, to)| bench.member(name, "FROM base\n", &[("base", to)])).collect();
        let failed = bench
            .engine
            .build_all(&members, RunOptions::default(), Arc::new(drop), &cancel)
            .await
            .unwrap_err();
        assert_eq!(failed.message, message);
    }
}
