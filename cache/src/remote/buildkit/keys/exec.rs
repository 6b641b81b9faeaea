//! Processes.

use serde::Serialize;

use super::super::go_json;
use super::{Dialect, KeyPlatform, alternatives, is_false, is_zero};

/// A process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exec {
    /// The words.
    pub args: Vec<String>,
    /// `NAME=value`, in order.
    pub env: Vec<String>,
    /// Working folder.
    pub cwd: String,
    /// User; empty: root.
    pub user: String,
    /// Names of added hosts; their addresses don't count.
    pub hosts: Vec<String>,
    /// Empty: none was asked for.
    pub hostname: String,
    /// Name, soft and hard limit.
    pub ulimits: Vec<(String, i64, i64)>,
    /// Empty: none.
    pub cgroup_parent: String,
    /// In the order in which they are written: files by their target, then secrets, then sockets.
    pub mounts: Vec<ExecMount>,
    /// 0: the usual one; 1: the machine's; 2: none.
    pub network: i64,
    /// Without the sandbox.
    pub insecure: bool,
    /// Secrets that become variables: id, variable, whether it may be missing.
    pub secret_env: Vec<(String, String, bool)>,
    /// What it runs on.
    pub platform: KeyPlatform,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecMount {
    /// Number of the input, or [`super::NONE`].
    pub input: i64,
    /// Where.
    pub dest: String,
    /// Number of the output, or [`super::NONE`].
    pub output: i64,
    /// Whether it can't be written to.
    pub readonly: bool,
    /// What kind of mount.
    pub kind: ExecMountKind,
}

/// The kind of a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecMountKind {
    /// Files of an input.
    Bind,
    /// An empty folder in memory, of so many bytes; 0: of any size.
    Tmpfs(i64),
    /// A folder that survives: its id, which counts only where it is the usual one for this target, and how it is shared
    /// (0: by all at once).
    Cache(String, i64),
    /// A secret.
    Secret(Credential),
    /// The socket of an SSH agent.
    Ssh(Credential),
}

/// A secret or socket.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Credential {
    /// Its id; may be empty.
    #[serde(rename = "ID", skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Owner.
    #[serde(skip_serializing_if = "is_zero")]
    pub uid: i64,
    /// Group.
    #[serde(skip_serializing_if = "is_zero")]
    pub gid: i64,
    /// Permissions.
    #[serde(skip_serializing_if = "is_zero")]
    pub mode: i64,
    /// Whether it may be missing.
    #[serde(skip_serializing_if = "is_false")]
    pub optional: bool,
}

#[derive(Serialize)]
struct ExecForm<'a> {
    #[serde(rename = "Type")]
    kind: &'static str,
    #[serde(rename = "Exec")]
    exec: ExecPart<'a>,
    #[serde(rename = "OS")]
    os: &'a str,
    #[serde(rename = "Arch")]
    arch: &'a str,
    #[serde(rename = "Variant", skip_serializing_if = "str::is_empty")]
    variant: &'a str,
    #[serde(rename = "OSVersion", skip_serializing_if = "str::is_empty")]
    os_version: &'a str,
}

#[derive(Serialize)]
struct ExecPart<'a> {
    meta: MetaForm<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mounts: Vec<MountForm<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    network: i64,
    #[serde(skip_serializing_if = "is_zero")]
    security: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secretenv: Vec<SecretEnvForm<'a>>,
}

#[derive(Serialize)]
struct MetaForm<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    args: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    env: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    cwd: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    user: &'a str,
    #[serde(rename = "extraHosts", skip_serializing_if = "Vec::is_empty")]
    hosts: Vec<HostForm<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    hostname: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ulimit: Vec<UlimitForm<'a>>,
    #[serde(rename = "cgroupParent", skip_serializing_if = "str::is_empty")]
    cgroup_parent: &'a str,
    #[serde(rename = "removeMountStubsRecursive", skip_serializing_if = "is_false")]
    stubs: bool,
}

#[derive(Serialize)]
struct HostForm<'a> {
    #[serde(rename = "Host", skip_serializing_if = "str::is_empty")]
    host: &'a str,
}

#[derive(Serialize)]
struct UlimitForm<'a> {
    #[serde(rename = "Name", skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(rename = "Soft", skip_serializing_if = "is_zero")]
    soft: i64,
    #[serde(rename = "Hard", skip_serializing_if = "is_zero")]
    hard: i64,
}

#[derive(Serialize)]
struct SecretEnvForm<'a> {
    #[serde(rename = "ID", skip_serializing_if = "str::is_empty")]
    id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "is_false")]
    optional: bool,
}

#[derive(Serialize)]
struct MountForm<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<i64>,
    #[serde(skip_serializing_if = "str::is_empty")]
    dest: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<i64>,
    #[serde(skip_serializing_if = "is_false")]
    readonly: bool,
    #[serde(rename = "mountType", skip_serializing_if = "is_zero")]
    kind: i64,
    #[serde(rename = "TmpfsOpt", skip_serializing_if = "Option::is_none")]
    tmpfs: Option<TmpfsForm>,
    #[serde(rename = "cacheOpt", skip_serializing_if = "Option::is_none")]
    cache: Option<CacheForm<'a>>,
    #[serde(rename = "secretOpt", skip_serializing_if = "Option::is_none")]
    secret: Option<&'a Credential>,
    #[serde(rename = "SSHOpt", skip_serializing_if = "Option::is_none")]
    ssh: Option<&'a Credential>,
}

#[derive(Serialize)]
struct TmpfsForm {
    #[serde(skip_serializing_if = "is_zero")]
    size: i64,
}

#[derive(Serialize)]
struct CacheForm<'a> {
    #[serde(rename = "ID", skip_serializing_if = "str::is_empty")]
    id: &'a str,
}

impl Exec {
    /// Its digests.
    pub fn digests(&self) -> Vec<String> {
        alternatives(|dialect| self.preimage(dialect))
    }

    fn preimage(&self, dialect: Dialect) -> Vec<u8> {
        let secretenv = self.secret_env.iter();
        let secretenv = secretenv.map(|(id, name, optional)| SecretEnvForm { id, name, optional: *optional });
        let exec = ExecPart {
            meta: self.meta(dialect),
            mounts: if self.has_only_its_root() {
                Vec::new()
            } else {
                self.mounts.iter().map(|mount| mount.form(dialect)).collect()
            },
            network: self.network,
            security: i64::from(self.insecure),
            secretenv: secretenv.collect(),
        };
        go_json::bytes(&ExecForm {
            kind: "buildkit.exec.v0",
            exec,
            os: &self.platform.os,
            arch: &self.platform.architecture,
            variant: &self.platform.variant,
            os_version: &self.platform.os_version,
        })
    }

    fn meta(&self, dialect: Dialect) -> MetaForm<'_> {
        let ulimit =
            self.ulimits.iter().map(|(name, soft, hard)| UlimitForm { name, soft: *soft, hard: *hard });
        MetaForm {
            args: &self.args,
            env: &self.env,
            cwd: &self.cwd,
            user: &self.user,
            hosts: self.hosts.iter().map(|host| HostForm { host }).collect(),
            hostname: &self.hostname,
            ulimit: ulimit.collect(),
            cgroup_parent: &self.cgroup_parent,
            stubs: dialect.stubs,
        }
    }

    /// The usual case, in which mounts are not written at all.
    fn has_only_its_root(&self) -> bool {
        let [root] = &self.mounts[..] else { return false };
        root.dest == "/" && !root.readonly && root.kind == ExecMountKind::Bind
    }
}

impl ExecMount {
    fn form(&self, dialect: Dialect) -> MountForm<'_> {
        let number = |number: i64| (dialect.zeros || number != 0).then_some(number);
        let mut form = MountForm {
            input: number(self.input),
            dest: &self.dest,
            output: number(self.output),
            readonly: self.readonly,
            kind: 0,
            tmpfs: None,
            cache: None,
            secret: None,
            ssh: None,
        };
        match &self.kind {
            ExecMountKind::Bind => {}
            ExecMountKind::Secret(secret) => (form.kind, form.secret) = (1, Some(secret)),
            ExecMountKind::Ssh(ssh) => (form.kind, form.ssh) = (2, Some(ssh)),
            ExecMountKind::Cache(id, sharing) => {
                (form.kind, form.cache) = (3, Some(CacheForm { id: self.counting_id(id, *sharing) }));
            }
            ExecMountKind::Tmpfs(size) => (form.kind, form.tmpfs) = (4, Some(TmpfsForm { size: *size })),
        }
        form
    }

    /// The id of a cache mount as far as it counts: where it is what it would be without being given.
    fn counting_id<'a>(&self, id: &'a str, sharing: i64) -> &'a str {
        let behind_namespace = id.split_once('/').map(|(_, rest)| rest);
        let usual = id == self.dest || behind_namespace == Some(&self.dest);
        if usual && sharing == 0 { id } else { "" }
    }
}
