//! The rules that need the text alone.

use crate::dockerfile::{Dockerfile, Stage};
use crate::instruction::{Instruction, InstructionKind};
use crate::lint::{Inline, Rule, Warning};

/// Names that mean something else where a stage's name may stand.
const RESERVED: [&str; 2] = ["context", "scratch"];

/// Checks a stage that is about to be added to the file.
pub(crate) fn stage(file: &mut Dockerfile, stage: &Stage) {
    let above = Inline::read(&stage.comments);
    let mut find = |rule, message: String| file.warnings.extend(above.find(rule, message, stage.lines));
    if let (Some(name), Some(written)) = (&stage.name, &stage.written_name) {
        if *name != written.value {
            find(Rule::StageNameCasing, format!("Stage name '{}' should be lowercase", written.value));
        }
        if RESERVED.contains(&name.as_str()) {
            let message = format!("Stage name should not use the same name as reserved stage {name:?}");
            find(Rule::ReservedStageName, message);
        }
        if file.stages.iter().any(|earlier| earlier.name.as_ref() == Some(name)) {
            let message = format!("Duplicate stage name {name:?}, stage names should be unique");
            find(Rule::DuplicateStageName, message);
        }
        if let Some(message) = description(&stage.comments, "FROM", &[name]) {
            find(Rule::InvalidDefinitionDescription, message);
        }
    }
    if let Some(word) = stage.as_keyword.as_ref().map(|word| &word.value) {
        let from = &stage.keyword.value;
        let is_mixed = Casing::of(from) == Casing::Mixed;
        if !is_mixed && Casing::of(from) != Casing::of(word) {
            find(Rule::FromAsCasing, format!("'{word}' and '{from}' keywords' casing do not match"));
        }
    }
}

/// Checks an instruction of a stage, or a global ARG.
pub(crate) fn instruction(warnings: &mut Vec<Warning>, instruction: &Instruction) {
    let (rule, message) = match &instruction.kind {
        InstructionKind::Maintainer(_) => (
            Rule::MaintainerDeprecated,
            "Maintainer instruction is deprecated in favor of using label".to_owned(),
        ),
        InstructionKind::Arg(arg) => {
            let names: Vec<&str> = arg.items.iter().map(|item| item.name.as_str()).collect();
            let Some(message) = description(&instruction.comments, "ARG", &names) else { return };
            (Rule::InvalidDefinitionDescription, message)
        }
        _ => return,
    };
    warnings.extend(Inline::read(&instruction.comments).find(rule, message, instruction.lines));
}

/// Checks that the last comment above something that has names begins with one of them; returns what to say if not.
fn description(comments: &[String], instruction: &str, names: &[impl AsRef<str>]) -> Option<String> {
    let first = comments.last()?.split(' ').next()?;
    if names.iter().any(|name| name.as_ref() == first) {
        return None;
    }
    let name = if let [name] = names { name.as_ref() } else { "<arg_key>" };
    Some(format!("Comment for {instruction} should follow the format: `# {name} <description>`"))
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
    let wrong = keywords.into_iter().filter(|(word, ..)| Casing::of(word) != wanted);
    let found = wrong.filter_map(|(word, comments, lines)| {
        let message = format!("Command '{word}' should match the case of the command majority ({name})");
        Inline::read(comments).find(Rule::ConsistentInstructionCasing, message, lines)
    });
    file.warnings.extend(found);
}
