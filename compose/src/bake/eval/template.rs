//! Templates: texts with values and directives in them.

use hcl_edit::Ident;
use hcl_edit::template::{Directive, Element, ForDirective, IfDirective, Strip, Template};

use super::Scope;
use super::collections::pairs;
use crate::bake::convert::convert;
use crate::bake::diagnostic::{Fault, Place};
use crate::bake::document::Document;
use crate::bake::syntax::{Origin, start};
use crate::bake::types::Type;
use crate::bake::value::Value;

/// Whether blanks at either end of a template go.
#[derive(Clone, Copy)]
struct Ends {
    front: bool,
    back: bool,
}

impl Document {
    /// The value of a template: a text, or where it `unwraps` and is one value alone, that value.
    pub(super) fn template(
        &self,
        template: &Template,
        at: &Origin,
        scope: &Scope,
        unwraps: bool,
    ) -> Result<Value, Fault> {
        if let (true, Some(Element::Interpolation(only))) = (unwraps, template.as_single_element()) {
            return self.hcl(&only.expr, at, scope);
        }
        let mut text = String::new();
        self.render(template, at, scope, Ends { front: false, back: false }, &mut text)?;
        Ok(Value::String(text))
    }

    fn render(
        &self,
        template: &Template,
        at: &Origin,
        scope: &Scope,
        ends: Ends,
        text: &mut String,
    ) -> Result<(), Fault> {
        let elements: Vec<_> = template.iter().collect();
        for (index, element) in elements.iter().enumerate() {
            match element {
                Element::Literal(literal) => {
                    let before = index.checked_sub(1).map(|index| strips(elements[index]).back);
                    let after = elements.get(index + 1).map(|next| strips(next).front);
                    let ends = Ends { front: before.unwrap_or(ends.front), back: after.unwrap_or(ends.back) };
                    let mut literal = literal.value().as_str();
                    if ends.front {
                        literal = literal.trim_start();
                    }
                    if ends.back {
                        literal = literal.trim_end();
                    }
                    self.append(text, literal, &at.of(template))?;
                }
                Element::Interpolation(interpolation) => {
                    let value = self.hcl(&interpolation.expr, at, scope)?;
                    let place = start(&interpolation.expr, at);
                    self.append(text, &shown(&value, &place)?, &place)?;
                }
                Element::Directive(directive) => match &**directive {
                    Directive::If(directive) => self.choice(directive, at, scope, text)?,
                    Directive::For(directive) => self.repetition(directive, at, scope, text)?,
                },
            }
        }
        Ok(())
    }

    fn append(&self, text: &mut String, more: &str, place: &Place) -> Result<(), Fault> {
        self.budget.take(more.len() as u64).map_err(|much| much.at(place))?;
        text.push_str(more);
        Ok(())
    }

    fn choice(
        &self,
        directive: &IfDirective,
        at: &Origin,
        scope: &Scope,
        text: &mut String,
    ) -> Result<(), Fault> {
        let first = &directive.if_expr;
        let end = directive.endif_expr.strip;
        let truth = self.truth(&first.cond_expr, at, scope, "Incorrect condition type")?;
        let back = directive.else_expr.as_ref().map_or(end, |other| other.strip);
        if truth {
            return self.render(&first.template, at, scope, between(first.strip, back), text);
        }
        match &directive.else_expr {
            Some(other) => self.render(&other.template, at, scope, between(other.strip, end), text),
            None => Ok(()),
        }
    }

    fn repetition(
        &self,
        directive: &ForDirective,
        at: &Origin,
        scope: &Scope,
        text: &mut String,
    ) -> Result<(), Fault> {
        let repeated = &directive.for_expr;
        let collection = self.hcl(&repeated.collection_expr, at, scope)?;
        let place = start(&repeated.collection_expr, at);
        let ends = between(repeated.strip, directive.endfor_expr.strip);
        for (key, value) in pairs(&collection, &place)? {
            let mut inner = Scope { outer: Some(scope), ..Scope::default() };
            if let Some(name) = &repeated.key_var {
                let _: &Ident = name;
                inner.names.insert(name.as_str().to_owned(), key);
            }
            self.budget.admit(value).map_err(|much| much.at(&place))?;
            inner.names.insert(repeated.value_var.as_str().to_owned(), value.clone());
            self.render(&repeated.template, at, &inner, ends, text)?;
        }
        Ok(())
    }
}

/// What two markers say about the template between them.
fn between(front: Strip, back: Strip) -> Ends {
    Ends { front: front.strip_end(), back: back.strip_start() }
}

/// What an element says about the texts before (`front`) and after (`back`) it.
fn strips(element: &Element) -> Ends {
    let (first, last) = match element {
        Element::Literal(_) => return Ends { front: false, back: false },
        Element::Interpolation(interpolation) => (interpolation.strip, interpolation.strip),
        Element::Directive(directive) => match &**directive {
            Directive::If(directive) => (directive.if_expr.strip, directive.endif_expr.strip),
            Directive::For(directive) => (directive.for_expr.strip, directive.endfor_expr.strip),
        },
    };
    Ends { front: first.strip_start(), back: last.strip_end() }
}

/// A value as part of a text.
fn shown(value: &Value, place: &Place) -> Result<String, Fault> {
    let wrong = |why: &str| {
        place.complain(
            "Invalid template interpolation value",
            format!("Cannot include the given value in a string template: {why}."),
        )
    };
    match convert(value, &Type::String) {
        Ok(Value::String(text)) => Ok(text),
        Ok(_) => Err(wrong("the expression result is null")),
        Err(why) => Err(wrong(&why)),
    }
}
