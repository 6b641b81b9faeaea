//! RUN, and the two ways to write a command.

use super::device::Device;
use super::flags::{Flags, Known, Takes};
use super::mount::MountSpec;
use crate::ast::{Form, Heredoc, Node};
use crate::error::{Fault, ParseErrorKind};

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandLine {
    /// Text for the shell, as written.
    Shell(String),
    /// A program and its arguments; may be empty.
    Exec(Vec<String>),
}

impl CommandLine {
    /// Takes the arguments of a node behind the first `skip` ones.
    pub(super) fn read(node: &Node, skip: usize) -> Self {
        let words = node.words().skip(skip).map(|word| word.value.clone());
        if node.form == Form::Json { Self::Exec(words.collect()) } else { Self::Shell(words.collect()) }
    }
}

/// The network of a RUN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Network {
    /// What the builder gives.
    #[default]
    Default,
    /// None but the loopback interface.
    None,
    /// The machine's.
    Host,
}

/// The confinement of a RUN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Security {
    /// The builder's usual sandbox.
    #[default]
    Sandbox,
    /// All capabilities and no filters.
    Insecure,
}

/// A RUN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The command; here-document words are still in it.
    pub command: CommandLine,
    /// The here-documents.
    pub heredocs: Vec<Heredoc>,
    /// `--mount`, in their order.
    pub mounts: Vec<MountSpec>,
    /// `--network`, if given.
    pub network: Option<Network>,
    /// `--security`, if given.
    pub security: Option<Security>,
    /// `--device`, in their order.
    pub devices: Vec<Device>,
}

impl Run {
    /// Returns the here-document that is the whole script: the command has no other word than that which announces it.
    pub fn script(&self) -> Option<&Heredoc> {
        let (CommandLine::Shell(text), [heredoc]) = (&self.command, self.heredocs.as_slice()) else {
            return None;
        };
        matches!(crate::ast::heredoc::parse_word(text), Ok(Some(_))).then_some(heredoc)
    }

    /// Returns the text for the shell of a command that isn't a script: the command, then each here-document's
    /// content and the word that ends it, for the shell to read.
    pub fn shell_text(&self) -> Option<String> {
        let CommandLine::Shell(text) = &self.command else { return None };
        let mut text = text.clone();
        for heredoc in &self.heredocs {
            text.push('\n');
            text.push_str(&heredoc.content);
            text.push_str(&heredoc.name);
        }
        Some(text)
    }
}

const FLAGS: &Known =
    &[("mount", Takes::Texts), ("network", Takes::Text), ("security", Takes::Text), ("device", Takes::Texts)];

pub(super) fn run(node: &Node) -> Result<Run, Fault> {
    let flags = Flags::check(&node.flags, FLAGS)?;
    Ok(Run {
        command: CommandLine::read(node, 0),
        heredocs: node.heredocs.clone(),
        mounts: flags.texts("mount").into_iter().map(MountSpec::read).collect::<Result<_, _>>()?,
        network: flags.text("network").map(|mode| network(&flags, mode)).transpose()?,
        security: flags.text("security").map(|mode| security(&flags, mode)).transpose()?,
        devices: flags.texts("device").iter().map(Device::read).collect::<Result<_, _>>()?,
    })
}

fn network(flags: &Flags, value: String) -> Result<Network, Fault> {
    match value.as_str() {
        "default" => Ok(Network::Default),
        "none" => Ok(Network::None),
        "host" => Ok(Network::Host),
        _ => Err(Fault { kind: ParseErrorKind::NetworkMode { value }, span: flags.span("network") }),
    }
}

fn security(flags: &Flags, value: String) -> Result<Security, Fault> {
    match value.as_str() {
        "sandbox" => Ok(Security::Sandbox),
        "insecure" => Ok(Security::Insecure),
        _ => Err(Fault { kind: ParseErrorKind::SecurityMode { value }, span: flags.span("security") }),
    }
}
