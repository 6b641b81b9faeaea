//! `tag` and `rmi`: names of images.

use super::Setting;
use crate::args::{RmiArgs, TagArgs};
use crate::failure::Failure;
use crate::stored::{Stored, familiar};
use crate::{engine, names};

/// Gives an image more names.
pub(crate) fn run(args: &TagArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let names = args.names.iter().map(|name| names::parse(name)).collect::<Result<Vec<_>, _>>()?;
    if let Some(name) = names.iter().find(|name| name.digest().is_some()) {
        return Err(Failure::message(format!("can't name an image `{name}`: a new name has no digest")));
    }
    let store = engine::store(&setting.settings()?)?;
    let _lease = store.lease()?;
    let image = Stored::find(&store, &args.source)?;
    for name in names {
        store.tag(&name.to_string(), &image.json)?;
    }
    Ok(())
}

/// Takes names away. What they stood for goes with the next pruning.
pub(crate) fn remove(args: &RmiArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let store = engine::store(&setting.settings()?)?;
    for name in &args.names {
        match Stored::find(&store, name) {
            Ok(image) => {
                store.untag(&image.name)?;
                setting.printer.line(format!("untagged {}", familiar(&image.name)))?;
            }
            Err(_) if args.force => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}
