//! `build --push` against a real registry, read by other tools.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use crate::support::TestContext;
use crate::support::registry::{Registry, free_address};
use crate::support::tools::{has, skopeo, tool};

const BASE: &str = r#"FROM scratch
COPY --chmod=755 busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
ENV PATH=/usr/bin:/bin
"#;

const APP: &str = r#"ARG REGISTRY
FROM ${REGISTRY}/base
RUN mkdir -p /usr/bin && printf '#!/bin/sh\necho app 1.0\n' > /usr/bin/app && chmod 755 /usr/bin/app
COPY greeting /etc/greeting
RUN app > /etc/version && chown 7:8 /etc/version
CMD ["/bin/sh", "-c", "export TERM=xterm && /usr/bin/app"]
"#;

/// The machine's busybox, if it needs no libraries.
fn busybox() -> Option<&'static str> {
    let path = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists())?;
    let dynamic = Command::new("ldd").arg(path).output().is_ok_and(|output| output.status.success());
    (!dynamic).then_some(path)
}

/// Builds and pushes; gives what was printed and the digest.
fn push(context: &TestContext, args: &[&str]) -> (String, String) {
    let common = ["build", "--progress=plain", "--metadata-file=meta.json", "--push"];
    let output = context.output(&[&common, args].concat(), b"");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    let meta = std::fs::read(context.work().join("meta.json")).unwrap();
    let meta: serde_json::Value = serde_json::from_slice(&meta).unwrap();
    (text, meta["containerimage.digest"].as_str().unwrap().to_owned())
}

#[test]
fn pushed_images_are_read_by_other_tools_and_built_again_without_blobs() {
    let Some(busybox) = busybox().filter(|_| has("docker-registry")) else {
        println!("skipped: docker-registry or busybox-static is not installed");
        return;
    };
    let context = TestContext::new();
    let probe = context.run_with_input(&["build", "-q", "-"], b"FROM scratch\n");
    if probe.contains("can't set up the sandbox") {
        println!("skipped: {probe}");
        return;
    }
    context.write("base/Dockerfile", BASE);
    context.write("base/busybox", std::fs::read(busybox).unwrap());
    context.write("app/Dockerfile", APP);
    context.write("app/greeting", "hello\n");
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start(folder.path(), "first.log");
    let address = registry.address;
    let host = address.to_string();
    push(&context, &["-t", &format!("{host}/base"), "base"]);
    let (name, argument) = (format!("{host}/team/app:1"), format!("REGISTRY={host}"));
    let app = ["-t", &name, "--build-arg", &argument, "app"];
    let (_, digest) = push(&context, &app);
    assert!(registry.settled_log().contains("/blobs/"), "the log has the paths of requests");
    read_by_others(&context, &name, &digest);
    drop(registry);

    // Started again for a log that has nothing of the first build in it.
    let registry = Registry::start_at(folder.path(), "second.log", address);
    let (text, again) = push(&context, &app);
    assert_eq!(again, digest);
    let steps = text.lines().filter(|line| line.contains("] RUN ") || line.contains("] COPY ")).count();
    assert_eq!((steps, text.matches(" CACHED").count()), (3, 3), "{text}");
    let log = registry.settled_log();
    assert!(!log.contains("/blobs/"), "{log}");
}

fn read_by_others(context: &TestContext, name: &str, digest: &str) {
    if !has("skopeo") || !has("umoci") {
        println!("skipped: reading the image with skopeo and umoci, which are not installed");
        return;
    }
    let image = format!("docker://{name}");
    let seen = skopeo(context, &["inspect", "--tls-verify=false", &image]);
    let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(seen["Digest"], digest);
    skopeo(context, &["copy", "-q", "--src-tls-verify=false", &image, "oci:copy:app"]);
    let unpack = ["unpack", "--rootless", "--image", "copy:app", "bundle"];
    tool(context, "umoci", &unpack);
    let root = context.work().join("bundle/rootfs");
    assert_eq!(std::fs::read(root.join("etc/version")).unwrap(), b"app 1.0\n");
    assert_eq!(std::fs::read(root.join("etc/greeting")).unwrap(), b"hello\n");
    assert_eq!(std::fs::read_link(root.join("bin/sh")).unwrap(), Path::new("/bin/busybox"));
    let config = std::fs::read(context.work().join("bundle/config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["process"]["args"][2], "export TERM=xterm && /usr/bin/app");
}

/// `user:secret` as `htpasswd -B` writes it.
const PASSWORDS: &str = "user:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

#[test]
fn behind_tls_and_a_password() {
    if !has("docker-registry") {
        println!("skipped: docker-registry is not installed");
        return;
    }
    let Some(context) = TestContext::with_base() else { return };
    let folder = tempfile::tempdir().unwrap();
    let certificates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../registry/testdata/tls");
    let passwords = folder.path().join("passwords");
    std::fs::write(&passwords, PASSWORDS).unwrap();
    let auth = format!("auth:\n  htpasswd:\n    realm: tests\n    path: {}\n", passwords.display());
    let of = |name: &str| certificates.join(name).display().to_string();
    let tls = format!("  tls:\n    certificate: {}\n    key: {}\n", of("server.cert"), of("server.key"));
    let registry = Registry::start_with(folder.path(), "log", free_address(), &auth, &tls);
    while TcpStream::connect(registry.address).is_err() {
        registry.wait();
    }
    let host = registry.address.to_string();
    let login = format!("{{\"auths\":{{\"{host}\":{{\"auth\":\"dXNlcjpzZWNyZXQ=\"}}}}}}");
    let context = context.env("DOCKER_AUTH_CONFIG", &login).env("GARBOARD_CONFIG", "garboard.toml");
    context.write("Dockerfile", "FROM base\nRUN echo a >/a\n");
    let (name, other) = (format!("{host}/team/app:1"), format!("{host}/other/app:1"));

    let build = ["build", "--progress=plain", "--build-context=base=base", "--push", "-t", &name, "."];
    let failure = |args: &[&str]| {
        let output = context.output(args, b"");
        assert!(!output.status.success(), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    context.write("garboard.toml", format!("[registry.\"{host}\"]\nhttp = false\n"));
    let text = failure(&["pull", &name]);
    assert!(
        text.contains("no secure connection") && text.contains("hint: if the registry has its own"),
        "{text}"
    );
    context.write("garboard.toml", format!("[registry.\"{host}\"]\nhttp = true\n"));
    let text = failure(&["pull", &name]);
    assert!(
        text.contains("speaks HTTPS, not plain HTTP") && text.contains("hint: set `http = false`"),
        "{text}"
    );

    let trust = format!("[registry.\"{host}\"]\nhttp = false\nca = [\"{}\"]\n", of("ca.crt"));
    context.write("garboard.toml", trust);
    let output = context.output(&build, b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for args in [&["copy", &name, &other][..], &["pull", &other], &["push", &other], &["digest", &other]] {
        let output = context.output(args, b"");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let context = context.env("DOCKER_AUTH_CONFIG", &login.replace("dXNlcjpzZWNyZXQ=", "dXNlcjp3cm9uZw=="));
    context.write("Dockerfile", "FROM base\nRUN sleep 300\n");
    let output = context.output(&build, b"");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("the stored credentials for"), "{text}");
}
