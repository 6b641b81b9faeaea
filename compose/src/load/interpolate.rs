//! Replaces variables in the values of a tree, and makes numbers and switches of texts where those are wanted.

use crate::dotenv::Variables;
use crate::model::bind::boolean;
use crate::node::{Map, Mark, Node, Value};
use crate::path::{Path, Rules};
use crate::template::{TemplateError, Undefined, substitute};

/// Of more failures, the rest isn't told.
const MOST_FAILURES: usize = 100;
/// Bytes of all texts with variables together, at most.
const MAX_BYTES: usize = 64 << 20;
/// Of more warnings, the rest isn't told.
const MOST_WARNINGS: usize = 1_000;

/// What texts are made to.
#[derive(Clone, Copy)]
enum Cast {
    Int,
    Int64,
    Float,
    Bool,
}

static CASTS: Rules<Cast> = Rules::new(&[
    ("services.*.cpu_count", Cast::Int64),
    ("services.*.cpu_percent", Cast::Float),
    ("services.*.cpu_period", Cast::Int64),
    ("services.*.cpu_quota", Cast::Int64),
    ("services.*.cpu_rt_period", Cast::Int64),
    ("services.*.cpu_rt_runtime", Cast::Int64),
    ("services.*.cpus", Cast::Float),
    ("services.*.cpu_shares", Cast::Int64),
    ("services.*.init", Cast::Bool),
    ("services.*.depends_on.*.required", Cast::Bool),
    ("services.*.depends_on.*.restart", Cast::Bool),
    ("services.*.deploy.replicas", Cast::Int),
    ("services.*.deploy.update_config.parallelism", Cast::Int),
    ("services.*.deploy.update_config.max_failure_ratio", Cast::Float),
    ("services.*.deploy.rollback_config.parallelism", Cast::Int),
    ("services.*.deploy.rollback_config.max_failure_ratio", Cast::Float),
    ("services.*.deploy.restart_policy.max_attempts", Cast::Int),
    ("services.*.deploy.placement.max_replicas_per_node", Cast::Int),
    ("services.*.healthcheck.retries", Cast::Int),
    ("services.*.healthcheck.disable", Cast::Bool),
    ("services.*.oom_kill_disable", Cast::Bool),
    ("services.*.oom_score_adj", Cast::Int64),
    ("services.*.pids_limit", Cast::Int64),
    ("services.*.ports.[].target", Cast::Int),
    ("services.*.privileged", Cast::Bool),
    ("services.*.read_only", Cast::Bool),
    ("services.*.scale", Cast::Int),
    ("services.*.stdin_open", Cast::Bool),
    ("services.*.tty", Cast::Bool),
    ("services.*.ulimits.*", Cast::Int),
    ("services.*.ulimits.*.hard", Cast::Int),
    ("services.*.ulimits.*.soft", Cast::Int),
    ("services.*.volumes.[].read_only", Cast::Bool),
    ("services.*.volumes.[].volume.nocopy", Cast::Bool),
    ("networks.*.external", Cast::Bool),
    ("networks.*.internal", Cast::Bool),
    ("networks.*.attachable", Cast::Bool),
    ("networks.*.enable_ipv4", Cast::Bool),
    ("networks.*.enable_ipv6", Cast::Bool),
    ("volumes.*.external", Cast::Bool),
    ("secrets.*.external", Cast::Bool),
    ("configs.*.external", Cast::Bool),
]);

/// Values that can't be used: what is wrong with each, in the order of their places, and where the first one is.
pub(super) type Failures = (String, Mark);

/// Replaces the variables of one text, without a word about those that have no value.
pub(super) fn interpolate_text(text: &str, environment: &Variables) -> Result<String, TemplateError> {
    let mut ignored = |_: Undefined<'_>| {};
    substitute(text, &|name| environment.get(name).cloned(), &mut ignored)
}

/// Replaces the variables of all values.
pub(super) fn interpolate(
    root: &mut Map,
    environment: &Variables,
    warnings: &mut Vec<String>,
) -> Result<(), Failures> {
    let mut it = Interpolation { environment, warnings, failures: Vec::new(), left: MAX_BYTES };
    it.map(root, &Path::ROOT);
    let Some((_, _, at)) = it.failures.first() else { return Ok(()) };
    let at = *at;
    it.failures.sort();
    let texts: Vec<_> = it.failures.into_iter().map(|(_, text, _)| text).collect();
    Err((texts.join("\n"), at))
}

struct Interpolation<'a> {
    environment: &'a Variables,
    warnings: &'a mut Vec<String>,
    failures: Vec<(String, String, Mark)>,
    /// Bytes that texts may still come to.
    left: usize,
}

impl Interpolation<'_> {
    fn map(&mut self, map: &mut Map, path: &Path<'_>) {
        for (key, node) in map {
            self.node(node, &path.child(key));
        }
    }

    fn node(&mut self, node: &mut Node, path: &Path<'_>) {
        match &mut node.value {
            Value::Map(map) => self.map(map, path),
            Value::List(items) => items.iter_mut().for_each(|item| self.node(item, &path.child("[]"))),
            Value::Text(text) => match self.text(text, path) {
                Ok(Some(value)) => node.value = value,
                Err(problem) if self.failures.len() < MOST_FAILURES => {
                    self.failures.push((path.to_string(), problem, node.at));
                }
                Ok(None) | Err(_) => {}
            },
            _ => {}
        }
    }

    /// What becomes of a text; none where it stays.
    fn text(&mut self, text: &str, path: &Path<'_>) -> Result<Option<Value>, String> {
        let replaced = if text.contains('$') { Some(self.substitute(text, path)?) } else { None };
        let Some(cast) = CASTS.get(path) else { return Ok(replaced.map(Value::Text)) };
        let word = replaced.as_deref().unwrap_or(text);
        let value = self.cast(word, cast);
        let value = value.map_err(|problem| {
            format!("error while interpolating {path}: failed to cast to expected type: {problem}")
        })?;
        Ok(Some(value))
    }

    fn substitute(&mut self, text: &str, path: &Path<'_>) -> Result<String, String> {
        let warnings = &mut *self.warnings;
        let mut undefined = |Undefined(name): Undefined<'_>| {
            if warnings.len() < MOST_WARNINGS {
                warnings.push(format!("The {name:?} variable is not set. Defaulting to a blank string."));
            }
        };
        let look = |name: &str| self.environment.get(name).cloned();
        let result = substitute(text, &look, &mut undefined).and_then(|result| {
            self.left = self.left.checked_sub(result.len()).ok_or(TemplateError::TooLarge)?;
            Ok(result)
        });
        result.map_err(|error| match error {
            TemplateError::Invalid(template) => format!(
                "invalid interpolation format for {path}.\nYou may need to escape any $ with another $.\n{template}"
            ),
            error => format!("error while interpolating {path}: {error}"),
        })
    }

    fn cast(&mut self, word: &str, cast: Cast) -> Result<Value, String> {
        let wrong = |function: &str| format!("strconv.{function}: parsing {word:?}: invalid syntax");
        let int = |function: &str| word.parse::<i64>().map_err(|_| wrong(function));
        match cast {
            Cast::Int => int("Atoi").map(|value| Value::Int(value.into())),
            Cast::Int64 => int("ParseInt").map(|value| Value::Int(value.into())),
            Cast::Float => match word.parse::<f64>() {
                Ok(value) if value.is_finite() => Ok(Value::Float(value)),
                _ => Err(wrong("ParseFloat")),
            },
            Cast::Bool => {
                let warnings = &mut *self.warnings;
                boolean(word, &mut |warning| warnings.push(warning)).map(Value::Bool)
            }
        }
    }
}
