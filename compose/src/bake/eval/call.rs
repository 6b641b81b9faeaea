//! Calls of functions: those that files define, those that are always there, and the few that see their arguments
//! unevaluated.

use std::collections::BTreeMap;

use hcl_edit::expr::FuncCall;

use super::{Scope, TooMuch};
use crate::bake::constraint;
use crate::bake::convert::convert;
use crate::bake::diagnostic::{Fault, Place};
use crate::bake::document::{Document, UserFunction};
use crate::bake::functions::{self, Call, Function, Param, Trouble};
use crate::bake::nearest::nearest;
use crate::bake::syntax::{Origin, start};
use crate::bake::types::Type;
use crate::bake::value::Value;

/// An argument and where it stands.
struct Argument {
    value: Value,
    place: Place,
}

impl Document {
    pub(super) fn call(&self, call: &FuncCall, at: &Origin, scope: &Scope) -> Result<Value, Fault> {
        let name = call.name.name.as_str();
        let place = at.of(&call.name.name);
        if call.name.is_namespaced() {
            return Err(place.complain("Call to unknown function", "There are no namespaced functions."));
        }
        match name {
            "try" => return self.attempt(call, at, scope),
            "can" => return self.can(call, at, scope),
            "convert" => return self.convert_call(call, at, scope),
            _ => {}
        }
        if let Some(function) = self.user_function(name) {
            let arguments = self.arguments(call, at, scope)?;
            return self.user_call(name, function, arguments, call, at);
        }
        if let Some(function) = functions::find(name) {
            let arguments = self.arguments(call, at, scope)?;
            return self.library_call(function, &arguments, call, at);
        }
        let mut known: Vec<&str> = self.user_function_names().collect();
        // `extend` would take them for as long-lived as the library's
        functions::names().for_each(|name| known.push(name));
        let hint = nearest(name, known).map_or_else(String::new, |near| format!(" Did you mean {near:?}?"));
        let detail = format!("There is no function named {name:?}.{hint}");
        Err(place.complain("Call to unknown function", detail))
    }

    fn arguments(&self, call: &FuncCall, at: &Origin, scope: &Scope) -> Result<Vec<Argument>, Fault> {
        let mut arguments = Vec::new();
        let last = call.args.len().saturating_sub(1);
        for (index, expr) in call.args.iter().enumerate() {
            let place = start(expr, at);
            let value = self.hcl(expr, at, scope)?;
            if !(call.args.expand_final() && index == last) {
                arguments.push(Argument { value, place });
                continue;
            }
            let Some(values) = value.elements() else {
                let detail =
                    "The expanding argument (indicated by ...) must be of a tuple, list, or set type.";
                return Err(place.complain("Invalid expanding argument value", detail));
            };
            arguments
                .extend(values.iter().map(|value| Argument { value: value.clone(), place: place.clone() }));
        }
        Ok(arguments)
    }

    /// The first argument that can be evaluated.
    fn attempt(&self, call: &FuncCall, at: &Origin, scope: &Scope) -> Result<Value, Fault> {
        let mut last = None;
        for expr in &call.args {
            match self.hcl(expr, at, scope) {
                Ok(value) => return Ok(value),
                Err(fault) => last = Some(fault),
            }
        }
        let why = last.map_or_else(
            || "at least one argument is required".to_owned(),
            |fault| fault.detail().to_owned(),
        );
        Err(failed(call, at, &format!("no expression succeeded: {why}")))
    }

    /// Whether the argument can be evaluated.
    fn can(&self, call: &FuncCall, at: &Origin, scope: &Scope) -> Result<Value, Fault> {
        let [expr] = &call.args.iter().collect::<Vec<_>>()[..] else {
            return Err(arity(call, at, 1, "expression"));
        };
        let can = self.hcl(expr, at, scope).is_ok();
        // what was too much stays too much
        self.budget.take(1).map_err(|much| much.at(&start(expr, at)))?;
        Ok(Value::Bool(can))
    }

    fn convert_call(&self, call: &FuncCall, at: &Origin, scope: &Scope) -> Result<Value, Fault> {
        let [value, wanted] = &call.args.iter().collect::<Vec<_>>()[..] else {
            return Err(arity(call, at, 2, "type"));
        };
        let wanted = constraint::read(wanted, at)?;
        let place = start(value, at);
        let value = self.hcl(value, at, scope)?;
        convert(&value, &wanted).map_err(|why| wrong_argument(&place, "value", &why))
    }

    fn library_call(
        &self,
        function: &Function,
        arguments: &[Argument],
        call: &FuncCall,
        at: &Origin,
    ) -> Result<Value, Fault> {
        let mut values = Vec::with_capacity(arguments.len());
        for (index, argument) in arguments.iter().enumerate() {
            let Some(param) = function.params.get(index).or(function.rest.as_ref()) else {
                return Err(too_many(function.name, function.params.len(), &argument.place));
            };
            values.push(
                fitted(&argument.value, param)
                    .map_err(|why| wrong_argument(&argument.place, param.name, &why))?,
            );
        }
        if let Some(missing) = function.params.get(values.len()) {
            return Err(too_few(
                function.name,
                function.params.len(),
                function.rest.is_some(),
                missing.name,
                call,
                at,
            ));
        }
        let outcome = (function.run)(&Call { args: &values, budget: &self.budget, given: &self.given });
        let place = call_place(call, at);
        match outcome {
            Ok(value) => self.admitted(value, &place),
            Err(Trouble::Argument(index, why)) => {
                let param = function.params.get(index).or(function.rest.as_ref());
                let name = param.map_or("", |param| param.name);
                let place = arguments.get(index).map_or(&place, |argument| &argument.place);
                Err(wrong_argument(place, name, &why))
            }
            Err(Trouble::Function(why)) => Err(failed(call, at, &why)),
            Err(Trouble::TooMuch(much)) => Err(much.at(&place)),
        }
    }

    fn user_call(
        &self,
        name: &str,
        function: &UserFunction,
        arguments: Vec<Argument>,
        call: &FuncCall,
        at: &Origin,
    ) -> Result<Value, Fault> {
        if let Some(missing) = function.params.get(arguments.len()) {
            return Err(too_few(name, function.params.len(), function.rest.is_some(), missing, call, at));
        }
        if let (None, Some(extra)) = (&function.rest, arguments.get(function.params.len())) {
            return Err(too_many(name, function.params.len(), &extra.place));
        }
        let mut values = arguments.into_iter().map(|argument| argument.value);
        let mut names: BTreeMap<_, _> = function.params.iter().cloned().zip(values.by_ref()).collect();
        if let Some(rest) = &function.rest {
            names.insert(rest.clone(), Value::Tuple(values.collect()));
        }
        let _inside = self.enter_function(name).ok_or_else(|| {
            call_place(call, at)
                .complain("Invalid function", format!("function cycle not allowed for {name}"))
        })?;
        self.evaluate(&function.result, &Scope { names, outer: None })
    }
}

/// A value as what a parameter takes.
fn fitted(value: &Value, param: &Param) -> Result<Value, String> {
    if value.is_null() && !param.null {
        return Err("argument must not be null".to_owned());
    }
    match param.kind.wanted() {
        None => Err(format!("bytes required, but have {}", value.kind())),
        Some(Type::Any) => Ok(value.clone()),
        Some(wanted) => convert(value, &wanted),
    }
}

fn wrong_argument(place: &Place, name: &str, why: &str) -> Fault {
    place.complain("Invalid function argument", format!("Invalid value for {name:?} parameter: {why}."))
}

/// The name with its opening parenthesis.
fn call_place(call: &FuncCall, at: &Origin) -> Place {
    let mut place = at.of(&call.name.name);
    place.range.end += 1;
    place
}

fn failed(call: &FuncCall, at: &Origin, why: &str) -> Fault {
    let name = call.name.name.as_str();
    call_place(call, at)
        .complain("Error in function call", format!("Call to function {name:?} failed: {why}."))
}

fn arity(call: &FuncCall, at: &Origin, count: usize, missing: &str) -> Fault {
    let name = call.name.name.as_str();
    match call.args.iter().nth(count) {
        Some(extra) => too_many(name, count, &start(extra, at)),
        None => too_few(name, count, false, missing, call, at),
    }
}

fn too_many(name: &str, count: usize, place: &Place) -> Fault {
    let detail = format!("Function {name:?} expects only {count} argument(s).");
    place.complain("Too many function arguments", detail)
}

fn too_few(name: &str, count: usize, more: bool, missing: &str, call: &FuncCall, at: &Origin) -> Fault {
    let least = if more { "at least " } else { "" };
    let mut place = at.of(call);
    place.range.start = place.range.end.saturating_sub(1);
    let detail =
        format!("Function {name:?} expects {least}{count} argument(s). Missing value for {missing:?}.");
    place.complain("Not enough function arguments", detail)
}

impl From<TooMuch> for Trouble {
    fn from(much: TooMuch) -> Self {
        Self::TooMuch(much)
    }
}
