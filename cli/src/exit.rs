//! The exit codes of the program.

/// What the program ends with. The numbers are part of its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything was done. Also when the reader of standard output went away.
    Ok = 0,
    /// Something failed: the build, a registry, the store.
    Failure = 1,
    /// The command line can't be understood, or asks for something that isn't supported.
    Usage = 2,
    /// The user interrupted the program (128 + SIGINT, as shells have it).
    Interrupted = 130,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
