//! What the tests of this crate share.

use std::collections::BTreeMap;

use crate::{Entry, EntryKind, Mtime, Planned};

#[path = "../tests/common/noise.rs"]
mod noise;

pub(crate) use noise::noise;

/// An entry that root owns.
pub(crate) fn entry(path: &str, kind: EntryKind, mode: u32) -> Entry {
    let mtime = Mtime { secs: 1_700_000_000, nanos: 0 };
    Entry { path: path.into(), kind, mode, uid: 0, gid: 0, mtime, xattrs: BTreeMap::new() }
}

pub(crate) fn dir(path: &str) -> Entry {
    entry(path, EntryKind::Dir { opaque: false }, 0o755)
}

pub(crate) fn opaque(path: &str) -> Entry {
    entry(path, EntryKind::Dir { opaque: true }, 0o755)
}

pub(crate) fn whiteout(path: &str) -> Entry {
    entry(path, EntryKind::Whiteout, 0)
}

pub(crate) fn symlink(path: &str, target: &str) -> Entry {
    entry(path, EntryKind::Symlink { target: target.into() }, 0o777)
}

pub(crate) fn hardlink(path: &str, target: &str) -> Entry {
    entry(path, EntryKind::Hardlink { target: target.into() }, 0o644)
}

/// A file with content.
pub(crate) fn file(path: &str, content: &str) -> Planned {
    Planned::bytes(entry(path, EntryKind::Fifo, 0o644), content.as_bytes())
}
