//! Runs `git` so that neither the user's configuration nor a repository has a say in what it does.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use crate::error::{Attempt, Error, Result};
use crate::ssh::AgentSocket;

/// More of what it prints about an error is not kept.
const MAX_STDERR: usize = 64 << 10;
/// Lines of it that go into a message.
const SHOWN_LINES: usize = 6;
/// How repositories and their submodules may be reached: neither as files of this machine nor by running programs.
const PROTOCOLS: &str = "http:https:git:ssh";
/// Settings that hold whatever a repository says.
const CONFIG: [(&str, &str); 16] = [
    ("advice.detachedHead", "false"),
    ("core.askPass", ""),
    ("core.attributesFile", "/dev/null"),
    ("core.autocrlf", "false"),
    ("core.fileMode", "true"),
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
    ("core.logAllRefUpdates", "false"),
    ("core.symlinks", "true"),
    ("credential.helper", ""),
    ("fetch.recurseSubmodules", "false"),
    ("gc.auto", "0"),
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "60"),
    ("maintenance.auto", "false"),
    ("safe.directory", "*"),
];

/// The `git` program and what it is given of this machine.
#[derive(Clone, Debug, Default)]
pub struct GitProgram {
    /// The program; `None` where there is none.
    pub program: Option<PathBuf>,
    /// Variables that it gets: `PATH`, proxies, `GIT_SSL_CAINFO`. It gets no others of the environment.
    pub env: Vec<(String, OsString)>,
    /// The user's file of SSH hosts' keys. Hosts that are not in it are trusted; those that are have to have that key.
    pub known_hosts: Option<PathBuf>,
}

/// `git` in one folder.
pub(super) struct Git {
    program: PathBuf,
    env: Vec<(String, OsString)>,
    config: Vec<(String, String)>,
    /// Settings with the login in them.
    login: Vec<(String, String)>,
    folder: PathBuf,
    /// Answers as long as this lives.
    _agent: Option<AgentSocket>,
}

/// What `git` gets for one repository.
pub(super) struct Access {
    /// Who asks.
    pub(super) authorization: Option<Authorization>,
    /// The SSH agent.
    pub(super) agent: Option<AgentSocket>,
}

/// A login for repositories by HTTP.
pub(super) struct Authorization {
    /// The addresses that get it: this one and those below it.
    pub(super) scope: String,
    /// Value of `Authorization`.
    pub(super) value: String,
    /// Wherever they redirect to may have it.
    pub(super) follows: bool,
}

impl Authorization {
    /// Where a server redirects to, git hands the header over to whoever is there: unless it may, it stays here.
    fn settings(self) -> Vec<(String, String)> {
        let Self { scope, value, follows } = self;
        let stay = (!follows).then(|| (format!("http.{scope}.followRedirects"), "false".to_owned()));
        let header = (format!("http.{scope}.extraHeader"), format!("Authorization: {value}"));
        stay.into_iter().chain([header]).collect()
    }
}

/// Why `git` didn't do it.
pub(super) struct GitFailure {
    /// What it printed about it.
    pub(super) message: String,
}

impl GitFailure {
    /// Whether a redirect was not followed.
    fn is_redirect(&self) -> bool {
        ["301", "302", "303", "307", "308"]
            .iter()
            .any(|status| self.message.contains(&format!("requested URL returned error: {status}")))
    }
}

impl Git {
    /// Sets `git` up to work in `folder`; `home` is an empty folder for its own use, outside of that.
    pub(super) fn new(program: &GitProgram, folder: &Path, home: &Path, access: Access) -> Result<Self> {
        let Some(path) = &program.program else { return Err(Error::NoGit.into()) };
        let mut env = program.env.clone();
        let mut set = |name: &str, value: &OsStr| env.push((name.to_owned(), value.to_owned()));
        for (name, value) in [
            ("GIT_ALLOW_PROTOCOL", PROTOCOLS),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_SSH_VARIANT", "ssh"),
            // Neither hooks nor anything else from a template, in submodules, too.
            ("GIT_TEMPLATE_DIR", ""),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("LC_ALL", "C"),
        ] {
            set(name, OsStr::new(value));
        }
        set("HOME", home.as_os_str());
        let ssh = home.join("ssh_config");
        std::fs::write(&ssh, ssh_config(home, program.known_hosts.as_deref(), access.agent.is_some()))
            .attempt(|| format!("failed to write {}", ssh.display()))?;
        set("GIT_SSH_COMMAND", OsStr::new(&format!("ssh -F {}", shell_quoted(&ssh.to_string_lossy()))));
        if let Some(agent) = &access.agent {
            set("SSH_AUTH_SOCK", agent.path().as_os_str());
        }
        let config = CONFIG.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let login = access.authorization.map(Authorization::settings).unwrap_or_default();
        let (program, folder) = (path.clone(), folder.to_owned());
        Ok(Self { program, env, config, login, folder, _agent: access.agent })
    }

    /// Runs it to its end and returns what it prints, at most `limit` bytes. The inner error is its own. Where a login
    /// must not go along with a redirect, what is there is asked for without one.
    pub(super) async fn run(
        &self,
        args: &[&str],
        limit: usize,
    ) -> Result<std::result::Result<Vec<u8>, GitFailure>> {
        let ended = self.run_with(&self.login, args, limit).await?;
        if self.login.is_empty() || !ended.as_ref().is_err_and(GitFailure::is_redirect) {
            return Ok(ended);
        }
        let ended = self.run_with(&[], args, limit).await?;
        Ok(ended.map_err(|GitFailure { message }| GitFailure {
            message: format!(
                "{message}; its address redirects, and logins stay with the address they are for"
            ),
        }))
    }

    async fn run_with(
        &self,
        login: &[(String, String)],
        args: &[&str],
        limit: usize,
    ) -> Result<std::result::Result<Vec<u8>, GitFailure>> {
        let mut output = Vec::new();
        let mut keep = |bytes: &[u8]| {
            let fits = output.len() + bytes.len() <= limit;
            if fits {
                output.extend_from_slice(bytes);
            }
            fits
        };
        let ended = self.stream_with(login, args, &mut keep).await?;
        Ok(ended.map(|()| output))
    }

    /// Runs what asks nobody, with what it prints given to `take` piece by piece. Once `take` returns false it is ended.
    pub(super) async fn stream(
        &self,
        args: &[&str],
        take: &mut (dyn FnMut(&[u8]) -> bool + Send),
    ) -> Result<std::result::Result<(), GitFailure>> {
        self.stream_with(&[], args, take).await
    }

    async fn stream_with(
        &self,
        login: &[(String, String)],
        args: &[&str],
        take: &mut (dyn FnMut(&[u8]) -> bool + Send),
    ) -> Result<std::result::Result<(), GitFailure>> {
        let what = || format!("failed to run {}", self.program.display());
        let mut command = Command::new(&self.program);
        command.args(args).current_dir(&self.folder).env_clear().envs(self.env.iter().cloned());
        // Not as arguments: those any user of the machine can see.
        command.env("GIT_CONFIG_COUNT", (self.config.len() + login.len()).to_string());
        for (index, (name, value)) in self.config.iter().chain(login).enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{index}"), name);
            command.env(format!("GIT_CONFIG_VALUE_{index}"), value);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A group of its own: it has children, and Ctrl-C is ours to handle.
        command.kill_on_drop(true).process_group(0);
        let mut child = command.spawn().attempt(what)?;
        let group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
        let stdout = child.stdout.take().expect("it is piped");
        let stderr = child.stderr.take().expect("it is piped");
        let mut message = Vec::new();
        let mut keep = |bytes: &[u8]| {
            let room = MAX_STDERR.saturating_sub(message.len());
            message.extend_from_slice(&bytes[..bytes.len().min(room)]);
            true
        };
        let (printed, _) = tokio::join!(pump(stdout, take), pump(stderr, &mut keep));
        if !printed.attempt(what)? {
            drop(group);
            let _ = child.wait().await;
            return Ok(Err(GitFailure { message: "its answer is larger than the limit".to_owned() }));
        }
        let status = child.wait().await.attempt(what)?;
        group.ended();
        if status.success() {
            return Ok(Ok(()));
        }
        Ok(Err(GitFailure { message: shown(&String::from_utf8_lossy(&message)) }))
    }
}

/// Hands all that comes to `take` until that has enough; whether all was taken.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    take: &mut (dyn FnMut(&[u8]) -> bool + Send),
) -> std::io::Result<bool> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(true);
        }
        if !take(&buffer[..count]) {
            return Ok(false);
        }
    }
}

/// A process and its children, killed when this is dropped.
struct Group(Option<Pid>);

impl Group {
    /// They came to their end by themselves.
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // It may be gone already.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// The last lines of what it said, without what only matters at a prompt, and without control characters.
fn shown(text: &str) -> String {
    let noise =
        |line: &&str| line.is_empty() || line.starts_with("hint:") || line.starts_with("Cloning into");
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !noise(line)).collect();
    let last = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    let text: String = last.join("; ").chars().filter(|c| !c.is_control()).collect();
    garboard_parser::remote::redact(&text).into_owned()
}

/// No prompts, and none of the user's own keys unless an agent was handed over.
fn ssh_config(home: &Path, known_hosts: Option<&Path>, agent: bool) -> String {
    let mut files = format!("\"{}\"", home.join("known_hosts").display());
    // ssh_config has no escape for a quote.
    if let Some(path) = known_hosts.map(|path| path.to_string_lossy()).filter(|path| !path.contains('"')) {
        files = format!("{files} \"{path}\"");
    }
    let agent = if agent { "" } else { "IdentityAgent none\n" };
    format!(
        "BatchMode yes\nStrictHostKeyChecking accept-new\nUserKnownHostsFile {files}\nIdentityFile none\n{agent}"
    )
}

/// A word for a shell.
fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_short_and_printable() {
        let text = "Cloning into 'x'...\nhint: do\nfatal: \u{1b}[31mno access to https://u:p@h/r\n\n";
        assert_eq!(shown(text), "fatal: [31mno access to https://xxxxx:xxxxx@h/r");
        assert_eq!(shown(&"x\n".repeat(100)).len(), 6 + 5 * 2);
    }

    #[test]
    fn quoting() {
        assert_eq!(shell_quoted("/a b/it's"), r"'/a b/it'\''s'");
    }
}
