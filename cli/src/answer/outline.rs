//! What a target takes.

use std::fmt::Write;

use garboard_builder::{Outline, OutlineArg, OutlineMount};
use serde::Serialize;

use super::Answer;
use super::place::{Location, encoded};
use crate::table::table;
use crate::text::printable;

#[derive(Serialize)]
struct Json<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    args: Vec<Arg<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<Mount<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ssh: Vec<Mount<'a>>,
    sources: [String; 1],
}

#[derive(Serialize)]
struct Arg<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    location: Location,
}

#[derive(Serialize)]
struct Mount<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    required: bool,
    location: Location,
}

/// The outline.
pub(crate) fn outline(outline: &Outline) -> Answer {
    let json = Json {
        name: filled(outline.name.as_ref()),
        description: filled(outline.description.as_ref()),
        args: outline.args.iter().map(arg).collect(),
        secrets: outline.secrets.iter().map(mount).collect(),
        ssh: outline.ssh.iter().map(mount).collect(),
        sources: [encoded(&outline.source.text)],
    };
    Answer::new(printed(outline), &json)
}

fn filled(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

fn arg(arg: &OutlineArg) -> Arg<'_> {
    Arg {
        name: &arg.name,
        description: filled(arg.description.as_ref()),
        value: filled(arg.value.as_ref()),
        location: Location::of([arg.lines]),
    }
}

fn mount(mount: &OutlineMount) -> Mount<'_> {
    Mount { name: &mount.name, required: mount.required, location: Location::of([mount.lines]) }
}

fn printed(outline: &Outline) -> String {
    let mut out = String::new();
    let (name, description) = (filled(outline.name.as_ref()), filled(outline.description.as_ref()));
    let target = name.unwrap_or("(default)");
    if let Some(text) = description {
        let _ = writeln!(out, "TARGET:      {target}\nDESCRIPTION: {}\n", printable(text));
    } else if name.is_some() {
        let _ = writeln!(out, "TARGET: {target}\n");
    }
    let text = |text: Option<&String>| printable(text.map_or("", String::as_str));
    let rows: Vec<_> = outline
        .args
        .iter()
        .map(|arg| [arg.name.clone(), text(arg.value.as_ref()), text(arg.description.as_ref())])
        .collect();
    block(&mut out, ["BUILD ARG", "VALUE", "DESCRIPTION"], &rows);
    block(&mut out, ["SECRET", "REQUIRED"], &mounts(&outline.secrets));
    block(&mut out, ["SSH", "REQUIRED"], &mounts(&outline.ssh));
    out
}

fn mounts(list: &[OutlineMount]) -> Vec<[String; 2]> {
    let required = |mount: &OutlineMount| if mount.required { "true".to_owned() } else { String::new() };
    list.iter().map(|mount| [printable(&mount.name), required(mount)]).collect()
}

/// A table with an empty line behind it; nothing if it has no rows.
fn block<const N: usize>(out: &mut String, head: [&str; N], rows: &[[String; N]]) {
    if !rows.is_empty() {
        out.push_str(&table(head, rows));
        out.push('\n');
    }
}
