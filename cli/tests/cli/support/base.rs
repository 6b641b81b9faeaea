//! A root file system made of this machine's own shell, so that steps can run without any registry.

use std::path::Path;
use std::process::Command;

use super::TestContext;

/// What the shell of the base can call.
const PROGRAMS: [&str; 5] = ["sh", "cat", "ln", "rm", "sleep"];

impl TestContext {
    /// A place with the folder `base`, for `--build-context base=base`. `None`, said aloud, where the machine lets
    /// nobody make namespaces and mounts.
    pub(crate) fn with_base() -> Option<Self> {
        if !may_mount() {
            println!("skipped: this machine allows no namespaces or mounts");
            return None;
        }
        let context = Self::new();
        let base = context.work().join("base");
        for name in PROGRAMS {
            let found =
                ["/bin", "/usr/bin"].map(|dir| Path::new(dir).join(name)).into_iter().find(|p| p.exists());
            let Some(program) = found else {
                println!("skipped: this machine has no {name}");
                return None;
            };
            copy(&program, &base.join("bin").join(name));
            for library in libraries(&program) {
                copy(Path::new(&library), &base.join(library.trim_start_matches('/')));
            }
        }
        Some(context)
    }
}

/// Whether mount and process namespaces can be made, asked of a program that isn't ours.
fn may_mount() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    let user: &[&str] = if is_root { &[] } else { &["--user", "--map-root-user"] };
    let unshare = Command::new("unshare").args(user).args(["--mount", "--pid", "--fork", "true"]).output();
    unshare.is_ok_and(|output| output.status.success())
}

/// The shared libraries that a program needs; a static one needs none.
fn libraries(program: &Path) -> Vec<String> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    words.map(str::to_owned).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(from, to).unwrap();
}
