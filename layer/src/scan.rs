//! Reads a folder's metadata on several threads.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::digest::CAPABILITY;
use crate::path::{ancestors, join, os};
use crate::{ContentDigest, Entry, EntryKind, FileStamp, LayerError, Mtime, StatCache, Verdict};

/// The longest value the kernel has for an extended attribute.
const MAX_XATTR: usize = 1 << 16;

/// What is scanned.
#[derive(Clone, Copy)]
pub(crate) struct Scan<'a> {
    pub(crate) filter: &'a (dyn Fn(&[u8], bool) -> Verdict + Sync),
    pub(crate) only: Option<&'a [Vec<u8>]>,
    pub(crate) threads: usize,
    /// Whether folders are asked for their overlay markers.
    pub(crate) overlay: bool,
    /// Where digests of files may be known from.
    pub(crate) stat_cache: Option<&'a StatCache>,
}

/// What was found at a path. Files have no digest yet, but for those that the cache knows.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) entry: Entry,
    pub(crate) stamp: FileStamp,
    /// Whether the inode has more names.
    pub(crate) linked: bool,
    pub(crate) socket: bool,
    /// Whether it stays even if nothing in it does.
    taken: bool,
}

/// A folder that is to be read.
struct Job {
    path: Vec<u8>,
    /// Whether everything in it is wanted, or only what leads to the wanted paths.
    inside: bool,
}

#[derive(Default)]
struct State {
    jobs: Vec<Job>,
    busy: usize,
    failed: Option<LayerError>,
}

/// The paths that are wanted, for quick answers.
struct Only<'a> {
    wanted: HashSet<&'a [u8]>,
    /// The folders above them.
    above: HashSet<&'a [u8]>,
}

impl<'a> Only<'a> {
    fn new(paths: &'a [Vec<u8>]) -> Self {
        Self {
            wanted: paths.iter().map(Vec::as_slice).collect(),
            above: paths.iter().flat_map(|path| ancestors(path)).collect(),
        }
    }
}

struct Scanner<'a> {
    root: OwnedFd,
    scan: Scan<'a>,
    only: Option<Only<'a>>,
    state: Mutex<State>,
    changed: Condvar,
}

/// Everything in a folder that the filter lets through, sorted; owners and modes as they are.
pub(crate) fn scan(root: &Path, scan: Scan<'_>) -> Result<Vec<Scanned>, LayerError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(root, flags, Mode::empty())
        .map_err(|e| LayerError::io("open folder", root.as_os_str().as_bytes(), e))?;
    let only = scan.only.map(Only::new);
    let inside = only.as_ref().is_none_or(|only| only.wanted.contains(&b""[..]));
    let state = State { jobs: vec![Job { path: Vec::new(), inside }], ..State::default() };
    let scanner = Scanner { root: fd, scan, only, state: Mutex::new(state), changed: Condvar::new() };
    let mut folders = std::thread::scope(|scope| {
        let others: Vec<_> = (1..scan.threads).map(|_| scope.spawn(|| scanner.work())).collect();
        let mut folders: Folders = scanner.work().into_iter().collect();
        for other in others {
            folders.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        folders
    });
    if let Some(error) = scanner.lock().failed.take() {
        return Err(error);
    }
    let mut found = Vec::with_capacity(folders.values().map(Vec::len).sum());
    assemble(&mut folders, b"", &mut found);
    Ok(found)
}

/// What each folder holds, sorted.
type Folders = HashMap<Vec<u8>, Vec<Scanned>>;

/// Puts folders' entries behind the folders, without those that were only looked into and hold nothing.
fn assemble(folders: &mut Folders, folder: &[u8], found: &mut Vec<Scanned>) {
    for item in folders.remove(folder).unwrap_or_default() {
        let is_dir = matches!(item.entry.kind, EntryKind::Dir { .. });
        if !is_dir {
            found.push(item);
            continue;
        }
        let (path, taken, at) = (item.entry.path.clone(), item.taken, found.len());
        found.push(item);
        assemble(folders, &path, found);
        if !taken && found.len() == at + 1 {
            found.pop();
        }
    }
}

impl Scanner<'_> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads folders until there are none left.
    fn work(&self) -> Vec<(Vec<u8>, Vec<Scanned>)> {
        let mut folders = Vec::new();
        let mut buffer = Vec::with_capacity(32 * 1024);
        while let Some(job) = self.next_job() {
            let mut found = Vec::new();
            let read = self.folder(&job, &mut found, buffer.spare_capacity_mut());
            found.sort_unstable_by(|a, b| name_in(a, &job).cmp(name_in(b, &job)));
            folders.push((job.path, found));
            let mut state = self.lock();
            state.busy -= 1;
            match read {
                Ok(jobs) => state.jobs.extend(jobs),
                Err(error) => drop(state.failed.get_or_insert(error)),
            }
            let wake = !state.jobs.is_empty() || state.busy == 0 || state.failed.is_some();
            drop(state);
            if wake {
                self.changed.notify_all();
            }
        }
        folders
    }

    fn next_job(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.failed.is_some() {
                return None;
            }
            if let Some(job) = state.jobs.pop() {
                state.busy += 1;
                return Some(job);
            }
            if state.busy == 0 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Reads one folder; returns those in it.
    fn folder(
        &self,
        job: &Job,
        found: &mut Vec<Scanned>,
        buffer: &mut [MaybeUninit<u8>],
    ) -> Result<Vec<Job>, LayerError> {
        let fail = |e: Errno| LayerError::io("read folder", &job.path, e);
        let fd = match self.open(&job.path) {
            // Gone since its parent was read, or replaced by something else.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) if !job.path.is_empty() => return Ok(Vec::new()),
            fd => fd.map_err(fail)?,
        };
        let mut jobs = Vec::new();
        let mut names = RawDir::new(fd.as_fd(), buffer);
        while let Some(name) = names.next() {
            let name = name.map_err(fail)?;
            let bytes = name.file_name().to_bytes();
            if matches!(bytes, b"." | b"..") {
                continue;
            }
            let path = join(&job.path, bytes);
            self.name(&fd, bytes, name.file_type(), path, job.inside, found, &mut jobs)?;
        }
        Ok(jobs)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the two lists are outputs; a struct for one caller says no more"
    )]
    fn name(
        &self,
        folder: &OwnedFd,
        name: &[u8],
        kind: FileType,
        path: Vec<u8>,
        inside: bool,
        found: &mut Vec<Scanned>,
        jobs: &mut Vec<Job>,
    ) -> Result<(), LayerError> {
        let inside = inside || self.only.as_ref().is_some_and(|only| only.wanted.contains(&path[..]));
        if !inside && !self.only.as_ref().is_some_and(|only| only.above.contains(&path[..])) {
            return Ok(());
        }
        let stat = || match rustix::fs::statat(folder, os(name), AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            stat => stat.map(Some).map_err(|e| LayerError::io("stat", &path, e)),
        };
        let mut known = None;
        let mut is_dir = kind == FileType::Directory;
        if kind == FileType::Unknown {
            let Some(stat) = stat()? else { return Ok(()) };
            is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            known = Some(stat);
        }
        let verdict = (self.scan.filter)(&path, is_dir);
        if verdict == Verdict::Skip || (verdict == Verdict::Descend && !is_dir) {
            return Ok(());
        }
        let Some(stat) = known.map_or_else(stat, |stat| Ok(Some(stat)))? else { return Ok(()) };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            jobs.push(Job { path: path.clone(), inside });
        }
        found.extend(self.scanned(folder, name, path, &stat, verdict == Verdict::Take)?);
        Ok(())
    }

    fn scanned(
        &self,
        folder: &OwnedFd,
        name: &[u8],
        path: Vec<u8>,
        stat: &Stat,
        taken: bool,
    ) -> Result<Option<Scanned>, LayerError> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        let device = || (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        let mut mode = stat.st_mode & 0o7777;
        let mut xattrs = BTreeMap::new();
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let kind = match kind {
            FileType::RegularFile => {
                // Only programs have capabilities; asking every file costs as much as stat does.
                if mode & 0o111 != 0
                    && let Some(value) = xattr(folder, name, &path, CAPABILITY)?
                {
                    xattrs.insert(CAPABILITY.to_vec(), value);
                }
                let known = self.scan.stat_cache.and_then(|cache| cache.get(&stamp(stat)));
                EntryKind::File { size, digest: known.unwrap_or(ContentDigest::ZERO) }
            }
            FileType::Socket => EntryKind::File { size: 0, digest: ContentDigest::ZERO },
            FileType::Directory => {
                EntryKind::Dir { opaque: self.scan.overlay && is_opaque(folder, name, &path)? }
            }
            FileType::Symlink => {
                mode = 0o777;
                let target = match rustix::fs::readlinkat(folder, os(name), Vec::new()) {
                    Err(Errno::NOENT | Errno::INVAL) => return Ok(None),
                    target => target.map_err(|e| LayerError::io("read link", &path, e))?,
                };
                EntryKind::Symlink { target: target.into_bytes() }
            }
            FileType::CharacterDevice => EntryKind::Char { major: device().0, minor: device().1 },
            FileType::BlockDevice => EntryKind::Block { major: device().0, minor: device().1 },
            FileType::Fifo => EntryKind::Fifo,
            FileType::Unknown => return Ok(None),
        };
        let socket = FileType::from_raw_mode(stat.st_mode) == FileType::Socket;
        let mtime = Mtime { secs: stat.st_mtime, nanos: stat.st_mtime_nsec as u32 };
        let entry = Entry { path, kind, mode, uid: stat.st_uid, gid: stat.st_gid, mtime, xattrs };
        Ok(Some(Scanned { entry, stamp: stamp(stat), linked: stat.st_nlink > 1, socket, taken }))
    }

    fn open(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let path = if path.is_empty() { b"." } else { path };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        rustix::fs::openat2(&self.root, os(path), flags, Mode::empty(), resolve)
    }
}

/// An attribute of what has a name in a folder, if it has it. To miss one is to lose what it stands for, so that every
/// other answer is an error.
fn xattr(
    folder: &OwnedFd,
    file: &[u8],
    path: &[u8],
    attribute: &[u8],
) -> Result<Option<Vec<u8>>, LayerError> {
    // There is no call that takes a folder and a name.
    let place = join(format!("/proc/self/fd/{}", folder.as_raw_fd()).as_bytes(), file);
    let get = |most: usize| {
        let mut value = vec![0; most];
        let len = rustix::fs::lgetxattr(os(&place), os(attribute), &mut value[..])?;
        value.truncate(len);
        Ok(value)
    };
    match get(256).or_else(|e| if e == Errno::RANGE { get(MAX_XATTR) } else { Err(e) }) {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        // Capabilities in someone else's user namespace are none here.
        Err(Errno::OVERFLOW) if attribute == CAPABILITY => Ok(None),
        // Gone by now; but a missing /proc would look the same.
        Err(Errno::NOENT)
            if rustix::fs::statat(folder, os(file), AtFlags::SYMLINK_NOFOLLOW)
                .is_err_and(|e| e == Errno::NOENT) =>
        {
            Ok(None)
        }
        Err(e) => Err(LayerError::io("read an extended attribute of", path, e)),
    }
}

fn is_opaque(folder: &OwnedFd, file: &[u8], path: &[u8]) -> Result<bool, LayerError> {
    for name in [&b"user.overlay.opaque"[..], b"trusted.overlay.opaque"] {
        if xattr(folder, file, path, name)?.is_some_and(|value| value == b"y") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// An entry's name in the folder that was read.
fn name_in<'a>(item: &'a Scanned, folder: &Job) -> &'a [u8] {
    &item.entry.path[folder.path.len()..]
}

/// What tells whether a file has changed.
pub(crate) fn stamp(stat: &Stat) -> FileStamp {
    let nanos = |secs: i64, nanos: u64| i128::from(secs) * 1_000_000_000 + i128::from(nanos);
    FileStamp {
        dev: stat.st_dev,
        ino: stat.st_ino,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        mtime: nanos(stat.st_mtime, stat.st_mtime_nsec),
        ctime: nanos(stat.st_ctime, stat.st_ctime_nsec),
    }
}

/// Nanoseconds since 1970. Never part of a result: it only decides whether a file is read again.
pub(crate) fn now() -> i128 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| i128::try_from(d.as_nanos()).unwrap_or(i128::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Placer;
    use crate::testing::{dir, opaque};

    /// The kernel takes no path that is longer than this one with its root in front.
    #[test]
    fn the_deepest_marker_is_seen() {
        let root = tempfile::tempdir().unwrap();
        let paths: Vec<_> = (1..=20).map(|depth| vec!["n".repeat(200); depth].join("/")).collect();
        let mut placer = Placer::new(root.path(), crate::Ids::Squash).unwrap();
        for path in &paths[..19] {
            placer.dir(&dir(path)).unwrap();
        }
        let deepest = format!("{}/{}", paths[19], "x".repeat(75));
        for path in [&paths[19], &deepest] {
            if let Err(error) = placer.dir(&opaque(path)) {
                println!("skipped: markers of overlays: {error}");
                return;
            }
        }
        let filter = |_: &[u8], _| Verdict::Take;
        let scan_it = || {
            scan(
                root.path(),
                Scan { filter: &filter, only: None, threads: 1, overlay: true, stat_cache: None },
            )
        };
        let found = scan_it().unwrap();
        let marked = |item: &&Scanned| item.entry.kind == EntryKind::Dir { opaque: true };
        assert_eq!(deepest.len(), 4095);
        assert_eq!((found.len(), found.iter().filter(marked).count()), (21, 2));
        placer.remove(paths[0].as_bytes()).unwrap();
    }
}
