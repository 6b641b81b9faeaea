//! Bake files as one document: names are looked up in all of them, and evaluated when they are first asked for.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;

use super::diagnostic::{Fault, Place};
use super::eval::{Budget, Scope};
use super::functions::Given;
use super::matrix::Variants;
use super::nearest::nearest;
use super::schema;
use super::syntax::{Attribute, Block, Body, Expr};
use super::value::Value;
use super::variable::{self, Overrides};

/// Kinds of blocks that mean something.
const KINDS: [&str; 4] = ["variable", "function", "group", "target"];

/// A function that a file defines.
#[derive(Debug)]
pub(crate) struct UserFunction {
    /// Names of what it takes.
    pub(crate) params: Vec<String>,
    /// What takes the arguments after those.
    pub(crate) rest: Option<String>,
    /// What it gives.
    pub(crate) result: Expr,
}

/// How far a name has got.
#[derive(Clone, Debug)]
enum State {
    /// It is being evaluated.
    Busy,
    /// What it came to.
    Done(Result<Value, Fault>),
}

/// What all bake files of a command say.
#[derive(Debug)]
pub(crate) struct Document {
    /// What may still be made.
    pub(crate) budget: Budget,
    /// What functions know of the world.
    pub(crate) given: Given,
    functions: BTreeMap<String, UserFunction>,
    calling: RefCell<Vec<String>>,
    attributes: BTreeMap<String, Attribute>,
    variables: BTreeMap<String, Block>,
    builtins: BTreeMap<String, Value>,
    pub(super) groups: Vec<Block>,
    pub(super) targets: Vec<Block>,
    pub(super) overrides: Overrides,
    names: RefCell<BTreeMap<String, State>>,
    references: RefCell<BTreeMap<(String, String), State>>,
    pub(super) variants: OnceCell<Variants>,
}

/// Whether a function is being called; dropping it ends that.
pub(crate) struct Inside<'a>(&'a RefCell<Vec<String>>);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.borrow_mut().pop();
    }
}

impl Document {
    /// Puts files together; later ones win.
    pub(crate) fn new(
        bodies: Vec<Body>,
        given: Given,
        overrides: Overrides,
        builtins: BTreeMap<String, Value>,
    ) -> Result<Self, Fault> {
        let mut document = Self {
            budget: Budget::default(),
            given,
            functions: BTreeMap::new(),
            calling: RefCell::default(),
            attributes: BTreeMap::new(),
            variables: BTreeMap::new(),
            builtins,
            groups: Vec::new(),
            targets: Vec::new(),
            overrides,
            names: RefCell::default(),
            references: RefCell::default(),
            variants: OnceCell::new(),
        };
        for body in bodies {
            for attribute in body.attributes {
                document.attributes.insert(attribute.name.clone(), attribute);
            }
            for block in body.blocks {
                if KINDS.contains(&block.kind.as_str()) {
                    document.add(block)?;
                }
            }
        }
        Ok(document)
    }

    fn add(&mut self, block: Block) -> Result<(), Fault> {
        let kind = block.kind.clone();
        if let Some((_, extra)) = block.labels.get(1) {
            let detail = format!("Only 1 labels (name) are expected for {kind} blocks.");
            return Err(extra.complain(format!("Extraneous label for {kind}"), detail));
        }
        let Some((name, _)) = block.labels.first() else {
            let detail = format!("All {kind} blocks must have 1 labels (name).");
            return Err(block.place.complain(format!("Missing name for {kind}"), detail));
        };
        match kind.as_str() {
            "variable" => {
                self.variables.insert(name.clone(), block);
            }
            "function" => {
                let (name, function) = user_function(block)?;
                self.functions.insert(name, function);
            }
            "group" => self.groups.push(block),
            _ => self.targets.push(block),
        }
        Ok(())
    }

    /// Evaluates everything that has a name, as nothing may be wrong even where it isn't used.
    pub(crate) fn check_names(&self) -> Result<(), Vec<Fault>> {
        let nowhere = |attribute: &Attribute| attribute.place.clone();
        for (name, attribute) in &self.attributes {
            self.global(name, &nowhere(attribute)).map_err(|fault| vec![fault])?;
        }
        for (name, block) in &self.variables {
            self.global(name, &block.place).map_err(|fault| vec![fault])?;
        }
        let mut failed = Vec::new();
        for block in self.variables.values() {
            variable::validate(self, block, &mut failed);
        }
        if failed.is_empty() { Ok(()) } else { Err(failed) }
    }

    /// The variables by name.
    pub(crate) fn variables(&self) -> &BTreeMap<String, Block> {
        &self.variables
    }

    /// Whether a variable of this name is declared.
    pub(crate) fn declares(&self, name: &str) -> bool {
        self.variables.contains_key(name)
    }

    /// The value of a name that means something everywhere.
    pub(crate) fn global(&self, name: &str, place: &Place) -> Result<Value, Fault> {
        let known = self.names.borrow().get(name).cloned();
        match known {
            Some(State::Done(value)) => return value,
            Some(State::Busy) => {
                return Err(
                    place.complain("Invalid expression", format!("variable cycle not allowed for {name}"))
                );
            }
            None => {}
        }
        self.names.borrow_mut().insert(name.to_owned(), State::Busy);
        let value = self.global_inside(name, place);
        self.names.borrow_mut().insert(name.to_owned(), State::Done(value.clone()));
        value
    }

    fn global_inside(&self, name: &str, place: &Place) -> Result<Value, Fault> {
        let attribute = self.attributes.get(name);
        if let Some(block) = self.variables.get(name) {
            return variable::value(self, name, block, attribute);
        }
        if let Some(attribute) = attribute {
            return self.evaluate(&attribute.expr, &Scope::default());
        }
        if let Some(value) = self.builtins.get(name) {
            return Ok(value.clone());
        }
        let known = self.variables.keys().chain(self.attributes.keys()).chain(self.builtins.keys());
        let hint = nearest(name, known.map(String::as_str));
        let hint = hint.map_or_else(String::new, |near| format!(" Did you mean {near:?}?"));
        Err(place.complain("Unknown variable", format!("There is no variable named {name:?}.{hint}")))
    }

    /// The function of this name that a file defines.
    pub(crate) fn user_function(&self, name: &str) -> Option<&UserFunction> {
        self.functions.get(name)
    }

    /// The names of functions that files define.
    pub(crate) fn user_function_names(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    /// Notes that a function is being called; `None` where it is already.
    pub(crate) fn enter_function(&self, name: &str) -> Option<Inside<'_>> {
        let mut calling = self.calling.borrow_mut();
        if calling.iter().any(|known| known == name) {
            return None;
        }
        calling.push(name.to_owned());
        Some(Inside(&self.calling))
    }

    /// Whether names of this kind refer to blocks.
    #[expect(clippy::unused_self, reason = "it is a question to the document")]
    pub(crate) fn has_blocks(&self, kind: &str) -> bool {
        kind == "target"
    }

    /// What `target.block` or `target.block.attribute` refers to. `root` and `place` are where `target` and `.block` stand.
    pub(crate) fn reference(
        &self,
        block: &str,
        attribute: Option<&str>,
        root: &Place,
        place: &Place,
    ) -> Result<Value, Fault> {
        let Some(attribute) = attribute else {
            let mut values = BTreeMap::new();
            for name in schema::names() {
                values.insert(name.to_owned(), self.reference(block, Some(name), root, place)?);
            }
            return Ok(Value::Object(values));
        };
        let variants = self.variants(root)?;
        let Some(named) = variants.by_name.get(block) else {
            return Err(super::eval::missing_element(block, place));
        };
        if attribute == "name" {
            return Ok(Value::text(block));
        }
        let Some(shape) = schema::shape(attribute) else {
            let detail = format!("This object does not have an attribute named {attribute:?}.");
            return Err(place.complain("Unsupported attribute", detail));
        };
        let set = named.iter().rev().find_map(|index| {
            let variant = &variants.all[*index];
            let body = &self.targets[variant.block].body;
            body.attribute(attribute).map(|attribute| (variant, attribute))
        });
        let Some((variant, found)) = set else { return Ok(Value::Null(shape.kind())) };
        let key = (block.to_owned(), attribute.to_owned());
        let known = self.references.borrow().get(&key).cloned();
        match known {
            Some(State::Done(value)) => return value,
            Some(State::Busy) => {
                let detail = format!("reference cycle not allowed for target.{block}.{attribute}");
                return Err(found.expr.place().complain("Invalid expression", detail));
            }
            None => {}
        }
        self.references.borrow_mut().insert(key.clone(), State::Busy);
        let value =
            self.evaluate(&found.expr, &variant.scope).and_then(|value| shape.reference(&value, &found.expr));
        self.references.borrow_mut().insert(key, State::Done(value.clone()));
        value
    }
}

/// A block as a function.
fn user_function(block: Block) -> Result<(String, UserFunction), Fault> {
    let Some((name, label)) = block.labels.into_iter().next() else {
        return Err(block.place.complain("Missing name for function", "A function has a name."));
    };
    let mut body = block.body;
    let Some(params) = body.attribute("params") else {
        return Err(label.complain("Invalid function", format!("empty params not allowed for {name}")));
    };
    let names = schema::names_in(&params.expr)?;
    let rest = match body.attribute("variadic_params") {
        Some(rest) => schema::names_in(&rest.expr)?.into_iter().next(),
        None => None,
    };
    let missing = params.place.clone();
    let Some(at) = body.attributes.iter().position(|attribute| attribute.name == "result") else {
        return Err(missing.complain("Invalid function", format!("empty result not allowed for {name}")));
    };
    let result = body.attributes.swap_remove(at).expr;
    Ok((name, UserFunction { params: names, rest, result }))
}
