//! Reads the description of compose files.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What may be written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Form {
    /// One of several forms, each of them whole.
    OneOf(Vec<Form>),
    /// One of several kinds of value.
    Kinds(Vec<Kind>),
    /// A text that is one of these.
    Word(Vec<&'static str>),
    /// A whole number between these.
    Between(i128, Option<i128>),
    /// A list, and whether nothing may be in it twice.
    List(Box<Form>, bool),
    /// A map with names of the user's.
    Map(Names, Box<Form>),
    /// Anything.
    Any,
    /// How often to pull: a text with one of the known words in it.
    PullPolicy,
    /// A name of a container.
    ContainerName,
}

/// A kind of value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Text,
    Int,
    Number,
    Bool,
    Null,
    /// Any map.
    Object,
    /// A map with known names.
    Struct(&'static str),
}

/// Which names a map of the user's may have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Names {
    Any,
    /// Those of services; others aren't looked at.
    Service,
    /// Those of services, and no others.
    OnlyService,
    /// Those in small letters; others aren't looked at.
    Lower,
}

/// Which names a struct may have beside the known ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Open {
    Extensions,
    Nothing,
    Everything,
}

/// What is made of a value once everything is merged.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Made {
    Nothing,
    Text,
    Bool,
    Int,
    Float,
    /// Bytes, as a number in text.
    Bytes,
    Duration,
    Texts,
    /// Texts by name; nothing becomes an empty text.
    Mapping,
    /// Texts by name, or nothing.
    Equals,
    /// Texts by name, of any values.
    Options,
    /// Lists of texts by name.
    Multi,
    Hosts,
    Ssh,
    Ulimits,
    Shell,
    Test,
    Mode,
    Count,
    /// A switch that is on where nothing is said.
    OptOut,
    Struct(&'static str),
    Structs(&'static str),
    /// Structs by name, and whether there may be nothing in place of one.
    StructMap(&'static str, bool),
}

/// When a value is left out of what is printed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Keep {
    /// When it is empty, zero or false.
    Filled,
    /// When it isn't said.
    Said,
    /// Never.
    Always,
    /// As [`Keep::Filled`], but never in JSON.
    AlwaysInJson,
}

/// A known name of a struct.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    pub(crate) made: Made,
    pub(crate) keep: Keep,
}

/// A map with known names.
#[derive(Debug, Clone)]
pub(crate) struct Struct {
    pub(crate) fields: Vec<Field>,
    pub(crate) open: Open,
    pub(crate) required: Vec<&'static str>,
}

impl Struct {
    /// The field of a name.
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// All structs by their names.
pub(crate) type Schema = HashMap<&'static str, Struct>;

/// The description.
pub(crate) fn schema() -> &'static Schema {
    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| parse(include_str!("compose.txt")));
    &SCHEMA
}

/// Reads the description. It is a part of the program, so what can't be read in it stops it, in tests.
fn parse(text: &'static str) -> Schema {
    let lines = || text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let macros: HashMap<_, _> = lines()
        .filter_map(|line| line.strip_prefix("macro "))
        .filter_map(|line| line.split_once(' '))
        .map(|(name, form)| (name, form.trim()))
        .collect();
    let mut schema = Schema::new();
    let mut current = "";
    for line in lines().filter(|line| !line.starts_with("macro ")) {
        let words: Vec<&'static str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["struct", name, open @ ..] => {
                let open = match open.first() {
                    None => Open::Extensions,
                    Some(&"open") => Open::Everything,
                    Some(_) => Open::Nothing,
                };
                current = name;
                schema.insert(name, Struct { fields: Vec::new(), open, required: Vec::new() });
            }
            ["require", names @ ..] => {
                if let Some(it) = schema.get_mut(current) {
                    it.required.extend(names);
                }
            }
            [name, form, made] => {
                let (made, keep) = made_of(made);
                let field = Field { name, form: form_of(form, &macros), made, keep };
                if let Some(it) = schema.get_mut(current) {
                    it.fields.push(field);
                }
            }
            _ => unreachable!("every line of the description has three words: {line}"),
        }
    }
    schema
}

/// Splits at a character outside of brackets.
fn split(text: &'static str, at: char) -> Vec<&'static str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (index, c) in text.char_indices() {
        match c {
            '[' | '{' | '(' => depth += 1,
            ']' | '}' | ')' => depth -= 1,
            c if c == at && depth == 0 => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

type Macros = HashMap<&'static str, &'static str>;

fn form_of(text: &'static str, macros: &Macros) -> Form {
    let forms = split(text, '|');
    if forms.len() > 1 {
        return Form::OneOf(forms.into_iter().map(|form| form_of(form, macros)).collect());
    }
    if let Some(form) = macros.get(text) {
        return form_of(form, macros);
    }
    let inside = |prefix: &str, end: char| text.strip_prefix(prefix)?.strip_suffix(end);
    let boxed = |text| Box::new(form_of(text, macros));
    let maps = [
        ("{", Names::Any),
        ("names{", Names::Service),
        ("only{", Names::OnlyService),
        ("lower{", Names::Lower),
    ];
    if let Some((item, names)) =
        maps.into_iter().find_map(|(begin, names)| Some((inside(begin, '}')?, names)))
    {
        return Form::Map(names, boxed(item));
    }
    if let Some(item) = inside("[", ']') {
        return Form::List(boxed(item), false);
    }
    if let Some(item) = inside("set[", ']') {
        return Form::List(boxed(item), true);
    }
    if let Some(words) = inside("word(", ')') {
        return Form::Word(words.split(',').collect());
    }
    if let Some(range) = inside("int(", ')') {
        let (low, high) = range.split_once(',').map_or((range, None), |(low, high)| (low, Some(high)));
        return Form::Between(low.parse().unwrap_or(0), high.and_then(|high| high.parse().ok()));
    }
    match text {
        "any" => Form::Any,
        "pull_policy" => Form::PullPolicy,
        "container_name" => Form::ContainerName,
        _ => Form::Kinds(split(text, '/').into_iter().map(kind_of).collect()),
    }
}

fn kind_of(word: &'static str) -> Kind {
    match word {
        "string" => Kind::Text,
        "int" => Kind::Int,
        "number" => Kind::Number,
        "bool" => Kind::Bool,
        "null" => Kind::Null,
        "object" => Kind::Object,
        _ => match word.strip_prefix('@') {
            Some(name) => Kind::Struct(name),
            None => unreachable!("the description knows the kind of value {word}"),
        },
    }
}

fn made_of(word: &'static str) -> (Made, Keep) {
    if let Some(name) = word.strip_prefix('^') {
        return (Made::Struct(name), Keep::AlwaysInJson);
    }
    if let Some(name) = word.strip_prefix('[').and_then(|word| word.strip_suffix(']')) {
        return (Made::Structs(name), Keep::Filled);
    }
    if let Some(name) = word.strip_prefix('{').and_then(|word| word.strip_suffix('}')) {
        let plain = name.trim_end_matches('?');
        return (Made::StructMap(plain, plain != name), Keep::Filled);
    }
    let (word, keep) = match (word.strip_suffix('?'), word.strip_suffix('!')) {
        (Some("mapping"), _) => return (Made::Equals, Keep::Filled),
        (Some(word), _) => (word, Keep::Said),
        (_, Some(word)) => (word, Keep::Always),
        _ => (word, Keep::Filled),
    };
    let made = match word {
        "-" => Made::Nothing,
        "text" => Made::Text,
        "bool" => Made::Bool,
        "int" => Made::Int,
        "float" => Made::Float,
        "bytes" => Made::Bytes,
        "duration" => Made::Duration,
        "texts" => Made::Texts,
        "mapping" => Made::Mapping,
        "options" => Made::Options,
        "multi" => Made::Multi,
        "hosts" => Made::Hosts,
        "ssh" => Made::Ssh,
        "ulimits" => Made::Ulimits,
        "shell" => Made::Shell,
        "test" => Made::Test,
        "mode" => Made::Mode,
        "count" => Made::Count,
        "optout" => Made::OptOut,
        name => return (Made::Struct(name), Keep::Said),
    };
    (made, keep)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every struct that a form names.
    fn named(form: &Form, found: &mut Vec<&'static str>) {
        match form {
            Form::OneOf(forms) => forms.iter().for_each(|form| named(form, found)),
            Form::Kinds(kinds) => found.extend(kinds.iter().filter_map(|kind| match kind {
                Kind::Struct(name) => Some(*name),
                _ => None,
            })),
            Form::List(item, _) | Form::Map(_, item) => named(item, found),
            _ => {}
        }
    }

    #[test]
    fn all_that_is_named_is_there() {
        for (name, it) in schema() {
            for field in &it.fields {
                let mut names = Vec::new();
                named(&field.form, &mut names);
                match field.made {
                    Made::Struct(made) | Made::Structs(made) | Made::StructMap(made, _) => names.push(made),
                    _ => {}
                }
                for used in names {
                    assert!(schema().contains_key(used), "{name}.{} names {used}", field.name);
                }
            }
            for required in &it.required {
                assert!(it.field(required).is_some(), "{name} requires {required}");
            }
        }
    }
}
