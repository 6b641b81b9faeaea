//! Git repositories: the forms of their addresses, and what is wanted of them.

use super::AddressError;
use super::url::{Login, Parts, check, cut, decode, encode, parameters};
use crate::glob;
use crate::instruction::go_bool;
use crate::suggest::did_you_mean;

/// Parameters of a repository's address.
const PARAMETERS: [&str; 10] = [
    "ref",
    "tag",
    "branch",
    "subdir",
    "checksum",
    "commit",
    "keep-git-dir",
    "submodules",
    "fetch-by-commit",
    "mtime",
];
/// Longer names of branches and tags are refused.
const LONGEST_REFERENCE: usize = 1024;

/// How a repository is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `https://`.
    Https,
    /// `http://`.
    Http,
    /// `git://`.
    Git,
    /// `ssh://` or `user@host:path`.
    Ssh,
}

/// Which times checked-out files get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GitTimes {
    /// That of the checkout.
    Checkout,
    /// That of the commit.
    Commit,
}

/// The address of a repository, and what is wanted of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitAddress {
    /// What git is given: without login (but for SSH's user), query and fragment. Never begins with `-`.
    pub remote: String,
    /// Who asks, by HTTP.
    pub login: Option<Login>,
    /// How it is reached.
    pub transport: Transport,
    /// Host, with its port where one is written.
    pub host: String,
    /// Branch, tag or commit; `None`: the repository's default branch.
    pub reference: Option<String>,
    /// Folder within the repository, clean and relative; `None`: all of it.
    pub subdir: Option<String>,
    /// The commit, or the beginning of it, that the reference has to lead to.
    pub checksum: Option<String>,
    /// Whether `.git` stays.
    pub keep_git_dir: Option<bool>,
    /// Whether submodules are fetched.
    pub submodules: Option<bool>,
    /// Which times files get.
    pub times: Option<GitTimes>,
    /// `github.com/…` without a scheme, which may as well be a path.
    pub may_be_path: bool,
}

impl GitAddress {
    /// Reads the address of a repository: `https://host/path.git`, `http://…`, `git://…`, `ssh://…`, `user@host:path` and
    /// `github.com/…`, with `#ref:folder` and `?name=value` behind it. `None` is something else.
    ///
    /// # Errors
    /// It is one, and what it asks for contradicts itself or can't be.
    pub fn parse(text: &str) -> Result<Option<Self>, AddressError> {
        if text.starts_with("github.com/") {
            let found = Self::of_url(&format!("https://{text}"))?;
            return Ok(found.map(|git| Self { may_be_path: true, ..git }));
        }
        if text.contains("://") {
            let scheme = text.split("://").next().unwrap_or_default().to_ascii_lowercase();
            return match scheme.as_str() {
                "git" | "ssh" => Self::of_url(text),
                // By HTTP there are files as well: the ending tells.
                "http" | "https" if is_web_repository(text) => Self::of_url(text),
                _ => Self::of_scp(text),
            };
        }
        Self::of_scp(text)
    }

    /// All of a repository's default branch.
    fn new(remote: String, transport: Transport, host: &str) -> Self {
        Self {
            remote,
            login: None,
            transport,
            host: host.to_owned(),
            reference: None,
            subdir: None,
            checksum: None,
            keep_git_dir: None,
            submodules: None,
            times: None,
            may_be_path: false,
        }
    }

    fn of_url(text: &str) -> Result<Option<Self>, AddressError> {
        let Some(parts) = Parts::read(text)? else { return Ok(None) };
        let transport = match parts.scheme.as_str() {
            "https" => Transport::Https,
            "http" => Transport::Http,
            "git" => Transport::Git,
            _ => Transport::Ssh,
        };
        let user = match (transport, parts.login()) {
            (Transport::Ssh, Some(login)) if is_user(&login.user) => format!("{}@", login.user),
            (Transport::Ssh, Some(_)) => {
                return Err(AddressError::Host { address: super::redact(text).into_owned() });
            }
            _ => String::new(),
        };
        let remote = format!("{}://{user}{}{}", parts.scheme, parts.host, encode(parts.path));
        let mut git = Self::new(remote, transport, parts.host);
        git.login = parts.login().filter(|_| matches!(transport, Transport::Https | Transport::Http));
        git.read_fragment(&decode(parts.fragment.unwrap_or_default()));
        git.read_query(parts.query.unwrap_or_default())?;
        git.finish().map(Some)
    }

    /// `user@host:path?query#fragment`.
    fn of_scp(text: &str) -> Result<Option<Self>, AddressError> {
        let Some((user, rest)) = text.split_once('@') else { return Ok(None) };
        let Some((host, rest)) = rest.split_once(':') else { return Ok(None) };
        let host_like = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        if !user_like(user) || host.is_empty() || !host.chars().all(host_like) {
            return Ok(None);
        }
        check(text)?;
        if !is_user(user) || host.starts_with('-') {
            return Err(AddressError::Host { address: text.to_owned() });
        }
        let (rest, fragment) = cut(rest, '#');
        let (path, query) = cut(rest, '?');
        let mut git = Self::new(format!("{user}@{host}:{path}"), Transport::Ssh, host);
        git.read_fragment(fragment.unwrap_or_default());
        git.read_query(query.unwrap_or_default())?;
        git.finish().map(Some)
    }

    /// `ref:folder`.
    fn read_fragment(&mut self, fragment: &str) {
        let (reference, subdir) = cut(fragment, ':');
        self.reference = filled(reference);
        self.subdir = subdir.and_then(filled);
    }

    fn read_query(&mut self, query: &str) -> Result<(), AddressError> {
        let pairs = parameters(query);
        let (mut tag, mut branch) = (None, None);
        for (index, (name, value)) in pairs.iter().enumerate() {
            if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(AddressError::Repeated { name: name.clone() });
            }
            let optional = matches!(name.as_str(), "keep-git-dir" | "submodules" | "fetch-by-commit");
            if value.is_empty() && !optional && PARAMETERS.contains(&name.as_str()) {
                return Err(AddressError::NoValue { name: name.clone() });
            }
            match name.as_str() {
                "ref" => self.refer(value)?,
                "tag" => tag = Some(value),
                "branch" => branch = Some(value),
                "subdir" => self.subdir = Some(agree("subdir", self.subdir.take(), value)?),
                "checksum" | "commit" => {
                    let known = self.checksum.replace(value.clone());
                    if known.is_some_and(|known| known != *value) {
                        return Err(AddressError::Repeated { name: "checksum".into() });
                    }
                }
                "keep-git-dir" => self.keep_git_dir = Some(switch(name, value)?),
                "submodules" => self.submodules = Some(switch(name, value)?),
                // How to fetch is decided by what the server can do.
                "fetch-by-commit" => drop(switch(name, value)?),
                "mtime" => self.times = Some(times(name, value)?),
                _ => {
                    let suggestion = did_you_mean(name, PARAMETERS, true).map(Into::into);
                    return Err(AddressError::Unknown { name: name.clone(), suggestion });
                }
            }
        }
        match (tag, branch) {
            (Some(_), Some(_)) => Err(AddressError::BranchAndTag),
            (Some(tag), None) => self.refer(&with_prefix("refs/tags/", tag)),
            (None, Some(branch)) => self.refer(&with_prefix("refs/heads/", branch)),
            (None, None) => Ok(()),
        }
    }

    fn refer(&mut self, reference: &str) -> Result<(), AddressError> {
        self.reference = Some(agree("ref", self.reference.take(), reference)?);
        Ok(())
    }

    /// Checks what git will be given.
    fn finish(mut self) -> Result<Self, AddressError> {
        if let Some(reference) = self.reference.as_ref().filter(|reference| !is_reference(reference)) {
            return Err(AddressError::Reference { reference: reference.clone() });
        }
        if let Some(checksum) = &self.checksum {
            check_commit(checksum)?;
        }
        self.subdir = self.subdir.as_deref().map(clean).and_then(|path| filled(&path));
        Ok(self)
    }
}

/// A folder's path without empty, `.` and `..` components; what leads out of the repository stays in it.
fn clean(path: &str) -> String {
    glob::clean(&format!("/{path}")).split_off(1)
}

/// Whether a URL's path ends as a repository's.
fn is_web_repository(text: &str) -> bool {
    let (url, _) = cut(text, '#');
    let (url, _) = cut(url, '?');
    let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
    path.is_some_and(|(_, path)| decode(path).strip_suffix(".git").is_some())
}

/// Refuses a checksum that is no commit or the beginning of one.
fn check_commit(checksum: &str) -> Result<(), AddressError> {
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if !checksum.is_empty() && checksum.len() <= 64 && checksum.bytes().all(hex) {
        return Ok(());
    }
    Err(AddressError::Checksum { checksum: checksum.to_owned() })
}

impl GitAddress {
    /// Takes `--checksum` of ADD.
    ///
    /// # Errors
    /// It is no commit.
    pub fn with_checksum(mut self, checksum: &str) -> Result<Self, AddressError> {
        check_commit(checksum)?;
        self.checksum = Some(checksum.to_owned());
        Ok(self)
    }
}

/// Whether a text is a whole commit: 40 hexadecimal digits, or 64 in repositories with SHA-256.
pub fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a branch, tag or commit may be called so: git's own rules, and nothing that git would take for an option or
/// for more than one name.
fn is_reference(text: &str) -> bool {
    let bad = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    !text.is_empty()
        && text.len() <= LONGEST_REFERENCE
        && !text.starts_with(['-', '/', '.', '+'])
        && !text.ends_with(['/', '.'])
        && !text.contains(bad)
        && !["..", "@{", "//", "/."].iter().any(|pair| text.contains(pair))
}

fn user_like(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

/// Whether SSH may be told to log in as this user.
fn is_user(text: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !text.is_empty() && !text.starts_with('-') && text.chars().all(fine)
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn with_prefix(prefix: &str, name: &str) -> String {
    if name.starts_with(prefix) { name.to_owned() } else { format!("{prefix}{name}") }
}

/// The new value, which must be the old one where there is one.
fn agree(what: &'static str, old: Option<String>, new: &str) -> Result<String, AddressError> {
    match old {
        Some(old) if old != new => Err(AddressError::Conflict { what, first: old, second: new.to_owned() }),
        _ => Ok(new.to_owned()),
    }
}

/// A switch; without a value it is on.
fn switch(name: &str, value: &str) -> Result<bool, AddressError> {
    let wrong = || AddressError::Value { name: name.to_owned(), value: value.to_owned() };
    if value.is_empty() { Ok(true) } else { go_bool(value).ok_or_else(wrong) }
}

fn times(name: &str, value: &str) -> Result<GitTimes, AddressError> {
    match value {
        "checkout" => Ok(GitTimes::Checkout),
        "commit" => Ok(GitTimes::Commit),
        _ => Err(AddressError::Value { name: name.to_owned(), value: value.to_owned() }),
    }
}
