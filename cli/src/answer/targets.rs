//! Which targets there are.

use garboard_builder::{Target, TargetList};
use serde::Serialize;

use super::Answer;
use super::place::{Location, encoded};
use crate::table::table_with_gap;
use crate::text::printable;

#[derive(Serialize)]
struct Json<'a> {
    targets: Vec<Stage<'a>>,
    sources: [String; 1],
}

#[derive(Serialize)]
struct Stage<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    default: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    base: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<&'a str>,
    location: Location,
}

/// The list.
pub(crate) fn targets(list: &TargetList) -> Answer {
    let json =
        Json { targets: list.targets.iter().map(stage).collect(), sources: [encoded(&list.source.text)] };
    let rows: Vec<_> = list.targets.iter().map(row).collect();
    Answer::new(table_with_gap(1, ["TARGET", "DESCRIPTION"], &rows), &json)
}

fn stage(target: &Target) -> Stage<'_> {
    Stage {
        name: target.name.as_deref(),
        default: target.default,
        description: target.description.as_deref(),
        base: &target.base,
        platform: target.platform.as_deref(),
        location: Location::of([target.lines]),
    }
}

fn row(target: &Target) -> [String; 2] {
    let name = match (target.name.as_deref(), target.default) {
        (None, true) => "(default)".to_owned(),
        (Some(name), true) => format!("{name} (default)"),
        (name, false) => name.unwrap_or_default().to_owned(),
    };
    [name, printable(target.description.as_deref().unwrap_or_default())]
}
