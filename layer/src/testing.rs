//! What the tests of this crate share.

use std::collections::BTreeMap;

use crate::{Entry, EntryKind, Mtime, Planned};

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

/// Bytes that compress neither too well nor too badly, the same for the same seed.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut out = Vec::with_capacity(len + 64);
    while out.len() < len {
        match next() % 3 {
            0 => out.extend_from_slice(&next().to_le_bytes()),
            1 => out.extend_from_slice(b"the same words again and again "),
            _ => out.extend_from_slice(format!("{:x},", next() % 1000).as_bytes()),
        }
    }
    out.truncate(len);
    out
}
