//! RUN --mount.

use super::flags::go_bool;
use crate::csv;
use crate::error::{Fault, ParseErrorKind};
use crate::expand::ExpandError;
use crate::quote::go_quote;
use crate::span::{Span, Spanned};
use crate::suggest::{did_you_mean, suffix};

/// A mount as written. Its values may have variables, so it is read with [`parse_mount`] once they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountSpec {
    /// The value of the flag.
    pub text: String,
    /// The flag.
    pub span: Span,
    /// `from=`, which never has variables: a stage, a named context or an image.
    pub from: Option<String>,
}

impl MountSpec {
    /// Checks what doesn't depend on variables.
    pub(super) fn read(flag: Spanned<String>) -> Result<Self, Fault> {
        let fault = |error| Fault::at(ParseErrorKind::Mount(error), flag.span);
        let fields = fields(&flag.value).map_err(fault)?;
        let mut from = None;
        for field in &fields {
            let Some(value) = field.value.as_deref().filter(|_| field.key == "from") else { continue };
            if has_variable(value) {
                return Err(fault(MountError::FromVariable));
            }
            from = Some(value.to_owned()).filter(|value| !value.is_empty());
        }
        Ok(Self { text: flag.value, span: flag.span, from })
    }
}

/// Says whether a dollar sign stands before another character.
fn has_variable(value: &str) -> bool {
    value.find('$').is_some_and(|at| at + 1 < value.len())
}

/// What is mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MountKind {
    /// Files of the context, a stage or an image.
    #[default]
    Bind,
    /// A folder kept between builds.
    Cache,
    /// A folder in memory.
    Tmpfs,
    /// A secret, as a file or a variable.
    Secret,
    /// An SSH agent's socket.
    Ssh,
}

impl MountKind {
    const ALL: [Self; 5] = [Self::Bind, Self::Cache, Self::Tmpfs, Self::Secret, Self::Ssh];

    /// Returns the value of `type=`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Cache => "cache",
            Self::Tmpfs => "tmpfs",
            Self::Secret => "secret",
            Self::Ssh => "ssh",
        }
    }
}

/// Who may use a cache at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sharing {
    /// Everybody.
    #[default]
    Shared,
    /// One at a time; others get a cache of their own.
    Private,
    /// One at a time; others wait.
    Locked,
}

/// A mount with all values known and checked against its type. What depends on the stage is left open: a missing
/// target, and where a relative one leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// `type`.
    pub kind: MountKind,
    /// `from`: a stage, a named context or an image; never set for a secret.
    pub from: Option<String>,
    /// `source`; never set together with `id` for a secret, never set for SSH.
    pub source: Option<String>,
    /// `target`.
    pub target: Option<String>,
    /// Whether the mount is read-only: as written, else true for all types but caches and tmpfs.
    pub read_only: bool,
    /// `id`.
    pub id: Option<String>,
    /// `sharing`; only set for caches.
    pub sharing: Option<Sharing>,
    /// `required`; only true for secrets and SSH.
    pub required: bool,
    /// `size` in bytes; only set for tmpfs.
    pub size: Option<u64>,
    /// `mode`; set for caches, secrets and SSH only, like `uid` and `gid`.
    pub mode: Option<u32>,
    /// `uid`.
    pub uid: Option<u32>,
    /// `gid`.
    pub gid: Option<u32>,
    /// `env`: the variable that gets a secret.
    pub env: Option<String>,
}

/// A mount that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// Empty, or quotes at the wrong places.
    #[error("failed to parse csv mounts: {}", go_quote(.0))]
    Csv(String),
    /// `from=` has a variable.
    #[error("'from' doesn't support variable expansion, define alias stage instead")]
    FromVariable,
    /// A key without a value that needs one.
    #[error("invalid field '{0}' must be a key=value pair")]
    NoValue(String),
    /// No such key.
    #[error("unexpected key '{key}' in '{field}'{}", suffix(*.suggestion))]
    Key {
        /// The key in lower case.
        key: String,
        /// Key and value as written.
        field: String,
        /// The key that was perhaps meant.
        suggestion: Option<&'static str>,
    },
    /// A key that this type of mount doesn't have.
    #[error("unexpected key '{key}' for mount type '{}'", .kind.name())]
    KeyOfOtherKind {
        /// The key.
        key: &'static str,
        /// The type.
        kind: MountKind,
    },
    /// No such type.
    #[error("unsupported mount type {}{}", go_quote(.value), suffix(*.suggestion))]
    Kind {
        /// What was given.
        value: String,
        /// The type that was perhaps meant.
        suggestion: Option<&'static str>,
    },
    /// No such way of sharing.
    #[error("unsupported sharing value {}{}", go_quote(.value), suffix(*.suggestion))]
    Sharing {
        /// What was given.
        value: String,
        /// The value that was perhaps meant.
        suggestion: Option<&'static str>,
    },
    /// A value that isn't a boolean, number or size.
    #[error("invalid value for {key}: {value}")]
    Value {
        /// The key.
        key: String,
        /// What was given.
        value: String,
    },
    /// Owner or mode where there can't be one.
    #[error("{key} not allowed for {} type mounts", go_quote(.kind.name()))]
    NotAllowed {
        /// The key.
        key: &'static str,
        /// The type.
        kind: MountKind,
    },
    /// `sharing` for something else than a cache.
    #[error("invalid cache sharing set for {} mount", .0.name())]
    NotShared(MountKind),
    /// A secret without a name.
    #[error("invalid secret mount. one of source, target required")]
    SecretUnnamed,
    /// A secret with `from`.
    #[error("secret mount should not have a from")]
    SecretFrom,
    /// A secret with `sharing`.
    #[error("secret mount should not define sharing")]
    SecretSharing,
    /// A secret with `source` and `id`.
    #[error("both source and id can't be set")]
    SecretTwoNames,
    /// An SSH mount with `source`.
    #[error("ssh does not support source")]
    SshSource,
    /// A value's variables can't be expanded.
    #[error(transparent)]
    Expand(#[from] ExpandError),
}

/// Reads the value of a `--mount` flag; `expand` replaces the variables in a value and is asked for all but `from`.
///
/// Keys may come in any order.
///
/// ```
/// use garboard_parser::instruction::{MountKind, parse_mount};
/// let mount = parse_mount("type=cache,target=/root/.cache", |value| Ok(value.to_owned())).unwrap();
/// assert_eq!((mount.kind, mount.read_only), (MountKind::Cache, false));
/// ```
pub fn parse_mount(
    text: &str,
    mut expand: impl FnMut(&str) -> Result<String, ExpandError>,
) -> Result<Mount, MountError> {
    let mut draft = Draft::default();
    for mut field in fields(text)? {
        if let Some(value) = field.value.take_if(|_| field.key != "from") {
            field.value = Some(expand(&value)?);
        }
        draft.set(&field)?;
    }
    draft.finish()
}

/// A key in lower case and its value.
struct Field {
    key: String,
    value: Option<String>,
    text: String,
}

fn fields(text: &str) -> Result<Vec<Field>, MountError> {
    let fields = csv::record(text).ok_or_else(|| MountError::Csv(text.to_owned()))?;
    Ok(fields
        .into_iter()
        .map(|text| match text.split_once('=') {
            Some((key, value)) => Field { key: key.to_lowercase(), value: Some(value.to_owned()), text },
            None => Field { key: text.to_lowercase(), value: None, text },
        })
        .collect())
}

const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "env",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
];

/// A mount while its keys are read.
#[derive(Default)]
struct Draft {
    kind: MountKind,
    from: Option<String>,
    source: Option<String>,
    target: Option<String>,
    read_only: Option<bool>,
    id: Option<String>,
    sharing: Option<Sharing>,
    required: Option<bool>,
    size: Option<u64>,
    mode: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    env: Option<String>,
}

impl Draft {
    fn set(&mut self, field: &Field) -> Result<(), MountError> {
        let Some(value) = field.value.as_deref() else { return self.set_bare(field) };
        let text = Some(value.to_owned()).filter(|value| !value.is_empty());
        let invalid = || MountError::Value { key: field.key.clone(), value: value.to_owned() };
        let boolean = || go_bool(value).ok_or_else(invalid);
        let number = |radix| u32::from_str_radix(value, radix).map_err(|_| invalid());
        match field.key.as_str() {
            "type" => self.kind = kind(value)?,
            "from" => self.from = text,
            "source" | "src" => self.source = text,
            "target" | "dst" | "destination" => self.target = text,
            "readonly" | "ro" => self.read_only = Some(boolean()?),
            "readwrite" | "rw" => self.read_only = Some(!boolean()?),
            "required" => self.required = Some(boolean()?),
            "size" => self.size = Some(bytes(value).ok_or_else(invalid)?),
            "id" => self.id = text,
            "sharing" => self.sharing = Some(sharing(value)?),
            "mode" => self.mode = Some(number(8)?),
            "uid" => self.uid = Some(number(10)?),
            "gid" => self.gid = Some(number(10)?),
            "env" => self.env = text,
            key => {
                let suggestion = did_you_mean(key, KEYS, true);
                return Err(MountError::Key { key: key.to_owned(), field: field.text.clone(), suggestion });
            }
        }
        Ok(())
    }

    fn set_bare(&mut self, field: &Field) -> Result<(), MountError> {
        match field.key.as_str() {
            "readonly" | "ro" => self.read_only = Some(true),
            "readwrite" | "rw" => self.read_only = Some(false),
            "required" => self.required = Some(true),
            _ => return Err(MountError::NoValue(field.text.clone())),
        }
        Ok(())
    }

    /// Checks the keys against the type.
    fn finish(self) -> Result<Mount, MountError> {
        let kind = self.kind;
        let has_owner = matches!(kind, MountKind::Cache | MountKind::Secret | MountKind::Ssh);
        let owner = [("mode", self.mode), ("uid", self.uid), ("gid", self.gid)];
        if let Some((key, _)) = owner.iter().find(|(_, value)| value.is_some() && !has_owner) {
            return Err(MountError::NotAllowed { key, kind });
        }
        if self.required.is_some() && !matches!(kind, MountKind::Secret | MountKind::Ssh) {
            return Err(MountError::KeyOfOtherKind { key: "required", kind });
        }
        if self.size.is_some() && kind != MountKind::Tmpfs {
            return Err(MountError::KeyOfOtherKind { key: "size", kind });
        }
        match kind {
            MountKind::Secret => self.check_secret()?,
            MountKind::Ssh if self.source.is_some() => return Err(MountError::SshSource),
            _ if self.sharing.is_some() && kind != MountKind::Cache => {
                return Err(MountError::NotShared(kind));
            }
            _ => {}
        }
        let writable = matches!(kind, MountKind::Cache | MountKind::Tmpfs);
        Ok(Mount {
            kind,
            from: self.from,
            source: self.source,
            target: self.target,
            read_only: self.read_only.unwrap_or(!writable),
            id: self.id,
            sharing: self.sharing,
            required: self.required.unwrap_or(false),
            size: self.size,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            env: self.env,
        })
    }

    fn check_secret(&self) -> Result<(), MountError> {
        if self.from.is_some() {
            return Err(MountError::SecretFrom);
        }
        if self.sharing.is_some() {
            return Err(MountError::SecretSharing);
        }
        if self.source.is_none() && self.target.is_none() && self.id.is_none() {
            return Err(MountError::SecretUnnamed);
        }
        if self.source.is_some() && self.id.is_some() {
            return Err(MountError::SecretTwoNames);
        }
        Ok(())
    }
}

fn kind(value: &str) -> Result<MountKind, MountError> {
    let found = MountKind::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(value));
    found.ok_or_else(|| MountError::Kind {
        value: value.to_owned(),
        suggestion: did_you_mean(value, MountKind::ALL.map(MountKind::name), true),
    })
}

fn sharing(value: &str) -> Result<Sharing, MountError> {
    match value.to_lowercase().as_str() {
        "shared" => Ok(Sharing::Shared),
        "private" => Ok(Sharing::Private),
        "locked" => Ok(Sharing::Locked),
        _ => Err(MountError::Sharing {
            value: value.to_owned(),
            suggestion: did_you_mean(value, ["shared", "private", "locked"], true),
        }),
    }
}

/// Reads a size in Docker's notation: a decimal number, perhaps a unit of 1024 (`k`, `m`, `g`, `t`, `p`, in any case),
/// perhaps `b` or `ib`.
fn bytes(text: &str) -> Option<u64> {
    /// Further digits are less than a byte of any unit.
    const MAX_DIGITS: usize = 18;
    let unit_at = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let unit = unit.trim_start().to_ascii_lowercase();
    let unit = unit.strip_suffix('b').map_or(unit.as_str(), |unit| unit.strip_suffix('i').unwrap_or(unit));
    let shift = match unit {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = &fraction[..fraction.len().min(MAX_DIGITS)];
    let whole = whole.parse::<u128>().ok()?.checked_mul(1 << shift)?;
    let part = (digits.parse::<u128>().ok()? << shift) / 10u128.pow(digits.len() as u32);
    u64::try_from(whole.checked_add(part)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Mount, String> {
        parse_mount(text, |value| Ok(value.replace("$V", "var"))).map_err(|error| error.to_string())
    }

    #[test]
    fn mounts() {
        let bind = parse("target=/ctx").unwrap();
        assert_eq!(
            (bind.kind, bind.read_only, bind.target.as_deref()),
            (MountKind::Bind, true, Some("/ctx"))
        );
        let cache = parse("Type=CACHE,id=$V,dst=/c,sharing=Locked,uid=7,gid=8,mode=0700").unwrap();
        assert_eq!((cache.id.as_deref(), cache.sharing), (Some("var"), Some(Sharing::Locked)));
        assert_eq!(
            (cache.uid, cache.gid, cache.mode, cache.read_only),
            (Some(7), Some(8), Some(0o700), false)
        );
        let tmpfs = parse("size=128m,type=tmpfs,target=/t").unwrap();
        assert_eq!((tmpfs.size, tmpfs.read_only), (Some(128 << 20), false));
        let secret = parse("required,type=secret,id=a,env=TOKEN").unwrap();
        assert_eq!((secret.required, secret.env.as_deref()), (true, Some("TOKEN")));
        assert_eq!(parse("\"id=a,b\",type=ssh").unwrap().id.as_deref(), Some("a,b"));
        assert!(!parse("target=/x,rw").unwrap().read_only);
        assert_eq!(parse("from=$V,target=/x").unwrap().from.as_deref(), Some("$V"));
    }

    #[test]
    fn faults() {
        for (text, message) in [
            ("typ=tmpfs", "unexpected key 'typ' in 'typ=tmpfs' (did you mean type?)"),
            ("type=tmp", "unsupported mount type \"tmp\" (did you mean tmpfs?)"),
            ("target", "invalid field 'target' must be a key=value pair"),
            ("type=bind,required", "unexpected key 'required' for mount type 'bind'"),
            ("type=cache,size=1m,target=/c", "unexpected key 'size' for mount type 'cache'"),
            ("target=/c,mode=0700", "mode not allowed for \"bind\" type mounts"),
            ("type=tmpfs,uid=1", "uid not allowed for \"tmpfs\" type mounts"),
            ("type=cache,mode=9", "invalid value for mode: 9"),
            ("ro=maybe", "invalid value for ro: maybe"),
            ("type=secret", "invalid secret mount. one of source, target required"),
            ("type=secret,id=a,source=b", "both source and id can't be set"),
            ("type=secret,id=a,from=b", "secret mount should not have a from"),
            ("type=secret,id=a,sharing=shared", "secret mount should not define sharing"),
            ("type=ssh,source=x", "ssh does not support source"),
            ("target=/x,sharing=shared", "invalid cache sharing set for bind mount"),
            ("type=cache,sharing=share", "unsupported sharing value \"share\" (did you mean shared?)"),
            ("", "failed to parse csv mounts: \"\""),
        ] {
            assert_eq!(parse(text).unwrap_err(), message, "{text}");
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("1", Some(1)),
            ("64m", Some(64 << 20)),
            ("1.5 GiB", Some(3 << 29)),
            ("2KB", Some(2048)),
            ("7b", Some(7)),
            ("", None),
            ("m", None),
            ("1x", None),
            ("-1", None),
            ("99999999p", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
    }
}
