//! The tree that files are read to: plain values, each with the place it was written at.

use std::collections::BTreeMap;
use std::fmt::Write;

/// A place in one of the files that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Mark {
    /// Which file, by its number in [`crate::error::Files`].
    pub file: u16,
    /// Line, from 1; 0 where a value was written nowhere.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// A map. In the order of its keys: the order in files means nothing.
pub type Map = BTreeMap<String, Node>;

/// A value with its place: a map's value has that of its key.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// The value.
    pub value: Value,
    /// Where it is written.
    pub at: Mark,
}

/// What a value can be.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number; none are read that 64 bits can't hold.
    Int(i128),
    /// A number with a fraction or an exponent. Never infinite, never not a number.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map.
    Map(Map),
}

/// Places don't count: two nodes are equal when their values are.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Node {
    /// A value at a place.
    pub fn new(value: Value, at: Mark) -> Self {
        Self { value, at }
    }

    /// Text at a place.
    pub fn text_at(text: impl Into<String>, at: Mark) -> Self {
        Self::new(Value::Text(text.into()), at)
    }

    /// A map at a place.
    pub fn map_at(map: Map, at: Mark) -> Self {
        Self::new(Value::Map(map), at)
    }

    /// Whether it is nothing.
    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// The text, where it is text.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The map, where it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// As [`Node::as_map`], to change it.
    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The items, where it is a list.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// As [`Node::as_list`], to change them.
    pub fn as_list_mut(&mut self) -> Option<&mut Vec<Node>> {
        match &mut self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// The value of a map's key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.get(key)
    }

    /// The text of a map's key.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_text()
    }

    /// Whether a map's key is true.
    pub fn is_true(&self, key: &str) -> bool {
        self.get(key).is_some_and(|node| node.value == Value::Bool(true))
    }

    /// The texts in a map's list, as far as they are texts.
    pub fn texts(&self, key: &str) -> Vec<String> {
        let items = self.get(key).and_then(Node::as_list).unwrap_or_default();
        items.iter().filter_map(|item| item.as_text().map(str::to_owned)).collect()
    }

    /// The map of a map's key; an empty one where there is none.
    pub fn map(&self, key: &str) -> &Map {
        static NONE: Map = Map::new();
        self.get(key).and_then(Node::as_map).unwrap_or(&NONE)
    }

    /// The value as Go prints it, which is what it becomes where text is wanted: `1.10` is `1.1`.
    pub fn display(&self) -> String {
        match &self.value {
            Value::Null => "<nil>".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => float_text(*value),
            Value::Text(text) => text.clone(),
            Value::List(items) => {
                let items: Vec<_> = items.iter().map(Self::display).collect();
                format!("[{}]", items.join(" "))
            }
            Value::Map(map) => {
                let items: Vec<_> =
                    map.iter().map(|(key, item)| format!("{key}:{}", item.display())).collect();
                format!("map[{}]", items.join(" "))
            }
        }
    }

    /// How many values it consists of.
    pub(crate) fn size(&self) -> usize {
        1 + match &self.value {
            Value::List(items) => items.iter().map(Self::size).sum(),
            Value::Map(map) => map.values().map(Self::size).sum(),
            _ => 0,
        }
    }

    /// The name that upstream's messages have for the kind of value.
    pub(crate) fn go_type(&self) -> &'static str {
        match &self.value {
            Value::Null => "<nil>",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float64",
            Value::Text(_) => "string",
            Value::List(_) => "[]interface {}",
            Value::Map(_) => "map[string]interface {}",
        }
    }
}

/// A float in the fewest digits that read back the same; with an exponent where that is below -4 or above 5.
pub(crate) fn float_text(value: f64) -> String {
    let science = format!("{value:e}");
    let Some((digits, exponent)) = science.split_once('e') else { return science };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format!("{value}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    let mut text = digits.to_owned();
    // writing to a string can't fail
    let _ = write!(text, "e{sign}{:02}", exponent.abs());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_short() {
        let floats =
            [(1.1, "1.1"), (1e-8, "1e-08"), (123_456_789.0, "1.23456789e+08"), (1e21, "1e+21"), (0.5, "0.5")];
        for (value, text) in floats {
            assert_eq!(float_text(value), text);
        }
    }

    #[test]
    fn places_do_not_count() {
        let at = Mark { file: 1, line: 2, column: 3 };
        assert_eq!(Node::text_at("x", at), Node::text_at("x", Mark::default()));
    }
}
