//! URLs taken apart, as far as the addresses need it.
//!
//! Where an address is sent in the end another parser reads it again. So that both see the same host, an authority with
//! characters over which parsers disagree is refused.

use std::borrow::Cow;

use super::AddressError;

/// Longer addresses are refused.
const LONGEST: usize = 8192;
/// What stands for a login in messages, as in BuildKit.
const HIDDEN: &str = "xxxxx:xxxxx";

/// User name and password of a URL, decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The name, possibly empty.
    pub user: String,
    /// The password, if there is one.
    pub password: Option<String>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Login(***)")
    }
}

/// The parts of `scheme://login@host/path?query#fragment`, as they are written.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    /// In lower case.
    pub(super) scheme: String,
    pub(super) login: Option<&'a str>,
    /// With its port.
    pub(super) host: &'a str,
    /// With its leading slash; may be empty.
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) fragment: Option<&'a str>,
}

impl<'a> Parts<'a> {
    /// Takes a URL apart; `None` where there is no `scheme://` at its start.
    pub(super) fn read(text: &'a str) -> Result<Option<Self>, AddressError> {
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(None) };
        if scheme.is_empty() || !scheme.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Ok(None);
        }
        check(text)?;
        let (rest, fragment) = cut(rest, '#');
        let (rest, query) = cut(rest, '?');
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (login, host) = match authority.rsplit_once('@') {
            Some((login, host)) => (Some(login), host),
            None => (None, authority),
        };
        let odd = |c: char| c.is_ascii() && !c.is_ascii_alphanumeric() && !"._-:[]".contains(c);
        if host.is_empty() || host.starts_with(['-', ':']) || host.contains(odd) || authority.contains('\\') {
            return Err(AddressError::Host { address: redact(text).into_owned() });
        }
        Ok(Some(Self { scheme: scheme.to_ascii_lowercase(), login, host, path, query, fragment }))
    }

    /// User name and password.
    pub(super) fn login(&self) -> Option<Login> {
        let text = self.login.filter(|text| !text.is_empty())?;
        let (user, password) = cut(text, ':');
        Some(Login { user: decode(user), password: password.map(decode) })
    }
}

/// Refuses what no address has.
pub(super) fn check(text: &str) -> Result<(), AddressError> {
    if text.len() <= LONGEST && !text.chars().any(char::is_control) {
        return Ok(());
    }
    let printable: String = text.chars().filter(|c| !c.is_control()).collect();
    Err(AddressError::Malformed { address: redact(&printable).chars().take(100).collect() })
}

/// The text before and after the first `mark`.
pub(super) fn cut(text: &str, mark: char) -> (&str, Option<&str>) {
    match text.split_once(mark) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

/// Replaces `%xx`; what is no such thing stays, and bytes that are no UTF-8 become replacement characters.
pub(super) fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digit = |index: usize| bytes.get(index).and_then(|b| char::from(*b).to_digit(16));
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// Escapes blanks and all that is not ASCII; escapes that are there stay.
pub(super) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_graphic() && !matches!(c, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}') {
            out.push(c);
            continue;
        }
        let mut buffer = [0; 4];
        for byte in c.encode_utf8(&mut buffer).bytes() {
            out.push('%');
            out.extend([byte >> 4, byte & 15].map(|nibble| {
                char::from_digit(u32::from(nibble), 16).expect("a nibble is a digit").to_ascii_uppercase()
            }));
        }
    }
    out
}

/// The parameters of a query in their order, decoded.
pub(super) fn parameters(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';'));
    let decoded = |text: &str| decode(&text.replace('+', " "));
    pairs
        .map(|pair| {
            let (name, value) = cut(pair, '=');
            (decoded(name), decoded(value.unwrap_or_default()))
        })
        .collect()
}

/// Hides the logins of all URLs in a text: `https://me:secret@host/` becomes `https://xxxxx:xxxxx@host/`. A user name
/// alone stays where it is no secret (`ssh://git@host/`).
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || "/?#\"'".contains(c)).unwrap_or(after.len());
        let authority = &after[..end];
        rest = &after[end..];
        let is_web = before.to_ascii_lowercase().ends_with("http://")
            || before.to_ascii_lowercase().ends_with("https://");
        match authority.rsplit_once('@') {
            Some((login, host)) if !login.is_empty() && (is_web || login.contains(':')) => {
                out.push_str(HIDDEN);
                out.push('@');
                out.push_str(host);
            }
            _ => out.push_str(authority),
        }
    }
    if out.is_empty() {
        return Cow::Borrowed(text);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_hidden() {
        for (text, shown) in [
            ("ADD https://u:p@h/f /x", "ADD https://xxxxx:xxxxx@h/f /x"),
            ("https://token@h/f?a=b@c", "https://xxxxx:xxxxx@h/f?a=b@c"),
            ("a http://u:p@h b https://h/@ c", "a http://xxxxx:xxxxx@h b https://h/@ c"),
            ("ssh://git@h/r", "ssh://git@h/r"),
            ("ssh://git:pw@h/r", "ssh://xxxxx:xxxxx@h/r"),
            ("HTTP://u@h", "HTTP://xxxxx:xxxxx@h"),
            ("git@h:p", "git@h:p"),
            ("[\"https://u:p@h/f\", \"/x\"]", "[\"https://xxxxx:xxxxx@h/f\", \"/x\"]"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(redact(text), shown);
        }
    }

    #[test]
    fn escapes() {
        assert_eq!(decode("a%20b%2Fc%zz%4"), "a b/c%zz%4");
        assert_eq!(decode("%ff"), "\u{fffd}");
        assert_eq!(encode("/a b/ä%20"), "/a%20b/%C3%A4%20");
        assert_eq!(decode(&encode("ä b\"")), "ä b\"");
    }
}
