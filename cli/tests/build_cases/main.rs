//! Runs every case in `testdata/build/` and `testdata/real/`; `testdata/README.md` has their form.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "a case that is left out is said")]

mod base;
mod case;
mod check;
mod image;
mod server;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use case::{Case, Step};
use server::Server;

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/build");
const REAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/real");

#[test]
fn every_case_builds_what_it_says() {
    run_all(CASES, &[]);
}

#[test]
fn every_case_builds_the_same_where_trees_are_copied() {
    run_all(CASES, &[("GARBOARD_COPY_TREES", "1")]);
}

#[test]
fn dockerfiles_as_people_have_them() {
    run_all(REAL, &[]);
}

fn run_all(cases: &str, env: &[(&str, &str)]) {
    if let Some(reason) = builds_impossible() {
        println!("skipped: {reason}");
        return;
    }
    let paths = case_files(cases);
    let shared = tempfile::tempdir().unwrap();
    let Some(bases) = bases(cases, &shared.path().join("base")) else {
        println!("skipped: {cases}: busybox is not installed");
        return;
    };
    let ids = has_ids();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
                    let problem = std::panic::catch_unwind(|| run(path, env, &bases, ids));
                    match problem {
                        Ok(Ok(())) => {}
                        Ok(Err(problem)) => failures.lock().unwrap().push(format!("{name}: {problem}")),
                        Err(_) => failures
                            .lock()
                            .unwrap()
                            .push(format!("{name}: the case itself is wrong, see above")),
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {} cases:\n\n{}", failures.len(), paths.len(), failures.join("\n\n"));
}

/// What `FROM` may name in the cases, as values of `--build-context`; none where the machine has nothing to make it from.
fn bases(cases: &str, folder: &Path) -> Option<Vec<String>> {
    let (layout, names): (_, &[&str]) = if cases == REAL {
        (base::busybox_layout(folder)?, &["busybox", "busybox:1.36", "alpine:3.20"])
    } else {
        (base::layout(folder), &["base"])
    };
    Some(names.iter().map(|name| format!("{name}=oci-layout://{}:latest", layout.display())).collect())
}

fn case_files(cases: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> = std::fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "case"));
    assert!(!paths.is_empty(), "there are no cases in {cases}");
    if let Ok(name) = std::env::var("CASE") {
        paths.retain(|path| path.to_string_lossy().contains(&name));
    }
    paths.sort();
    paths
}

/// Why no RUN step can run on this machine, if so.
fn builds_impossible() -> Option<&'static str> {
    if rustix::process::geteuid().is_root() {
        return None;
    }
    let unshared = Command::new("unshare").args(["--user", "--map-root-user", "true"]).output();
    let works = unshared.is_ok_and(|output| output.status.success());
    (!works).then_some("an ordinary user can make no user namespace here")
}

/// Whether builds can give files any owner: as root, or with subordinate ids and the program that grants them.
fn has_ids() -> bool {
    let uid = rustix::process::geteuid();
    let user = std::env::var("USER").unwrap_or_default();
    let ranges = std::fs::read_to_string("/etc/subuid").unwrap_or_default();
    let mine =
        |line: &str| line.split(':').next().is_some_and(|who| who == user || who == uid.as_raw().to_string());
    uid.is_root() || (ranges.lines().any(mine) && Path::new("/usr/bin/newuidmap").exists())
}

/// Runs one case with a store of its own.
fn run(path: &Path, env: &[(&str, &str)], bases: &[String], ids: bool) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let context = folder.path().join("context");
    let text = std::fs::read_to_string(path).unwrap();
    let server = Case::served(&text).map(|served| Server::start(folder.path().join(served)));
    let address = server.as_ref().map(|server| server.address.as_str()).unwrap_or_default();
    let case = Case::read(&text.replace("%SERVER%", address));
    if case.needs_ids && !ids {
        println!("skipped: {}: this user has a single id", path.display());
        return Ok(());
    }
    if case.needs_git && !Command::new("git").arg("--version").output().is_ok_and(|o| o.status.success()) {
        println!("skipped: {}: git is not installed", path.display());
        return Ok(());
    }
    case.write_files(&context);
    let mut built = None;
    let mut path = ".";
    for step in &case.steps {
        match step {
            Step::Shell(command) => shell(command, &context)?,
            Step::Context(context) => path = context,
            Step::Build(arguments) => {
                let arguments = [case.arguments.as_slice(), arguments, &[path.to_owned()]].concat();
                built = Some(build(&arguments, env, bases, folder.path())?);
            }
            Step::Check(check) => {
                check.hold(built.as_ref().expect("a case has a build before its first check"))?;
            }
        }
    }
    Ok(())
}

fn shell(command: &str, context: &Path) -> Result<(), String> {
    let mut shell = Command::new("sh");
    // Commits are the same everywhere.
    for who in ["AUTHOR", "COMMITTER"] {
        shell.env(format!("GIT_{who}_NAME"), "a").env(format!("GIT_{who}_EMAIL"), "a@example.com");
        shell.env(format!("GIT_{who}_DATE"), "2001-02-03T04:05:06Z");
    }
    shell.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    let output = shell.args(["-c", command]).current_dir(context).output().unwrap();
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`{command}`: {}", String::from_utf8_lossy(&output.stderr)))
}

/// One build's outcome.
struct Built {
    /// What it printed.
    text: String,
    /// Its store.
    store: PathBuf,
    /// The image, when the build succeeded.
    image: Option<image::Image>,
}

fn build(
    arguments: &[String],
    env: &[(&str, &str)],
    bases: &[String],
    folder: &Path,
) -> Result<Built, String> {
    let out = folder.join("image.tar");
    let _ = std::fs::remove_file(&out);
    let config = folder.join("garboard.toml");
    std::fs::write(&config, "").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_garboard"))
        .env_clear()
        .envs(["PATH", "USER", "TMPDIR"].iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .env("HOME", folder)
        .envs(env.iter().copied())
        .env("GARBOARD_ROOT", folder.join("store"))
        .env("GARBOARD_CONFIG", &config)
        .args(["build", "--progress=plain"])
        .args(bases.iter().flat_map(|base| ["--build-context", base]))
        .arg(format!("--output=type=oci,dest={}", out.display()))
        .args(arguments)
        .current_dir(folder.join("context"))
        .output()
        .unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if text.contains("panicked at") {
        return Err(format!("the program panicked:\n{text}"));
    }
    let image = output.status.success().then(|| image::read(&out));
    Ok(Built { text, store: folder.join("store"), image })
}
