//! Tars out of arbitrary bytes: random ones would end at the first checksum.

use tar::{EntryType, Header};

const BLOCK: usize = 512;

/// Takes the bytes for a tar and makes its checksums right.
pub(crate) fn repaired(bytes: &[u8]) -> Vec<u8> {
    let mut tar = bytes.to_vec();
    tar.resize(tar.len().next_multiple_of(BLOCK) + 2 * BLOCK, 0);
    let mut at = 0;
    while at + BLOCK <= tar.len() {
        let mut header = Header::new_old();
        header.as_mut_bytes().copy_from_slice(&tar[at..at + BLOCK]);
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            at += BLOCK;
            continue;
        }
        header.set_cksum();
        tar[at..at + BLOCK].copy_from_slice(header.as_bytes());
        let size = header.entry_size().unwrap_or(0).min(tar.len() as u64) as usize;
        at += BLOCK + size.next_multiple_of(BLOCK);
    }
    tar
}

/// Names that lead somewhere.
const NAMES: [&str; 16] = [
    "a",
    "a/b",
    "a/b/c",
    "b",
    "..",
    "../secret",
    "/tmp/garboard-evil",
    "l",
    "l/x",
    ".",
    ".wh.a",
    "a/.wh.b",
    "a/.wh..wh..opq",
    ".wh..wh..opq",
    "./a//b/",
    "../../../../tmp/garboard-evil",
];

const KINDS: [EntryType; 12] = [
    EntryType::Regular,
    EntryType::Directory,
    EntryType::Symlink,
    EntryType::Link,
    EntryType::Fifo,
    EntryType::Char,
    EntryType::Block,
    EntryType::GNULongName,
    EntryType::GNULongLink,
    EntryType::XHeader,
    EntryType::XGlobalHeader,
    EntryType::GNUSparse,
];

/// Reads the bytes as a list of entries: for each one a kind, its mode, name, link and content.
pub(crate) fn listed(bytes: &[u8]) -> Vec<u8> {
    let mut rest = bytes;
    let mut tar = Vec::new();
    while let [kind, mode, more @ ..] = rest {
        rest = more;
        let name = text(&mut rest);
        let link = text(&mut rest);
        let content = counted(&mut rest);
        let mut header = Header::new_ustar();
        let old = header.as_old_mut();
        let fit = |text: &[u8]| text.len().min(100);
        old.name[..fit(name)].copy_from_slice(&name[..fit(name)]);
        old.linkname[..fit(link)].copy_from_slice(&link[..fit(link)]);
        header.set_entry_type(KINDS[usize::from(*kind) % KINDS.len()]);
        header.set_mode(u32::from(*mode) << 4 | 0o700);
        header.set_uid(u64::from(*mode));
        header.set_gid(0);
        header.set_mtime(1_700_000_000 + u64::from(*kind));
        header.set_size(content.len() as u64);
        header.set_cksum();
        tar.extend_from_slice(header.as_bytes());
        tar.extend_from_slice(content);
        tar.resize(tar.len().next_multiple_of(BLOCK), 0);
    }
    tar.resize(tar.len() + 2 * BLOCK, 0);
    tar
}

/// A name of the list, or bytes as they stand there.
fn text<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let Some((first, more)) = rest.split_first() else { return b"" };
    if usize::from(*first) < NAMES.len() {
        *rest = more;
        return NAMES[usize::from(*first)].as_bytes();
    }
    counted(rest)
}

/// A byte that says how many follow, and these.
fn counted<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let Some((count, more)) = rest.split_first() else { return b"" };
    let (taken, more) = more.split_at(usize::from(*count).min(more.len()));
    *rest = more;
    taken
}
