//! Caches in a folder. A new root is a new machine, to which the folder was carried.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::remote_cache::cached;
use crate::support::machines::Machines;

fn machines() -> Option<Machines> {
    Machines::new("type=local,src=../carried", "type=local,dest=../carried")
}

fn folder(machines: &Machines) -> PathBuf {
    machines.context.work().join("../carried")
}

fn index(machines: &Machines) -> Value {
    serde_json::from_slice(&std::fs::read(folder(machines).join("index.json")).unwrap()).unwrap()
}

/// The names of the manifests in the folder.
fn names(machines: &Machines) -> Vec<String> {
    let index = index(machines);
    let names = index["manifests"].as_array().unwrap().iter();
    let name = |m: &Value| m["annotations"]["org.opencontainers.image.ref.name"].as_str().map(str::to_owned);
    names.filter_map(name).collect()
}

#[test]
fn a_new_machine_has_what_another_made() {
    let Some(machines) = machines() else { return };
    let text = machines.build("one", &[]);
    assert!(cached(&text).is_empty() && text.contains("7 steps"), "{text}");
    let text = machines.build("two", &[]);
    assert_eq!(cached(&text).len(), 5, "{text}");
    assert!(text.contains("nothing new"), "{text}");
    machines.context.write("src/a", "changed");
    let text = machines.build("three", &[]);
    assert_eq!(cached(&text), ["RUN echo one > /one", "RUN echo tool > /tool"], "{text}");
    // A layer taken over earlier is had without naming the cache again.
    machines.context.write("last", "changed");
    let from = "type=local,src=../carried";
    machines.build("four", &[]);
    assert_eq!(machines.file("four", "sum", &[]), b"changedb");
    assert_eq!(machines.file("five", "sum", &["--cache-from", from]), b"changedb");
}

#[test]
fn layers_come_from_the_folder_later_too() {
    let Some(machines) = machines() else { return };
    machines.build("one", &[]);
    let text = machines.build("two", &[]);
    assert_eq!(cached(&text).len(), 5, "{text}");
    let text = machines.file("two", "sum", &[]);
    assert_eq!(text, b"ab");
    // Gone with all it had: the steps run again.
    let text = machines.build("three", &[]);
    assert_eq!(cached(&text).len(), 5, "{text}");
    std::fs::remove_dir_all(folder(&machines)).unwrap();
    assert_eq!(machines.file("three", "sum", &[]), b"ab");
}

#[test]
fn other_tools_read_the_folder() {
    let Some(machines) = machines() else { return };
    machines.build("one", &["--cache-to", "type=local,dest=../carried,tag=other"]);
    let found = names(&machines);
    assert_eq!(found.iter().filter(|name| name.starts_with("latest.seg-")).count(), 1, "{found:?}");
    assert_eq!(found.iter().filter(|name| name.starts_with("other.seg-")).count(), 1, "{found:?}");
    let layout = std::fs::read_to_string(folder(&machines).join("oci-layout")).unwrap();
    assert!(layout.contains("1.0.0"));
    if Command::new("skopeo").arg("--version").output().is_err() {
        println!("skipped: skopeo is not installed");
        return;
    }
    for name in found {
        let place = format!("oci:{}:{name}", folder(&machines).display());
        let shown = Command::new("skopeo").args(["inspect", "--raw", &place]).output().unwrap();
        assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
        let manifest: Value = serde_json::from_slice(&shown.stdout).unwrap();
        for layer in manifest["layers"].as_array().unwrap() {
            let digest = layer["digest"].as_str().unwrap().replace(':', "/");
            let size = std::fs::metadata(folder(&machines).join("blobs").join(digest)).unwrap().len();
            assert_eq!(layer["size"], size);
        }
    }
}

#[test]
fn a_layer_that_vanished_is_made_again() {
    let Some(machines) = machines() else { return };
    machines.build("one", &[]);
    for name in names(&machines) {
        remove_layers(&folder(&machines), &index(&machines), &name);
    }
    machines.context.write("src/a", "changed");
    let text = machines.build("two", &[]);
    assert!(text.contains("is made again"), "{text}");
    machines.context.write("src/a", "changed again");
    let text = machines.build("three", &[]);
    assert_eq!(cached(&text).len(), 2, "{text}");
    assert!(!text.contains("is made again"), "{text}");
}

fn remove_layers(folder: &Path, index: &Value, name: &str) {
    let all = index["manifests"].as_array().unwrap();
    let entry = all.iter().find(|m| m["annotations"]["org.opencontainers.image.ref.name"] == name).unwrap();
    let blob = |digest: &Value| folder.join("blobs").join(digest.as_str().unwrap().replace(':', "/"));
    let manifest: Value = serde_json::from_slice(&std::fs::read(blob(&entry["digest"])).unwrap()).unwrap();
    for layer in manifest["layers"].as_array().unwrap() {
        if layer["mediaType"].as_str().unwrap().contains("image.layer") {
            std::fs::remove_file(blob(&layer["digest"])).unwrap();
        }
    }
}

#[test]
fn damage_is_a_miss() {
    let Some(machines) = machines() else { return };
    machines.build("one", &[]);
    for blob in std::fs::read_dir(folder(&machines).join("blobs/sha256")).unwrap() {
        let path = blob.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.reverse();
        std::fs::write(&path, bytes).unwrap();
    }
    let text = machines.build("two", &[]);
    assert!(cached(&text).is_empty(), "{text}");
    std::fs::write(folder(&machines).join("index.json"), "{").unwrap();
    let text = machines.build("three", &[]);
    assert!(cached(&text).is_empty() && text.contains("left out"), "{text}");
    let strict = ["--cache-to", "type=local,dest=../carried,ignore-error=false"];
    assert!(!machines.run("four", &strict).status.success());
}

#[test]
fn jobs_that_write_at_once_lose_nothing() {
    let Some(machines) = machines() else { return };
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
fn many_segments_become_one() {
    let Some(machines) = machines() else { return };
    machines.context.write("Dockerfile", "FROM base\nARG N\nRUN echo $N > /n\n");
    for n in 0..18 {
        machines.build("one", &["--build-arg", &format!("N={n}")]);
    }
    let found = names(&machines);
    assert_eq!(found.len(), 2, "{found:?}");
    for n in 0..18 {
        let text = machines.build(&format!("m{n}"), &["--build-arg", &format!("N={n}")]);
        assert_eq!(cached(&text).len(), 1, "{n}: {text}");
    }
    assert_eq!(names(&machines), found);
}

#[test]
fn layers_are_written_as_it_is_said() {
    let Some(machines) = machines() else { return };
    machines.build("one", &["--cache-to", "type=local,dest=../zstd,compression=zstd,compression-level=3"]);
    let index = std::fs::read(machines.context.work().join("../zstd/index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
    let manifest =
        std::fs::read_to_string(machines.context.work().join("../zstd/blobs").join(digest)).unwrap();
    assert!(manifest.contains("tar+zstd") && !manifest.contains("tar+gzip"), "{manifest}");
    let found = names(&machines);
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn time_may_be_up() {
    let Some(machines) = machines() else { return };
    let text = machines.build("one", &["--cache-to", "type=local,dest=../short,timeout=1ms"]);
    assert!(text.contains("time is up") || text.contains("7 steps"), "{text}");
}
