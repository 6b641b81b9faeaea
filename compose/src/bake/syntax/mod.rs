//! Bake files as blocks and attributes, whichever language they are in.

mod hcl;
mod json;

use std::ops::Range;
use std::sync::Arc;

use hcl_edit::Span;
use hcl_edit::expr::Expression;
use hcl_edit::template::Template;

use super::diagnostic::{Fault, Place, Source};

pub(crate) use json::{Node, NodeValue};

/// Longer files in JSON are refused.
const MAX_JSON_BYTES: usize = 1 << 20;
/// Longer files in HCL are refused: its parser compares every name in an object with all that came before.
const MAX_HCL_BYTES: usize = 128 << 10;

/// What stands between braces, or in a file.
#[derive(Debug)]
pub(crate) struct Body {
    /// The attributes, in order, each name once.
    pub(crate) attributes: Vec<Attribute>,
    /// The blocks, in order.
    pub(crate) blocks: Vec<Block>,
    /// Where to say that something is missing.
    pub(crate) place: Place,
}

impl Body {
    /// The attribute of this name.
    pub(crate) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }
}

/// A name with an expression.
#[derive(Debug)]
pub(crate) struct Attribute {
    /// The name.
    pub(crate) name: String,
    /// All of it.
    pub(crate) place: Place,
    /// The value.
    pub(crate) expr: Expr,
}

/// A kind with labels and a body.
#[derive(Debug)]
pub(crate) struct Block {
    /// The kind: `target`, `variable` …
    pub(crate) kind: String,
    /// Where the kind stands.
    pub(crate) place: Place,
    /// The labels and where they stand.
    pub(crate) labels: Vec<(String, Place)>,
    /// What is in it.
    pub(crate) body: Body,
}

/// Where the bytes of an expression are: its spans count from `base`.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The file.
    pub(crate) source: Arc<Source>,
    /// The byte of the file that spans count from.
    pub(crate) base: usize,
}

impl Origin {
    /// The place of a span.
    pub(crate) fn place(&self, span: Option<Range<usize>>) -> Place {
        let span = span.unwrap_or_default();
        Place { source: Arc::clone(&self.source), range: self.base + span.start..self.base + span.end }
    }

    /// The place of a node of the syntax tree.
    pub(crate) fn of(&self, node: &impl Span) -> Place {
        self.place(node.span())
    }
}

/// An expression.
#[derive(Debug)]
pub(crate) enum Expr {
    /// One of HCL.
    Hcl(Expression, Origin),
    /// A value of JSON, whose texts are templates.
    Json(Node, Origin),
}

impl Expr {
    /// Where it begins: what is said to be wrong with its value is said there.
    pub(crate) fn start(&self) -> Place {
        match self {
            Self::Hcl(expr, origin) => start(expr, origin),
            Self::Json(node, origin) => origin.place(Some(node.range.clone())),
        }
    }

    /// All of it.
    pub(crate) fn place(&self) -> Place {
        match self {
            Self::Hcl(expr, origin) => origin.of(expr),
            Self::Json(node, origin) => origin.place(Some(node.range.clone())),
        }
    }
}

/// Where an expression begins: the bracket of a list or an object, the inside of a quoted text, else all of it.
pub(crate) fn start(expr: &Expression, origin: &Origin) -> Place {
    let mut place = origin.of(expr);
    match expr {
        Expression::Array(_)
        | Expression::Object(_)
        | Expression::Parenthesis(_)
        | Expression::ForExpr(_) => {
            place.range.end = place.range.end.min(place.range.start + 1);
        }
        Expression::String(_) | Expression::StringTemplate(_) if place.range.len() > 1 => {
            place.range = place.range.start + 1..place.range.end - 1;
        }
        Expression::FuncCall(call) => {
            place.range = origin.of(&call.name.name).range;
            place.range.end += 1;
        }
        Expression::Conditional(inner) => return start(&inner.cond_expr, origin),
        Expression::BinaryOp(inner) => return start(&inner.lhs_expr, origin),
        _ => {}
    }
    place
}

/// Reads HCL.
pub(crate) fn read_hcl(source: &Arc<Source>) -> Result<Body, Fault> {
    check_size(source, MAX_HCL_BYTES, "HCL; larger ones can be written in JSON")?;
    hcl::read(source)
}

/// Reads JSON in the form that HCL has for it.
pub(crate) fn read_json(source: &Arc<Source>) -> Result<Body, Fault> {
    check_size(source, MAX_JSON_BYTES, "JSON")?;
    json::read(source)
}

/// Reads the template in a text of JSON.
pub(crate) fn read_template(text: &str, place: &Place) -> Result<Template, Fault> {
    hcl::template(text, place)
}

/// Refuses texts that are too long to be written by people.
fn check_size(source: &Arc<Source>, most: usize, language: &str) -> Result<(), Fault> {
    if source.text.len() <= most {
        return Ok(());
    }
    let place = Place { source: Arc::clone(source), range: 0..0 };
    Err(place.complain("File too large", format!("A bake file has at most {most} bytes in {language}.")))
}

/// Reads a value of JSON that is all of a text.
pub(crate) fn read_json_value(source: &Arc<Source>) -> Result<Node, Fault> {
    json::value(source)
}
