//! Bake files: targets to build, in HCL or JSON, with variables, functions, matrices and inheritance.
//!
//! [`read`] gives a [`Definition`], which lists what there is and [`Definition::resolve`]s what a command names to
//! [`Resolved`] targets. Nothing here is done with more than a bounded amount of work, whatever the files say.
//!
//! ```
//! use garboard_compose::MemorySource;
//! use garboard_compose::bake::{Request, read};
//!
//! let text = br#"
//!     variable "TAG" { default = "1.0" }
//!     target "default" { tags = ["app:${upper(TAG)}"] }
//! "#;
//! let source = MemorySource { files: [("/src/docker-bake.hcl".into(), text.to_vec())].into(), ..Default::default() };
//! let request = Request { working_dir: "/src".into(), ..Default::default() };
//! let resolved = read(&source, &request)?.resolve(&[], &[])?;
//! assert_eq!(resolved.targets()?[0].tags, ["app:1.0"]);
//! # Ok::<_, garboard_compose::bake::BakeError>(())
//! ```

mod compose_input;
mod composite;
mod config;
mod constraint;
mod convert;
mod diagnostic;
mod document;
mod error;
mod eval;
mod fence;
mod functions;
mod glob;
mod matrix;
mod nearest;
mod number;
mod overrides;
mod print;
mod read;
mod resolved;
mod schema;
mod spec;
mod syntax;
mod types;
mod value;
mod variable;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::source::FileSource;
use config::Config;

pub use config::is_address;
pub use diagnostic::Diagnostic;
pub use error::BakeError;
pub use read::Request;
pub use resolved::Resolved;
pub use variable::Variable;

/// What bake files define.
#[derive(Clone, Debug)]
pub struct Definition {
    config: Config,
    variables: Option<Vec<Variable>>,
    warnings: Vec<String>,
    environment: BTreeMap<String, String>,
    working_dir: PathBuf,
}

/// Something that can be named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it is, in words; the targets of a group stand there, too.
    pub description: Option<String>,
    /// Whether it is a group of targets.
    pub group: bool,
}

/// Reads the files of a request.
///
/// # Errors
/// Where a file can't be read or has a mistake, or nothing is found.
pub fn read(source: &dyn FileSource, request: &Request) -> Result<Definition, BakeError> {
    let contents = read::read(source, request)?;
    Ok(Definition {
        config: contents.config,
        variables: contents.variables,
        warnings: contents.warnings,
        environment: request.environment.clone(),
        working_dir: request.working_dir.clone(),
    })
}

impl Definition {
    /// What can be built, by name; what begins with `_` is for other targets only.
    pub fn entries(&self) -> Vec<Entry> {
        let targets = self.config.targets.values().map(|target| Entry {
            name: target.name.clone(),
            description: target.description.clone(),
            group: false,
        });
        let groups = self.config.groups.values().map(|group| {
            let mut members = group.targets.clone();
            members.sort();
            members.dedup();
            let members = members.join(", ");
            let description = match &group.description {
                Some(text) if !text.is_empty() => format!("{text} ({members})"),
                _ => members,
            };
            let description = Some(description).filter(|text| !text.is_empty());
            Entry { name: group.name.clone(), description, group: true }
        });
        let mut entries: Vec<_> =
            targets.chain(groups).filter(|entry| !entry.name.starts_with('_')).collect();
        entries.sort_by(|left, right| (&left.name, left.group).cmp(&(&right.name, right.group)));
        entries
    }

    /// [`Definition::entries`] as JSON.
    pub fn entries_json(&self) -> String {
        match &self.entries()[..] {
            [] => "null\n".to_owned(),
            entries => print::entries(entries),
        }
    }

    /// The variables with their values.
    pub fn variables(&self) -> &[Variable] {
        self.variables.as_deref().unwrap_or_default()
    }

    /// [`Definition::variables`] as JSON; `null` where there are only compose files.
    pub fn variables_json(&self) -> String {
        match &self.variables {
            None => "null\n".to_owned(),
            Some(variables) => print::variables(variables),
        }
    }

    /// What naming these targets and groups comes to; nothing named is `default`. Overrides are `pattern.attribute=value`.
    ///
    /// # Errors
    /// Where a target isn't there, links make a loop, or an override can't be used.
    pub fn resolve(&self, names: &[String], overrides: &[String]) -> Result<Resolved, BakeError> {
        let (overrides, mut warnings) = overrides::read(overrides, &self.config, &self.environment)?;
        let default = ["default".to_owned()];
        let names = if names.is_empty() { &default[..] } else { names };
        let names: Vec<_> = names.iter().map(|name| name.replace('.', "_")).collect();
        let mut selection = read::on_large_stack(|| self.config.select(&names, &overrides))??;
        if let Some(epoch) = self.environment.get("SOURCE_DATE_EPOCH").filter(|epoch| !epoch.is_empty()) {
            for target in selection.targets.values_mut() {
                target.args.entry("SOURCE_DATE_EPOCH".to_owned()).or_insert_with(|| epoch.clone());
            }
        }
        warnings.splice(0..0, self.warnings.iter().cloned());
        let (working_dir, environment) = (self.working_dir.clone(), self.environment.clone());
        Ok(Resolved { selection, working_dir, warnings, environment })
    }
}
