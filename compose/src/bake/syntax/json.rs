//! JSON to bodies: objects of blocks and attributes, with the place of every value.

use std::ops::Range;
use std::sync::Arc;

use super::{Attribute, Block, Body, Expr, Origin};
use crate::bake::diagnostic::{Fault, Place, Source};

/// How deep values nest at most.
const MAX_DEPTH: usize = 64;
/// Blocks of a bake file that have a name.
const NAMED: [&str; 4] = ["target", "group", "variable", "function"];

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// Its bytes in the text.
    pub(crate) range: Range<usize>,
    /// The value.
    pub(crate) value: NodeValue,
}

/// A value of JSON.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NodeValue {
    /// `null`
    Null,
    /// `true` and `false`
    Bool(bool),
    /// A number as it was written.
    Number(String),
    /// A text, unescaped.
    String(String),
    /// `[…]`
    Array(Vec<Node>),
    /// `{…}`: name, where the name stands, value.
    Object(Vec<(String, Range<usize>, Node)>),
}

/// Reads a file.
pub(super) fn read(source: &Arc<Source>) -> Result<Body, Fault> {
    let root = value(source)?;
    let origin = Origin { source: Arc::clone(source), base: 0 };
    top(root, &origin)
}

/// Reads a value that is all of a text.
pub(super) fn value(source: &Arc<Source>) -> Result<Node, Fault> {
    let mut reader = Reader { source, bytes: source.text.as_bytes(), at: 0 };
    let root = reader.value(0)?;
    reader.blanks();
    if reader.at < reader.bytes.len() {
        return Err(
            reader.complain("Extraneous data after value", "Extra characters appear after the JSON value.")
        );
    }
    Ok(root)
}

/// The body of a file.
fn top(root: Node, origin: &Origin) -> Result<Body, Fault> {
    let place = origin.place(Some(root.range.start..root.range.start));
    let mut body = Body { attributes: Vec::new(), blocks: Vec::new(), place };
    for object in objects(root, origin, "bake file")? {
        for (name, range, node) in object {
            if name == "//" {
                continue;
            }
            if !NAMED.contains(&name.as_str()) {
                body.attributes.push(attribute(name, &range, node, origin));
                continue;
            }
            for labelled in objects(node, origin, &name)? {
                for (label, label_range, node) in labelled.into_iter().filter(|(label, ..)| label != "//") {
                    let label = (label, origin.place(Some(label_range)));
                    blocks(&name, &range, &label, node, origin, &mut body.blocks)?;
                }
            }
        }
    }
    Ok(body)
}

/// The blocks of one label.
fn blocks(
    kind: &str,
    range: &Range<usize>,
    label: &(String, Place),
    node: Node,
    origin: &Origin,
    blocks: &mut Vec<Block>,
) -> Result<(), Fault> {
    let missing = origin.place(Some(node.range.start..node.range.start));
    for object in objects(node, origin, kind)? {
        let mut body = Body { attributes: Vec::new(), blocks: Vec::new(), place: missing.clone() };
        for (name, name_range, node) in object {
            match name.as_str() {
                "//" => {}
                "validation" if kind == "variable" => {
                    let missing = origin.place(Some(node.range.start..node.range.start));
                    for object in objects(node, origin, "validation")? {
                        let attributes = object
                            .into_iter()
                            .map(|(name, range, node)| attribute(name, &range, node, origin));
                        let inner = Body {
                            attributes: attributes.collect(),
                            blocks: Vec::new(),
                            place: missing.clone(),
                        };
                        let place = origin.place(Some(name_range.clone()));
                        body.blocks.push(Block {
                            kind: name.clone(),
                            place,
                            labels: Vec::new(),
                            body: inner,
                        });
                    }
                }
                _ => body.attributes.push(attribute(name, &name_range, node, origin)),
            }
        }
        let place = origin.place(Some(range.clone()));
        blocks.push(Block { kind: kind.to_owned(), place, labels: vec![label.clone()], body });
    }
    Ok(())
}

/// A named value as an attribute.
fn attribute(name: String, range: &Range<usize>, node: Node, origin: &Origin) -> Attribute {
    let place = origin.place(Some(range.start..node.range.end));
    Attribute { name, place, expr: Expr::Json(node, origin.clone()) }
}

/// The attributes of an object, or of each object of an array.
type Attributes = Vec<(String, Range<usize>, Node)>;

/// An object, or the objects of an array.
fn objects(node: Node, origin: &Origin, kind: &str) -> Result<Vec<Attributes>, Fault> {
    let wrong = |range: Range<usize>| {
        origin.place(Some(range)).complain(
            "Incorrect JSON value type",
            format!(
                "Either a JSON object or a JSON array is required, representing the contents of one or more {kind:?} \
                 blocks."
            ),
        )
    };
    match node.value {
        NodeValue::Object(attributes) => Ok(vec![attributes]),
        NodeValue::Array(items) => {
            let item = |item: Node| match item.value {
                NodeValue::Object(attributes) => Ok(attributes),
                _ => Err(wrong(item.range)),
            };
            items.into_iter().map(item).collect()
        }
        _ => Err(wrong(node.range)),
    }
}

/// Reads JSON from its beginning on.
struct Reader<'a> {
    source: &'a Arc<Source>,
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn complain(&self, summary: &str, detail: impl Into<String>) -> Fault {
        let range = self.at..(self.at + 1).min(self.bytes.len()).max(self.at);
        Place { source: Arc::clone(self.source), range }.complain(summary, detail)
    }

    fn blanks(&mut self) {
        while self.bytes.get(self.at).is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        self.blanks();
        let there = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(there);
        there
    }

    fn value(&mut self, depth: usize) -> Result<Node, Fault> {
        self.blanks();
        if depth > MAX_DEPTH {
            return Err(self.complain("Too deep", format!("Values nest at most {MAX_DEPTH} deep.")));
        }
        let start = self.at;
        let value = match self.bytes.get(self.at) {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => NodeValue::String(self.text()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(_) => self.word()?,
            None => return Err(self.complain("Missing value", "A JSON value was expected.")),
        };
        Ok(Node { range: start..self.at, value })
    }

    fn word(&mut self) -> Result<NodeValue, Fault> {
        let words =
            [("null", NodeValue::Null), ("true", NodeValue::Bool(true)), ("false", NodeValue::Bool(false))];
        for (word, value) in words {
            if self.bytes[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.complain("Invalid JSON value", "A JSON value was expected."))
    }

    fn number(&mut self) -> Result<NodeValue, Fault> {
        let start = self.at;
        while self
            .bytes
            .get(self.at)
            .is_some_and(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
        {
            self.at += 1;
        }
        let text = String::from_utf8_lossy(&self.bytes[start..self.at]).into_owned();
        if super::super::number::Number::parse(&text).is_none() {
            return Err(self.complain("Invalid JSON number", format!("{text:?} is no number.")));
        }
        Ok(NodeValue::Number(text))
    }

    /// A quoted text. Its end is found here, its escapes are left to `serde_json`.
    fn text(&mut self) -> Result<String, Fault> {
        let start = self.at;
        let mut end = start + 1;
        loop {
            match self.bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(_) => end += 1,
                None => {
                    return Err(self.complain("Unterminated string literal", "The closing quote is missing."));
                }
            }
        }
        let text = serde_json::from_slice(&self.bytes[start..=end])
            .map_err(|error| self.complain("Invalid JSON string", error.to_string()))?;
        self.at = end + 1;
        Ok(text)
    }

    fn array(&mut self, depth: usize) -> Result<NodeValue, Fault> {
        self.at += 1;
        let mut items = Vec::new();
        if self.take(b']') {
            return Ok(NodeValue::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.take(b']') {
                return Ok(NodeValue::Array(items));
            }
            if !self.take(b',') {
                return Err(self.complain("Missing array element separator", "A comma or `]` was expected."));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<NodeValue, Fault> {
        self.at += 1;
        let mut items = Vec::new();
        if self.take(b'}') {
            return Ok(NodeValue::Object(items));
        }
        loop {
            self.blanks();
            let start = self.at;
            if self.bytes.get(start) != Some(&b'"') {
                return Err(self.complain("Invalid object property name", "A quoted name was expected."));
            }
            let name = self.text()?;
            let range = start..self.at;
            if !self.take(b':') {
                return Err(self.complain("Missing property value colon", "A colon was expected."));
            }
            items.push((name, range, self.value(depth + 1)?));
            if self.take(b'}') {
                return Ok(NodeValue::Object(items));
            }
            if !self.take(b',') {
                return Err(self.complain("Missing attribute separator", "A comma or `}` was expected."));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> Result<Body, Fault> {
        read(&Arc::new(Source { name: "t.json".to_owned(), text: text.to_owned() }))
    }

    #[test]
    fn blocks_and_attributes() {
        let text =
            r#"{"//": 1, "x": "y", "target": [{"a": {"tags": ["t"]}}, {"a": [{"pull": true}], "b": {}}]}"#;
        let body = body(text).unwrap();
        assert_eq!(
            body.attributes.iter().map(|attribute| attribute.name.as_str()).collect::<Vec<_>>(),
            ["x"]
        );
        let labels: Vec<_> = body.blocks.iter().map(|block| block.labels[0].0.as_str()).collect();
        assert_eq!(labels, ["a", "a", "b"]);
    }

    #[test]
    fn mistakes_have_places() {
        for (text, said) in [
            (r#"{"target": 1}"#, "t.json:1,12-13: Incorrect JSON value type"),
            (r#"{"a": }"#, "t.json:1,7-8: Invalid JSON value"),
            (r#"{"a": "x"#, "t.json:1,7-8: Unterminated string literal"),
            ("{} x", "t.json:1,4-5: Extraneous data after value"),
        ] {
            let fault = body(text).unwrap_err().to_string();
            assert!(fault.starts_with(said), "{fault}");
        }
        assert!(body(&"[".repeat(100_000)).is_err());
    }
}
