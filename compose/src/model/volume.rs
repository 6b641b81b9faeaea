//! The short form of volumes: `[source:]target[:options]`.

use crate::node::{Map, Mark, Node, Value};
use crate::source::lexical;

const PROPAGATIONS: [&str; 6] = ["rprivate", "private", "rshared", "shared", "rslave", "slave"];

/// Reads the short form to the long one.
pub(super) fn parse(spec: &str, at: Mark) -> Result<Map, String> {
    if spec.is_empty() {
        return Err("invalid empty volume spec".to_owned());
    }
    let node = |value: Value| Node::new(value, at);
    let text = |text: &str| Node::text_at(text, at);
    let mut volume = Map::new();
    if spec.len() <= 2 {
        volume.insert("type".to_owned(), text("volume"));
        volume.insert("target".to_owned(), text(&clean(spec)));
        return Ok(volume);
    }
    let sections = sections(spec);
    let wrong = |problem: &str| Err(format!("invalid spec: {spec}: {problem}"));
    if sections.iter().any(String::is_empty) {
        return wrong("empty section between colons");
    }
    let (source, target, options) = match sections.as_slice() {
        [target] => ("", target.as_str(), ""),
        [source, target] => (source.as_str(), target.as_str(), ""),
        [source, target, options] => (source.as_str(), target.as_str(), options.as_str()),
        _ => return wrong("too many colons"),
    };
    let (mut bind, mut named) = (Map::new(), Map::new());
    for option in options.split(',') {
        match option {
            "ro" => drop(volume.insert("read_only".to_owned(), node(Value::Bool(true)))),
            "rw" => drop(volume.remove("read_only")),
            "nocopy" => drop(named.insert("nocopy".to_owned(), node(Value::Bool(true)))),
            "z" | "Z" => drop(bind.insert("selinux".to_owned(), text(option))),
            option if PROPAGATIONS.contains(&option) => {
                bind.insert("propagation".to_owned(), text(option));
            }
            _ => {}
        }
    }
    let is_bind = is_file_path(source);
    if is_bind {
        // the short form makes what isn't there, as it always did
        bind.insert("create_host_path".to_owned(), node(Value::Bool(true)));
    }
    volume.insert("type".to_owned(), text(if is_bind { "bind" } else { "volume" }));
    if !source.is_empty() {
        volume.insert("source".to_owned(), text(source));
    }
    volume.insert("target".to_owned(), text(&clean(target)));
    if is_bind || !bind.is_empty() {
        volume.insert("bind".to_owned(), node(Value::Map(bind)));
    }
    if !is_bind || !named.is_empty() {
        volume.insert("volume".to_owned(), node(Value::Map(named)));
    }
    Ok(volume)
}

/// A path without `.` and `..`.
pub(super) fn clean(path: &str) -> String {
    if path.is_empty() { String::new() } else { lexical(path.as_ref()).display().to_string() }
}

/// Splits at colons, but not behind the letter of a Windows drive, and not inside of `${…}`.
fn sections(spec: &str) -> Vec<String> {
    let mut sections = Vec::new();
    let mut section = String::new();
    let mut braces = 0_usize;
    let mut chars = spec.chars().peekable();
    while let Some(c) = chars.next() {
        let drive = section.chars().count() == 1 && section.starts_with(char::is_alphabetic);
        match c {
            '$' if chars.peek() == Some(&'{') => braces += 1,
            '}' => braces = braces.saturating_sub(1),
            ':' if braces == 0 && !drive => {
                sections.push(std::mem::take(&mut section));
                continue;
            }
            _ => {}
        }
        section.push(c);
    }
    sections.push(section);
    sections
}

/// Whether a source is a path, rather than the name of a volume.
fn is_file_path(source: &str) -> bool {
    let mut chars = source.chars();
    let drive = chars.next().is_some_and(char::is_alphabetic) && chars.next() == Some(':');
    source.starts_with(['.', '/', '~']) || source.starts_with("\\\\") || drive
}
