//! The global scope: automatic arguments, and the ARGs before the first FROM.

use std::collections::{BTreeMap, BTreeSet};

use garboard_parser::{Dockerfile, InstructionKind, expand};

use crate::error::{Error, Failure, Result};

/// An ARG before the first FROM, the last one of its name.
#[derive(Clone, Debug, Default)]
pub(super) struct GlobalArg {
    pub(super) value: Option<String>,
    pub(super) description: Option<String>,
    pub(super) lines: (usize, usize),
    /// Other arguments in its default, and in the defaults of those of its name that its default names.
    pub(super) needs: BTreeSet<String>,
}

/// Arguments of the global scope.
#[derive(Clone, Debug, Default)]
pub(super) struct Globals {
    /// What is automatic, and over it what the file declares.
    pub(super) values: BTreeMap<String, String>,
    pub(super) declared: BTreeMap<String, GlobalArg>,
}

impl Globals {
    /// Reads them; of `given`, the build arguments, each wins over the default of its name.
    pub(super) fn read(
        dockerfile: &Dockerfile,
        automatic: BTreeMap<String, String>,
        given: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let mut globals = Self { values: automatic, declared: BTreeMap::new() };
        for instruction in &dockerfile.global_args {
            let InstructionKind::Arg(arg) = &instruction.kind else { continue };
            for item in &arg.items {
                let mut found = GlobalArg {
                    value: given.get(&item.name).cloned(),
                    description: item.description.clone(),
                    lines: instruction.lines,
                    needs: BTreeSet::new(),
                };
                if let (None, Some(default)) = (&found.value, &item.default) {
                    let expanded = expand::word(default, dockerfile.escape, &globals.values)
                        .map_err(|e| Failure::from(Error::Instruction(e.to_string())))
                        .map_err(|e| e.at(Some(instruction.lines)))?;
                    found.value = Some(expanded.text);
                    found.needs = expanded.matched;
                    if found.needs.remove(&item.name) {
                        let former = globals.declared.get(&item.name).map(|former| former.needs.clone());
                        found.needs.extend(former.into_iter().flatten());
                    }
                }
                if let Some(value) = &found.value {
                    globals.values.insert(item.name.clone(), value.clone());
                }
                globals.declared.insert(item.name.clone(), found);
            }
        }
        Ok(globals)
    }

    /// The name of an argument that one of these may be meant to be, as the end of a message.
    pub(super) fn suggestion(&self, unset: &BTreeSet<String>) -> String {
        let names = || self.values.keys().map(String::as_str);
        let mut meant =
            unset.iter().filter_map(|name| garboard_parser::suggest::did_you_mean(name, names(), true));
        meant.next().map(|name| format!(" (did you mean {name}?)")).unwrap_or_default()
    }
}
