//! `--format`: a text with fields of a value in it, in the notation that Docker's and podman's users know.
//!
//! `{{.a.b}}` is a field as text, `{{json .a}}` a value as JSON, `{{.}}` all of it. Names of fields may be in any case.
//! The rest of Go's templates is refused, and not ignored.

use serde_json::Value;

use crate::failure::Failure;

/// A format that was read.
pub(crate) struct Template(Vec<Piece>);

enum Piece {
    Text(String),
    Field { path: Vec<String>, json: bool },
}

impl Template {
    /// Reads a format.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let bad = |problem: String| {
            Failure::hinted(
                format!("can't read the format `{text}`: {problem}"),
                "it may hold fields such as `{{.digest}}`, `{{.config.config.Env}}` and `{{json .layers}}`",
            )
        };
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            pieces.push(Piece::Text(before.replace("\\n", "\n").replace("\\t", "\t")));
            let (inside, after) =
                after.split_once("}}").ok_or_else(|| bad("a `{{` is never closed".into()))?;
            let (json, name) = match inside.trim().strip_prefix("json ") {
                Some(name) => (true, name.trim()),
                None => (false, inside.trim()),
            };
            let path = name.strip_prefix('.').filter(|path| !path.contains([' ', '|', '(', '"']));
            let path = path.ok_or_else(|| bad(format!("`{{{{{inside}}}}}` is no field")))?;
            let path = path.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
            pieces.push(Piece::Field { path, json });
            rest = after;
        }
        pieces.push(Piece::Text(rest.replace("\\n", "\n").replace("\\t", "\t")));
        Ok(Self(pieces))
    }

    /// The text with the fields of `value`.
    pub(crate) fn fill(&self, value: &Value) -> Result<String, Failure> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(own) => text.push_str(own),
                Piece::Field { path, json } => {
                    let found = look(value, path).ok_or_else(|| {
                        let near = names(value).join("`, `");
                        Failure::hinted(
                            format!("there is no field `{}`", path.join(".")),
                            format!("fields: `{near}`"),
                        )
                    })?;
                    match found {
                        Value::String(own) if !json => text.push_str(own),
                        Value::Null if !json => {}
                        other => text.push_str(&other.to_string()),
                    }
                }
            }
        }
        Ok(text)
    }
}

fn look<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, name| match value {
        Value::Object(map) => map
            .get(name)
            .or_else(|| map.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, v)| v)),
        Value::Array(list) => list.get(name.parse::<usize>().ok()?),
        _ => None,
    })
}

fn names(value: &Value) -> Vec<String> {
    value.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fills_in_fields() {
        let value = json!({ "digest": "sha256:1", "size": 5, "config": { "Env": ["A=b"] }, "none": null });
        for (format, expected) in [
            ("{{.digest}}", "sha256:1"),
            ("{{ .Digest }} is {{.size}}", "sha256:1 is 5"),
            ("{{json .digest}}", "\"sha256:1\""),
            ("{{.config.env}}", "[\"A=b\"]"),
            ("{{.config.Env.0}}", "A=b"),
            ("{{json .config}}", "{\"Env\":[\"A=b\"]}"),
            ("[{{.none}}]", "[]"),
            ("a\\tb", "a\tb"),
        ] {
            let filled = Template::parse(format).and_then(|template| template.fill(&value));
            assert_eq!(filled.unwrap(), expected, "{format}");
        }
        for format in ["{{.digest", "{{range .x}}", "{{digest}}", "{{.a | b}}"] {
            assert!(Template::parse(format).is_err(), "{format}");
        }
        assert!(Template::parse("{{.absent}}").unwrap().fill(&value).is_err());
    }
}
