//! Makes the table of contents of a folder, such as a build context.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::path::display;
use crate::scan::{Scan, Scanned, now, scan, stamp};
use crate::{Beneath, ContentDigest, Entry, EntryKind, FileStamp, LayerError, StatCache, Toc};

/// What a filter says of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It belongs to the result; a folder's entries are asked about one by one.
    Take,
    /// Neither it nor anything in it.
    Skip,
    /// A folder that is only in the result if something in it is. As [`Verdict::Skip`] for anything else.
    Descend,
}

/// What [`walk`] looks at.
#[derive(Clone, Copy)]
pub struct WalkOptions<'a> {
    /// Asked once for each path (below the root, in the form of [`crate::Entry::path`]) and whether it is a folder.
    pub filter: &'a (dyn Fn(&[u8], bool) -> Verdict + Sync),
    /// If given: only these paths, all that is in them, and the folders above them. An empty path is the root.
    pub only: Option<&'a [Vec<u8>]>,
    /// Threads to use, at least one.
    pub threads: usize,
    /// Where digests of unchanged files are known from, and where new ones are put.
    pub stat_cache: Option<&'a StatCache>,
    /// Whether files are digested; if not, digests of files stay zero.
    pub digests: bool,
    /// Whether owners are those on disk; if not, everything is root's.
    pub owners: bool,
}

/// The table of contents of a folder. Further names of one inode are hard links to the first in
/// order; sockets become empty files; devices are left out; extended attributes too, but for `security.capability`
/// of executable files. A file that is selected and can't be read is an error.
pub fn walk(root: &Path, options: &WalkOptions<'_>) -> Result<Toc, LayerError> {
    let started = now();
    let what = Scan {
        filter: options.filter,
        only: options.only,
        threads: options.threads,
        overlay: false,
        stat_cache: options.stat_cache.filter(|_| options.digests),
    };
    let mut found = scan(root, what)?;
    found.retain(|item| !matches!(item.entry.kind, EntryKind::Char { .. } | EntryKind::Block { .. }));
    if !options.owners {
        for item in &mut found {
            (item.entry.uid, item.entry.gid) = (0, 0);
        }
    }
    link_names(&mut found, |item| matches!(item.entry.kind, EntryKind::File { .. }) && !item.socket);
    if options.digests {
        digest_files(root, &mut found, options, started)?;
    }
    Ok(Toc::from_sorted(found.into_iter().map(|item| item.entry).collect()))
}

/// Turns all names of an inode but the first into hard links.
pub(crate) fn link_names(found: &mut [Scanned], linkable: impl Fn(&Scanned) -> bool) {
    let mut first: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
    for item in found.iter_mut().filter(|item| item.linked) {
        if !linkable(item) {
            continue;
        }
        match first.entry((item.stamp.dev, item.stamp.ino)) {
            std::collections::hash_map::Entry::Vacant(slot) => drop(slot.insert(item.entry.path.clone())),
            std::collections::hash_map::Entry::Occupied(slot) => {
                item.entry.kind = EntryKind::Hardlink { target: slot.get().clone() };
            }
        }
    }
}

fn digest_files(
    root: &Path,
    found: &mut [Scanned],
    options: &WalkOptions<'_>,
    started: i128,
) -> Result<(), LayerError> {
    let mut unknown = Vec::new();
    for (index, item) in found.iter_mut().enumerate() {
        let EntryKind::File { size, digest } = &mut item.entry.kind else { continue };
        if *size == 0 {
            *digest = ContentDigest::of(b"");
        } else if digest.is_zero() {
            unknown.push(index);
        }
    }
    let reader = Reader { folder: Beneath::new(root)?, found, next: AtomicUsize::new(0), unknown: &unknown };
    let read = reader.run(options.threads.min(unknown.len()))?;
    for (index, file) in read {
        let item = &mut found[index];
        item.stamp = file.stamp;
        item.entry.mtime = file.mtime;
        item.entry.kind = EntryKind::File { size: file.stamp.size, digest: file.digest };
        if let Some(cache) = options.stat_cache {
            cache.put(file.stamp, file.digest, started);
        }
    }
    Ok(())
}

/// Digests files on several threads.
struct Reader<'a> {
    folder: Beneath,
    found: &'a [Scanned],
    unknown: &'a [usize],
    next: AtomicUsize,
}

/// A file as it was when it was read.
struct ReadFile {
    stamp: FileStamp,
    mtime: crate::Mtime,
    digest: ContentDigest,
}

impl Reader<'_> {
    fn run(&self, threads: usize) -> Result<Vec<(usize, ReadFile)>, LayerError> {
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| self.work())).collect();
            let mut read = self.work()?;
            for other in others {
                read.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            Ok(read)
        })
    }

    fn work(&self) -> Result<Vec<(usize, ReadFile)>, LayerError> {
        let mut done = Vec::new();
        let mut buffer = vec![0; 128 * 1024];
        while let Some(index) = self.unknown.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            match self.read(&self.found[*index].entry, &mut buffer) {
                Ok(file) => done.push((*index, file)),
                Err(error) => {
                    // The other threads find nothing more to do.
                    self.next.store(self.unknown.len(), Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(done)
    }

    fn read(&self, entry: &Entry, buffer: &mut [u8]) -> Result<ReadFile, LayerError> {
        let fail = |action| move |e: io::Error| LayerError::io(action, &entry.path, e);
        let file = self.folder.open(&entry.path).map_err(fail("open"))?;
        let stat = |file| rustix::fs::fstat(file).map_err(|e| LayerError::io("stat", &entry.path, e));
        let before = stat(&file)?;
        let digest = digest_reader(&file, buffer).map_err(fail("read"))?;
        let after = stat(&file)?;
        if stamp(&before) != stamp(&after) {
            return Err(LayerError::ContentChanged { path: display(&entry.path) });
        }
        let mtime = crate::Mtime { secs: after.st_mtime, nanos: after.st_mtime_nsec as u32 };
        Ok(ReadFile { stamp: stamp(&after), mtime, digest })
    }
}

/// Digests all that can be read.
pub(crate) fn digest_reader(mut from: impl Read, buffer: &mut [u8]) -> io::Result<ContentDigest> {
    let mut hasher = blake3::Hasher::new();
    loop {
        match from.read(buffer) {
            Ok(0) => return Ok(ContentDigest(*hasher.finalize().as_bytes())),
            Ok(n) => drop(hasher.update(&buffer[..n])),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
