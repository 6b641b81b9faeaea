//! What one sandboxed process needs: plain data, decided by the caller, sent to the warden as it is.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::wire::{many, one};

/// Everything one `RUN` needs.
///
/// Nothing is looked up elsewhere: no environment, no host configuration. Paths named "host path" are absolute
/// and opened as this process sees them; every other path is resolved inside the sandbox's root and cannot leave it.
///
/// ```
/// use garboard_sandbox::{Process, Root};
///
/// let mut process = Process::new(Root::Folder("/srv/alpine".into()), "/var/lib/garboard/stubs");
/// process.args = vec!["/bin/sh".into(), "-c".into(), "id".into()];
/// process.user = "daemon".into();
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// The root file system.
    pub root: Root,
    /// Host folder that the sandbox keeps its mount point layers in. Made when missing; best on the file
    /// system of the layers. What is in it is tiny, shared by all steps and may be deleted when nothing runs.
    #[serde(with = "one")]
    pub stubs: PathBuf,
    /// Host path, of nothing that is there yet, on the file system of `stubs`: a folder for mount points of this
    /// process alone. It is removed after the process, and left over only if the caller was killed. Empty for a
    /// name of its own in `stubs`.
    #[serde(with = "one")]
    pub own_stubs: PathBuf,
    /// Mounts on top of the standard ones (`/proc`, `/dev`, `/sys`, `/etc/hosts`, `/etc/resolv.conf`);
    /// mounted by depth of their targets, so that nested targets work in any order.
    pub mounts: Vec<Mount>,
    /// Program and arguments. A program without a slash is looked for in the `PATH` of `env`, inside the root.
    #[serde(with = "many")]
    pub args: Vec<OsString>,
    /// `NAME=value` entries, passed on as they are; `PATH` and `HOME` are added when missing.
    #[serde(with = "many")]
    pub env: Vec<OsString>,
    /// Working directory; made (0755, owned by the user) when missing, which is a change of the root.
    #[serde(with = "one")]
    pub cwd: PathBuf,
    /// `""` for 0:0, else `name`, `uid`, `name:group` or `uid:gid`, looked up inside the root.
    pub user: String,
    /// Host name of the process.
    pub hostname: String,
    /// Which network the process sees.
    pub network: Network,
    /// Contents of `/etc/hosts`, mounted read-only.
    pub hosts: Vec<u8>,
    /// Contents of `/etc/resolv.conf`, mounted read-only.
    pub resolv_conf: Vec<u8>,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: u64,
    /// Resource limits. Without an entry for `nofile` that one is 1024:1048576 as far as the caller's own
    /// hard limit goes; the rest is inherited.
    pub ulimits: Vec<Ulimit>,
    /// How closed the sandbox is.
    pub security: Security,
    /// Parent cgroup relative to the mount of the unified hierarchy, or of each of the older ones. Without one and
    /// without `limits` the process stays in the caller's cgroup and [`Exit::oom`](crate::Exit) is never set.
    pub cgroup_parent: Option<String>,
    /// What the process may use, all that it starts included.
    pub limits: Limits,
}

impl Process {
    /// A process with the defaults of a build step: root user, `/` as working directory, the caller's
    /// network, 64 MiB of shared memory.
    pub fn new(root: Root, stubs: impl Into<PathBuf>) -> Self {
        Self {
            root,
            stubs: stubs.into(),
            own_stubs: PathBuf::new(),
            mounts: Vec::new(),
            args: Vec::new(),
            env: Vec::new(),
            cwd: PathBuf::from("/"),
            user: String::new(),
            hostname: "buildkitsandbox".to_owned(),
            network: Network::Host,
            hosts: Vec::new(),
            resolv_conf: Vec::new(),
            shm_size: 64 << 20,
            ulimits: Vec::new(),
            security: Security::Sandbox,
            cgroup_parent: None,
            limits: Limits::default(),
        }
    }
}

/// A root file system, by host paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Root {
    /// Layers in folder form joined by the kernel; what the process changes is found in `upper`.
    Overlay {
        /// Lower layers, topmost first; may be none, and the same one more than once.
        #[serde(with = "many")]
        lowers: Vec<PathBuf>,
        /// Takes the changes; a fresh folder, whose mode and owner are those of `/` inside.
        #[serde(with = "one")]
        upper: PathBuf,
        /// Empty folder on the file system of `upper`, used by the kernel and useless afterwards.
        #[serde(with = "one")]
        work: PathBuf,
        /// Makes `fsync` free. The upper must be thrown away if the machine goes down before it was synced.
        volatile: bool,
    },
    /// A folder used as it is. Mount points are made in it and removed by [`Handle::wait`](crate::Handle).
    Folder(#[serde(with = "one")] PathBuf),
}

/// Something mounted into the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute path inside the root; symbolic links in it are followed inside the root.
    #[serde(with = "one")]
    pub target: PathBuf,
    /// What is found there.
    pub kind: MountKind,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountKind {
    /// A part of a folder or of joined layers.
    Bind {
        /// Where the files come from.
        source: BindSource,
        /// Path inside the source, resolved without leaving it; `""` or `/` for all of it. Ignored for
        /// [`BindSource::File`].
        #[serde(with = "one")]
        selector: PathBuf,
        /// Whether writes are allowed.
        writable: bool,
    },
    /// An empty file system in memory, mode 1777.
    Tmpfs {
        /// Limit in bytes; the kernel's default (half of the memory) without.
        size: Option<u64>,
    },
    /// A read-only file that exists in memory only: secrets and scripts.
    File {
        /// Contents.
        bytes: Vec<u8>,
        /// Permission bits. Without any execute bit the file is mounted `noexec`.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// A socket of the host, by host path.
    Socket {
        /// The socket.
        #[serde(with = "one")]
        path: PathBuf,
    },
}

/// Where a bind mount's files come from, by host paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BindSource {
    /// A folder.
    Folder(#[serde(with = "one")] PathBuf),
    /// Joined layers; writes are found in `upper`.
    Overlay {
        /// Lower layers, topmost first.
        #[serde(with = "many")]
        lowers: Vec<PathBuf>,
        /// Takes the changes.
        #[serde(with = "one")]
        upper: PathBuf,
        /// Empty folder on the file system of `upper`.
        #[serde(with = "one")]
        work: PathBuf,
    },
    /// One file.
    File(#[serde(with = "one")] PathBuf),
    /// Joined layers; writes go to memory and are thrown away.
    TmpOverlay {
        /// Lower layers, topmost first; a plain folder is one layer.
        #[serde(with = "many")]
        lowers: Vec<PathBuf>,
    },
}

/// Which network a process sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// The caller's.
    Host,
    /// Its own loopback interface, which is up, and nothing else.
    None,
}

/// How closed the sandbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Security {
    /// Docker's defaults: 14 capabilities, a system call filter, masked kernel files.
    Sandbox,
    /// All capabilities the caller has, no filter, no masks, the caller's devices.
    Insecure,
}

/// One resource limit, as `setrlimit(2)` takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// `nofile`, `nproc`, `core`, … as Docker names them.
    pub name: String,
    /// Soft limit; `u64::MAX` for none.
    pub soft: u64,
    /// Hard limit; `u64::MAX` for none.
    pub hard: u64,
}

/// Limits that control groups hold; a process is not started where one of them can't be set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// Memory and swap together in bytes; -1 for any amount of swap.
    pub memory_swap: Option<i64>,
    /// Weight against others when processors are short; 1024 is the usual one.
    pub cpu_shares: Option<u64>,
    /// Length of a period of processor time in microseconds.
    pub cpu_period: Option<u64>,
    /// Processor time in a period in microseconds; -1 for no limit.
    pub cpu_quota: Option<i64>,
    /// Processors, such as `0-2,4`.
    pub cpuset_cpus: Option<String>,
    /// Memory nodes, such as `0`.
    pub cpuset_mems: Option<String>,
}
