//! What is to be built, as JSON that is a bake file itself.

use std::collections::BTreeMap;

use super::composite::{Fields, Notation};
use super::config::Selection;
use super::functions::write_text;
use super::spec::{GroupSpec, TargetSpec};
use crate::target::RESOURCES;

/// Resources that are numbers.
const NUMBERS: [&str; 3] = ["cpu-shares", "cpu-period", "cpu-quota"];

/// A value to be printed.
enum Out {
    Null,
    Plain(String),
    Text(String),
    List(Vec<Out>),
    Object(Vec<(String, Out)>),
}

/// Everything that was selected.
pub(crate) fn selection(selection: &Selection) -> String {
    let groups = selection.groups.iter().map(|(name, spec)| (name.clone(), group(spec)));
    let targets = selection.targets.iter().map(|(name, spec)| (name.clone(), target(spec)));
    let all = Out::Object(vec![
        ("group".to_owned(), Out::Object(groups.collect())),
        ("target".to_owned(), Out::Object(targets.collect())),
    ]);
    let mut text = String::new();
    write(&all, 0, &mut text);
    text.push('\n');
    text
}

/// The names and descriptions of what can be built.
pub(crate) fn entries(entries: &[super::Entry]) -> String {
    list(entries.iter().map(|entry| {
        let mut fields = vec![("name".to_owned(), Out::Text(entry.name.clone()))];
        fields.extend(entry.description.clone().map(|text| ("description".to_owned(), Out::Text(text))));
        fields.extend(entry.group.then(|| ("group".to_owned(), Out::Plain("true".to_owned()))));
        Out::Object(fields)
    }))
}

/// The variables with their values.
pub(crate) fn variables(variables: &[super::Variable]) -> String {
    list(variables.iter().map(|variable| {
        let fields = [
            ("name", Some(&variable.name)),
            ("description", variable.description.as_ref()),
            ("type", variable.kind.as_ref()),
            ("value", variable.value.as_ref()),
        ];
        let fields =
            fields.into_iter().filter_map(|(name, text)| Some((name.to_owned(), Out::Text(text?.clone()))));
        Out::Object(fields.collect())
    }))
}

fn list(items: impl Iterator<Item = Out>) -> String {
    let mut text = String::new();
    write(&Out::List(items.collect()), 0, &mut text);
    text.push('\n');
    text
}

fn group(group: &GroupSpec) -> Out {
    let mut fields = Vec::new();
    fields.extend(group.description.clone().map(|text| ("description".to_owned(), shown(&text))));
    let targets = if group.targets.is_empty() { Out::Null } else { texts(&group.targets) };
    fields.push(("targets".to_owned(), targets));
    Out::Object(fields)
}

fn target(target: &TargetSpec) -> Out {
    let mut fields: Vec<(String, Out)> = Vec::new();
    let mut add = |name: &str, out: Option<Out>| fields.extend(out.map(|out| (name.to_owned(), out)));
    let text = |text: &Option<String>| text.as_deref().map(shown);
    let map = |map: &BTreeMap<String, String>| {
        let pairs = map.iter().map(|(name, value)| (escaped(name), shown(value)));
        (!map.is_empty()).then(|| Out::Object(pairs.collect()))
    };
    let list = |list: &[String]| (!list.is_empty()).then(|| texts(list));
    let composite = |notation, entries: &[Fields]| {
        (!entries.is_empty())
            .then(|| Out::List(entries.iter().map(|fields| entry(notation, fields)).collect()))
    };
    let switch = |switch: Option<bool>| switch.map(|switch| Out::Plain(switch.to_string()));
    add("description", text(&target.description));
    add("annotations", list(&target.annotations));
    add("attest", composite(Notation::Attest, &target.attest));
    add("context", text(&target.context));
    add("contexts", map(&target.contexts));
    add("dockerfile", text(&target.dockerfile));
    add("dockerfile-inline", text(&target.dockerfile_inline));
    add("args", map(&target.args));
    add("labels", map(&target.labels));
    add("tags", list(target.tags.as_deref().unwrap_or_default()));
    add("cache-from", composite(Notation::Cache, &target.cache_from));
    add("cache-to", composite(Notation::Cache, target.cache_to.as_deref().unwrap_or_default()));
    add("target", text(&target.target));
    add("secret", composite(Notation::Secret, &target.secrets));
    add("ssh", composite(Notation::Ssh, &target.ssh));
    add("platforms", list(target.platforms.as_deref().unwrap_or_default()));
    add("output", composite(Notation::Output, target.outputs.as_deref().unwrap_or_default()));
    add("pull", switch(target.pull));
    add("no-cache", switch(target.no_cache));
    add("network", text(&target.network));
    add("no-cache-filter", list(&target.no_cache_filter));
    add("shm-size", text(&target.shm_size));
    add("ulimits", list(&target.ulimits));
    add("resources", resources(&target.resources));
    add("call", text(&target.call));
    add("entitlements", list(&target.entitlements));
    add("extra-hosts", map(&target.extra_hosts));
    add("policy", composite(Notation::Policy, &target.policy));
    Out::Object(fields)
}

fn resources(resources: &BTreeMap<String, String>) -> Option<Out> {
    let value = |name: &&str, value: &String| {
        let number = NUMBERS.contains(name) && value.parse::<i64>().is_ok();
        if number { Out::Plain(value.clone()) } else { shown(value) }
    };
    let pairs = RESOURCES.iter().filter_map(|name| Some((escaped(name), value(name, resources.get(*name)?))));
    (!resources.is_empty()).then(|| Out::Object(pairs.collect()))
}

fn entry(notation: Notation, fields: &Fields) -> Out {
    let value = |name: &str, value: &str| match (notation, name) {
        (Notation::Ssh, "paths") => Out::List(value.split(',').map(shown).collect()),
        (Notation::Attest, "disabled") if value.parse::<bool>().is_ok() => Out::Plain(value.to_owned()),
        _ => shown(value),
    };
    // a secret's or agent's name comes first
    let (id, rest): (Vec<_>, Vec<_>) = fields.iter().partition(|(name, _)| *name == "id");
    let pairs = id.into_iter().chain(rest).map(|(name, text)| (escaped(name), value(name, text)));
    Out::Object(pairs.collect())
}

fn texts(list: &[String]) -> Out {
    Out::List(list.iter().map(|text| shown(text)).collect())
}

/// A text with what would begin a template escaped.
fn shown(text: &str) -> Out {
    Out::Text(escaped(text))
}

fn escaped(text: &str) -> String {
    text.replace("${", "$${").replace("%{", "%%{")
}

fn write(out: &Out, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth + 1);
    match out {
        Out::Null => text.push_str("null"),
        Out::Plain(plain) => text.push_str(plain),
        Out::Text(string) => write_text(string, text),
        Out::List(items) if items.is_empty() => text.push_str("[]"),
        Out::Object(fields) if fields.is_empty() => text.push_str("{}"),
        Out::List(items) => {
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index == 0 { "[\n" } else { ",\n" });
                text.push_str(&indent);
                write(item, depth + 1, text);
            }
            text.push('\n');
            text.push_str(&"  ".repeat(depth));
            text.push(']');
        }
        Out::Object(fields) => {
            for (index, (name, value)) in fields.iter().enumerate() {
                text.push_str(if index == 0 { "{\n" } else { ",\n" });
                text.push_str(&indent);
                write_text(name, text);
                text.push_str(": ");
                write(value, depth + 1, text);
            }
            text.push('\n');
            text.push_str(&"  ".repeat(depth));
            text.push('}');
        }
    }
}
