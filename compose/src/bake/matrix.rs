//! Blocks that stand for several targets: one for each combination of values.

use std::collections::{BTreeMap, BTreeSet};

use super::convert::convert;
use super::diagnostic::{Fault, Place};
use super::document::Document;
use super::eval::Scope;
use super::syntax::Block;
use super::types::Type;
use super::value::Value;

/// Combinations that one block has at most.
const MAX_COMBINATIONS: usize = 4096;

/// A target that a block stands for.
#[derive(Debug)]
pub(crate) struct Variant {
    /// Its name.
    pub(crate) name: String,
    /// Which block it is of.
    pub(crate) block: usize,
    /// The label of that block.
    pub(crate) label: String,
    /// What its attributes are evaluated in: its values of the matrix.
    pub(crate) scope: Scope<'static>,
}

/// All targets, and where those of each name are.
#[derive(Debug)]
pub(crate) struct Variants {
    /// The targets in the order of their blocks.
    pub(crate) all: Vec<Variant>,
    /// The targets of each name.
    pub(crate) by_name: BTreeMap<String, Vec<usize>>,
}

/// What evaluating one target counts among what is made, beside what is in it.
const TARGET_WEIGHT: u64 = 1024;

impl Document {
    /// All targets; `place` is where they are asked for.
    pub(crate) fn variants(&self, place: &Place) -> Result<&Variants, Fault> {
        if let Some(known) = self.variants.get() {
            return Ok(known);
        }
        self.budget.enter().map_err(|much| much.at(place))?;
        let mut variants = Variants { all: Vec::new(), by_name: BTreeMap::new() };
        for (index, block) in self.targets.iter().enumerate() {
            for variant in self.block_variants(index, block)? {
                self.budget.take(TARGET_WEIGHT).map_err(|much| much.at(&block.place))?;
                variants.by_name.entry(variant.name.clone()).or_default().push(variants.all.len());
                variants.all.push(variant);
            }
        }
        self.budget.leave();
        Ok(self.variants.get_or_init(|| variants))
    }

    fn block_variants(&self, index: usize, block: &Block) -> Result<Vec<Variant>, Fault> {
        let Some((label, place)) = block.labels.first() else { return Ok(Vec::new()) };
        let invalid = |why: String| place.complain("Invalid name", why);
        let variant = |name: String, values| Variant {
            name,
            block: index,
            label: label.clone(),
            scope: Scope { names: values, outer: None },
        };
        let name = block.body.attribute("name");
        let Some(matrix) = block.body.attribute("matrix") else {
            if name.is_some() {
                return Err(invalid("name requires matrix".to_owned()));
            }
            check_name(label).map_err(invalid)?;
            return Ok(vec![variant(label.clone(), BTreeMap::new())]);
        };
        let value = self.evaluate(&matrix.expr, &Scope::default())?;
        let Some(axes) = value.attributes() else { return Err(invalid("matrix must be a map".to_owned())) };
        let mut variants = Vec::new();
        let mut known = BTreeSet::new();
        for values in self.combinations(axes, place)? {
            let mut next = variant(label.clone(), values);
            next.name = match name {
                None => label.clone(),
                Some(name) => {
                    let value = self.evaluate(&name.expr, &next.scope)?;
                    match convert(&value, &Type::String) {
                        Ok(Value::String(name)) => name,
                        Ok(_) => return Err(invalid("a name must not be null".to_owned())),
                        Err(why) => return Err(invalid(why)),
                    }
                }
            };
            check_name(&next.name).map_err(invalid)?;
            if !known.insert(next.name.clone()) {
                return Err(invalid(format!("duplicate name {:?}", next.name)));
            }
            variants.push(next);
        }
        Ok(variants)
    }

    /// Every combination of one value of each axis; the first axis changes first.
    fn combinations(
        &self,
        axes: &BTreeMap<String, Value>,
        place: &Place,
    ) -> Result<Vec<BTreeMap<String, Value>>, Fault> {
        let mut combinations = vec![BTreeMap::new()];
        for (axis, values) in axes {
            let Some(values) = values.elements() else {
                return Err(place.complain("Invalid name", "matrix values must be a list"));
            };
            if combinations.len().saturating_mul(values.len()) > MAX_COMBINATIONS {
                let detail = format!("a matrix has at most {MAX_COMBINATIONS} combinations");
                return Err(place.complain("Invalid matrix", detail));
            }
            let mut longer = Vec::new();
            for value in values {
                for combination in &combinations {
                    let inside = combination.values().chain([value]).map(|value| value.extent().weight).sum();
                    self.budget.take(inside).map_err(|much| much.at(place))?;
                    let mut combination: BTreeMap<String, Value> = combination.clone();
                    combination.insert(axis.clone(), value.clone());
                    longer.push(combination);
                }
            }
            combinations = longer;
        }
        Ok(combinations)
    }
}

/// Refuses names that can't be given on a command line as they are.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let fine = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == '-';
    if !name.is_empty() && name.chars().all(fine) {
        return Ok(());
    }
    Err("only \"[a-zA-Z0-9_-]+\" are allowed".to_owned())
}
