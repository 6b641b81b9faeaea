//! `--ssh`.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use garboard_builder::SshSource;

use super::values::boolean_of;
use super::{ArgsError, csv};
use crate::env::{self, Env};
use crate::failure::io_text;

const FLAG: &str = "--ssh";

/// Reads `default` or `ID[=SOCKET|KEY[,KEY…][,raw=true]]`. Without a path it is the agent of `SSH_AUTH_SOCK`.
pub(crate) fn read(text: &str, env: &Env) -> Result<(String, SshSource), ArgsError> {
    let fields = csv::fields(FLAG, text)?;
    let (first, more) = fields.split_first().ok_or_else(|| ArgsError::value(FLAG, text, "it is empty"))?;
    let (id, path) = first.split_once('=').map_or((first.as_str(), ""), |(id, path)| (id, path));
    if id.is_empty() {
        return Err(ArgsError::value(FLAG, text, "expected `default` or `ID=SOCKET|KEY`"));
    }
    let mut paths: Vec<PathBuf> =
        [path].into_iter().filter(|path| !path.is_empty()).map(Into::into).collect();
    let mut raw = false;
    for field in more {
        match field.split_once('=') {
            Some((key, value)) if key.eq_ignore_ascii_case("raw") => raw = boolean_of("--ssh raw", value)?,
            _ => paths.push(field.into()),
        }
    }
    if paths.is_empty() {
        let socket = env.path(env::SSH_AUTH_SOCK);
        paths.push(socket.ok_or_else(|| ArgsError::NoAgent { id: id.into() })?);
    }
    Ok((id.to_owned(), source(id, &paths, raw)?))
}

/// Decides by what the paths are.
fn source(id: &str, paths: &[PathBuf], raw: bool) -> Result<SshSource, ArgsError> {
    let mut absolute = Vec::with_capacity(paths.len());
    let mut sockets = 0;
    for path in paths {
        let (path, is_socket) = checked(id, path)?;
        sockets += usize::from(is_socket);
        absolute.push(path);
    }
    let value = || paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(",");
    match (sockets, absolute.as_slice()) {
        (1, [socket]) if raw => Ok(SshSource::Raw(socket.clone())),
        (1, [socket]) => Ok(SshSource::Agent(socket.clone())),
        _ if raw => Err(ArgsError::value(FLAG, &value(), "with `raw=true` it has to be one socket")),
        (0, _) => Ok(SshSource::Keys(absolute)),
        _ => Err(ArgsError::value(FLAG, &value(), "it has to be one socket, or only key files")),
    }
}

/// The absolute path, and whether it is a socket.
fn checked(id: &str, path: &Path) -> Result<(PathBuf, bool), ArgsError> {
    let error = |problem: String| ArgsError::SshFile { id: id.into(), path: path.to_owned(), problem };
    let found = std::fs::metadata(path).map_err(|source| error(io_text(&source)))?;
    let is_socket = found.file_type().is_socket();
    if !is_socket && !found.is_file() {
        return Err(error("it is neither a socket nor a file".into()));
    }
    let absolute = std::path::absolute(path).map_err(|source| error(io_text(&source)))?;
    Ok((absolute, is_socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let _listener = std::os::unix::net::UnixListener::bind(path("s")).unwrap();
        std::fs::write(path("k"), "").unwrap();
        std::fs::write(path("l"), "").unwrap();
        let show = |text: &str| {
            let text = text.replace('@', &format!("{}/", folder.path().display()));
            let env = Env::of(&[("SSH_AUTH_SOCK", path("s").to_str().unwrap())]);
            read(&text, &env).map_err(|error| error.to_string())
        };
        let agent = || SshSource::Agent(path("s"));
        assert_eq!(show("default"), Ok(("default".into(), agent())));
        assert_eq!(show("x="), Ok(("x".into(), agent())));
        assert_eq!(show("default=@s"), Ok(("default".into(), agent())));
        assert_eq!(show("x=@s,raw=true"), Ok(("x".into(), SshSource::Raw(path("s")))));
        assert_eq!(show("x=@s,raw=false"), Ok(("x".into(), agent())));
        assert_eq!(show("x=@k,@l"), Ok(("x".into(), SshSource::Keys(vec![path("k"), path("l")]))));
        for (bad, problem) in [
            ("", "expected"),
            ("=@s", "expected"),
            ("x=@s,@k", "one socket"),
            ("x=@s,@s", "one socket"),
            ("x=@k,raw=true", "one socket"),
            ("x=@nothing", "no such file"),
            ("x=@", "neither a socket"),
            ("x=@s,raw=maybe", "raw"),
        ] {
            assert!(show(bad).unwrap_err().contains(problem), "{bad}: {:?}", show(bad));
        }
        let none = read("default", &Env::of(&[])).unwrap_err();
        assert!(none.to_string().contains("SSH_AUTH_SOCK"));
    }
}
