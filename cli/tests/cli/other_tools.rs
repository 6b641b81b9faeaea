//! Other programs read what is here, and what they write is read here: the same files, and the same config.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::support::TestContext;
use crate::support::counted::Counted;
use crate::support::dockerd::Dockerd;
use crate::support::layout::flat;
use crate::support::podman::Podman;
use crate::support::registry::Registry;
use crate::support::tools::{have, skopeo, tool};

const APP: &str = r#"FROM base
COPY --chown=7:8 --chmod=4755 tool /app/tool
COPY gone /app/gone
RUN rm /app/gone && echo made >/app/made && ln /app/made /app/hard && ln -s made /app/soft
ENV ONE=1
CMD ["/bin/cat", "/app/made"]
"#;

/// An image, and what its tree has at each path.
struct App {
    context: TestContext,
    files: BTreeMap<String, String>,
}

impl App {
    /// Builds it as `app:1`. `None`, said aloud, where nothing can be built.
    fn new() -> Option<Self> {
        let context = TestContext::with_base()?;
        context.write("c/Dockerfile", APP);
        context.write("c/tool", "tool\n");
        context.write("c/gone", "gone\n");
        context.write("again", "FROM app:1\n");
        build(&context, &["-t", "app:1", "-t", "team/other:2", "c"]);
        let files = tree(&context);
        assert!(files["app/tool"].starts_with("Regular 4755 7:8"), "{files:?}");
        assert!(!files.contains_key("app/gone") && files["app/made"] == files["app/hard"], "{files:?}");
        Some(Self { context, files })
    }

    /// Asserts that a program found the same files, besides some that it adds itself.
    fn same(&self, found: &[u8], owners: bool) {
        let found = flat(found);
        assert!(!found.contains_key("app/gone"), "{found:?}");
        for (path, text) in self.files.iter().filter(|(path, _)| !path.is_empty()) {
            let other = found.get(path).unwrap_or_else(|| panic!("no `{path}` in {found:?}"));
            let words = |text: &str| -> Vec<String> {
                text.split(' ')
                    .enumerate()
                    .filter(|(n, _)| owners || *n != 2)
                    .map(|(_, w)| w.into())
                    .collect()
            };
            assert_eq!(words(text), words(other), "{path}");
        }
    }

    /// Loads what another program wrote, in a store of its own, and asserts that it is the image. Gives its names.
    fn is_in(&self, archive: &Path) -> Vec<String> {
        let other = TestContext::new();
        let text = other.done(&["load", "-i", archive.to_str().unwrap()]);
        let names: Vec<String> = text.lines().map(|line| line.split('@').next().unwrap().into()).collect();
        let config = |context: &TestContext, name: &str| -> Value {
            serde_json::from_str(&context.done(&["inspect", "--format", "{{json .config}}", name])).unwrap()
        };
        for name in &names {
            assert_eq!(
                config(&other, name),
                config(&self.context, "app:1"),
                "{name} in {}",
                archive.display()
            );
        }
        other.write("again", format!("FROM {}\n", names[0]));
        assert_eq!(tree(&other), self.files, "{}", archive.display());
        assert!(other.run(&["debug", "fsck"]).contains("exit code: 0"));
        names
    }

    /// Pushes it, to a registry of the test's.
    fn push(&self) -> Option<(Registry, tempfile::TempDir, String)> {
        if !have(&["docker-registry"], "images in a registry") {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::start(folder.path(), "log");
        let name = format!("{}/team/app:1", registry.address);
        self.context.done(&["tag", "app:1", &name]);
        self.context.done(&["push", &name]);
        Some((registry, folder, name))
    }
}

fn build(context: &TestContext, args: &[&str]) -> String {
    let output = context.output(&[&["build", "--build-context=base=base"], args].concat(), b"");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

/// What the image of the Dockerfile `again` has at each path.
fn tree(context: &TestContext) -> BTreeMap<String, String> {
    context.write("empty/x", "");
    context.done(&["build", "-q", "-f", "again", "--output=type=tar,dest=flat.tar", "empty"]);
    flat(&std::fs::read(context.work().join("flat.tar")).unwrap())
}

/// A folder as a tar file.
fn packed(context: &TestContext, folder: &Path) -> Vec<u8> {
    tool(context, "tar", &["-c", "-f", "packed.tar", "--numeric-owner", "-C", folder.to_str().unwrap(), "."]);
    std::fs::read(context.work().join("packed.tar")).unwrap()
}

#[test]
fn skopeo_and_umoci_read_archives_and_the_store() {
    if !have(&["skopeo", "umoci"], "what skopeo and umoci read and write") {
        return;
    }
    let Some(app) = App::new() else { return };
    let (context, owners) = (&app.context, rustix::process::geteuid().is_root());
    let rootless: &[&str] = if owners { &[] } else { &["--rootless"] };
    context.done(&["save", "-o", "docker.tar", "app:1", "team/other:2"]);
    context.done(&["save", "--format=oci", "-o", "oci.tar", "app:1"]);
    build(
        context,
        &["--output=type=oci,dest=built.tar", "--output=type=docker,name=app:1,dest=built-docker.tar", "c"],
    );
    let root = context.root();
    let store = format!("oci:{}:docker.io/library/app:1", root.display());
    let sources = ["docker-archive:docker.tar:app:1", "oci-archive:oci.tar", "oci-archive:built.tar", &store];
    let other = ["docker-archive:docker.tar:team/other:2", "docker-archive:built-docker.tar"];
    for (number, source) in sources.iter().chain(&other).enumerate() {
        skopeo(context, &["copy", "-q", source, &format!("oci:copy{number}:app")]);
        let (image, bundle) = (format!("copy{number}:app"), format!("bundle{number}"));
        tool(context, "umoci", &[&["unpack"], rootless, &["--image", &image, &bundle]].concat());
        app.same(&packed(context, &context.work().join(bundle).join("rootfs")), owners);
    }
    let image = format!("{}:docker.io/library/app:1", root.display());
    tool(context, "umoci", &[&["unpack"], rootless, &["--image", &image, "direct"]].concat());
    app.same(&packed(context, &context.work().join("direct/rootfs")), owners);

    for (target, name) in [
        ("docker-archive:one.tar:app:1", Some("app:1")),
        ("oci-archive:two.tar:app:1", Some("app:1")),
        ("oci-archive:three.tar", None),
        ("oci:folder:quay.io/team/app:1", Some("quay.io/team/app:1")),
    ] {
        skopeo(context, &["copy", "-q", &store, target]);
        let names = app.is_in(&context.work().join(target.split(':').nth(1).unwrap()));
        assert_eq!(names.len(), 1, "{names:?}");
        assert!(name.map_or(names[0].starts_with("localhost/loaded:"), |name| names[0] == name), "{names:?}");
    }
}

#[test]
fn buildah_and_podman_read_and_are_read() {
    let Some(app) = App::new() else { return };
    let context = &app.context;
    let Some(podman) = Podman::new(context, &["podman", "buildah"]) else { return };
    let found = |name: &str| {
        podman.podman(context, &["create", "--name=made", "--network=none", "--pull=never", name]);
        podman.podman(context, &["export", "-o", "export.tar", "made"]);
        podman.podman(context, &["rm", "made"]);
        app.same(&std::fs::read(context.work().join("export.tar")).unwrap(), true);
        let container = podman.run(context, "buildah", &["from", "--pull-never", name]);
        let place = podman.run(context, "buildah", &["mount", container.trim()]);
        app.same(&packed(context, Path::new(place.trim())), true);
        podman.run(context, "buildah", &["rm", container.trim()]);
    };
    let gone = || podman.podman(context, &["rmi", "--all", "--force"]);
    context.done(&["save", "-o", "docker.tar", "app:1"]);
    context.done(&["save", "--format=oci", "-o", "oci.tar", "app:1"]);
    context.done(&["save", "-o", "two.tar", "app:1", "team/other:2"]);
    for archive in ["docker.tar", "oci.tar"] {
        podman.podman(context, &["load", "-i", archive]);
        found("docker.io/library/app:1");
        gone();
    }
    podman.podman(context, &["load", "-i", "two.tar"]);
    // of an archive of several images podman takes names without a registry as its own
    found("localhost/team/other:2");
    gone();
    // they make a name of the path, which has to be fit for one
    std::os::unix::fs::symlink(context.root(), context.work().join("store")).unwrap();
    let store = "oci:store:docker.io/library/app:1";
    for source in ["docker-archive:docker.tar", "oci-archive:oci.tar", store] {
        for program in ["buildah", "podman"] {
            let id = podman.run(context, program, &["pull", "-q", source]);
            found(id.trim());
            gone();
        }
    }
    let pushed = app.push();
    for program in ["buildah", "podman"] {
        let Some((_, _, name)) = &pushed else { break };
        podman.run(context, program, &["pull", "-q", "--tls-verify=false", name]);
        found(name);
        gone();
    }
    podman.podman(context, &["load", "-i", "docker.tar"]);
    written_by_podman_and_buildah(&app, &podman);
}

fn written_by_podman_and_buildah(app: &App, podman: &Podman) {
    let (context, name) = (&app.context, "docker.io/library/app:1");
    let work = context.work();
    for format in ["docker-archive", "oci-archive", "oci-dir"] {
        podman.podman(context, &["save", "-q", "--format", format, "-o", &format!("podman-{format}"), name]);
        assert_eq!(app.is_in(&work.join(format!("podman-{format}"))), ["app:1"]);
    }
    podman.podman(context, &["tag", name, "quay.io/team/app:2"]);
    let both = ["save", "-q", "-m", "-o", "podman-both", name, "quay.io/team/app:2"];
    podman.podman(context, &both);
    assert_eq!(app.is_in(&work.join("podman-both")), ["app:1", "quay.io/team/app:2"]);
    for (compression, target, name) in [
        ("gzip", "docker-archive:buildah-docker:app:1", "app:1"),
        ("gzip", "oci-archive:buildah-oci:app:1", "app:1"),
        ("zstd", "oci-archive:buildah-zstd:quay.io/team/app:3", "quay.io/team/app:3"),
    ] {
        let push = ["push", "-q", "--compression-format", compression, "app:1", target];
        podman.run(context, "buildah", &push);
        assert_eq!(app.is_in(&work.join(target.split(':').nth(1).unwrap())), [name]);
    }
}

#[test]
fn docker_reads_and_is_read() {
    let Some(app) = App::new() else { return };
    let context = &app.context;
    let Some(daemon) = Dockerd::start(context) else { return };
    let docker = |args: &[&str]| daemon.docker(context, args);
    let found = |name: &str| {
        docker(&["create", "--name=made", "--network=none", name]);
        docker(&["export", "-o", "export.tar", "made"]);
        docker(&["rm", "made"]);
        app.same(&std::fs::read(context.work().join("export.tar")).unwrap(), true);
        assert_eq!(docker(&["inspect", "--format={{json .Config.Env}}", name]).matches("ONE=1").count(), 1);
    };
    context.done(&["save", "-o", "docker.tar", "app:1", "team/other:2"]);
    docker(&["load", "-i", "docker.tar"]);
    found("app:1");
    found("team/other:2");
    for (file, names) in
        [("one.tar", &["app:1"][..]), ("both.tar", &["app:1", "team/other:2"]), ("id.tar", &[][..])]
    {
        let id = docker(&["images", "-q", "app:1"]);
        let images = if names.is_empty() { &[id.trim()][..] } else { names };
        docker(&[&["save", "-o", file], images].concat());
        let loaded = app.is_in(&context.work().join(file));
        assert!(if names.is_empty() { loaded.len() == 1 } else { loaded == names }, "{loaded:?}");
    }
    if let Some((_registry, _folder, name)) = app.push() {
        docker(&["rmi", "--force", docker(&["images", "-q", "app:1"]).trim()]);
        docker(&["pull", "-q", &name]);
        found(&name);
    }
}

/// The second build adds a layer to the first: of `--load`, only that is sent. Gives the place, which has to outlive the
/// daemon that is in it.
#[must_use]
fn only_what_is_lacking_is_sent(
    context: TestContext,
    daemon: &Path,
    look: impl Fn(&TestContext, &str),
) -> TestContext {
    let socket = context.root().with_file_name("counted.sock");
    let counted = Counted::start(&socket, daemon.to_owned());
    let context = context.env("DOCKER_HOST", &format!("unix://{}", socket.display()));
    let text = build(&context, &["--load", "-t", "app:1", "c"]);
    assert!(text.contains("app:1"), "{text}");
    look(&context, "app:1");
    let all = counted.take();
    context.write("c/Dockerfile", format!("{APP}RUN echo more >/app/more\n"));
    build(&context, &["--load", "-t", "app:2", "c"]);
    look(&context, "app:2");
    let rest = counted.take();
    println!("sent {all} bytes, then {rest}");
    assert!(all > 1_000_000 && rest < all / 20, "{all} bytes, then {rest}");
    context
}

#[test]
fn docker_is_sent_the_layers_it_lacks() {
    let Some(app) = App::new() else { return };
    let Some(daemon) = Dockerd::start(&app.context) else { return };
    let _place = only_what_is_lacking_is_sent(app.context, &daemon.socket(), |context, name| {
        daemon.docker(context, &["inspect", name]);
    });
    drop(daemon);
}

#[test]
fn podman_takes_images_through_its_socket() {
    let Some(app) = App::new() else { return };
    let Some(mut podman) = Podman::new(&app.context, &["podman"]) else { return };
    let folder = app.context.root().with_file_name("run");
    let context = app.context.env("XDG_RUNTIME_DIR", &folder.display().to_string());
    let socket = folder.join("podman/podman.sock");
    podman.serve(&context, &socket);
    let text = context.done(&["save", "--to=podman", "app:1", "team/other:2"]);
    assert!(text.contains("docker.io/library/app:1") && text.contains("docker.io/team/other:2"), "{text}");
    podman.podman(&context, &["rmi", "--all", "--force"]);
    if have(&["skopeo"], "images whose layers podman has from other blobs") {
        let store = format!("oci:{}:docker.io/library/app:1", context.root().display());
        skopeo(&context, &["copy", "-q", &store, "docker-archive:plain.tar:other:1"]);
        podman.podman(&context, &["load", "-i", "plain.tar"]);
        context.done(&["save", "--to=podman", "app:1"]);
        podman.podman(&context, &["inspect", "docker.io/library/app:1"]);
        podman.podman(&context, &["rmi", "--all", "--force"]);
    }
    let _place = only_what_is_lacking_is_sent(context, &socket, |context, name| {
        podman.podman(context, &["inspect", name]);
    });
    drop(podman);
}

/// Builds one image after the other, and so writes all the time.
fn build_many(context: &TestContext, who: &str, count: usize) {
    for number in 0..count {
        let (name, argument) = (format!("built:{who}-{number}"), format!("WHO={who} {number}"));
        build(context, &["--build-arg", &argument, "-t", &name, "many"]);
    }
}

#[test]
fn the_store_is_read_while_builds_write() {
    const BUILDS: usize = 20;
    if !have(&["skopeo"], "the store as skopeo reads it while builds write") {
        return;
    }
    let Some(app) = App::new() else { return };
    let context = &app.context;
    context.write("many/Dockerfile", "FROM base\nARG WHO\nRUN echo $WHO >/who\nRUN cat /who >/again\n");
    let root = context.root();
    let image = |name: &str| format!("oci:{}:docker.io/library/{name}", root.display());
    let mut reads = 0;
    std::thread::scope(|scope| {
        let builders = ["one", "two"].map(|who| scope.spawn(move || build_many(context, who, BUILDS)));
        while reads == 0 || builders.iter().any(|builder| !builder.is_finished()) {
            context.done(&["prune", "--all", "--force"]);
            let target = format!("read{reads}");
            skopeo(context, &["copy", "-q", &image("app:1"), &format!("oci:{target}:app")]);
            std::fs::remove_dir_all(context.work().join(target)).unwrap();
            reads += 1;
        }
    });
    println!("skopeo read the image {reads} times beside {} builds and {reads} prunes", 2 * BUILDS);
    for who in ["one", "two"] {
        skopeo(context, &["inspect", &image(&format!("built:{who}-{}", BUILDS - 1))]);
    }
    assert!(context.run(&["debug", "fsck"]).contains("exit code: 0"));
}
