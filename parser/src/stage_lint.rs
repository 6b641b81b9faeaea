//! The rules that can be checked as soon as an instruction is read.

use crate::dockerfile::{Dockerfile, Stage};
use crate::instruction::{Instruction, InstructionKind};
use crate::lint::{Rule, Warning, inline_check};

/// Names that mean something else where a stage's name may stand.
const RESERVED: [&str; 2] = ["context", "scratch"];

/// Checks a stage that is about to be added to the file.
pub(crate) fn stage(file: &mut Dockerfile, stage: &Stage) {
    let mut found = Vec::new();
    if let (Some(name), Some(written)) = (&stage.name, &stage.written_name) {
        if *name != written.value {
            found
                .push((Rule::StageNameCasing, format!("Stage name '{}' should be lowercase", written.value)));
        }
        if RESERVED.contains(&name.as_str()) {
            found
                .push((Rule::ReservedStageName, format!("Stage name {name:?} means something else already")));
        }
        if file.stages.iter().any(|earlier| earlier.name.as_ref() == Some(name)) {
            found.push((Rule::DuplicateStageName, format!("Duplicate stage name {name:?}")));
        }
    }
    if let Some(word) = stage.as_keyword.as_ref().map(|word| &word.value) {
        let from = &stage.keyword.value;
        let is_mixed = Casing::of(from) == Casing::Mixed;
        if !is_mixed && Casing::of(from) != Casing::of(word) {
            found.push((Rule::FromAsCasing, format!("'{word}' and '{from}' keywords' casing do not match")));
        }
    }
    report(&mut file.warnings, &stage.comments, stage.lines, found);
}

/// Checks an instruction of a stage.
pub(crate) fn instruction(warnings: &mut Vec<Warning>, instruction: &Instruction) {
    let finding = match &instruction.kind {
        InstructionKind::Maintainer(_) => {
            (Rule::MaintainerDeprecated, "Maintainer instruction is deprecated, use a label".to_owned())
        }
        InstructionKind::Env(env) if env.legacy => (Rule::LegacyKeyValueFormat, legacy("ENV")),
        InstructionKind::Label(label) if label.legacy => (Rule::LegacyKeyValueFormat, legacy("LABEL")),
        _ => return,
    };
    report(warnings, &instruction.comments, instruction.lines, vec![finding]);
}

fn legacy(name: &str) -> String {
    format!("\"{name} key=value\" should be written instead of \"{name} key value\"")
}

fn report(
    warnings: &mut Vec<Warning>,
    comments: &[String],
    lines: (usize, usize),
    found: Vec<(Rule, String)>,
) {
    let check = inline_check(comments);
    let reported = found.into_iter().filter(|(rule, _)| check.reports(*rule));
    warnings.extend(reported.map(|(rule, message)| Warning::new(rule, message, lines)));
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Casing {
    Upper,
    Lower,
    Mixed,
}

impl Casing {
    fn of(word: &str) -> Self {
        if word == word.to_uppercase() {
            Self::Upper
        } else if word == word.to_lowercase() {
            Self::Lower
        } else {
            Self::Mixed
        }
    }
}

/// Checks that all keywords have the case that most have; upper case if as many have the other. Global arguments
/// are left out.
pub(crate) fn instruction_casing(file: &mut Dockerfile) {
    let mut keywords: Vec<(&str, &[String], (usize, usize))> = Vec::new();
    for stage in &file.stages {
        keywords.push((&stage.keyword.value, &stage.comments, stage.lines));
        keywords.extend(stage.instructions.iter().map(|instruction| {
            (instruction.keyword.value.as_str(), instruction.comments.as_slice(), instruction.lines)
        }));
    }
    let count = |casing| keywords.iter().filter(|(word, ..)| Casing::of(word) == casing).count();
    let (wanted, name) = if count(Casing::Lower) > count(Casing::Upper) {
        (Casing::Lower, "lowercase")
    } else {
        (Casing::Upper, "uppercase")
    };
    let mut warnings = Vec::new();
    for (word, comments, lines) in keywords.into_iter().filter(|(word, ..)| Casing::of(word) != wanted) {
        let message = format!("Command '{word}' should match the case of the command majority ({name})");
        report(&mut warnings, comments, lines, vec![(Rule::ConsistentInstructionCasing, message)]);
    }
    file.warnings.extend(warnings);
}
