//! Events of the YAML parser to a flat list of what is written: nothing is resolved, aliases are aliases.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag as ParserTag};

use crate::node::Mark;

/// Lists and maps in one another, at most: a file of people has fewer than ten.
const MAX_DEPTH: usize = 200;
/// Values in one file, at most.
const MAX_NODES: usize = 1_000_000;

/// A tag, as far as one means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    /// None, or one that means nothing.
    None,
    /// `!reset`.
    Reset,
    /// `!override`.
    Override,
    /// `!!str`, and every tag that isn't YAML's own: the words stay text.
    Text,
}

/// One thing that is written; children are numbers of things in [`Raw::items`].
#[derive(Debug)]
pub(super) enum Item {
    /// A word or text. `plain`: without quotes.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<usize>),
    Map(Vec<(usize, usize)>),
    /// The same as another thing. The number is that of the anchor.
    Alias(usize),
}

/// All that is written in a file.
#[derive(Debug, Default)]
pub(super) struct Raw {
    pub(super) items: Vec<(Item, Tag, Mark)>,
    /// Things by the anchor they have.
    pub(super) anchors: HashMap<usize, usize>,
    /// The documents' roots.
    pub(super) documents: Vec<usize>,
}

/// Why a file isn't YAML, or is too much of it.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) problem: String,
}

/// A list or map that isn't at its end.
struct Open {
    item: usize,
    key: Option<usize>,
}

/// Reads a file's text.
pub(super) fn scan(text: &str, file: u16) -> Result<Raw, Broken> {
    let mut raw = Raw::default();
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| Broken {
            line: error.marker().line() as u32,
            column: error.marker().col() as u32 + 1,
            problem: error.info().to_owned(),
        })?;
        let at = mark(&span, file);
        let (item, tag, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                (Item::Scalar { text: text.into_owned(), plain }, tag_of(tag, plain), anchor)
            }
            Event::SequenceStart(anchor, tag) => (Item::List(Vec::new()), tag_of(tag, false), anchor),
            Event::MappingStart(anchor, tag) => (Item::Map(Vec::new()), tag_of(tag, false), anchor),
            Event::Alias(anchor) => (Item::Alias(anchor), Tag::None, 0),
            Event::SequenceEnd | Event::MappingEnd => {
                open.pop();
                continue;
            }
            _ => continue,
        };
        let container = matches!(item, Item::List(_) | Item::Map(_));
        let number = raw.items.len();
        raw.items.push((item, tag, at));
        if anchor > 0 {
            raw.anchors.insert(anchor, number);
        }
        raw.place(&mut open, number);
        if container {
            open.push(Open { item: number, key: None });
        }
        let problem = if open.len() > MAX_DEPTH {
            format!("exceeded max depth of {MAX_DEPTH}")
        } else if raw.items.len() > MAX_NODES {
            format!("document has more than {MAX_NODES} values")
        } else {
            continue;
        };
        return Err(Broken { line: at.line, column: at.column, problem });
    }
    Ok(raw)
}

impl Raw {
    /// Puts a thing into what it stands in.
    fn place(&mut self, open: &mut [Open], number: usize) {
        let Some(parent) = open.last_mut() else {
            self.documents.push(number);
            return;
        };
        match &mut self.items[parent.item].0 {
            Item::List(list) => list.push(number),
            Item::Map(map) => match parent.key.take() {
                None => parent.key = Some(number),
                Some(key) => map.push((key, number)),
            },
            Item::Scalar { .. } | Item::Alias(_) => {}
        }
    }
}

fn mark(span: &Span, file: u16) -> Mark {
    Mark { file, line: span.start.line() as u32, column: span.start.col() as u32 + 1 }
}

fn tag_of(tag: Option<Cow<'_, ParserTag>>, scalar: bool) -> Tag {
    let Some(tag) = tag else { return Tag::None };
    match (tag.handle.as_str(), tag.suffix.as_str()) {
        ("!", "reset") => Tag::Reset,
        ("!", "override") => Tag::Override,
        _ if tag.is_yaml_core_schema() && tag.suffix != "str" => Tag::None,
        _ if scalar => Tag::Text,
        _ => Tag::None,
    }
}
