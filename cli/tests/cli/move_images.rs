//! Images between the local store, registries and archives.

use std::collections::BTreeMap;
use std::io::Read as _;

use garboard_testkit::{Auth, FakeRegistry, Fault};
use serde_json::Value;

use crate::support::TestContext;

/// A store with an image for two platforms.
fn filled() -> TestContext {
    let context = TestContext::new();
    let amd = context.image("amd64", "docker.io/library/base:latest");
    let arm = context.image("arm64", "docker.io/library/arm:latest");
    context.index("docker.io/library/app:1", &[("amd64", amd), ("arm64", arm)]);
    context
}

/// Runs a command that must not fail, and gives what it printed.
fn done(context: &TestContext, args: &[&str]) -> String {
    let output = context.output(args, b"");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that must fail, and gives what it complained.
fn refused(context: &TestContext, args: &[&str], input: &[u8]) -> String {
    let output = context.output(args, input);
    assert!(!output.status.success(), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn entries(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(archive);
    let files = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().to_string_lossy().into_owned(), bytes)
    });
    files.collect()
}

#[test]
fn what_is_saved_can_be_loaded() {
    let context = filled();
    done(&context, &["save", "-o", "all.tar", "app:1", "base"]);
    let archive = std::fs::read(context.work().join("all.tar")).unwrap();
    let again = context.output(&["save", "app:1", "base"], b"");
    assert!(again.stdout == archive, "the same images give the same bytes");
    let files = entries(&archive);
    let list: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    assert_eq!(list[1]["RepoTags"][0], "base:latest");
    let layer = list[1]["Layers"][0].as_str().unwrap();
    assert_eq!(files[layer].len(), 1024);

    let other = TestContext::new();
    let output = other.output(&["load"], &archive);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(done(&other, &["images", "-q"]).lines().count(), 2);
    assert_eq!(done(&other, &["inspect", "--raw", "app:1"]), done(&context, &["inspect", "--raw", "app:1"]));

    done(&context, &["save", "--format=oci", "-o", "oci.tar", "base"]);
    let files = entries(&std::fs::read(context.work().join("oci.tar")).unwrap());
    assert!(!files.contains_key("manifest.json") && files.contains_key("oci-layout"));
}

#[test]
fn archives_of_docker_without_a_layout() {
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, bytes).unwrap();
    };
    add("abc/layer.tar", &[0; 1024]);
    add("c.json", br#"{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"]}}"#);
    let list = r#"[{"Config":"c.json","RepoTags":["old/app:1","old/app:2"],"Layers":["def/layer.tar"]}]"#;
    add("manifest.json", list.as_bytes());
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    tar.append_link(&mut link, "def/layer.tar", "../abc/layer.tar").unwrap();
    let context = TestContext::new();
    let output = context.output(&["load"], &tar.into_inner().unwrap());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        text.lines().map(|line| line.split('@').next().unwrap()).collect::<Vec<_>>(),
        ["old/app:1", "old/app:2"]
    );
    assert_eq!(
        done(&context, &["inspect", "--format", "{{.platform}} {{.layers.0.size}}", "old/app:1"]),
        "linux/amd64 1024\n"
    );
}

#[test]
fn bad_archives() {
    let context = TestContext::new();
    assert!(refused(&context, &["load"], b"").contains("holds no image"));
    assert!(refused(&context, &["load"], &[b'x'; 2048]).contains("can't read the archive"));
    assert!(
        refused(&context, &["load", "-i", "absent.tar"], b"")
            .contains("can't read `absent.tar`: no such file")
    );
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    tar.append_data(&mut header, format!("blobs/sha256/{:064}", 0), &b"x"[..]).unwrap();
    let text = refused(&context, &["load"], &tar.into_inner().unwrap());
    assert!(text.contains("digest"), "{text}");
    assert_eq!(done(&context, &["images", "-q"]), "");
}

#[test]
fn to_a_registry_and_from_there_to_another() {
    let (one, two) = (FakeRegistry::start_in_thread(), FakeRegistry::start_in_thread());
    let context = filled();
    let name = format!("{}/team/app:1", one.host);
    let (other, elsewhere) = (format!("{}/team/app:2", one.host), format!("{}/team/web:1", one.host));
    done(&context, &["tag", "app:1", &name]);
    one.fault("PUT", "/uploads/", 1, Fault::Cut);
    done(&context, &["push", &name, &other, &elsewhere]);
    let digest = done(&context, &["digest", &name]);
    assert_eq!(done(&context, &["digest", &elsewhere]), digest);
    let uploads = one.take_log().iter().filter(|line| line.starts_with("PUT /v2/team/web/blobs/")).count();
    assert_eq!(uploads, 0, "the second repository has them from the first");

    let copy = format!("{}/copied/app:1", two.host);
    done(&context, &["copy", &name, &copy]);
    assert_eq!(done(&context, &["digest", &copy]), digest);
    let format = ["inspect", "--remote", "--format", "{{.platforms}} {{.manifest}}"];
    let text = done(&context, &[&format[..], &["--platform=linux/arm64", &copy]].concat());
    let arm = done(&context, &["digest", "--platform=linux/arm64", &copy]);
    assert_eq!(text, format!("[\"linux/amd64\",\"linux/arm64\"] {arm}"));
    assert_eq!(
        done(&context, &["inspect", "--remote", "--raw", &copy]),
        done(&context, &["inspect", "--raw", "app:1"])
    );
}

#[test]
fn what_others_refer_to_is_pushed_first() {
    let registry = FakeRegistry::start_in_thread();
    let context = filled();
    let name = format!("{}/app:1", registry.host);
    done(&context, &["tag", "app:1", &name]);
    done(&context, &["push", &name]);
    let log = registry.take_log();
    let puts = log.iter().filter(|line| line.starts_with("PUT "));
    let kinds: Vec<&str> = puts
        .map(|line| match line {
            line if line.contains("/blobs/") => "blob",
            line if line.contains("/manifests/sha256:") => "manifest",
            _ => "tag",
        })
        .collect();
    assert_eq!(kinds, ["blob", "blob", "blob", "manifest", "manifest", "tag"], "{log:#?}");
}

#[test]
fn indexes() {
    let registry = FakeRegistry::start_in_thread();
    let context = filled();
    let made = done(&context, &["manifest", "create", "both:1", "base", "arm"]);
    let raw = done(&context, &["manifest", "inspect", "both:1"]);
    let index: Value = serde_json::from_str(&raw).unwrap();
    assert_eq!(index["manifests"][1]["platform"]["architecture"], "arm64");
    let name = format!("{}/both:1", registry.host);
    done(&context, &["tag", "both:1", &name]);
    done(&context, &["manifest", "push", &name]);
    let digest = done(&context, &["digest", &name]);
    assert!(made.trim_end().ends_with(digest.trim_end()));

    let (amd, arm) = (format!("{}/amd:1", registry.host), format!("{}/arm:1", registry.host));
    for (platform, target) in [("linux/amd64", &amd), ("linux/arm64", &arm)] {
        done(&context, &["copy", "--platform", platform, &name, target]);
    }
    let joined = format!("{}/joined:1", registry.host);
    done(&context, &["manifest", "create", "--push", &joined, &amd, &arm]);
    let index: Value = serde_json::from_str(&done(&context, &["manifest", "inspect", &joined])).unwrap();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
    assert!(refused(&context, &["manifest", "create", "x:1", "absent"], b"").contains("--push"));
}

#[test]
fn credentials_are_explained_and_never_shown() {
    let registry = FakeRegistry::start_in_thread();
    registry.state().auth = Auth::Bearer;
    let host = registry.host.clone();
    let context = TestContext::new();
    let login = ["login", "-u", "user", "--password-stdin", &host];
    assert!(!context.output(&login, b"wrong").status.success());
    assert!(context.output(&login, b"secret").status.success());
    let text = done(&context, &["auth", "check", &host]);
    assert!(text.contains(".docker/config.json`") && text.contains("password of `user`"), "{text}");
    assert!(text.contains(&format!("{host}: accepted")) && !text.contains("secret"), "{text}");
    let given = format!("--registry-auth=user:hunter2@{host}");
    let output = context.output(&["-v", &given, "auth", "check", &host], b"");
    let all = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(all).unwrap();
    assert!(!output.status.success() && text.contains("incorrect user"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    assert!(context.output(&["logout", &host], b"").status.success());
    let text = done(&context, &["auth", "check", &host]);
    assert!(text.contains("wants credentials") || text.contains("open to all"), "{text}");
}

#[test]
fn configuration_is_explained() {
    let context = TestContext::new();
    let context = context.env("CONTAINERS_REGISTRIES_CONF", "registries.conf");
    context.write(
        "registries.conf",
        "[[registry]]\nlocation = \"docker.io\"\n[[registry.mirror]]\nlocation = \"mirror.example/hub\"\ninsecure = true\n",
    );
    let text = done(&context, &["config", "show", "docker.io", "--format=json"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["origin"], "registries.conf");
    assert_eq!(report["endpoints"][0]["url"], "https://mirror.example/v2/hub/");
    assert_eq!(report["endpoints"][0]["insecure"], true);
    assert_eq!(report["endpoints"][1]["url"], "https://registry-1.docker.io/v2/");
    context.write("registries.conf", "[[registry]\n");
    let output = context.output(&["config", "show"], b"");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && text.contains("`registries.conf` is passed over"), "{text}");
}
