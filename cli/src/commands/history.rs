//! `history`.

use serde_json::{Value, json};

use super::{Setting, age, platform};
use crate::args::{HistoryArgs, TableFormat};
use crate::engine;
use crate::failure::Failure;
use crate::stored::{Single, Stored};
use crate::table::table;
use crate::text::{cut, printable, size};

/// Columns that a command may take.
const WIDTH: usize = 60;

/// Prints the steps of an image, the last one first.
pub(crate) fn run(args: &HistoryArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let store = engine::store(&setting.settings()?)?;
    let wanted = platform(args.platform.as_deref())?;
    let image = Stored::find(&store, &args.image)?.single(&store, wanted.as_ref())?;
    let steps = steps(&image);
    if args.format == TableFormat::Json {
        return setting.printer.json(&steps);
    }
    let rows: Vec<_> = steps.iter().map(|step| row(step, args.no_trunc)).collect();
    setting.printer.data(table(["CREATED", "CREATED BY", "SIZE", "COMMENT"], &rows))
}

/// The config's history with the sizes of the layers that the steps made.
fn steps(image: &Single) -> Vec<Value> {
    let mut layers = image.manifest.layers.iter();
    let history = image.config["history"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut steps: Vec<Value> = history
        .iter()
        .map(|entry| {
            let empty = entry["empty_layer"].as_bool().unwrap_or(false);
            let layer = if empty { None } else { layers.next() };
            json!({
                "created": entry["created"],
                "createdBy": entry["created_by"],
                "comment": entry["comment"],
                "size": layer.map_or(0, |layer| layer.size),
                "layer": layer.map(|layer| layer.digest.to_string()),
            })
        })
        .collect();
    steps.reverse();
    steps
}

fn row(step: &Value, whole: bool) -> [String; 4] {
    let text = |key: &str| step[key].as_str().unwrap_or_default().to_owned();
    let command = printable(&text("createdBy").replace('\n', " "));
    let command = if whole { command } else { cut(&command, WIDTH) };
    let bytes = step["size"].as_u64().unwrap_or_default();
    [age(&text("created")), command, size(bytes), printable(&text("comment"))]
}
