//! The base image of the cases, made from this machine's own tools.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::image::BASE_MARKER;

const TOOLS: &[&str] = &[
    "sh", "cat", "chmod", "chown", "chroot", "cp", "dd", "env", "find", "grep", "head", "id", "ln", "ls",
    "mkdir", "mknod", "mount", "mv", "readlink", "rm", "rmdir", "sed", "sleep", "sort", "stat", "tail",
    "touch", "tr", "true", "uniq", "unshare", "wc",
];

/// Writes an OCI layout with one image of the machine's tools, tagged `latest`, to the folder, and returns the folder.
pub(crate) fn layout(folder: &Path) -> PathBuf {
    image(folder, &root_file_system(), "PATH=/bin")
}

/// As [`layout`], of busybox alone; none where the machine has none.
pub(crate) fn busybox_layout(folder: &Path) -> Option<PathBuf> {
    let program =
        ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from).into_iter().find(|file| file.is_file())?;
    let applets = Command::new(&program).arg("--list").output().unwrap();
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for library in libraries(&program) {
        files.insert(library.trim_start_matches('/').to_owned(), std::fs::read(&library).unwrap());
    }
    files.insert("bin/busybox".to_owned(), std::fs::read(&program).unwrap());
    let mut tar = tree_of(&files);
    for applet in String::from_utf8(applets.stdout).unwrap().lines().filter(|name| *name != "busybox") {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o777);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_600_000_000);
        header.set_size(0);
        tar.append_link(&mut header, format!("bin/{applet}"), "busybox").unwrap();
    }
    Some(image(
        folder,
        &tar.into_inner().unwrap(),
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ))
}

fn image(folder: &Path, tar: &[u8], path: &str) -> PathBuf {
    std::fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(tar).unwrap();
    let layer = blob(folder, "application/vnd.oci.image.layer.v1.tar+gzip", &gzip.finish().unwrap());
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": {"Env": [path], "Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(tar)]},
        "history": [{"created_by": "tools of this machine"}],
    });
    let config = blob(folder, "application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [layer]});
    let mut manifest = blob(folder, media_type, manifest.to_string().as_bytes());
    manifest["annotations"] = json!({"org.opencontainers.image.ref.name": "latest"});
    let index = json!({"schemaVersion": 2, "manifests": [manifest]});
    std::fs::write(folder.join("index.json"), index.to_string()).unwrap();
    std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    folder.to_owned()
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

fn blob(folder: &Path, media_type: &str, bytes: &[u8]) -> serde_json::Value {
    let digest = digest(bytes);
    std::fs::write(folder.join("blobs/sha256").join(&digest["sha256:".len()..]), bytes).unwrap();
    json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
}

/// The tar of the tools, what they load, and the few files that make a root file system.
fn root_file_system() -> Vec<u8> {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for tool in TOOLS {
        let program = find(tool);
        for library in libraries(&program) {
            files
                .entry(library.trim_start_matches('/').to_owned())
                .or_insert_with(|| std::fs::read(&library).unwrap());
        }
        files.insert(format!("bin/{tool}"), std::fs::read(program).unwrap());
    }
    tree_of(&files).into_inner().unwrap()
}

/// A root file system with the few files that every one has, and these.
fn tree_of(files: &BTreeMap<String, Vec<u8>>) -> tar::Builder<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut folders: Vec<String> = ["dev", "etc", "home", "proc", "root", "sys"].map(str::to_owned).to_vec();
    for name in files.keys() {
        folders
            .extend(Path::new(name).ancestors().skip(1).map(|folder| folder.to_string_lossy().into_owned()));
    }
    folders.retain(|folder| !folder.is_empty());
    folders.sort();
    folders.dedup();
    for folder in folders {
        add(&mut tar, &folder, tar::EntryType::Directory, (0o755, 0), &[]);
    }
    add(&mut tar, "home/app", tar::EntryType::Directory, (0o755, 1000), &[]);
    add(&mut tar, "tmp", tar::EntryType::Directory, (0o1777, 0), &[]);
    let users = b"root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n";
    add(&mut tar, "etc/passwd", tar::EntryType::Regular, (0o644, 0), users);
    add(&mut tar, "etc/group", tar::EntryType::Regular, (0o644, 0), b"root:x:0:\napp:x:1000:\n");
    add(&mut tar, BASE_MARKER.trim_start_matches('/'), tar::EntryType::Regular, (0o644, 0), b"");
    for (name, content) in files {
        add(&mut tar, name, tar::EntryType::Regular, (0o755, 0), content);
    }
    tar
}

fn add(
    tar: &mut tar::Builder<Vec<u8>>,
    name: &str,
    kind: tar::EntryType,
    (mode, id): (u32, u64),
    content: &[u8],
) {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(id);
    header.set_gid(id);
    header.set_mtime(1_600_000_000);
    header.set_size(content.len() as u64);
    tar.append_data(&mut header, name, content).unwrap();
}

fn find(tool: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/bin", "/usr/bin"].map(PathBuf::from));
    places
        .map(|folder| folder.join(tool))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("no `{tool}` here"))
}

/// The shared libraries and the loader of a program, by `ldd`; none for a static one.
fn libraries(program: &Path) -> Vec<String> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned))
        .collect()
}
