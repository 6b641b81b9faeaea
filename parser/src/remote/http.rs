//! Files by HTTP.

use super::AddressError;
use super::url::{Login, Parts, decode, encode};

/// The name of a file whose address has none.
const UNNAMED: &str = "__unnamed__";

/// The address of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAddress {
    /// The URL, without login and fragment.
    pub url: String,
    /// Who asks.
    pub login: Option<Login>,
    /// Host, with its port where one is written.
    pub host: String,
    /// What the file is called: the last part of the URL's path, decoded. One component, never `.` or `..`.
    pub name: String,
}

impl HttpAddress {
    /// Reads `http://…` and `https://…`; `None` is something else. Repositories (`….git`) are read as files too: ask
    /// [`super::parse`].
    pub fn parse(text: &str) -> Result<Option<Self>, AddressError> {
        if !text.starts_with("http://") && !text.starts_with("https://") {
            return Ok(None);
        }
        let Some(parts) = Parts::read(text)? else { return Ok(None) };
        let query = parts.query.map(|query| format!("?{}", encode(query))).unwrap_or_default();
        let path = if parts.path.is_empty() { "/".to_owned() } else { encode(parts.path) };
        Ok(Some(Self {
            url: format!("{}://{}{path}{query}", parts.scheme, parts.host),
            login: parts.login(),
            host: parts.host.to_owned(),
            name: file_name(&decode(parts.path)),
        }))
    }
}

/// The last part of a path.
fn file_name(path: &str) -> String {
    match path.trim_end_matches('/').rsplit('/').next() {
        None | Some("" | "." | "..") => UNNAMED.to_owned(),
        Some(name) if name.contains('\0') => UNNAMED.to_owned(),
        Some(name) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (url, name) in [
            ("http://h/a/b.txt?v=1&x=/y#f", "b.txt"),
            ("http://h/a%20b.txt", "a b.txt"),
            ("http://h/a%2Fb", "b"),
            ("http://h/dir/", "dir"),
            ("http://h/a/..", UNNAMED),
            ("http://h/%2e%2e", UNNAMED),
            ("http://h/a%00b", UNNAMED),
            ("http://h/", UNNAMED),
            ("http://h", UNNAMED),
            ("https://h:1?q", UNNAMED),
        ] {
            assert_eq!(HttpAddress::parse(url).unwrap().unwrap().name, name, "{url}");
        }
    }

    #[test]
    fn parts() {
        let found = HttpAddress::parse("https://me:s%40e@h:8/a b?c d#e").unwrap().unwrap();
        assert_eq!((found.url.as_str(), found.host.as_str()), ("https://h:8/a%20b?c%20d", "h:8"));
        let login = found.login.unwrap();
        assert_eq!((login.user.as_str(), login.password.as_deref()), ("me", Some("s@e")));
        assert_eq!(format!("{login:?}"), "Login(***)");
        for path in ["http:/x", "file", "HTTP://h/x", "ftp://h/x", "a/http://h"] {
            assert_eq!(HttpAddress::parse(path), Ok(None), "{path}");
        }
        for bad in [
            "http://",
            "http:///x",
            "http://a\\@b/c",
            "http://a b/c",
            "http://-a/",
            "http://u:p#q@h/f",
            "http://h:1:2/",
            "http://h/\u{7}",
        ] {
            assert!(HttpAddress::parse(bad).is_err(), "{bad}");
        }
    }
}
