//! `--secret`.

use std::path::{Path, PathBuf};

use garboard_builder::SecretSource;

use super::{ArgsError, csv};
use crate::env::Env;
use crate::failure::io_text;

const FLAG: &str = "--secret";
/// Largest secret, as in BuildKit.
const LIMIT: u64 = 500 * 1024;

/// Reads `id=ID[,src=PATH][,env=VAR][,type=file|env]`. A secret without source is the variable of its name, else the
/// file of its name.
pub(crate) fn read(text: &str, env: &Env) -> Result<(String, SecretSource), ArgsError> {
    let (mut id, mut file, mut variable, mut kind) = (None, None, None, None);
    for field in csv::fields(FLAG, text)? {
        let (key, value) = csv::key_value(FLAG, &field)?;
        match key.to_ascii_lowercase().as_str() {
            "id" => id = Some(value.to_owned()),
            "src" | "source" => file = Some(PathBuf::from(value)),
            "env" => variable = Some(value.to_owned()),
            "type" if matches!(value, "file" | "env") => kind = Some(value.to_owned()),
            "type" => return Err(ArgsError::value(FLAG, text, format!("unknown secret type `{value}`"))),
            _ => return Err(ArgsError::value(FLAG, text, format!("unknown key `{key}`"))),
        }
    }
    let id = id
        .filter(|id| !id.is_empty())
        .or_else(|| file.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()))
        .ok_or_else(|| ArgsError::value(FLAG, text, "`id=` is missing"))?;
    // `type=env,src=NAME` means the variable NAME
    if kind.as_deref() == Some("env") && variable.is_none() {
        variable = Some(file.take().map_or_else(|| id.clone(), |path| path.to_string_lossy().into_owned()));
    }
    let source = match (variable, file) {
        (Some(name), None) => value_of(&id, &name, env)?,
        (None, Some(path)) => checked_file(&id, &path)?,
        (Some(_), Some(_)) => {
            return Err(ArgsError::value(FLAG, text, "both `src=` and `env=` are given"));
        }
        (None, None) if kind.is_none() && env.raw(&id).is_some() => value_of(&id, &id, env)?,
        (None, None) => checked_file(&id, Path::new(&id))?,
    };
    Ok((id, source))
}

fn value_of(id: &str, name: &str, env: &Env) -> Result<SecretSource, ArgsError> {
    // an unset variable is an empty secret, as in buildx
    let value = env.raw(name).map(|value| value.as_encoded_bytes().to_vec()).unwrap_or_default();
    if value.len() as u64 > LIMIT {
        let problem = format!("secret {id} too big, more than {LIMIT} bytes");
        return Err(ArgsError::value(FLAG, &format!("env={name}"), problem));
    }
    Ok(SecretSource::Value(value))
}

fn checked_file(id: &str, path: &Path) -> Result<SecretSource, ArgsError> {
    let error = |problem: String| ArgsError::SecretFile { id: id.into(), path: path.to_owned(), problem };
    let found = std::fs::metadata(path).map_err(|source| error(io_text(&source)))?;
    if found.is_dir() {
        return Err(error("it is a folder".into()));
    }
    if found.len() > LIMIT {
        return Err(error(format!("secret {id} too big, {} bytes of at most {LIMIT}", found.len())));
    }
    let absolute = std::path::absolute(path).map_err(|source| error(io_text(&source)))?;
    Ok(SecretSource::File(absolute))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str, env: &[(&str, &str)]) -> Result<String, String> {
        match read(text, &Env::of(env)) {
            Ok((id, SecretSource::Value(value))) => Ok(format!("{id} = {}", String::from_utf8_lossy(&value))),
            Ok((id, SecretSource::File(path))) => Ok(format!("{id} in {}", path.display())),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn sources() {
        let env = [("TOKEN", "t"), ("OTHER", "o")];
        assert_eq!(show("id=TOKEN", &env), Ok("TOKEN = t".into()));
        assert_eq!(show("id=a,env=OTHER", &env), Ok("a = o".into()));
        assert_eq!(show("id=OTHER,type=env", &env), Ok("OTHER = o".into()));
        assert_eq!(show("type=env,id=a,src=OTHER", &env), Ok("a = o".into()));
        assert_eq!(show("id=a,env=UNSET", &env), Ok("a = ".into()));
        assert_eq!(show("id=etc,src=/etc/passwd", &env), Ok("etc in /etc/passwd".into()));
        assert_eq!(show("src=/etc/passwd", &env), Ok("passwd in /etc/passwd".into()));
    }

    #[test]
    fn problems() {
        assert!(show("id=a,src=/nowhere", &[]).unwrap_err().contains("no such file or directory"));
        assert!(show("id=a,src=/etc", &[]).unwrap_err().contains("folder"));
        for bad in ["id", "env=A", "id=a,env=B,src=C", "id=a,colour=red", "id=a,type=net"] {
            assert!(show(bad, &[]).is_err(), "{bad}");
        }
    }
}
