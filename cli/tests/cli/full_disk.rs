//! A full disk.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::TestContext;

const HINT: &str = "hint: the disk is full: free some space, or let `garboard prune` do it";
/// The base takes up some 10 MB in all its forms.
const SIZE: &str = "size=48m";

/// A small file system of its own, unmounted at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, said aloud, for those who may not mount.
    fn mount(on: PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&on).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "tmpfs"]).arg(&on).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(Self(on));
        }
        println!("skipped: only root can mount a small disk");
        None
    }

    /// Fills it to the last byte. Gives the file that does.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("lost+found");
        let mut file = std::fs::File::create(&path).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            while std::io::Write::write_all(&mut file, &vec![b'x'; size]).is_ok() {}
        }
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

fn build(context: &TestContext, dockerfile: &str) -> (bool, String) {
    let args = ["build", "--progress=plain", "--build-context=base=base", "-t", "app", "-f", dockerfile, "c"];
    let output = context.output(&args, b"");
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

fn write(context: &TestContext) {
    context.write("c/big", vec![b'x'; 64 << 20]);
    context.write("small.df", "FROM base\nRUN echo 1 >/one\n");
    context.write("other.df", "FROM base\nRUN echo 2 >/two\nCOPY small /\n");
    context.write("c/small", "small");
    context.write("run.df", "FROM base\nRUN while cat /lib*/ld-* >>/big; do :; done; exit 1\n");
    context.write("copy.df", "FROM base\nCOPY big /\nRUN cat /big\n");
    context.write("blob.df", "FROM base\nCOPY big /\n");
}

fn assert_whole(context: &TestContext) {
    let check = context.run(&["debug", "fsck"]);
    assert!(check.contains("exit code: 0"), "{check}");
}

#[test]
fn is_said_and_leaves_a_store_that_works() {
    let Some(context) = TestContext::with_base() else { return };
    let Some(disk) = SmallDisk::mount(context.root()) else { return };
    write(&context);
    for dockerfile in ["run.df", "copy.df"] {
        let (done, log) = build(&context, dockerfile);
        assert!(!done && log.ends_with(&format!("{HINT}\n")), "{dockerfile}: {log}");
        assert_whole(&context);
        let (done, log) = build(&context, "small.df");
        assert!(done, "after {dockerfile}: {log}");
    }
    let filler = disk.fill();
    let (done, log) = build(&context, "other.df");
    assert!(!done && log.ends_with(&format!("{HINT}\n")), "{log}");
    let pruned = context.run(&["prune", "--force", "--all"]);
    assert!(pruned.contains("exit code: 0"), "{pruned}");
    std::fs::remove_file(filler).unwrap();
    assert_whole(&context);
    let (done, log) = build(&context, "other.df");
    assert!(done, "{log}");
    assert_whole(&context);
    assert_files(&context);
}

/// The image that was built last is right.
fn assert_files(context: &TestContext) {
    let args = ["build", "--build-context=base=base", "-f", "other.df", "-o", "files", "c"];
    assert!(context.output(&args, b"").status.success());
    let read = |name: &str| std::fs::read(Path::new(&context.work()).join("files").join(name)).unwrap();
    assert_eq!((read("two"), read("small")), (b"2\n".to_vec(), b"small".to_vec()));
}
