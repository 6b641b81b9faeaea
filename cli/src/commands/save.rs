//! `save`.

use std::collections::HashSet;
use std::io::{self, IsTerminal as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use garboard_cache::Store;

use super::Setting;
use crate::args::{ArchiveFormat, SaveArgs};
use crate::failure::{Failure, io_text};
use crate::stored::Stored;
use crate::{archive, daemon, engine};

/// Writes images into an archive, or hands them to a daemon.
pub(crate) fn run(args: &SaveArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let store = engine::store(&setting.settings()?)?;
    let _lease = store.lease()?;
    let images = args.images.iter().map(|name| Stored::find(&store, name)).collect::<Result<Vec<_>, _>>()?;
    if let Some(name) = &args.to {
        let daemon = daemon::Daemon::named(name, setting.env)?;
        let said = daemon.load(&store, &images)?;
        return setting.printer.line(said.trim_end());
    }
    let docker = args.format == ArchiveFormat::Docker;
    match &args.output {
        Some(path) if path.as_os_str() != "-" => to_file(&store, &images, docker, path),
        None if io::stdout().is_terminal() => {
            Err(Failure::hinted("an archive can't go to a terminal", "name a file with `--output`"))
        }
        _ => archive::write(&store, &images, docker, &HashSet::new(), &mut io::stdout().lock()),
    }
}

/// Writes a file under another name and renames it when it is complete.
fn to_file(store: &Store, images: &[Stored], docker: bool, path: &Path) -> Result<(), Failure> {
    let failed =
        |error: io::Error| Failure::message(format!("can't write `{}`: {}", path.display(), io_text(&error)));
    // devices and pipes are written as they are
    if path.metadata().is_ok_and(|found| !found.is_file() && !found.is_dir()) {
        let mut file = std::fs::OpenOptions::new().write(true).open(path).map_err(failed)?;
        return archive::write(store, images, docker, &HashSet::new(), &mut file);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".garboard-")
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)
        .map_err(failed)?;
    archive::write(store, images, docker, &HashSet::new(), file.as_file_mut())?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map(|_| ()).map_err(|error| failed(error.error))
}
