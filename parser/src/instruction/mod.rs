//! Typed instructions: what each of them says, checked as far as that is possible without variables' values.

mod copy;
mod device;
mod flags;
mod healthcheck;
mod kind;
mod metadata;
mod mount;
mod read;
mod run;

pub use copy::{Add, Copy};
pub use device::Device;
pub use flags::go_bool;
pub use healthcheck::Healthcheck;
pub use kind::{Instruction, InstructionKind, NAMES, parse_trigger};
pub use metadata::{Arg, ArgItem, Env, Expose, Label, Onbuild, Pair, Volume};
pub use mount::{Mount, MountError, MountKind, MountSpec, Sharing, parse_mount};
pub(crate) use read::{Read, read};
pub use run::{CommandLine, Network, Run, Security};
