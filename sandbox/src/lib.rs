//! Runs one process in a root file system with Linux namespaces.
//!
//! How it works: the program calls [`dispatch`] first thing in `main`, and [`enter`] before it starts any thread,
//! which gives it the rights to mount, as root or in a user namespace of its own. The first [`spawn`] then starts a
//! helper, the *warden*: the same program executed again, alone in a process ID namespace. It forks off one child a
//! step into nested namespaces; the child mounts, drops its rights and executes the payload. The warden ends when
//! this process ends, however that happens, and the kernel then kills every process below it.
//!
//! This crate decides nothing: no environment variable, no configuration file of the host is read.
//! It is the only crate with `unsafe` code, in the module `sys` and where it forks.

mod cgroup;
mod channel;
mod enter;
mod error;
mod init;
mod launch;
mod leftover;
mod mnt;
mod names;
mod process;
mod seccomp;
mod settings;
mod spawn;
mod sys;
mod view;
mod warden;
mod wire;

pub use enter::{Enter, EnterError, Identity, SingleReason, enter};
pub use error::SpawnError;
pub use names::{hosts_file, is_local_stub, resolv_conf};
pub use process::{BindSource, Limits, Mount, MountKind, Network, Process, Root, Security, Ulimit};
pub use spawn::{Child, Exit, Handle, Status, dispatch, spawn};
pub use view::{View, mount_overlay_view, overlay_supported};
