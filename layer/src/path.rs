//! Paths as bytes: joining, splitting, checking, ordering.

use std::cmp::Ordering;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::LayerError;

/// The longest path that is accepted from foreign data: the kernel's own limit.
pub(crate) const MAX_PATH: usize = 4096;

/// Shows a path in a message.
pub(crate) fn display(path: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a `String` can't fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Bytes as the type that system calls take.
pub(crate) fn os(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

/// Folder and last component; the folder of a top-level name is the empty path.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(i) => (&path[..i], &path[i + 1..]),
        None => (b"", path),
    }
}

/// `dir/name`, or `name` when `dir` is the root.
pub(crate) fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(dir.len() + 1 + name.len());
    path.extend_from_slice(dir);
    if !dir.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// The proper ancestors of a path, the topmost first, without the root.
pub(crate) fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, b)| **b == b'/').map(|(i, _)| &path[..i])
}

/// Whether `path` is `dir` or lies in it.
pub(crate) fn within(path: &[u8], dir: &[u8]) -> bool {
    dir.is_empty() || (path.starts_with(dir) && matches!(path.get(dir.len()), None | Some(b'/')))
}

/// Checks the form that [`crate::Entry::path`] demands.
pub(crate) fn check(path: &[u8]) -> Result<(), LayerError> {
    match fault(path) {
        None => Ok(()),
        Some(reason) => Err(LayerError::bad_path(path, reason)),
    }
}

/// What is wrong with a path, if anything.
pub(crate) fn fault(path: &[u8]) -> Option<&'static str> {
    if path.is_empty() {
        return Some("it is empty");
    }
    if path.len() > MAX_PATH {
        return Some("it is longer than 4096 bytes");
    }
    path.split(|b| *b == b'/').find_map(|name| match name {
        b"" => Some("it has an empty component"),
        b"." | b".." => Some("it has a `.` or `..` component"),
        _ if name.len() > 255 => Some("a component is longer than 255 bytes"),
        _ if name.contains(&0) => Some("it has a NUL byte"),
        _ => None,
    })
}

/// Orders paths so that a folder is followed by all it contains: `/` sorts before every other byte.
pub(crate) fn component_order(a: &[u8], b: &[u8]) -> Ordering {
    let n = a.len().min(b.len());
    let common = common_prefix(a, b);
    if common == n {
        return a.len().cmp(&b.len());
    }
    rank(a[common]).cmp(&rank(b[common]))
}

/// How many bytes two paths share at their start.
pub(crate) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let mut at = 0;
    // Eight bytes at a time: sorted neighbours share long prefixes.
    for (x, y) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        if x != y {
            break;
        }
        at += 8;
    }
    at + a[at..].iter().zip(&b[at..]).take_while(|(x, y)| x == y).count()
}

/// Where a byte stands in the order of [`component_order`].
pub(crate) fn rank(byte: u8) -> u16 {
    if byte == b'/' { 0 } else { u16::from(byte) + 1 }
}
