//! A folder to unpack to, inside a folder that must not change.

use std::fs;
use std::path::{Path, PathBuf};

use garboard_layer::{Form, Ids, LayerError, Limits, Toc, TreeView, UnpackOptions};

/// What may be unpacked; more would only be slow.
pub(crate) const LIMITS: Limits = Limits { entries: 2_000, bytes: 16 << 20 };

/// A path on the machine that made-up tars try to write to.
const FORBIDDEN: &str = "/tmp/garboard-evil";

/// The folders.
pub(crate) struct Cage {
    outer: tempfile::TempDir,
}

impl Cage {
    /// Makes them.
    pub(crate) fn new() -> Self {
        let outer = tempfile::tempdir().expect("a folder can be made");
        fs::create_dir(outer.path().join("root")).expect("a folder can be made");
        fs::write(outer.path().join("secret"), "secret").expect("a file can be written");
        Self { outer }
    }

    /// The folder to unpack to.
    pub(crate) fn root(&self) -> PathBuf {
        self.outer.path().join("root")
    }

    /// Property: nothing changed outside.
    pub(crate) fn check(&self) {
        let names = fs::read_dir(self.outer.path())
            .expect("the folder can be read")
            .map(|entry| entry.expect("the folder can be read").file_name().to_string_lossy().into_owned());
        let mut names: Vec<_> = names.collect();
        names.sort();
        assert_eq!(names, ["root", "secret"]);
        let secret = fs::read(self.outer.path().join("secret"));
        assert_eq!(secret.ok().as_deref(), Some(&b"secret"[..]));
        assert!(fs::symlink_metadata(FORBIDDEN).is_err(), "{FORBIDDEN} was made");
    }
}

/// Real owners where they can be given.
pub(crate) fn ids() -> Ids {
    if rustix::process::geteuid().is_root() { Ids::Real } else { Ids::Squash }
}

/// Unpacks a layer.
pub(crate) fn unpack(tar: &[u8], dest: &Path, form: Form, lower: &TreeView) -> Result<Toc, LayerError> {
    let devices = garboard_layer::Devices::Skip;
    garboard_layer::unpack_layer(
        tar,
        dest,
        UnpackOptions { form, lower, ids: ids(), devices, limits: LIMITS },
    )
}
