//! `images`.

use serde_json::json;

use super::{Setting, age};
use crate::args::{ImagesArgs, TableFormat};
use crate::engine;
use crate::failure::Failure;
use crate::stored::{Single, Stored, familiar};
use crate::table::table;
use crate::text::size;
use crate::transfer::short;

/// Lists the named images.
pub(crate) fn run(args: &ImagesArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let store = engine::store(&setting.settings()?)?;
    let mut rows = Vec::new();
    let mut values = Vec::new();
    for image in Stored::all(&store)? {
        let name = familiar(&image.name);
        if args.filter.as_ref().is_some_and(|filter| !name.contains(filter) && !image.name.contains(filter)) {
            continue;
        }
        let digest = image.descriptor.digest.to_string();
        if args.quiet {
            setting.printer.line(digest)?;
            continue;
        }
        let singles = image.singles(&store)?;
        let bytes: u64 = singles.iter().map(Single::size).sum();
        let platforms: Vec<String> = singles.iter().map(Single::platform).collect();
        let created = singles.first().and_then(Single::created).map(str::to_owned);
        let made = created.as_deref().map(age).unwrap_or_default();
        rows.push([name, short(&digest), platforms.join(", "), made, size(bytes)]);
        values.push(json!({
            "name": image.name,
            "digest": digest,
            "platforms": platforms,
            "created": created,
            "size": bytes,
        }));
    }
    match args.format {
        _ if args.quiet => Ok(()),
        TableFormat::Json => setting.printer.json(&values),
        TableFormat::Table => {
            setting.printer.data(table(["NAME", "DIGEST", "PLATFORM", "CREATED", "SIZE"], &rows))
        }
    }
}
