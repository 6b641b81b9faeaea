//! Reads a case file.

use std::path::Path;

use crate::check::Check;

/// One case file.
pub(crate) struct Case {
    /// More arguments of every build.
    pub(crate) arguments: Vec<String>,
    /// Left out where builds have a single id.
    pub(crate) needs_ids: bool,
    /// Left out where there is no git.
    pub(crate) needs_git: bool,
    /// What to do, in order.
    pub(crate) steps: Vec<Step>,
    files: Vec<(String, String)>,
}

/// One line of a case's head.
pub(crate) enum Step {
    /// A shell command in the context folder.
    Shell(String),
    /// The context of the builds that follow.
    Context(String),
    /// A build, with more arguments.
    Build(Vec<String>),
    /// Something that must hold of the last build.
    Check(Check),
}

impl Case {
    /// Reads the text of a case file; one that is not of the form is a panic that names the line.
    pub(crate) fn read(text: &str) -> Self {
        let mut case = Self {
            arguments: Vec::new(),
            needs_ids: false,
            needs_git: false,
            steps: Vec::new(),
            files: Vec::new(),
        };
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("-- ").and_then(|line| line.strip_suffix(" --")) {
                case.files.push((name.to_owned(), String::new()));
            } else if let Some((_, content)) = case.files.last_mut() {
                content.push_str(line);
                content.push('\n');
            } else if !line.starts_with('#') {
                case.head(line);
            }
        }
        case.build_once();
        case
    }

    fn head(&mut self, line: &str) {
        let (key, value) = line.split_once(':').unwrap_or_else(|| panic!("not a line of a case: {line}"));
        let value = value.trim();
        let words = || value.split_whitespace().map(str::to_owned).collect();
        match key {
            "args" => self.arguments = words(),
            "needs" if value == "ids" => self.needs_ids = true,
            "needs" if value == "git" => self.needs_git = true,
            // Done before the case is read: files have the server's address in them.
            "serve" => {}
            "context" => self.steps.push(Step::Context(value.to_owned())),
            "sh" => self.steps.push(Step::Shell(value.to_owned())),
            "build" => self.steps.push(Step::Build(words())),
            _ => self.steps.push(Step::Check(Check::parse(key, value))),
        }
    }

    /// The folder that a case wants served, relative to the context.
    pub(crate) fn served(text: &str) -> Option<&str> {
        let head = text.split("\n-- ").next().unwrap_or_default();
        head.lines().find_map(|line| line.strip_prefix("serve: "))
    }

    /// A case that says nothing of builds has one, after its shell commands and before its checks.
    fn build_once(&mut self) {
        if self.steps.iter().any(|step| matches!(step, Step::Build(_))) {
            return;
        }
        let first =
            self.steps.iter().position(|step| matches!(step, Step::Check(_))).unwrap_or(self.steps.len());
        self.steps.insert(first, Step::Build(Vec::new()));
    }

    /// Writes the case's files below the context folder.
    pub(crate) fn write_files(&self, context: &Path) {
        std::fs::create_dir_all(context).unwrap();
        for (name, content) in &self.files {
            let path = context.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
    }
}
