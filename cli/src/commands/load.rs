//! `load`.

use std::fs::File;
use std::io::{self, IsTerminal as _};

use super::Setting;
use crate::args::LoadArgs;
use crate::failure::{Failure, io_text};
use crate::stored::familiar;
use crate::{archive, engine};

/// Reads images from an archive.
pub(crate) fn run(args: &LoadArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let store = engine::store(&setting.settings()?)?;
    let _lease = store.lease()?;
    let loaded = match &args.input {
        Some(path) if path.is_dir() => archive::load_folder(&store, path)?,
        Some(path) if path.as_os_str() != "-" => {
            let file = File::open(path).map_err(|error| {
                Failure::message(format!("can't read `{}`: {}", path.display(), io_text(&error)))
            })?;
            archive::load(&store, file)?
        }
        None if io::stdin().is_terminal() => {
            return Err(Failure::hinted(
                "an archive can't come from a terminal",
                "name a file with `--input`",
            ));
        }
        _ => archive::load(&store, io::stdin())?,
    };
    for image in loaded {
        let line =
            if args.quiet { image.digest } else { format!("{}@{}", familiar(&image.name), image.digest) };
        setting.printer.line(line)?;
    }
    Ok(())
}
