//! Plain files in a folder of the client.
//!
//! Each file is made under a name of its own and renamed: at any moment a path has the file it had or the one it gets, also
//! where several builds write to one folder. Nothing is written through a link that leads out of the folder.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use garboard_layer::{Content, Entry, EntryKind, Mtime, Planned};
use rustix::fs::{AtFlags, Mode, OFlags, RawMode, ResolveFlags, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;

use crate::error::{Attempt, Error, Result};

const DIR: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

/// How often a name is made again that somebody else removed: a build that writes to the same folder and keeps nothing else.
const ATTEMPTS: usize = 5;

/// Writes entries below `dest`; folders get their modes and times when all is in them. `delete`: nothing else stays.
pub(super) fn write(dest: &Path, planned: &[Planned], delete: bool) -> Result<()> {
    std::fs::create_dir_all(dest).attempt(|| format!("failed to write {}", dest.display()))?;
    let is_folder = |p: &Planned| matches!(p.entry.kind, EntryKind::Dir { .. });
    let mut folder = Folder::open(dest)?;
    if delete {
        let kept = planned.iter().filter(|p| is_placed(&p.entry));
        let kept = kept.map(|p| (p.entry.path.as_slice(), is_folder(p))).collect();
        let listed = rustix::fs::openat(&folder.root, ".", OFlags::RDONLY | DIR, Mode::empty());
        let cleared = listed.map_err(io::Error::from).and_then(|root| remove_others(&root, b"", &kept));
        cleared.attempt(|| format!("failed to clear {}", dest.display()))?;
    }
    planned.iter().try_for_each(|p| folder.place(p))?;
    // The innermost first: a folder may not let us pass once it has its mode.
    planned.iter().rev().filter(|p| is_folder(p)).try_for_each(|p| folder.finish(&p.entry))
}

/// Devices and pipes mean nothing outside an image.
fn is_placed(entry: &Entry) -> bool {
    use EntryKind::{Dir, File, Hardlink, Symlink};
    matches!(entry.kind, Dir { .. } | File { .. } | Hardlink { .. } | Symlink { .. })
}

/// Removes what is below `folder` and not among `kept`: paths below the destination, and whether a folder is wanted there.
/// A folder in the place of something else goes, too. Links are not followed; what is gone already is fine.
fn remove_others(folder: &OwnedFd, path: &[u8], kept: &HashMap<&[u8], bool>) -> io::Result<()> {
    let gone_is_fine = |done: io::Result<()>| match done {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    };
    for entry in rustix::fs::Dir::read_from(folder)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name == "." || name == ".." {
            continue;
        }
        let path =
            if path.is_empty() { name.as_bytes().to_vec() } else { [path, b"/", name.as_bytes()].concat() };
        let is_folder = is_dir(folder.as_fd(), name);
        let is_wanted = kept.get(path.as_slice()).copied();
        if is_folder {
            gone_is_fine(open_listed(folder, name).and_then(|inner| remove_others(&inner, &path, kept)))?;
        }
        // Whether a folder is wanted says nothing of what isn't one: that is replaced later.
        let (goes, flags) = match (is_wanted, is_folder) {
            (wanted, true) => (wanted != Some(true), AtFlags::REMOVEDIR),
            (wanted, false) => (wanted.is_none(), AtFlags::empty()),
        };
        if goes {
            gone_is_fine(rustix::fs::unlinkat(folder, name, flags).map_err(io::Error::from))?;
        }
    }
    Ok(())
}

/// Why something was not written.
enum Refused {
    /// A link on the way leads out of the destination.
    LeadsOut,
    /// A folder has the name of a file.
    Folder,
    Io(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Errno> for Refused {
    fn from(error: Errno) -> Self {
        Self::Io(error.into())
    }
}

type Placed<T = ()> = std::result::Result<T, Refused>;

/// A folder that entries are placed in, parents before what is in them.
struct Folder<'a> {
    dest: &'a Path,
    root: OwnedFd,
    /// The folder of the entry before: entries that follow each other mostly share it.
    parent: Option<(Vec<u8>, OwnedFd)>,
    /// What nobody else's names have, and how many names were made for what is being written.
    names: (u64, u64),
}

impl<'a> Folder<'a> {
    fn open(dest: &'a Path) -> Result<Self> {
        let root = rustix::fs::open(dest, OFlags::PATH | DIR, Mode::empty())
            .map_err(io::Error::from)
            .attempt(|| format!("failed to open {}", dest.display()))?;
        // Every RandomState has other keys. Numbers of processes won't do: each container counts its own.
        let names = (RandomState::new().hash_one(dest), 0);
        Ok(Self { dest, root, parent: None, names })
    }

    /// Writes one entry.
    fn place(&mut self, planned: &Planned) -> Result<()> {
        let entry = &planned.entry;
        let placed = match &entry.kind {
            EntryKind::Dir { .. } => self.dir(&entry.path),
            EntryKind::File { .. } => self.replace(&entry.path, |parent, name| file(parent, name, planned)),
            EntryKind::Symlink { target } => self.replace(&entry.path, |parent, name| {
                rustix::fs::symlinkat(OsStr::from_bytes(target), parent, name)?;
                Ok(rustix::fs::utimensat(parent, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW)?)
            }),
            EntryKind::Hardlink { target } => self.hardlink(&entry.path, target),
            _ => self.clear(&entry.path),
        };
        self.told(&entry.path, placed)
    }

    /// Gives a folder its mode and time.
    fn finish(&self, entry: &Entry) -> Result<()> {
        let finished = self.open_dir(&entry.path).and_then(|fd| {
            set_mode(fd.as_fd(), entry.mode)?;
            let path = kernel_path(fd.as_fd());
            Ok(rustix::fs::utimensat(rustix::fs::CWD, &path, &times(entry.mtime), AtFlags::empty())?)
        });
        self.told(&entry.path, finished)
    }

    /// An error with what was to be written.
    fn told(&self, path: &[u8], placed: Placed) -> Result<()> {
        let what = || format!("failed to write {}", self.dest.join(OsStr::from_bytes(path)).display());
        match placed {
            Ok(()) => Ok(()),
            Err(Refused::LeadsOut) => {
                let text = format!("{}: a link leads out of {}", what(), self.dest.display());
                Err(Error::Request(text).into())
            }
            Err(Refused::Folder) => {
                Err(Error::Request(format!("{}: there is a folder of this name", what())).into())
            }
            Err(Refused::Io(error)) => Err(error).attempt(what),
        }
    }

    /// Makes a folder. One that is there is taken over; what else is there, a link too, is replaced.
    fn dir(&mut self, path: &[u8]) -> Placed {
        let (parent, name) = self.parent(path)?;
        match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
            Err(Errno::EXIST) if is_dir(parent, name) => {
                return Ok(open_up(parent, name)?);
            }
            Err(Errno::EXIST) => {}
            made => return Ok(made?),
        }
        match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT | Errno::ISDIR) => {}
            Err(e) => return Err(e.into()),
        }
        match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
            // Somebody else was faster.
            Err(Errno::EXIST) if is_dir(parent, name) => Ok(()),
            made => Ok(made?),
        }
    }

    /// Removes a file where the image has what isn't placed.
    fn clear(&mut self, path: &[u8]) -> Placed {
        let (parent, name) = self.parent(path)?;
        match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR) => Err(Refused::Folder),
            Err(e) => Err(e.into()),
        }
    }

    fn hardlink(&mut self, path: &[u8], target: &[u8]) -> Placed {
        let (dir, target) = garboard_layer::split_path(target);
        let dir = self.open_dir(dir)?;
        self.replace(path, |parent, name| {
            Ok(rustix::fs::linkat(&dir, OsStr::from_bytes(target), parent, name, AtFlags::empty())?)
        })
    }

    /// Makes something under a name that nobody has, and renames it to its own.
    fn replace(&mut self, path: &[u8], make: impl Fn(BorrowedFd<'_>, &OsStr) -> io::Result<()>) -> Placed {
        self.names.1 += 1;
        let free = format!(".tmp.garboard-{:016x}-{}", self.names.0, self.names.1);
        let (parent, name) = self.parent(path)?;
        let mut attempts = ATTEMPTS;
        loop {
            let made = make(parent, OsStr::new(&free)).map_err(Refused::from);
            let renamed = made.and_then(|()| match rustix::fs::renameat(parent, &free, parent, name) {
                Err(Errno::ISDIR) => Err(Refused::Folder),
                renamed => Ok(renamed?),
            });
            // It is still there after an error, and where both are names of one file.
            let _ = rustix::fs::unlinkat(parent, &free, AtFlags::empty());
            attempts -= 1;
            match renamed {
                Err(Refused::Io(e)) if e.kind() == io::ErrorKind::NotFound && attempts > 0 => {}
                // Another build is done with the folder, and gave it its mode.
                Err(Refused::Io(e)) if e.kind() == io::ErrorKind::PermissionDenied && attempts > 0 => {
                    let_in(parent).map_err(|_| e)?;
                    let _ = rustix::fs::unlinkat(parent, &free, AtFlags::empty());
                }
                renamed => return renamed,
            }
        }
    }

    /// The folder that a path is in, and the path's last name.
    fn parent<'s, 'p>(&'s mut self, path: &'p [u8]) -> Placed<(BorrowedFd<'s>, &'p OsStr)> {
        let (dir, name) = garboard_layer::split_path(path);
        if self.parent.as_ref().is_none_or(|(at, _)| at != dir) {
            self.parent = Some((dir.to_vec(), self.open_dir(dir)?));
        }
        let (_, fd) = self.parent.as_ref().expect("it was set above");
        Ok((fd.as_fd(), OsStr::from_bytes(name)))
    }

    fn open_dir(&self, dir: &[u8]) -> Placed<OwnedFd> {
        let dir = if dir.is_empty() { b"." } else { dir };
        let (flags, inside) = (OFlags::PATH | DIR, ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS);
        match rustix::fs::openat2(&self.root, OsStr::from_bytes(dir), flags, Mode::empty(), inside) {
            Err(Errno::XDEV) => Err(Refused::LeadsOut),
            opened => Ok(opened?),
        }
    }
}

/// Sets the mode of something that may only have been opened as a path.
fn set_mode(fd: BorrowedFd<'_>, mode: u32) -> io::Result<()> {
    let mode = Mode::from_raw_mode(mode as RawMode);
    Ok(rustix::fs::chmodat(rustix::fs::CWD, kernel_path(fd), mode, AtFlags::empty())?)
}

/// Opens a folder whose entries are wanted.
fn open_listed(parent: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    open_up(parent.as_fd(), name)?;
    Ok(rustix::fs::openat(parent, name, OFlags::RDONLY | OFlags::NOFOLLOW | DIR, Mode::empty())?)
}

fn open_up(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    let fd = rustix::fs::openat(parent, name, OFlags::PATH | OFlags::NOFOLLOW | DIR, Mode::empty())?;
    let_in(fd.as_fd())
}

/// Lets a folder's owner do anything in it: its mode may be that of the image, which forbids it.
fn let_in(fd: BorrowedFd<'_>) -> io::Result<()> {
    let mode = rustix::fs::fstat(fd)?.st_mode & 0o7777;
    if mode & 0o700 == 0o700 { Ok(()) } else { set_mode(fd, mode | 0o700) }
}

/// A path that leads to what was opened, wherever that is by now.
fn kernel_path(fd: BorrowedFd<'_>) -> PathBuf {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into()
}

/// Writes a file that isn't there.
fn file(parent: BorrowedFd<'_>, name: &OsStr, planned: &Planned) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR)?);
    match &planned.content {
        Content::None => {}
        Content::Bytes(bytes) => file.write_all(bytes)?,
        Content::File(path) => drop(io::copy(&mut File::open(path)?, &mut file)?),
        Content::Opener(source) => drop(io::copy(&mut source.open()?, &mut file)?),
    }
    let entry = &planned.entry;
    for (name, value) in &entry.xattrs {
        // What an ordinary user may not set, or the file system doesn't know, is left out, as BuildKit does.
        let _ = rustix::fs::fsetxattr(&file, OsStr::from_bytes(name), value, XattrFlags::empty());
    }
    // Not before: what can't be written to takes no attributes.
    rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode as RawMode))?;
    Ok(rustix::fs::futimens(&file, &times(entry.mtime))?)
}

fn times(mtime: Mtime) -> Timestamps {
    let time = Timespec { tv_sec: mtime.secs, tv_nsec: mtime.nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}

fn is_dir(parent: BorrowedFd<'_>, name: &OsStr) -> bool {
    rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn entry(path: &str, kind: EntryKind, mode: u32) -> Entry {
        let mtime = Mtime { secs: 1_700_000_000, nanos: 0 };
        Entry { path: path.into(), kind, mode, uid: 0, gid: 0, mtime, xattrs: BTreeMap::default() }
    }

    fn dir(path: &str, mode: u32) -> Planned {
        Planned::bare(entry(path, EntryKind::Dir { opaque: false }, mode))
    }

    fn text(path: &str, text: &str) -> Planned {
        Planned::bytes(entry(path, EntryKind::Fifo, 0o640), text.as_bytes())
    }

    fn link(path: &str, target: &str) -> Planned {
        Planned::bare(entry(path, EntryKind::Symlink { target: target.into() }, 0o777))
    }

    fn tree() -> Vec<Planned> {
        let hard = EntryKind::Hardlink { target: "d/f".into() };
        vec![dir("d", 0o555), text("d/f", "one"), link("d/l", "f"), Planned::bare(entry("e", hard, 0o640))]
    }

    fn names(folder: &Path) -> Vec<std::ffi::OsString> {
        let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    }

    /// Removing what a test wrote takes a folder that can be written to.
    fn make_removable(dest: &Path) {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dest.join("d"), mode).unwrap();
    }

    fn file_mode(path: &Path) -> u32 {
        std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn everything_gets_its_place_and_again() {
        let temp = tempfile::tempdir().unwrap();
        let dest = temp.path().join("new/out");
        for _ in 0..2 {
            write(&dest, &tree(), false).unwrap();
            let meta = |path: &str| std::fs::symlink_metadata(dest.join(path)).unwrap();
            assert_eq!((meta("d").mode() & 0o7777, meta("d").mtime()), (0o555, 1_700_000_000));
            assert_eq!((meta("d/f").mode() & 0o7777, meta("d/f").mtime()), (0o640, 1_700_000_000));
            assert_eq!((meta("e").ino(), meta("e").nlink()), (meta("d/f").ino(), 2));
            assert_eq!(std::fs::read_link(dest.join("d/l")).unwrap(), Path::new("f"));
            assert_eq!((names(&dest).len(), names(&dest.join("d")).len()), (2, 2), "no other names stay");
        }
        // What its owner may not even enter.
        for mode in [0o311, 0] {
            write(&dest, &[dir("d", mode)], false).unwrap();
            assert_eq!(file_mode(&dest.join("d")), mode);
        }
        write(&dest, &tree(), true).unwrap();
        write(&dest, &[text("d", "x")], true).unwrap();
        assert_eq!((names(&dest).len(), file_mode(&dest.join("d"))), (1, 0o640));
    }

    #[test]
    fn what_is_not_written_is_not_there() {
        let temp = tempfile::tempdir().unwrap();
        let pipe = Planned::bare(entry("pipe", EntryKind::Fifo, 0o644));
        for delete in [false, true] {
            std::fs::write(temp.path().join("pipe"), "old").unwrap();
            write(temp.path(), &[text("f", "x"), pipe.clone()], delete).unwrap();
            assert_eq!(names(temp.path()), ["f"]);
        }
    }

    #[test]
    fn several_writers_do_not_disturb_each_other() {
        let temp = tempfile::tempdir().unwrap();
        let mut planned = vec![dir("d", 0o555)];
        planned.extend((0..200).map(|n| text(&format!("d/{n:03}"), "x")));
        for delete in [false, true] {
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| write(temp.path(), &planned, delete).unwrap());
                }
            });
            assert_eq!((names(temp.path()).len(), names(&temp.path().join("d")).len()), (1, 200));
        }
        make_removable(temp.path());
    }

    #[test]
    fn links_lead_nowhere_else() {
        let outside = tempfile::tempdir().unwrap();
        let temp = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), temp.path().join("d")).unwrap();
        let error = write(temp.path(), &[text("d/f", "x")], false).unwrap_err().to_string();
        assert!(error.contains("a link leads out of"), "{error}");
        // A folder that the image has takes the place of a link.
        write(temp.path(), &tree(), false).unwrap();
        assert!(names(outside.path()).is_empty());
        make_removable(temp.path());
    }

    #[test]
    fn a_folder_is_not_replaced_by_a_file() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir(temp.path().join("f")).unwrap();
        let error = write(temp.path(), &[text("f", "x")], false).unwrap_err().to_string();
        assert!(error.contains("there is a folder of this name"), "{error}");
        assert_eq!(names(temp.path()), ["f"]);
    }

    #[test]
    fn only_what_is_kept_stays_and_links_are_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("o"), "").unwrap();
        let dest = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dest.path().join("d/old")).unwrap();
        std::fs::write(dest.path().join("d/new"), "").unwrap();
        std::os::unix::fs::symlink(outside.path(), dest.path().join("link")).unwrap();
        std::os::unix::fs::symlink(outside.path(), dest.path().join("kept")).unwrap();
        std::fs::create_dir_all(dest.path().join("d/file/inner")).unwrap();
        let kept: HashMap<&[u8], bool> =
            [(&b"d"[..], true), (b"d/new", false), (b"d/file", false), (b"kept", true), (b"kept/o", false)]
                .into();
        let folder = File::open(dest.path()).unwrap().into();
        remove_others(&folder, b"", &kept).unwrap();
        let mut names: Vec<_> =
            std::fs::read_dir(dest.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["d", "kept"]);
        assert!(outside.path().join("o").exists() && !dest.path().join("d/old").exists());
        assert!(!dest.path().join("d/file").exists() && dest.path().join("d/new").exists());
    }
}
