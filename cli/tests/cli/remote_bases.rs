//! Builds on images of registries: layers of every kind, and indexes that don't say what the config says.

use garboard_registry::{digest_of, media_type};
use garboard_testkit::FakeRegistry;
use serde_json::Value;

use crate::support::TestContext;
use crate::support::remote::{RemoteLayer, add_image, add_index, tar_of};

/// Runs a command that must not fail, and gives what it said on standard error.
fn done(context: &TestContext, args: &[&str]) -> String {
    let output = context.output(args, b"");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {text}");
    text
}

/// Media types of an image's layers in a registry.
fn layers(context: &TestContext, name: &str) -> Vec<String> {
    let output = context.output(&["manifest", "inspect", name], b"");
    let manifest: Value = serde_json::from_slice(&output.stdout).unwrap();
    let layers = manifest["layers"].as_array().unwrap().iter();
    layers.map(|layer| layer["mediaType"].as_str().unwrap().to_owned()).collect()
}

/// An image whose layers are compressed in every way, or not at all.
fn mixed(context: &TestContext, registry: &FakeRegistry) {
    let kinds = [
        RemoteLayer::zstd(context.base_tar()),
        RemoteLayer::plain(tar_of(&[("plain", "not compressed\n"), ("hidden", "never seen\n")])),
        RemoteLayer::gzip(tar_of(&[("gzip", "by gzip\n"), (".wh.hidden", "")])),
        RemoteLayer::zstd(tar_of(&[("zstd", "by zstd\n")])),
        RemoteLayer::gzip(tar_of(&[("docker", "by gzip\n")])).called(media_type::DOCKER_LAYER_GZIP),
        // some tools say one thing and send another
        RemoteLayer::zstd(tar_of(&[("called", "gzip, but is zstd\n")])).called(media_type::OCI_LAYER_GZIP),
        RemoteLayer::plain(tar_of(&[("bare", "gzip, but is tar\n")])).called(media_type::OCI_LAYER_GZIP),
    ];
    add_image(registry, ("mixed", "1"), "amd64", &kinds);
}

#[test]
fn layers_compressed_in_every_way_and_not_at_all() {
    let Some(context) = TestContext::with_base() else { return };
    let registry = FakeRegistry::start_in_thread();
    mixed(&context, &registry);
    let dockerfile = format!(
        "FROM {0}/mixed:1 AS run\n\
         RUN [ ! -e /hidden ] && cat /plain /gzip /zstd /docker /called /bare >/all\n\
         FROM scratch\n\
         COPY --from=run /all /\n\
         COPY --from={0}/mixed:1 /plain /zstd /copied/\n",
        registry.host
    );
    context.write("Dockerfile", dockerfile);
    let build = ["build", "--progress=plain", "--platform=linux/amd64"];
    done(&context, &[&build[..], &["-o", "out", "."]].concat());
    let read = |path: &str| std::fs::read_to_string(context.work().join("out").join(path)).unwrap();
    assert_eq!(
        read("all"),
        "not compressed\nby gzip\nby zstd\nby gzip\ngzip, but is zstd\ngzip, but is tar\n"
    );
    assert_eq!((read("copied/plain"), read("copied/zstd")), ("not compressed\n".into(), "by zstd\n".into()));

    // Pushed, the base's layers stay as they are, to the byte.
    let name = format!("{}/app:1", registry.host);
    done(&context, &[&build[..], &["--target=run", "--push", "-t", &name, "."]].concat());
    let mut base = layers(&context, &format!("{}/mixed:1", registry.host));
    base[4] = media_type::OCI_LAYER_GZIP.to_owned(); // no manifest mixes Docker's types with OCI's
    let app = layers(&context, &name);
    assert_eq!(app[..base.len()], base);
    assert_eq!(app[base.len()..], [media_type::OCI_LAYER_GZIP]);
}

#[test]
fn pulled_layers_of_every_kind_are_built_on_without_the_registry() {
    let Some(context) = TestContext::with_base() else { return };
    let registry = FakeRegistry::start_in_thread();
    mixed(&context, &registry);
    let name = format!("{}/mixed:1", registry.host);
    done(&context, &["pull", &name]);
    registry.take_log();
    context.write("Dockerfile", format!("FROM {name}\nRUN cat /plain /zstd /bare >/all\n"));
    done(&context, &["build", "--progress=plain", "-t", "app", "."]);
    assert_eq!(registry.take_log(), Vec::<String>::new());
}

#[test]
fn a_config_that_contradicts_the_index_is_mentioned_once() {
    let Some(context) = TestContext::with_base() else { return };
    let registry = FakeRegistry::start_in_thread();
    let layers = [RemoteLayer::gzip(context.base_tar())];
    // such images exist: the index is right, the config says what the builder was
    let image = add_image(&registry, ("lies", "amd"), "s390x", &layers);
    add_index(&registry, ("lies", "1"), &[("amd64", &image)]);
    let name = format!("{}/lies:1", registry.host);
    let remark = format!(
        "`{name}` is for `linux/amd64` as its index has it, but its config says `linux/s390x`; the index is believed"
    );
    context
        .write("Dockerfile", format!("FROM {name} AS a\nRUN echo a >/a\nFROM {name}\nCOPY --from=a /a /b\n"));
    let build = ["build", "--progress=plain", "--platform=linux/amd64", "-o", "type=oci,dest=out.tar", "."];
    for _ in 0..2 {
        let text = done(&context, &build);
        assert_eq!(text.matches(&remark).count(), 1, "{text}");
    }
    let text = done(&context, &["pull", "--platform=linux/amd64", &name]);
    assert_eq!(text.matches(&remark).count(), 1, "{text}");
}

#[test]
fn an_index_in_an_index_with_attestations_beside() {
    let Some(context) = TestContext::with_base() else { return };
    let registry = FakeRegistry::start_in_thread();
    let layers = || [RemoteLayer::gzip(context.base_tar())];
    let other = add_image(&registry, ("base", "other"), "s390x", &layers());
    let right = add_image(&registry, ("base", "right"), "amd64", &layers());
    let inner = add_index(&registry, ("base", "inner"), &[("s390x", &other), ("amd64", &right)]);
    add_index(&registry, ("base", "1"), &[("unknown", &other), ("amd64", &inner)]);
    let name = format!("{}/base:1", registry.host);
    context.write("Dockerfile", format!("FROM {name}\nRUN echo a >/a\n"));
    let output = "type=oci,dest=out.tar";
    let text = done(&context, &["build", "--progress=plain", "--platform=linux/amd64", "-o", output, "."]);
    assert!(!text.contains("as its index has it"), "{text}");
    let log = registry.take_log();
    let unused = format!("/manifests/{}", other["digest"].as_str().unwrap());
    assert!(log.iter().all(|line| !line.contains(&unused)), "{log:#?}");
}

/// All media types in a document.
fn media_types(document: &Value, found: &mut Vec<String>) {
    match document {
        Value::Object(map) => {
            found.extend(map.get("mediaType").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| media_types(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| media_types(value, found)),
        _ => {}
    }
}

#[test]
fn what_is_pushed_is_of_one_family() {
    let Some(context) = TestContext::with_base() else { return };
    let registry = FakeRegistry::start_in_thread();
    let base = [
        RemoteLayer::gzip(context.base_tar()).called(media_type::DOCKER_LAYER_GZIP),
        RemoteLayer::plain(tar_of(&[("a", "a")])),
    ];
    add_image(&registry, ("base", "1"), "amd64", &base);
    context.write("Dockerfile", format!("FROM {}/base:1\nCOPY Dockerfile /\n", registry.host));
    for (oci, family) in [("true", "application/vnd.oci."), ("false", "application/vnd.docker.")] {
        let output = format!("type=registry,name={}/app:{oci},oci-mediatypes={oci}", registry.host);
        done(&context, &["build", "--progress=plain", "--platform=linux/amd64", "-o", &output, "."]);
        let state = registry.state();
        let (served, bytes) = &state.manifests[&("app".to_owned(), oci.to_owned())];
        let manifest: Value = serde_json::from_slice(bytes).unwrap();
        assert_eq!(manifest["mediaType"], **served);
        let mut types = Vec::new();
        media_types(&manifest, &mut types);
        assert_eq!(types.len(), 5, "{types:?}"); // one image alone is no index
        assert!(types.iter().all(|own| own.starts_with(family)), "{types:?}");
    }
}

#[test]
fn layers_that_registries_need_not_have() {
    let Some(context) = TestContext::with_base() else { return };
    let (registry, place) = (FakeRegistry::start_in_thread(), FakeRegistry::start_in_thread());
    let foreign = RemoteLayer::gzip(tar_of(&[("licensed", "not to be passed on\n")]))
        .called(media_type::DOCKER_LAYER_FOREIGN)
        .at(format!("http://{}/licensed", place.host));
    let blob = foreign.blob().to_vec();
    let base = [foreign, RemoteLayer::gzip(context.base_tar())];
    let descriptor = add_image(&registry, ("base", "1"), "amd64", &base);
    let digest = digest_of(&blob).to_string();
    registry.state().blobs.remove(&("base".to_owned(), digest.clone())).unwrap();
    let (base, app) = (format!("{}/base:1", registry.host), format!("{}/app:1", registry.host));

    // Built on without its content, and pushed without it.
    context.write("Dockerfile", format!("FROM {base}\nENV a=b\n"));
    let build = ["build", "--progress=plain", "--platform=linux/amd64", "--push"];
    done(&context, &[&build[..], &["-t", &app, "."]].concat());
    let inspect = |name: &str| {
        let output = context.output(&["manifest", "inspect", name], b"");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["layers"][0].clone()
    };
    let layer = inspect(&app);
    assert_eq!(layer["mediaType"], "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");
    assert_eq!((&layer["digest"], &layer["urls"]), (&digest.clone().into(), &inspect(&base)["urls"]));
    let docker = format!("type=image,name={app},push=true,oci-mediatypes=false,force-compression=true");
    done(&context, &["build", "--progress=plain", "--platform=linux/amd64", "-o", &docker, "."]);
    let layer = inspect(&app);
    assert_eq!(layer["mediaType"], media_type::DOCKER_LAYER_FOREIGN);
    assert_eq!(layer["digest"], digest);
    assert!(place.take_log().is_empty());

    // Its content comes from where it says, without a login.
    place.state().files.insert("/licensed".into(), (blob, Vec::new()));
    context.write("Dockerfile", format!("FROM {base}\nRUN cat /licensed >/read\n"));
    done(&context, &[&build[..], &["-t", &app, "."]].concat());
    let state = registry.state();
    assert!(!state.blobs.keys().any(|(_, own)| *own == digest), "it was passed on");
    drop(state);

    // The commands around images leave it where it is, too.
    let other = TestContext::new();
    let (name, copy) = (
        format!("{}/base@{}", registry.host, descriptor["digest"].as_str().unwrap()),
        format!("{}/copy:1", registry.host),
    );
    done(&other, &["pull", &base]);
    done(&other, &["tag", &base, &copy]);
    done(&other, &["push", &copy]);
    done(&other, &["copy", &name, &format!("{}/copy:2", registry.host)]);
    assert!(!registry.state().blobs.keys().any(|(_, own)| *own == digest), "it was passed on");
}
