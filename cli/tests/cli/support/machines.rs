//! Builds of the same files on any number of machines, which share a cache. A new root is a new machine.

use std::process::{Command, Output};

use super::TestContext;
use crate::remote_cache::DOCKERFILE;

/// The machines.
pub(crate) struct Machines {
    pub(crate) context: TestContext,
    from: String,
    to: String,
    env: Vec<(String, String)>,
}

impl Machines {
    /// Machines that read and write these caches. `None` where nothing can be built.
    pub(crate) fn new(from: impl Into<String>, to: impl Into<String>) -> Option<Self> {
        let context = TestContext::with_base()?;
        context.write("Dockerfile", DOCKERFILE);
        context.write("src/a", "a");
        context.write("src/b", "b");
        context.write("last", "last");
        Some(Self { context, from: from.into(), to: to.into(), env: Vec::new() })
    }

    /// Sets a variable of all of them.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Builds on the machine of this name, reading and writing the cache. What was printed.
    pub(crate) fn build(&self, machine: &str, more: &[&str]) -> String {
        let mut args = vec!["--cache-from", &self.from, "--cache-to", &self.to];
        args.extend(more);
        let output = self.run(machine, &args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{text}");
        text
    }

    /// Builds on the machine of this name.
    pub(crate) fn run(&self, machine: &str, more: &[&str]) -> Output {
        let mut args = vec!["build", "--progress=plain", "--build-context", "base=base"];
        args.extend(more);
        args.push(".");
        let mut command = self.context.command(&args);
        command.env("GARBOARD_ROOT", self.context.work().join("..").join(machine));
        command.envs(self.env.iter().cloned());
        command.output().unwrap()
    }

    /// A file of the image that a machine makes with these flags.
    pub(crate) fn file(&self, machine: &str, name: &str, more: &[&str]) -> Vec<u8> {
        let out = self.context.work().join("..").join(format!("{machine}.tar"));
        let output = format!("type=tar,dest={}", out.display());
        let mut args = vec!["--output", &output];
        args.extend(more);
        let done = self.run(machine, &args);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        Command::new("tar").arg("xOf").arg(&out).arg(name).output().unwrap().stdout
    }
}

/// Bytes that can't be compressed.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend(next());
    }
    bytes.truncate(length);
    bytes
}
