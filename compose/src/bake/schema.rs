//! The attributes of targets and groups: which there are, and what their values must be.

use std::collections::BTreeMap;

use hcl_edit::expr::Expression;

use super::composite::{self, Fields, Notation};
use super::convert::convert;
use super::diagnostic::Fault;
use super::document::Document;
use super::eval::Scope;
use super::matrix::Variant;
use super::spec::{GroupSpec, TargetSpec};
use super::syntax::{Block, Expr, NodeValue};
use super::types::Type;
use super::value::Value;
use crate::target::RESOURCES;

/// What the value of an attribute must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A text.
    Text,
    /// True or false.
    Bool,
    /// A list of texts.
    Texts,
    /// Texts by name.
    TextMap,
    /// A list of texts in a notation of fields, or of objects.
    Composite(Notation),
}

/// All attributes of targets that others may refer to.
const SHAPES: [(&str, Shape); 31] = [
    ("description", Shape::Text),
    ("inherits", Shape::Texts),
    ("annotations", Shape::Texts),
    ("attest", Shape::Composite(Notation::Attest)),
    ("context", Shape::Text),
    ("contexts", Shape::TextMap),
    ("dockerfile", Shape::Text),
    ("dockerfile-inline", Shape::Text),
    ("args", Shape::TextMap),
    ("labels", Shape::TextMap),
    ("tags", Shape::Texts),
    ("cache-from", Shape::Composite(Notation::Cache)),
    ("cache-to", Shape::Composite(Notation::Cache)),
    ("target", Shape::Text),
    ("secret", Shape::Composite(Notation::Secret)),
    ("ssh", Shape::Composite(Notation::Ssh)),
    ("platforms", Shape::Texts),
    ("output", Shape::Composite(Notation::Output)),
    ("pull", Shape::Bool),
    ("no-cache", Shape::Bool),
    ("network", Shape::Text),
    ("no-cache-filter", Shape::Texts),
    ("shm-size", Shape::Text),
    ("ulimits", Shape::Texts),
    ("resources", Shape::TextMap),
    ("call", Shape::Text),
    ("entitlements", Shape::Texts),
    ("extra-hosts", Shape::TextMap),
    ("policy", Shape::Composite(Notation::Policy)),
    ("name", Shape::Text),
    ("targets", Shape::Texts),
];

/// What an attribute must be; `None` where it means nothing.
pub(crate) fn shape(attribute: &str) -> Option<Shape> {
    SHAPES.iter().find(|(name, _)| *name == attribute).map(|(_, shape)| *shape)
}

/// The attributes that a target has.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    SHAPES.iter().map(|(name, _)| *name).filter(|name| *name != "targets")
}

impl Shape {
    /// The type of what others see of it.
    pub(crate) fn kind(self) -> Type {
        match self {
            Self::Text => Type::String,
            Self::Bool => Type::Bool,
            Self::Texts => Type::String.list(),
            Self::TextMap => Type::String.map(),
            Self::Composite(_) => Type::Any.list(),
        }
    }

    /// What others see of a value.
    pub(crate) fn reference(self, value: &Value, expr: &Expr) -> Result<Value, Fault> {
        match self {
            Self::Composite(notation) => {
                let entries = composite::decode(notation, value).map_err(|why| unsuitable(expr, &why))?;
                let object = |fields: &Fields| {
                    let fields =
                        fields.iter().map(|(name, value)| (name.clone(), Value::text(value.as_str())));
                    Value::Object(fields.collect())
                };
                Ok(Value::Tuple(entries.iter().map(object).collect()))
            }
            _ => convert(value, &self.kind()).map_err(|why| unsuitable(expr, &why)),
        }
    }
}

/// Says that a value is none of what its attribute may be.
fn unsuitable(expr: &Expr, why: &str) -> Fault {
    expr.start().complain("Unsuitable value type", format!("Unsuitable value: {why}"))
}

/// Names that an expression lists without meaning their values: `[a, b]`, `a`, or texts in JSON.
pub(crate) fn names_in(expr: &Expr) -> Result<Vec<String>, Fault> {
    let wrong = || unsuitable(expr, "a list of names is required");
    match expr {
        Expr::Hcl(Expression::Variable(name), _) => Ok(vec![name.as_str().to_owned()]),
        Expr::Hcl(Expression::String(name), _) => Ok(vec![name.as_str().to_owned()]),
        Expr::Hcl(Expression::Array(items), _) => {
            let name = |item: &Expression| match item {
                Expression::Variable(name) => Ok(name.as_str().to_owned()),
                Expression::String(name) => Ok(name.as_str().to_owned()),
                _ => Err(wrong()),
            };
            items.iter().map(name).collect()
        }
        Expr::Json(node, _) => {
            let items = match &node.value {
                NodeValue::Array(items) => &items[..],
                NodeValue::String(_) => std::slice::from_ref(node),
                _ => return Err(wrong()),
            };
            let name = |item: &super::syntax::Node| match &item.value {
                NodeValue::String(name) => Ok(name.clone()),
                _ => Err(wrong()),
            };
            items.iter().map(name).collect()
        }
        Expr::Hcl(..) => Err(wrong()),
    }
}

/// Reads the attributes of one block.
struct Reader<'a> {
    document: &'a Document,
    block: &'a Block,
    scope: &'a Scope<'a>,
}

impl Reader<'_> {
    fn value(&self, name: &str) -> Result<Option<(Value, &Expr)>, Fault> {
        let Some(attribute) = self.block.body.attribute(name) else { return Ok(None) };
        let value = self.document.evaluate(&attribute.expr, self.scope)?;
        Ok((!value.is_null()).then_some((value, &attribute.expr)))
    }

    fn converted(&self, name: &str, kind: &Type) -> Result<Option<Value>, Fault> {
        let Some((value, expr)) = self.value(name)? else { return Ok(None) };
        convert(&value, kind).map(Some).map_err(|why| unsuitable(expr, &why))
    }

    fn text(&self, name: &str) -> Result<Option<String>, Fault> {
        Ok(match self.converted(name, &Type::String)? {
            Some(Value::String(text)) => Some(text),
            _ => None,
        })
    }

    fn truth(&self, name: &str) -> Result<Option<bool>, Fault> {
        Ok(match self.converted(name, &Type::Bool)? {
            Some(Value::Bool(truth)) => Some(truth),
            _ => None,
        })
    }

    fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Fault> {
        let Some(Value::List(_, values)) = self.converted(name, &Type::String.list())? else {
            return Ok(None);
        };
        let text = |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        };
        Ok(Some(values.into_iter().filter_map(text).collect()))
    }

    fn map(&self, name: &str) -> Result<BTreeMap<String, Option<String>>, Fault> {
        let Some(Value::Map(_, values)) = self.converted(name, &Type::String.map())? else {
            return Ok(BTreeMap::new());
        };
        let text = |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        };
        Ok(values.into_iter().map(|(name, value)| (name, text(value))).collect())
    }

    /// Bounds of steps: what none of these is could pass for anything else on a command line.
    fn resources(&self) -> Result<BTreeMap<String, Option<String>>, Fault> {
        let bounds = self.map("resources")?;
        let odd = bounds.keys().find(|name| !RESOURCES.contains(&name.as_str()));
        match (odd, self.block.body.attribute("resources")) {
            (Some(odd), Some(attribute)) => {
                let why = format!("resources has no {odd:?}, only {}", RESOURCES.join(", "));
                Err(unsuitable(&attribute.expr, &why))
            }
            _ => Ok(bounds),
        }
    }

    fn entries(&self, name: &str, notation: Notation) -> Result<Option<Vec<Fields>>, Fault> {
        let Some((value, expr)) = self.value(name)? else { return Ok(None) };
        composite::decode(notation, &value).map(Some).map_err(|why| unsuitable(expr, &why))
    }
}

/// Evaluates a group.
pub(crate) fn group(document: &Document, block: &Block) -> Result<GroupSpec, Fault> {
    let (name, place) = block.labels.first().cloned().unwrap_or((String::new(), block.place.clone()));
    for refused in ["name", "matrix"] {
        if block.body.attribute(refused).is_some() {
            return Err(place.complain("Invalid name", format!("{refused} is not supported for groups")));
        }
    }
    let reader = Reader { document, block, scope: &Scope::default() };
    let targets = reader.texts("targets")?.unwrap_or_default();
    Ok(GroupSpec { name, description: reader.text("description")?, targets })
}

/// Evaluates a target.
pub(crate) fn target(document: &Document, variant: &Variant) -> Result<TargetSpec, Fault> {
    let reader = Reader { document, block: &document.targets[variant.block], scope: &variant.scope };
    let known = |map: BTreeMap<String, Option<String>>| -> BTreeMap<String, String> {
        map.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    };
    Ok(TargetSpec {
        name: variant.name.clone(),
        description: reader.text("description")?,
        inherits: reader.texts("inherits")?.unwrap_or_default(),
        annotations: reader.texts("annotations")?.unwrap_or_default(),
        attest: reader.entries("attest", Notation::Attest)?.unwrap_or_default(),
        context: reader.text("context")?,
        contexts: known(reader.map("contexts")?),
        dockerfile: reader.text("dockerfile")?,
        dockerfile_inline: reader.text("dockerfile-inline")?,
        args: known(reader.map("args")?),
        labels: known(reader.map("labels")?),
        tags: reader.texts("tags")?,
        cache_from: reader.entries("cache-from", Notation::Cache)?.unwrap_or_default(),
        cache_to: reader.entries("cache-to", Notation::Cache)?,
        target: reader.text("target")?,
        secrets: reader.entries("secret", Notation::Secret)?.unwrap_or_default(),
        ssh: reader.entries("ssh", Notation::Ssh)?.unwrap_or_default(),
        platforms: reader.texts("platforms")?,
        outputs: reader.entries("output", Notation::Output)?,
        pull: reader.truth("pull")?,
        no_cache: reader.truth("no-cache")?,
        network: reader.text("network")?,
        no_cache_filter: reader.texts("no-cache-filter")?.unwrap_or_default(),
        shm_size: reader.text("shm-size")?,
        ulimits: reader.texts("ulimits")?.unwrap_or_default(),
        resources: known(reader.resources()?),
        call: reader.text("call")?,
        entitlements: reader.texts("entitlements")?.unwrap_or_default(),
        extra_hosts: known(reader.map("extra-hosts")?),
        policy: reader.entries("policy", Notation::Policy)?.unwrap_or_default(),
        default_context: None,
        linked_only: false,
    })
}
