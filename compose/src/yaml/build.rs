//! What is written in a file to trees: aliases and merge keys replaced, `!reset` and `!override` noted.

use std::path::Path as FilePath;

use super::events::{Broken, Item, Raw, Tag, scan};
use super::scalar;
use crate::error::{Error, ErrorKind, Files};
use crate::node::{Map, Mark, Node, Value};
use crate::path::Path;

/// Values that aliases may add to a file in any case; more only in proportion to what is written.
const FREE_COPIES: usize = 100_000;
/// Values that aliases may add for each one that is written …
const COPIES_EACH: usize = 20;
/// … and at most.
const MAX_COPIES: usize = 1_000_000;

/// One document of a file.
#[derive(Debug)]
pub(crate) struct Document {
    /// The tree, without what `!reset` takes out.
    pub(crate) root: Node,
    /// Places whose value in files before is removed: those of `!reset` and `!override`.
    pub(crate) resets: Vec<Vec<String>>,
}

/// Reads the documents of a file.
pub(crate) fn read(text: &str, path: &FilePath, files: &mut Files) -> Result<Vec<Document>, Error> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let file = files.add(path, text);
    let raw = scan(text, file).map_err(|Broken { line, column, problem }| {
        let kind = ErrorKind::Yaml { path: path.to_owned(), line, column, problem };
        kind.at(files, Mark { file, line, column })
    })?;
    let most = (raw.items.len().saturating_mul(COPIES_EACH)).clamp(FREE_COPIES, MAX_COPIES);
    let mut documents = Vec::new();
    for root in &raw.documents {
        let mut builder = Builder { raw: &raw, resets: Vec::new(), aliases: Vec::new(), left: most };
        let built = builder.node(*root, &Path::ROOT);
        let root = built.map_err(|refusal| refusal.into_error(path, raw.items[*root].2, files))?;
        documents.push(Document { root: root.unwrap_or_default(), resets: builder.resets });
    }
    Ok(documents)
}

/// Why a tree can't be made.
enum Refusal {
    Construct(String, Mark),
    Key { path: String, key: String, at: Mark },
}

impl Refusal {
    fn into_error(self, path: &FilePath, document: Mark, files: &Files) -> Error {
        match self {
            Self::Construct(problem, at) => {
                let line = document.line;
                ErrorKind::Construct { path: path.to_owned(), line, problem }.at(files, at)
            }
            Self::Key { path, key, at } => ErrorKind::Key { path, key }.at(files, at),
        }
    }
}

struct Builder<'a> {
    raw: &'a Raw,
    resets: Vec<Vec<String>>,
    /// The aliases that are being followed: what they stand for, and where they are.
    aliases: Vec<(usize, Vec<String>)>,
    /// Values that may still be made through aliases.
    left: usize,
}

impl<'a> Builder<'a> {
    /// The value of a thing; none for one with `!reset`.
    fn node(&mut self, number: usize, path: &Path<'_>) -> Result<Option<Node>, Refusal> {
        let (item, tag, at) = &self.raw.items[number];
        if !self.aliases.is_empty() {
            self.left = self.left.checked_sub(1).ok_or_else(|| {
                Refusal::Construct("yaml: document contains excessive aliasing".to_owned(), *at)
            })?;
        }
        if matches!(tag, Tag::Reset | Tag::Override) {
            self.resets.push(path.names());
        }
        if *tag == Tag::Reset {
            return Ok(None);
        }
        let value = match item {
            Item::Alias(anchor) => return self.alias(*anchor, *at, path),
            Item::Scalar { text, plain } if *plain && *tag != Tag::Text => {
                scalar::resolve(text).map_err(|problem| Refusal::Construct(problem, *at))?
            }
            Item::Scalar { text, .. } => Value::Text(text.clone()),
            Item::List(items) => Value::List(self.list(items, path)?),
            Item::Map(entries) => Value::Map(self.map(entries, path)?),
        };
        Ok(Some(Node::new(value, *at)))
    }

    fn alias(&mut self, anchor: usize, at: Mark, path: &Path<'_>) -> Result<Option<Node>, Refusal> {
        let Some(target) = self.raw.anchors.get(&anchor).copied() else {
            return Err(Refusal::Construct("yaml: unknown anchor".to_owned(), at));
        };
        if let Some((_, before)) = self.aliases.iter().find(|(open, _)| *open == target) {
            let problem =
                format!("cycle detected: node at path {path} references node at path {}", before.join("."));
            return Err(Refusal::Construct(problem, at));
        }
        self.aliases.push((target, path.names()));
        let node = self.node(target, path);
        self.aliases.pop();
        node
    }

    fn list(&mut self, items: &[usize], path: &Path<'_>) -> Result<Vec<Node>, Refusal> {
        let mut list = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let name = format!("[{index}]");
            list.extend(self.node(*item, &path.child(&name))?);
        }
        Ok(list)
    }

    fn map(&mut self, entries: &[(usize, usize)], path: &Path<'_>) -> Result<Map, Refusal> {
        let mut map = Map::new();
        let mut keys: std::collections::HashMap<&str, u32> = std::collections::HashMap::new();
        let mut merged = None;
        for (key, value) in entries {
            let at = self.raw.items[*key].2;
            let (name, plain) = self.key(*key, path)?;
            if let Some(line) = keys.insert(name, at.line) {
                let problem =
                    format!("line {}: mapping key {name:?} already defined at line {line}", at.line);
                return Err(Refusal::Construct(problem, at));
            }
            if name == "<<" && plain {
                merged = Some(*value);
                continue;
            }
            if let Some(node) = self.node(*value, &path.child(name))? {
                map.insert(name.to_owned(), Node { at, ..node });
            }
        }
        if let Some(value) = merged {
            self.merge(value, &mut map, path)?;
        }
        Ok(map)
    }

    /// The text of a key, and whether it is without quotes.
    fn key(&self, number: usize, path: &Path<'_>) -> Result<(&'a str, bool), Refusal> {
        let at = &self.raw.items[number].2;
        let target = match &self.raw.items[number].0 {
            Item::Alias(anchor) => self.raw.anchors.get(anchor).copied().unwrap_or(number),
            _ => number,
        };
        let (item, tag, _) = &self.raw.items[target];
        let Item::Scalar { text, plain } = item else {
            return Err(Refusal::Construct("yaml: invalid map key".to_owned(), *at));
        };
        let means_text =
            !plain || *tag == Tag::Text || matches!(scalar::resolve(text), Ok(Value::Text(_)) | Err(_));
        if means_text {
            return Ok((text, *plain));
        }
        let path = path.to_string().replace(".[", "[");
        Err(Refusal::Key { path, key: text.clone(), at: *at })
    }

    /// Adds what `<<` names, without replacing what is there.
    fn merge(&mut self, number: usize, map: &mut Map, path: &Path<'_>) -> Result<(), Refusal> {
        let (item, tag, at) = &self.raw.items[number];
        let sources = match item {
            // with a list of maps, the first one that has a key wins
            Item::List(items) if *tag != Tag::Reset => {
                let mut sources = Vec::with_capacity(items.len());
                for item in items {
                    sources.extend(self.node(*item, path)?);
                }
                sources
            }
            _ => match self.node(number, path)? {
                Some(Node { value: Value::List(items), .. }) => items,
                node => node.into_iter().collect(),
            },
        };
        for source in sources {
            let Value::Map(entries) = source.value else {
                let problem = "yaml: map merge requires map or sequence of maps as the value";
                return Err(Refusal::Construct(problem.to_owned(), *at));
            };
            for (key, value) in entries {
                map.entry(key).or_insert(value);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Result<Document, String> {
        let mut files = Files::default();
        let mut documents =
            read(text, FilePath::new("/c.yaml"), &mut files).map_err(|error| error.to_string())?;
        Ok(documents.remove(0))
    }

    #[test]
    fn merges_what_is_not_there() {
        let text = "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc: {y: 5, <<: [*a, *b]}\nd: {<<: *b}\n";
        let root = tree(text).unwrap().root;
        assert_eq!(root.get("c").unwrap().display(), "map[x:1 y:5 z:4]");
        assert_eq!(root.get("d").unwrap().display(), "map[y:3 z:4]");
    }

    #[test]
    fn notes_resets() {
        let document = tree("a: {b: !reset null, c: !override [1]}\nd: [!reset 1, 2]\n").unwrap();
        assert_eq!(document.root.display(), "map[a:map[c:[1]] d:[2]]");
        let resets: Vec<_> = document.resets.iter().map(|path| path.join(".")).collect();
        assert_eq!(resets, ["a.b", "a.c", "d.[0]"]);
    }

    #[test]
    fn refuses_what_has_no_end() {
        let text = |text: &str| tree(text).unwrap_err();
        assert!(text("a: &a\n  b: *a\n").contains("cycle detected"));
        assert!(text("a: 1\na: 2\n").contains("line 2: mapping key \"a\" already defined at line 1"));
        assert!(text("a: {1: x}\n").contains("non-string key in a: 1"));
        assert!(text(&"[".repeat(20_000)).contains("line 1"));
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let alias = format!("*a{}", level - 1);
            let line = format!("a{level}: &a{level} [{}]\n", vec![alias; 10].join(", "));
            bomb.push_str(&line);
        }
        assert!(text(&bomb).contains("excessive aliasing"));
    }

    #[test]
    fn deep_blocks_are_refused() {
        let deep: String = (0..20_000).map(|_| "- ").collect();
        assert!(tree(&deep).unwrap_err().contains("max depth"));
    }
}
