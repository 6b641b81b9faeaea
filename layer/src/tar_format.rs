//! Tar headers, the same bytes for the same entry on every machine.
//!
//! Plain ustar where an entry fits it, and PAX records for just those fields that don't: long or non-ASCII names,
//! big numbers, times before 1970, extended attributes. Times are whole seconds, as BuildKit writes them; owners are
//! numbers only.

use std::collections::BTreeMap;

use tar::{EntryType, Header};

use crate::path::{join, split};
use crate::{Entry, EntryKind};

/// Size of a header, and what content is padded to.
pub(crate) const BLOCK: usize = 512;

/// What two blocks of zeros mean: the end.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Before a name: the name is removed.
pub(crate) const WHITEOUT: &[u8] = b".wh.";

/// In a folder: nothing of lower layers shows in it.
pub(crate) const OPAQUE: &[u8] = b".wh..wh..opq";

/// The biggest number of the seven octal digits of owners.
const MAX_ID: u64 = 0o7_777_777;

/// The biggest number of the eleven octal digits of sizes and times.
const MAX_LONG: u64 = 0o77_777_777_777;

/// Zeros that bring content of this size to a full block.
pub(crate) fn padding(size: u64) -> &'static [u8] {
    let over = (size % BLOCK as u64) as usize;
    if over == 0 { &[] } else { &END[..BLOCK - over] }
}

/// Appends the headers of an entry; a file's content follows them. An opaque folder's marker comes with it.
pub(crate) fn put_headers(out: &mut Vec<u8>, entry: &Entry) {
    match &entry.kind {
        EntryKind::Whiteout => {
            let (dir, name) = split(&entry.path);
            put_marker(out, &join(dir, &[WHITEOUT, name].concat()), entry);
        }
        EntryKind::Dir { opaque } => {
            put_entry(out, entry);
            if *opaque {
                put_marker(out, &join(&entry.path, OPAQUE), entry);
            }
        }
        _ => put_entry(out, entry),
    }
}

/// An empty file of root's that stands for something else.
fn put_marker(out: &mut Vec<u8>, path: &[u8], entry: &Entry) {
    let mut fields = Fields::new(EntryType::Regular, path.to_vec());
    fields.mtime = entry.mtime.secs;
    fields.put(out);
}

fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    let (kind, mut path) = (entry_type(&entry.kind), entry.path.clone());
    if kind == EntryType::Directory {
        path.push(b'/');
    }
    let mut fields = Fields::new(kind, path);
    fields.mode = entry.mode;
    fields.ids = [u64::from(entry.uid), u64::from(entry.gid)];
    fields.mtime = entry.mtime.secs;
    match &entry.kind {
        EntryKind::File { size, .. } => fields.size = *size,
        EntryKind::Symlink { target } | EntryKind::Hardlink { target } => fields.link.clone_from(target),
        EntryKind::Char { major, minor } | EntryKind::Block { major, minor } => {
            fields.device = Some((*major, *minor));
        }
        EntryKind::Dir { .. } | EntryKind::Fifo | EntryKind::Whiteout => {}
    }
    if kind != EntryType::Link {
        for (name, value) in &entry.xattrs {
            fields.record(&[b"SCHILY.xattr.", &name[..]].concat(), value);
        }
    }
    fields.put(out);
}

fn entry_type(kind: &EntryKind) -> EntryType {
    match kind {
        EntryKind::File { .. } | EntryKind::Whiteout => EntryType::Regular,
        EntryKind::Dir { .. } => EntryType::Directory,
        EntryKind::Symlink { .. } => EntryType::Symlink,
        EntryKind::Hardlink { .. } => EntryType::Link,
        EntryKind::Char { .. } => EntryType::Char,
        EntryKind::Block { .. } => EntryType::Block,
        EntryKind::Fifo => EntryType::Fifo,
    }
}

/// One header's fields before it is known which of them need records.
struct Fields {
    kind: EntryType,
    path: Vec<u8>,
    link: Vec<u8>,
    mode: u32,
    ids: [u64; 2],
    size: u64,
    mtime: i64,
    device: Option<(u32, u32)>,
    records: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Fields {
    fn new(kind: EntryType, path: Vec<u8>) -> Self {
        Self {
            kind,
            path,
            link: Vec::new(),
            mode: 0,
            ids: [0; 2],
            size: 0,
            mtime: 0,
            device: None,
            records: BTreeMap::new(),
        }
    }

    fn record(&mut self, key: &[u8], value: &[u8]) {
        self.records.insert(key.to_vec(), value.to_vec());
    }

    fn put(mut self, out: &mut Vec<u8>) {
        let mut header = Header::new_ustar();
        header.set_entry_type(self.kind);
        header.set_mode(self.mode);
        let uid = self.number(b"uid", self.ids[0], MAX_ID);
        header.set_uid(uid);
        let gid = self.number(b"gid", self.ids[1], MAX_ID);
        header.set_gid(gid);
        let size = self.number(b"size", self.size, MAX_LONG);
        header.set_size(size);
        header.set_mtime(self.time());
        self.names(&mut header);
        if let Some((major, minor)) = self.device {
            // Linux has 12 and 20 bits for them, the field has 21; a ustar header can't refuse.
            let _ = header.set_device_major(major).and_then(|()| header.set_device_minor(minor));
        }
        header.set_cksum();
        if !self.records.is_empty() {
            put_records(out, &self.path, &self.records);
        }
        out.extend_from_slice(header.as_bytes());
    }

    /// A number for the header; one that is too big goes to a record.
    fn number(&mut self, key: &[u8], number: u64, max: u64) -> u64 {
        if number <= max {
            return number;
        }
        self.record(key, number.to_string().as_bytes());
        0
    }

    fn time(&mut self) -> u64 {
        if let Ok(secs) = u64::try_from(self.mtime)
            && secs <= MAX_LONG
        {
            return secs;
        }
        self.record(b"mtime", self.mtime.to_string().as_bytes());
        0
    }

    fn names(&mut self, header: &mut Header) {
        let ustar = header.as_ustar_mut().expect("a ustar header was made");
        match split_ustar(&self.path) {
            Some((prefix, name)) if self.path.is_ascii() => {
                ustar.prefix[..prefix.len()].copy_from_slice(prefix);
                ustar.name[..name.len()].copy_from_slice(name);
            }
            _ => {
                let short = &self.path[..self.path.len().min(100)];
                ustar.name[..short.len()].copy_from_slice(short);
                self.records.insert(b"path".to_vec(), self.path.clone());
            }
        }
        let short = &self.link[..self.link.len().min(100)];
        ustar.linkname[..short.len()].copy_from_slice(short);
        if self.link.len() > 100 || !self.link.is_ascii() {
            self.records.insert(b"linkpath".to_vec(), self.link.clone());
        }
    }
}

/// Splits a path over the prefix (155 bytes) and name (100 bytes) fields, if it fits.
fn split_ustar(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= 100 {
        return Some((b"", path));
    }
    let searched = &path[..path.len().min(156) - 1];
    // A folder's own trailing slash is not a place to split.
    let at = searched.iter().rposition(|b| *b == b'/').filter(|at| *at > 0)?;
    let name = &path[at + 1..];
    (name.len() <= 100).then_some((&path[..at], name))
}

fn put_records(out: &mut Vec<u8>, path: &[u8], records: &BTreeMap<Vec<u8>, Vec<u8>>) {
    let mut body = Vec::new();
    for (key, value) in records {
        put_record(&mut body, key, value);
    }
    let (_, name) = split(path.strip_suffix(b"/").unwrap_or(path));
    let name = if name.is_ascii() { &name[..name.len().min(80)] } else { b"name" };
    let mut header = Header::new_ustar();
    let ustar = header.as_ustar_mut().expect("a ustar header was made");
    let full = [b"PaxHeaders.0/", name].concat();
    ustar.name[..full.len()].copy_from_slice(&full);
    header.set_entry_type(EntryType::XHeader);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(body.len() as u64);
    header.set_cksum();
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(&body);
    out.extend_from_slice(padding(body.len() as u64));
}

/// `LENGTH KEY=VALUE\n`, where LENGTH counts itself.
fn put_record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while rest + len.to_string().len() != len {
        len = rest + len.to_string().len();
    }
    out.extend_from_slice(len.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key);
    out.push(b'=');
    out.extend_from_slice(value);
    out.push(b'\n');
}
