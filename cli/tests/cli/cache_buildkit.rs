//! Caches in `BuildKit`'s format: those that it could have written, made here by its rules, and our own. A new root is a new
//! machine.

use garboard_registry::{digest_of, media_type};
use garboard_testkit::FakeRegistry;
use serde_json::{Value, json};

use crate::support::TestContext;
use crate::support::remote::{RemoteLayer, add_image, tar_of};

const CONFIG: &str = "application/vnd.buildkit.cacheconfig.v0";
/// `{"src":"a","dest":"/a","mode":-1,"followSymlink":true,"dirCopyContents":true,"createDestPath":true,"allowWildcard":true,
/// "allowEmptyWildcard":true,"timestamp":-1}`, as the copy of `a` to `/a` is described.
const COPY: &str = concat!(
    "eyJzcmMiOiJhIiwiZGVzdCI6Ii9hIiwibW9kZSI6LTEsImZvbGxvd1N5bWxpbmsiOnRydWUsImRpckNvcHlDb250ZW50cyI6dHJ1ZSwiY3JlYXRlRGVzdFBhdGgi",
    "OnRydWUsImFsbG93V2lsZGNhcmQiOnRydWUsImFsbG93RW1wdHlXaWxkY2FyZCI6dHJ1ZSwidGltZXN0YW1wIjotMX0="
);

fn hash(text: &str) -> String {
    digest_of(text.as_bytes()).to_string()
}

/// What a record of an operation is called.
fn record(operation: &str) -> String {
    hash(&format!("{operation}@0"))
}

/// This machine's architecture as images name it.
fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

/// The digest of `RUN command`.
fn run(command: &str) -> String {
    let command = command.replace('>', "\\u003e");
    hash(&format!(
        r#"{{"Type":"buildkit.exec.v0","Exec":{{"meta":{{"args":["/bin/sh","-c","{command}"],"env":["PATH=/bin"],"cwd":"/","removeMountStubsRecursive":true}}}},"OS":"linux","Arch":"{}"}}"#,
        architecture()
    ))
}

/// A registry with a base image and a cache for `FROM`, `RUN`, `COPY`, `RUN`, of which no layer is what the steps would make.
struct Synthetic {
    context: TestContext,
    registry: FakeRegistry,
    base: Value,
    layers: Vec<RemoteLayer>,
}

impl Synthetic {
    fn new() -> Option<Self> {
        let context = TestContext::with_base()?;
        let registry = FakeRegistry::start_in_thread();
        let base = || RemoteLayer::gzip(context.base_tar());
        let image = add_image(&registry, ("base", "1"), architecture(), &[base()]);
        context.write("a", "hello");
        std::fs::set_permissions(
            context.work().join("a"),
            std::os::unix::fs::PermissionsExt::from_mode(0o644),
        )
        .unwrap();
        let layers = vec![
            base(),
            RemoteLayer::gzip(tar_of(&[("one", "one of the cache\n")])),
            RemoteLayer::gzip(tar_of(&[("a", "copy of the cache\n")])),
            RemoteLayer::gzip(tar_of(&[("two", "two of the cache\n")])),
        ];
        for layer in &layers {
            registry.add_blob("cache", layer.blob());
        }
        let this = Self { context, registry, base: image, layers };
        this.dockerfile("cat /one /a > /two");
        Some(this)
    }

    fn dockerfile(&self, last: &str) {
        let host = &self.registry.host;
        let text = format!("FROM {host}/base:1\nRUN echo 1 > /one\nCOPY a /a\nRUN {last}\n");
        self.context.write("Dockerfile", text);
    }

    /// The records, by the rules: the image, the file, and one for each step.
    fn records(&self) -> Value {
        let image =
            format!(r#"{{"Digest":{},"OS":"linux","Arch":"{}"}}"#, self.base["digest"], architecture());
        let image = hash(&format!("buildkit.source.v0:{}", hash(&image)));
        let file = hash("namemode420uid0gid0size5typeflag0linknameunamegnamedevmajor0devminor0hello");
        let file = hash(&format!("{}@-1", hash(&file)));
        let copy = hash(&format!(r#"{{"Type":"buildkit.file.v0","Actions":["{COPY}"]}}"#));
        let root = hash("/");
        let result = |layer: usize| json!([{ "layer": layer, "createdAt": "2024-05-06T07:08:09.123Z" }]);
        json!([
            { "digest": record(&image) },
            { "digest": file },
            { "digest": record(&run("echo 1 > /one")), "layers": result(1), "inputs": [[{ "selector": root, "link": 0 }]] },
            { "digest": record(&copy), "layers": result(2), "inputs": [[{ "link": 2 }], [{ "link": 1 }]] },
            { "digest": record(&run("cat /one /a > /two")), "layers": result(3), "inputs": [[{ "selector": root, "link": 3 }]] },
        ])
    }

    /// The descriptors of the layers' blobs.
    fn descriptors(&self) -> Vec<Value> {
        let describe = |layer: &RemoteLayer| {
            json!({
                "mediaType": media_type::OCI_LAYER_GZIP,
                "digest": digest_of(layer.blob()),
                "size": layer.blob().len(),
                "annotations": { "containerd.io/uncompressed": digest_of(layer.tar()) },
            })
        };
        self.layers.iter().map(describe).collect()
    }

    /// Puts a document under the name `cache:TAG`, as a manifest or as an index.
    fn put(&self, tag: &str, document: &[u8], as_index: bool) {
        let config = json!({ "mediaType": CONFIG, "digest": self.registry.add_blob("cache", document), "size": document.len() });
        let mut layers = self.descriptors();
        if as_index {
            layers.push(config);
            let index =
                json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": layers });
            self.registry.add_document("cache", tag, media_type::OCI_INDEX, index.to_string().as_bytes());
            return;
        }
        let manifest = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": layers });
        self.registry.add_manifest("cache", tag, manifest.to_string().as_bytes());
    }

    fn document(&self) -> Vec<u8> {
        let parents = [-1, 0, 1, 2];
        let layers = self.descriptors().into_iter().zip(parents).map(|(layer, parent)| {
            // The number 0 is left out.
            let mut out = json!({ "blob": layer["digest"] });
            if parent != 0 {
                out["parent"] = parent.into();
            }
            out
        });
        let layers: Vec<Value> = layers.collect();
        json!({ "layers": layers, "records": self.records() }).to_string().into_bytes()
    }

    /// Builds on the machine of this name into the folder `out`; what was printed.
    fn build(&self, machine: &str, more: &[&str]) -> String {
        let mut args = vec!["build", "--progress=plain", "-o", "out"];
        args.extend(more);
        args.push(".");
        let _ = std::fs::remove_dir_all(self.context.work().join("out"));
        self.registry.take_log();
        let mut command = self.context.command(&args);
        command.env("GARBOARD_ROOT", self.context.work().join("..").join(machine));
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text}");
        text
    }

    fn from(&self, tag: &str) -> String {
        format!("--cache-from=type=registry,ref={}/cache:{tag}", self.registry.host)
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.context.work().join("out").join(path)).unwrap_or_default()
    }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let three = chunk.iter().chain([0, 0].iter()).take(3);
        let bits = three.fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
        for place in 0..4 {
            let letter = char::from(LETTERS[(bits >> (18 - 6 * place) & 63) as usize]);
            text.push(if place > chunk.len() { '=' } else { letter });
        }
    }
    text
}

fn cached(text: &str) -> usize {
    text.lines().filter(|line| line.ends_with(" CACHED")).count()
}

#[test]
fn every_step_is_found_in_each_form_of_a_cache() {
    let Some(synthetic) = Synthetic::new() else { return };
    synthetic.put("manifest", &synthetic.document(), false);
    synthetic.put("index", &synthetic.document(), true);
    for tag in ["manifest", "index"] {
        let text = synthetic.build(tag, &[&synthetic.from(tag)]);
        assert_eq!(cached(&text), 3, "{tag}: {text}");
        assert!(text.contains("5 records in BuildKit's format"), "{text}");
        let found = ["one", "a", "two"].map(|path| synthetic.read(path));
        assert_eq!(found, ["one of the cache\n", "copy of the cache\n", "two of the cache\n"], "{tag}");
    }
}

#[test]
fn an_image_may_have_the_cache_in_it() {
    let Some(synthetic) = Synthetic::new() else { return };
    let base64 = base64(synthetic.records().to_string().as_bytes());
    let diff_ids: Vec<String> =
        synthetic.layers.iter().map(|layer| digest_of(layer.tar()).to_string()).collect();
    let config = json!({
        "architecture": architecture(), "os": "linux", "moby.buildkit.cache.v0": base64,
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let config = config.to_string();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "layers": synthetic.descriptors(),
        "config": {
            "mediaType": media_type::OCI_CONFIG,
            "digest": synthetic.registry.add_blob("cache", config.as_bytes()),
            "size": config.len(),
        },
    });
    synthetic.registry.add_manifest("cache", "image", manifest.to_string().as_bytes());
    let text = synthetic.build("one", &[&synthetic.from("image")]);
    assert_eq!(cached(&text), 3, "{text}");
    assert_eq!(synthetic.read("two"), "two of the cache\n");
}

#[test]
fn what_is_not_in_the_cache_runs_on_what_is() {
    let Some(synthetic) = Synthetic::new() else { return };
    synthetic.put("cache", &synthetic.document(), false);
    synthetic.dockerfile("cat /one /a > /three");
    let text = synthetic.build("run", &[&synthetic.from("cache")]);
    assert_eq!(cached(&text), 2, "{text}");
    assert_eq!(synthetic.read("three"), "one of the cache\ncopy of the cache\n");
    // Another file is another copy.
    synthetic.context.write("a", "other");
    let text = synthetic.build("copy", &[&synthetic.from("cache")]);
    assert_eq!(cached(&text), 1, "{text}");
    assert_eq!(synthetic.read("three"), "one of the cache\nother");
    let text = synthetic.build("none", &[&synthetic.from("cache"), "--no-cache"]);
    assert_eq!((cached(&text), synthetic.read("three").as_str()), (0, "1\nother"), "{text}");
}

#[test]
fn a_layer_that_is_gone_is_made_again() {
    let Some(synthetic) = Synthetic::new() else { return };
    synthetic.put("cache", &synthetic.document(), false);
    let gone = digest_of(synthetic.layers[2].blob()).to_string();
    synthetic.registry.state().blobs.retain(|(_, digest), _| *digest != gone);
    synthetic.build("one", &[&synthetic.from("cache")]);
    assert_eq!(synthetic.read("a"), "hello");
    assert_eq!(synthetic.read("one"), "one of the cache\n");
    // An image that is only pushed needs it too.
    let name = format!("{}/app:1", synthetic.registry.host);
    synthetic
        .build("two", &[&synthetic.from("cache"), &format!("--output=type=image,push=true,name={name}")]);
    synthetic.context.write("Dockerfile", format!("FROM {name}\n"));
    synthetic.build("three", &[]);
    let found = ["one", "a", "two"].map(|path| synthetic.read(path));
    assert_eq!(found, ["one of the cache\n", "hello", "one of the cache\nhello"]);
}

#[test]
fn what_makes_no_sense_is_left_out() {
    let Some(synthetic) = Synthetic::new() else { return };
    let whole = String::from_utf8(synthetic.document()).unwrap();
    let other = digest_of(b"other").to_string();
    let rows = [
        ("rubbish", "{".to_owned(), "1\n"),
        // The first step's layer is not in it.
        ("circle", whole.replace(r#""parent":1"#, r#""parent":3"#), "one of the cache\n"),
        ("far", whole.replace(r#""layer":"#, r#""layer":9"#), "1\n"),
        ("links", whole.replace(r#""link":"#, r#""link":-9"#), "1\n"),
        // Layers that are not what the image's are.
        ("base", whole.replace(&digest_of(synthetic.layers[0].blob()).to_string(), &other), "1\n"),
    ];
    for (tag, document, one) in rows {
        synthetic.put(tag, document.as_bytes(), false);
        synthetic.build(tag, &[&synthetic.from(tag)]);
        assert_eq!(synthetic.read("two"), format!("{one}hello"), "{tag}");
    }
}

#[test]
fn what_is_written_for_buildkit_is_found_on_another_machine() {
    let Some(synthetic) = Synthetic::new() else { return };
    let host = &synthetic.registry.host;
    let to = format!("--cache-to=type=registry,ref={host}/app:cache,format=buildkit,ignore-error=false");
    let from = format!("--cache-from={host}/app:cache");
    let push = |machine: &str| format!("--output=type=image,push=true,name={host}/app:{machine}");
    let text = synthetic.build("one", &[&to, &push("one"), "--cache-to=type=inline"]);
    assert!(text.contains("3 results, 4 blobs"), "{text}");
    let local = synthetic.context.work().join("folder");
    let folder = format!("--cache-to=type=local,format=buildkit,dest={}", local.display());
    // What nothing had to be made of is written again.
    let text = synthetic.build("two", &[&from, &to, &push("two"), &folder]);
    assert_eq!(cached(&text), 3, "{text}");
    assert_eq!(text.matches("3 results, 4 blobs").count(), 2, "{text}");
    let ways = [
        from,
        format!("--cache-from={host}/app:one"),
        format!("--cache-from=type=local,src={}", local.display()),
    ];
    for (number, way) in ways.iter().enumerate() {
        let text = synthetic.build(&format!("machine{number}"), &[way]);
        assert_eq!(cached(&text), 3, "{way}: {text}");
        assert_eq!(synthetic.read("two"), "1\nhello", "{way}");
    }
}
