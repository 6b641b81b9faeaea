//! Caches that machines share through a registry. A new root is a new machine.

use std::process::Output;

use garboard_testkit::{FakeRegistry, Fault};

use crate::support::TestContext;

pub(crate) const DOCKERFILE: &str = "FROM base AS first
RUN echo one > /one
FROM base AS tool
RUN echo tool > /tool
FROM first
COPY src /src
RUN cat /src/* > /sum
COPY --from=tool /tool /bin/tool
COPY last /last
";

/// A build of the same files on any number of machines.
struct Machines {
    context: TestContext,
    registry: FakeRegistry,
}

impl Machines {
    fn new() -> Option<Self> {
        let context = TestContext::with_base()?;
        context.write("Dockerfile", DOCKERFILE);
        context.write("src/a", "a");
        context.write("src/b", "b");
        context.write("last", "last");
        Some(Self { context, registry: FakeRegistry::start_in_thread() })
    }

    /// Builds on the machine of this name, reading and writing one cache, and pushes. What was printed.
    fn build(&self, machine: &str, more: &[&str]) -> String {
        let cache = format!("{}/app:cache", self.registry.host);
        let to = format!("type=registry,ref={cache}");
        let tag = format!("{}/app:{machine}", self.registry.host);
        let mut args = vec!["--cache-from", &cache, "--cache-to", &to, "--push", "-t", &tag];
        args.extend(more);
        let output = self.run(machine, &args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text}");
        text
    }

    fn run(&self, machine: &str, more: &[&str]) -> Output {
        let mut args = vec!["build", "--progress=plain", "--build-context", "base=base"];
        args.extend(more);
        args.push(".");
        self.registry.take_log();
        let mut command = self.context.command(&args);
        command.env("GARBOARD_ROOT", self.context.work().join("..").join(machine));
        command.output().unwrap()
    }

    /// The sizes of layers that were downloaded, as far as the cache's segments name them as layers.
    fn downloads(&self) -> Vec<String> {
        let layers = self.layers();
        let state = self.registry.state();
        let gets = state.log.iter().filter_map(|line| line.strip_prefix("GET /v2/app/blobs/"));
        gets.filter(|digest| layers.iter().any(|layer| layer == digest)).map(str::to_owned).collect()
    }

    /// The digests of all layers of images.
    fn layers(&self) -> Vec<String> {
        let state = self.registry.state();
        let manifests = state.manifests.values().filter_map(|(_, bytes)| {
            serde_json::from_slice::<serde_json::Value>(bytes)
                .ok()
                .filter(|m| m.get("artifactType").is_none())
        });
        let layers =
            manifests.flat_map(|manifest| manifest["layers"].as_array().cloned().unwrap_or_default());
        layers.filter_map(|layer| layer["digest"].as_str().map(str::to_owned)).collect()
    }

    fn digest(&self, machine: &str) -> Vec<u8> {
        self.context.output(&["digest", &format!("{}/app:{machine}", self.registry.host)], b"").stdout
    }
}

/// The names of the steps that came from a cache.
pub(crate) fn cached(text: &str) -> Vec<&str> {
    let name_of = |number: &str| {
        let prefix = format!("#{number} [");
        text.lines().find(|line| line.starts_with(&prefix)).and_then(|line| line.split_once("] "))
    };
    let numbers = text.lines().filter_map(|line| line.strip_prefix('#')?.strip_suffix(" CACHED"));
    numbers.filter_map(name_of).map(|(_, name)| name).collect()
}

#[test]
fn a_new_machine_downloads_no_layer_for_what_is_unchanged() {
    let Some(machines) = Machines::new() else { return };
    let text = machines.build("one", &[]);
    assert!(cached(&text).is_empty() && text.contains("7 steps"), "{text}");
    let text = machines.build("two", &[]);
    // The tool's stage isn't even looked at: what was copied from it is known.
    assert_eq!(cached(&text).len(), 5, "{text}");
    assert!(text.contains("nothing new"), "{text}");
    assert_eq!(machines.downloads(), Vec::<String>::new());
    assert_eq!(machines.digest("one"), machines.digest("two"));
}

#[test]
fn a_changed_copy_needs_no_layer_either() {
    let Some(machines) = Machines::new() else { return };
    machines.build("one", &[]);
    machines.context.write("last", "another");
    let text = machines.build("two", &[]);
    assert_eq!(cached(&text).len(), 4, "{text}");
    assert_eq!(machines.downloads(), Vec::<String>::new(), "{text}");
    assert!(text.contains("1 steps"), "{text}");
    // What it added is there for the next one.
    let text = machines.build("three", &[]);
    assert_eq!(cached(&text).len(), 5, "{text}");
}

#[test]
fn a_step_that_runs_gets_the_layers_below_it_only() {
    let Some(machines) = Machines::new() else { return };
    machines.build("one", &[]);
    machines.context.write("src/a", "changed");
    let text = machines.build("two", &[]);
    assert_eq!(cached(&text), ["RUN echo one > /one", "RUN echo tool > /tool"], "{text}");
    let got = machines.downloads().len();
    assert!(text.contains("not cached: file /src/a changed"), "{text}");
    assert!(text.contains("not cached: the result of [stage-2 1/4] COPY src /src changed"), "{text}");
    assert!((1..=2).contains(&got), "the layer of the first RUN, and the tool's to copy from: {got}\n{text}");
    let check = machines.run("two", &["--target", "first", "-o", "type=cacheonly"]);
    assert!(check.status.success());
}

#[test]
fn the_image_is_the_one_that_a_build_without_the_cache_makes() {
    let Some(machines) = Machines::new() else { return };
    machines.build("one", &[]);
    machines.context.write("src/a", "changed");
    let files = |machine: &str, more: &[&str]| {
        let out = machines.context.work().join("..").join(format!("{machine}.tar"));
        let output = format!("type=tar,dest={}", out.display());
        let cache = format!("{}/app:cache", machines.registry.host);
        let mut args = vec!["--output", &output, "--build-arg", "SOURCE_DATE_EPOCH=0"];
        if more.is_empty() {
            args.extend(["--cache-from", &cache]);
        }
        args.extend(more);
        let done = machines.run(machine, &args);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let list = std::process::Command::new("tar").arg("tf").arg(&out).output().unwrap().stdout;
        let content = std::process::Command::new("tar").arg("xOf").arg(&out).arg("sum").output().unwrap();
        (list, content.stdout)
    };
    let (list, sum) = files("two", &[]);
    assert_eq!(sum, b"changedb");
    assert_eq!((list, sum), files("three", &["--no-cache"]));
}

#[test]
fn a_layer_that_vanished_is_made_again() {
    let Some(machines) = Machines::new() else { return };
    machines.build("one", &[]);
    let layers = machines.layers();
    machines.registry.state().blobs.retain(|(_, digest), _| !layers.contains(digest));
    machines.context.write("src/a", "changed");
    let text = machines.build("two", &[]);
    assert!(text.contains("is made again"), "{text}");
    // And is there again for others, as a step that makes something else each time shows.
    machines.context.write("src/a", "changed again");
    let text = machines.build("three", &[]);
    assert_eq!(cached(&text).len(), 2, "{text}");
    assert!(!text.contains("is made again"), "{text}");
}

#[test]
fn what_is_made_anew_replaces_what_was_there() {
    let Some(machines) = Machines::new() else { return };
    machines.context.write("Dockerfile", "FROM base\nRUN cat /proc/sys/kernel/random/uuid > /id\n");
    let id = |machine: &str, more: &[&str]| {
        let cache = format!("{}/other:cache", machines.registry.host);
        let out = machines.context.work().join("..").join("out.tar");
        let output = format!("type=tar,dest={}", out.display());
        let mut args = vec!["--cache-from", &cache, "--cache-to", &cache, "--output", &output];
        args.extend(more);
        let done = machines.run(machine, &args);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        std::process::Command::new("tar").arg("xOf").arg(&out).arg("id").output().unwrap().stdout
    };
    let first = id("one", &[]);
    assert_eq!(id("two", &[]), first);
    // Records of one second can't be told apart by their age.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let second = id("three", &["--no-cache"]);
    assert_ne!(second, first);
    assert_eq!(id("four", &[]), second);
}

/// Every segment of the cache, unpacked and changed, in the place of what it was.
fn forge(machines: &Machines, change: impl Fn(&mut serde_json::Value)) {
    let mut state = machines.registry.state();
    let tags: Vec<_> = state.manifests.keys().filter(|(_, tag)| tag.contains(".seg-")).cloned().collect();
    for place in tags {
        let (kind, manifest) = state.manifests.remove(&place).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        let digest = manifest["config"]["digest"].as_str().unwrap().to_owned();
        let bytes = state.blobs.get(&(place.0.clone(), digest)).unwrap();
        let mut segment: serde_json::Value =
            serde_json::from_slice(&zstd::decode_all(&bytes[..]).unwrap()).unwrap();
        change(&mut segment);
        let bytes = zstd::encode_all(segment.to_string().as_bytes(), 3).unwrap();
        let digest = garboard_registry::digest_of(&bytes);
        let time = place.1.split(".seg-").nth(1).unwrap().split('-').next().unwrap();
        let tag = format!("cache.seg-{time}-{:x}-{}", bytes.len(), digest.digest());
        state.blobs.insert((place.0.clone(), digest.to_string()), bytes);
        state.manifests.insert((place.0, tag), (kind, manifest.to_string().into_bytes()));
    }
}

#[test]
fn false_tables_of_contents_leave_no_trace() {
    let Some(machines) = Machines::new() else { return };
    machines.context.write("Dockerfile", "FROM base AS one\nRUN echo 1 > /x\nRUN echo 2 > /y\n");
    machines.build("one", &[]);
    // The table of one layer stands for the other, and no record knows better.
    forge(&machines, |segment| {
        let layers = segment["layers"].as_array_mut().unwrap();
        let tocs: Vec<_> = layers.iter().map(|layer| layer["toc"].clone()).collect();
        for (layer, toc) in layers.iter_mut().zip(tocs.iter().rev()) {
            layer["toc"] = toc.clone();
        }
        for record in segment["records"].as_array_mut().unwrap() {
            record["root"] = serde_json::json!([0o755, 0, 0]);
        }
    });
    machines.context.write(
        "Dockerfile",
        "FROM base AS one\nRUN echo 1 > /x\nRUN echo 2 > /y\nCOPY last /last\nRUN cat /x /y > /both\n",
    );
    let text = machines.build("two", &[]);
    assert!(text.contains("is made again"), "{text}");
    let again = machines.run("two", &["--output", "type=cacheonly"]);
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
}

#[test]
fn a_registry_that_dies_on_the_way_is_done_without() {
    let Some(machines) = Machines::new() else { return };
    let lines = (0..10).fold(String::new(), |lines, n| lines + &format!("RUN echo {n} > /{n}\n"));
    machines.context.write("Dockerfile", format!("FROM base\n{lines}COPY last /last\nRUN cat /0 /9 /last\n"));
    machines.build("one", &[]);
    machines.context.write("last", "changed");
    // All but what is asked at the start.
    let layers = machines.layers();
    machines.registry.state().blobs.retain(|(_, digest), _| !layers.contains(digest));
    machines.registry.fault("GET", "/blobs/sha256:", 1000, Fault::Reset);
    let cache = format!("{}/app:cache", machines.registry.host);
    let output = machines.run("two", &["--cache-from", &cache]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    machines.registry.state().log.clear();
    let vanished = machines.run("three", &["--cache-from", &cache]);
    assert!(vanished.status.success(), "{}", String::from_utf8_lossy(&vanished.stderr));
}

#[test]
fn values_of_arguments_stay_here() {
    let Some(machines) = Machines::new() else { return };
    machines.context.write(
        "Dockerfile",
        "FROM base AS first\nARG TOKEN\nRUN echo made > /made\nFROM base\nCOPY --from=first /made /made\n",
    );
    machines.build("one", &["--build-arg", "TOKEN=hunter2secret"]);
    let text = machines.build("two", &["--build-arg", "TOKEN=hunter3secret"]);
    assert!(!text.contains("hunter2secret") && !text.contains("hunter3secret"), "{text}");
    let again = machines.build("one", &["--build-arg", "TOKEN=hunter4secret"]);
    assert!(again.contains("environment variable TOKEN changed"), "{again}");
    assert!(!again.contains("secret"), "{again}");
    let state = machines.registry.state();
    for ((_, digest), bytes) in &state.blobs {
        let unpacked = zstd::decode_all(&bytes[..]).unwrap_or_else(|_| bytes.clone());
        let found = unpacked.windows(6).any(|window| window == b"hunter");
        assert!(!found, "{digest} holds an argument's value");
    }
}

#[test]
fn damage_is_a_miss() {
    let Some(machines) = Machines::new() else { return };
    machines.build("one", &[]);
    // Segments and tables of contents are not what they were; the registry doesn't know.
    let layers = machines.layers();
    for ((_, digest), bytes) in &mut machines.registry.state().blobs {
        if !layers.contains(digest) {
            bytes.reverse();
        }
    }
    let text = machines.build("two", &[]);
    assert!(cached(&text).is_empty(), "{text}");
}

#[test]
fn jobs_that_write_at_once_lose_nothing() {
    let Some(machines) = Machines::new() else { return };
    let names: Vec<String> = (0..8).map(|job| format!("job{job}")).collect();
    std::thread::scope(|scope| {
        for name in &names {
            let machines = &machines;
            scope.spawn(move || {
                let cache = format!("{}/app:cache", machines.registry.host);
                let to = format!("type=registry,ref={cache}");
                let arg = format!("JOB={name}");
                let file = format!("{name}.Dockerfile");
                machines.context.write(&file, "FROM base\nARG JOB\nRUN echo $JOB > /job\n");
                let args = ["--cache-to", &to, "--build-arg", &arg, "-f", &file];
                let output = machines.run(name, &args);
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            });
        }
    });
    for name in &names {
        let cache = format!("{}/app:cache", machines.registry.host);
        let arg = format!("JOB={name}");
        let file = format!("{name}.Dockerfile");
        let output = machines.run("reader", &["--cache-from", &cache, "--build-arg", &arg, "-f", &file]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(cached(&text).len(), 1, "{name}: {text}");
    }
}

#[test]
fn many_tags_are_read_page_by_page() {
    let Some(machines) = Machines::new() else { return };
    machines.registry.state().tags_at_once = 1;
    machines.build("one", &[]);
    machines.context.write("last", "another");
    machines.build("two", &[]);
    let text = machines.build("three", &[]);
    assert_eq!(cached(&text).len(), 5, "{text}");
}

#[test]
fn a_cache_that_fails_fails_no_build() {
    let Some(machines) = Machines::new() else { return };
    let cases = [
        ("GET", "/tags/list", Fault::Status(500, vec![], "")),
        ("GET", "/tags/list", Fault::Status(403, vec![], "")),
        ("GET", "/tags/list", Fault::Damaged),
        ("GET", "/blobs/", Fault::Reset),
        ("POST", "/uploads/", Fault::Status(403, vec![], "")),
        ("PUT", "/manifests/", Fault::Status(500, vec![], "")),
        ("PUT", "/uploads/", Fault::Silence),
    ];
    let cache = format!("{}/cache:x", machines.registry.host);
    let to = format!("type=registry,ref={cache}");
    let args = ["--cache-from", &cache, "--cache-to", &to];
    for (number, (method, path, fault)) in cases.into_iter().enumerate() {
        machines.registry.fault(method, path, 1000, fault.clone());
        if matches!(fault, Fault::Silence) {
            // The whole registry falls silent with it.
            machines.registry.fault("GET", "/v2/", 1000, Fault::Silence);
        }
        let output = machines.run(&format!("m{number}"), &args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{method} {path} {fault:?}: {text}");
    }
    // Unless it was asked for.
    let strict = format!("{to},ignore-error=false");
    let output = machines.run("strict", &["--cache-to", &strict]);
    assert!(!output.status.success());
}

#[test]
fn the_smaller_mode_writes_what_the_image_has() {
    let Some(machines) = Machines::new() else { return };
    let cache = format!("{}/small:x", machines.registry.host);
    let to = format!("type=registry,ref={cache},mode=min");
    let output = machines.run("one", &["--cache-to", &to]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("6 steps"), "{text}");
    let output = machines.run("two", &["--cache-from", &cache]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(cached(&text).contains(&"RUN echo one > /one"), "{text}");
}
