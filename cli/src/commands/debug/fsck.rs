//! `debug fsck`.

use crate::commands::Setting;
use crate::engine;
use crate::failure::Failure;

/// Reads the whole store and reports what is wrong with it.
pub(super) fn run(setting: &Setting<'_>) -> Result<(), Failure> {
    let settings = setting.settings()?;
    engine::enter_if_possible(setting.env, setting.printer);
    let problems = engine::store(&settings)?.fsck()?;
    for problem in &problems {
        setting.printer.line(format!("{}: {}", problem.place, problem.what))?;
    }
    match problems.len() {
        0 => Ok(()),
        1 => Err(Failure::message("the store has 1 problem")),
        count => Err(Failure::message(format!("the store has {count} problems"))),
    }
}
