//! The table of contents as bytes.
//!
//! `GBTOC`, a version byte, the number of entries, the entries, and the BLAKE3 digest of all before it. Numbers are
//! LEB128. An entry's path is given as the number of bytes it shares with the path before it, and the rest. Reading
//! trusts nothing: order, paths, counts and sizes are checked, and memory is bounded by the input's size.

use std::collections::BTreeMap;

use crate::path::{common_prefix, fault, rank};
use crate::{ContentDigest, Entry, EntryKind, LayerError, Mtime, Toc};

const MAGIC: &[u8; 6] = b"GBTOC\x01";
const CHECKSUM: usize = 32;
/// The least an entry takes: shared, length, one byte, kind, mode, uid, gid, seconds, nanoseconds.
const MIN_ENTRY: usize = 9;
/// Shared prefixes make a small input unfold to long paths; this is where it stops.
pub(crate) const MAX_PATH_BYTES: usize = 1 << 29;
const MAX_XATTRS: u64 = 256;

const HAS_XATTRS: u8 = 0x80;

impl Toc {
    /// The table as bytes, for [`Toc::from_bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.entries().len() * 72);
        out.extend_from_slice(MAGIC);
        put_number(&mut out, self.entries().len() as u64);
        let mut before: &[u8] = &[];
        for entry in self.entries() {
            put_entry(&mut out, entry, before);
            before = &entry.path;
        }
        let sum = blake3::hash(&out);
        out.extend_from_slice(sum.as_bytes());
        out
    }

    /// Reads what [`Toc::to_bytes`] made. Anything else, from whomever it comes, is [`LayerError::BadToc`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LayerError> {
        decode(bytes).map_err(LayerError::BadToc)
    }
}

fn put_entry(out: &mut Vec<u8>, entry: &Entry, before: &[u8]) {
    let shared = common_prefix(before, &entry.path);
    put_number(out, shared as u64);
    put_bytes(out, &entry.path[shared..]);
    let flag = if entry.xattrs.is_empty() { 0 } else { HAS_XATTRS };
    out.push(kind_tag(&entry.kind) | flag);
    for number in [entry.mode, entry.uid, entry.gid] {
        put_number(out, u64::from(number));
    }
    let secs = entry.mtime.secs;
    put_number(out, ((secs << 1) ^ (secs >> 63)).cast_unsigned());
    put_number(out, u64::from(entry.mtime.nanos));
    match &entry.kind {
        EntryKind::File { size, digest } => {
            put_number(out, *size);
            out.extend_from_slice(&digest.0);
        }
        EntryKind::Symlink { target } | EntryKind::Hardlink { target } => put_bytes(out, target),
        EntryKind::Char { major, minor } | EntryKind::Block { major, minor } => {
            put_number(out, u64::from(*major));
            put_number(out, u64::from(*minor));
        }
        EntryKind::Dir { .. } | EntryKind::Fifo | EntryKind::Whiteout => {}
    }
    if flag != 0 {
        put_number(out, entry.xattrs.len() as u64);
        for (name, value) in &entry.xattrs {
            put_bytes(out, name);
            put_bytes(out, value);
        }
    }
}

/// The number of a kind of entry, in this format and in content digests.
pub(crate) fn kind_tag(kind: &EntryKind) -> u8 {
    match kind {
        EntryKind::File { .. } => 1,
        EntryKind::Dir { opaque: false } => 2,
        EntryKind::Dir { opaque: true } => 3,
        EntryKind::Symlink { .. } => 4,
        EntryKind::Hardlink { .. } => 5,
        EntryKind::Char { .. } => 6,
        EntryKind::Block { .. } => 7,
        EntryKind::Fifo => 8,
        EntryKind::Whiteout => 9,
    }
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

type Fault = &'static str;

fn decode(bytes: &[u8]) -> Result<Toc, Fault> {
    let body_len = bytes.len().checked_sub(CHECKSUM).ok_or("it is cut off")?;
    let (body, sum) = bytes.split_at(body_len);
    let rest = body.strip_prefix(MAGIC).ok_or("it is of another kind or version")?;
    if blake3::hash(body).as_bytes() != sum {
        return Err("its checksum doesn't match");
    }
    let mut input = Input { rest };
    let count = usize::try_from(input.number()?).map_err(|_| "it has too many entries")?;
    if count > input.rest.len() / MIN_ENTRY {
        return Err("it promises more entries than it can hold");
    }
    let mut entries: Vec<Entry> = Vec::with_capacity(count);
    let mut path_bytes = 0;
    for _ in 0..count {
        let before = entries.last().map_or(&[][..], |e| &e.path);
        let entry = input.entry(before)?;
        path_bytes += entry.path.len();
        if path_bytes > MAX_PATH_BYTES {
            return Err("its paths are too long");
        }
        entries.push(entry);
    }
    if !input.rest.is_empty() {
        return Err("it has bytes after the last entry");
    }
    Ok(Toc::from_sorted(entries))
}

struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn byte(&mut self) -> Result<u8, Fault> {
        let (first, rest) = self.rest.split_first().ok_or("it is cut off")?;
        self.rest = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Result<u64, Fault> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                return Err("a number is too big");
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err("a number is too big")
    }

    fn small(&mut self) -> Result<u32, Fault> {
        u32::try_from(self.number()?).map_err(|_| "a number is too big")
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or("it is cut off")?;
        self.rest = rest;
        Ok(taken)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let len = usize::try_from(self.number()?).map_err(|_| "it is cut off")?;
        self.take(len)
    }

    fn entry(&mut self, before: &[u8]) -> Result<Entry, Fault> {
        let path = self.path(before)?;
        let tag = self.byte()?;
        let (mode, uid, gid) = (self.small()?, self.small()?, self.small()?);
        let secs = self.number()?;
        let secs = (secs >> 1).cast_signed() ^ -((secs & 1).cast_signed());
        let mtime = Mtime { secs, nanos: self.small()? };
        if mode & !0o7777 != 0 || mtime.nanos >= 1_000_000_000 {
            return Err("a mode or time is out of range");
        }
        let kind = self.kind(tag & !HAS_XATTRS)?;
        let xattrs = if tag & HAS_XATTRS == 0 { BTreeMap::new() } else { self.xattrs()? };
        Ok(Entry { path, kind, mode, uid, gid, mtime, xattrs })
    }

    /// The path, which must come after the one before it; as the shared part is known, one byte decides.
    fn path(&mut self, before: &[u8]) -> Result<Vec<u8>, Fault> {
        let shared = usize::try_from(self.number()?).map_err(|_| "a path is damaged")?;
        let shared = before.get(..shared).ok_or("a path is damaged")?;
        let rest = self.bytes()?;
        let first = rest.first().ok_or("its paths are out of order")?;
        if before.get(shared.len()).is_some_and(|b| rank(*b) >= rank(*first)) {
            return Err("its paths are out of order");
        }
        let mut path = Vec::with_capacity(shared.len() + rest.len());
        path.extend_from_slice(shared);
        path.extend_from_slice(rest);
        fault(&path).map_or(Ok(path), Err)
    }

    fn kind(&mut self, tag: u8) -> Result<EntryKind, Fault> {
        Ok(match tag {
            1 => {
                let size = self.number()?;
                let digest = self.take(32)?.try_into().map_err(|_| "it is cut off")?;
                EntryKind::File { size, digest: ContentDigest(digest) }
            }
            2 | 3 => EntryKind::Dir { opaque: tag == 3 },
            4 => EntryKind::Symlink { target: self.bytes()?.to_vec() },
            5 => {
                let target = self.bytes()?.to_vec();
                fault(&target).map_or(Ok(EntryKind::Hardlink { target }), Err)?
            }
            6 => EntryKind::Char { major: self.small()?, minor: self.small()? },
            7 => EntryKind::Block { major: self.small()?, minor: self.small()? },
            8 => EntryKind::Fifo,
            9 => EntryKind::Whiteout,
            _ => return Err("an entry is of an unknown kind"),
        })
    }

    fn xattrs(&mut self) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Fault> {
        let count = self.number()?;
        if count == 0 || count > MAX_XATTRS {
            return Err("an entry has too many attributes");
        }
        (0..count).map(|_| Ok((self.bytes()?.to_vec(), self.bytes()?.to_vec()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{dir, entry, file, hardlink, noise, opaque, symlink, whiteout};

    fn sample() -> Toc {
        let mut special = file("a/caps", "x").entry;
        special.xattrs.insert(b"security.capability".to_vec(), vec![1, 0, 0, 2]);
        special.mtime = Mtime { secs: -5, nanos: 999_999_999 };
        Toc::new(vec![
            dir("a"),
            special,
            opaque("b"),
            symlink("b/link", "../a"),
            hardlink("c", "a/caps"),
            whiteout("d"),
            entry("e", EntryKind::Char { major: 4095, minor: 1_048_575 }, 0o666),
            entry("f", EntryKind::Block { major: 8, minor: 1 }, 0o660),
            entry("g", EntryKind::Fifo, 0o7777),
        ])
    }

    #[test]
    fn round_trip() {
        for toc in [Toc::default(), sample()] {
            assert_eq!(Toc::from_bytes(&toc.to_bytes()).unwrap(), toc);
        }
    }

    #[test]
    fn fifty_thousand_entries_are_compact() {
        let name = |n: u32| format!("node_modules/package-{}/lib/file-{n}.js", n / 40);
        let entries = (0..50_000).map(|n| file(&name(n), "x").entry).collect();
        let toc = Toc::new(entries);
        let bytes = toc.to_bytes();
        assert!(bytes.len() < 50_000 * 72, "{} bytes", bytes.len());
        let start = std::time::Instant::now();
        assert_eq!(Toc::from_bytes(&bytes).unwrap(), toc);
        println!("read and compared in {:?}", start.elapsed());
    }

    #[test]
    fn damage_is_noticed() {
        let bytes = sample().to_bytes();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            assert!(matches!(Toc::from_bytes(&damaged), Err(LayerError::BadToc(_))));
            assert!(Toc::from_bytes(&bytes[..at]).is_err());
        }
    }

    /// Gives bytes the checksum that lets them pass to the decoder.
    fn sealed(mut body: Vec<u8>) -> Vec<u8> {
        let sum = blake3::hash(&body);
        body.extend_from_slice(sum.as_bytes());
        body
    }

    #[test]
    fn lies_are_refused() {
        let huge = [MAGIC.as_slice(), &[0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
        assert!(Toc::from_bytes(&sealed(huge)).is_err());
        let mut unsorted = MAGIC.to_vec();
        put_number(&mut unsorted, 2);
        put_entry(&mut unsorted, &dir("b"), b"");
        put_entry(&mut unsorted, &dir("a"), b"b");
        assert!(Toc::from_bytes(&sealed(unsorted)).is_err());
        for path in ["", "/a", "a/", "a//b", "../a", "a/./b", "a\0b"] {
            let mut body = MAGIC.to_vec();
            put_number(&mut body, 1);
            put_entry(&mut body, &dir(path), b"");
            assert!(Toc::from_bytes(&sealed(body)).is_err(), "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Toc::from_bytes(&bytes);
            let _ = Toc::from_bytes(&sealed([MAGIC.as_slice(), &bytes].concat()));
        }

        #[test]
        fn changed_bytes_are_survived(at in 6usize..200, to in any::<u8>(), seed in any::<u64>()) {
            let mut body = sample().to_bytes();
            body.truncate(body.len() - CHECKSUM);
            let at = at % body.len();
            body[at] = to;
            let extra = noise(seed, at % 7);
            body.splice(at..at, extra);
            if let Ok(toc) = Toc::from_bytes(&sealed(body)) {
                prop_assert_eq!(Toc::from_bytes(&toc.to_bytes()).unwrap(), toc);
            }
        }
    }
}
