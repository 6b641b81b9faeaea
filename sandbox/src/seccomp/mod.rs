//! Which system calls a payload may make: Docker's defaults for Docker's default capabilities, less packet sockets. A
//! step shares the machine's network, whose packets are not its to read and make.
//!
//! `profile.json` says it by name: what is allowed, what is refused (EPERM), and four rules about an argument.
//! A number that stands for none of its names answers ENOSYS, so that programs made for newer kernels fall back to
//! what they did before; also `clone3`, whose flags are out of a filter's sight. A 32-bit program's calls are filtered
//! by their own numbers; the x32 variant of x86-64 is ENOSYS as a whole.
//!
//! Arguments are compared by the 32 bits the kernel looks at, so that set upper bits can't get round a rule. Where the
//! kernel has a second way to a call whose arguments a filter can't see, the second way is closed: 32-bit x86 programs
//! make sockets with `socket`, not with `socketcall`, which goes on to serve everything else about sockets.

mod compile;
mod profile;

pub(crate) use compile::filter;
