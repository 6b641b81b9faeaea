//! Starting the warden, once for this process.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};

use crate::channel::{self, Hello};
use crate::error::SpawnError;
use crate::{mnt, warden};

/// The way to the warden.
#[derive(Debug)]
pub(crate) struct Warden {
    pub(crate) socket: OwnedFd,
    pub(crate) foreign_proc: bool,
}

static WARDEN: Mutex<Option<Arc<Warden>>> = Mutex::new(None);

/// The warden, started if there is none.
pub(crate) fn warden() -> Result<Arc<Warden>, SpawnError> {
    let mut current = WARDEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(warden) = &*current {
        return Ok(Arc::clone(warden));
    }
    let warden = Arc::new(start()?);
    *current = Some(Arc::clone(&warden));
    Ok(warden)
}

/// Forgets a warden that was found dead, so that the next step gets another.
pub(crate) fn forget(dead: &Arc<Warden>) {
    let mut current = WARDEN.lock().unwrap_or_else(PoisonError::into_inner);
    if current.as_ref().is_some_and(|warden| Arc::ptr_eq(warden, dead)) {
        *current = None;
    }
}

fn start() -> Result<Warden, SpawnError> {
    let failed = |step: &str| {
        let step = step.to_owned();
        move |source: io::Error| SpawnError::Warden { step, source }
    };
    let program = own_program().map_err(failed("opening this program"))?;
    let (ours, theirs) = channel::pair().map_err(|e| failed("making a socket")(e.into()))?;
    let status = Command::new(mnt::fd_path(program.as_fd()))
        .arg0(warden::MARKER)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(failed("executing this program"))?;
    match channel::receive::<Hello>(ours.as_fd()).map_err(failed("waiting for it"))? {
        Some((Hello::Ready { foreign_proc }, _)) => Ok(Warden { socket: ours, foreign_proc }),
        Some((Hello::Failed { step, errno }, _)) => {
            Err(SpawnError::Warden { step, source: io::Error::from_raw_os_error(errno) })
        }
        None => {
            let step = format!("it ended early ({status}); does `main` start with `dispatch`?");
            Err(SpawnError::Warden { step, source: io::ErrorKind::BrokenPipe.into() })
        }
    }
}

/// This program, opened such that nobody who gets hold of it through `/proc` can write to it.
///
/// A payload may execute `/proc/self/exe`, which is the program that executed it before; where that runs as the
/// host's root, it could then overwrite the builder. So the warden runs from a read-only mount, or, where the running
/// file is not the one found under its name any more, from a sealed copy in memory.
fn own_program() -> io::Result<OwnedFd> {
    let running = File::open("/proc/self/exe")?;
    let found = fs::read_link("/proc/self/exe").and_then(|path| read_only(&path, &running));
    found.or_else(|_| sealed_copy(running))
}

fn read_only(path: &Path, running: &File) -> io::Result<OwnedFd> {
    let file = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let mounted = mnt::clone_tree(file.as_fd(), mnt::RDONLY)?;
    let (a, b) = (rustix::fs::fstat(&mounted)?, running.metadata()?);
    if (a.st_dev, a.st_ino) == (b.dev(), b.ino()) { Ok(mounted) } else { Err(io::ErrorKind::NotFound.into()) }
}

fn sealed_copy(mut running: File) -> io::Result<OwnedFd> {
    let memory = rustix::fs::memfd_create("garboard", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut copy = File::from(memory);
    io::copy(&mut running, &mut copy)?;
    copy.flush()?;
    copy.rewind()?;
    let memory = OwnedFd::from(copy);
    rustix::fs::fcntl_add_seals(
        &memory,
        SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
    )?;
    Ok(memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_can_write_to_the_program() {
        let running = File::open("/proc/self/exe").unwrap();
        let copy = sealed_copy(running).unwrap();
        let same = fs::read(mnt::fd_path(copy.as_fd())).unwrap() == fs::read("/proc/self/exe").unwrap();
        assert!(same, "a true copy");
        let write =
            |program: &OwnedFd| fs::OpenOptions::new().write(true).open(mnt::fd_path(program.as_fd()));
        let written = write(&copy).and_then(|mut file| file.write_all(b"x"));
        assert!(written.is_err());

        if crate::sys::unshare(rustix::thread::UnshareFlags::NEWNS).is_err() {
            println!("skipped: the read-only mount of the program: no right to mount");
            return;
        }
        // Not the program itself: that one is busy, and no test of the mount.
        let file = tempfile::NamedTempFile::new().unwrap();
        let mounted = read_only(file.path(), file.as_file()).unwrap();
        assert_eq!(write(&mounted).unwrap_err().kind(), io::ErrorKind::ReadOnlyFilesystem);
        let other = read_only(Path::new("/proc/self/status"), file.as_file());
        assert!(other.is_err(), "another file under the name is noticed");
    }
}
