//! Addresses of files and repositories elsewhere.

use garboard_parser::remote::{Address, GitAddress, HttpAddress, parse, redact};
use url::{Host, Url};

/// Properties: what git is given can't be taken for an option or lead out of the repository; a file's name is one
/// component; the HTTP client sees the same host; logins don't show.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert_eq!(redact(&redact(text)), redact(text));
    match parse(text) {
        Ok(Some(Address::Git(git))) => repository(&git),
        Ok(Some(Address::Http(http))) => file(text, &http),
        Ok(None) => {}
        Err(error) => assert!(!error.to_string().is_empty(), "an error says something"),
    }
}

fn repository(git: &GitAddress) {
    assert!(!git.remote.starts_with('-') && !git.host.starts_with('-'), "{git:?}");
    assert!(!git.remote.contains(char::is_control), "{git:?}");
    if let Some(reference) = &git.reference {
        assert!(!reference.is_empty() && !reference.starts_with(['-', '+']), "{git:?}");
        let special = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
        assert!(!reference.contains(special), "{git:?}");
    }
    if let Some(subdir) = &git.subdir {
        assert!(subdir.split('/').all(|name| !matches!(name, "" | "." | "..")), "{git:?}");
    }
    if git.remote.starts_with("http") {
        same_host(&git.remote, &git.host);
    }
}

fn file(text: &str, http: &HttpAddress) {
    assert!(!http.name.contains(['/', '\0']) && !matches!(http.name.as_str(), "" | "." | ".."), "{http:?}");
    same_host(&http.url, &http.host);
    let again = HttpAddress::parse(&http.url).expect("what was read can be read").expect("as a file");
    assert_eq!((&again.url, &again.host, &again.login), (&http.url, &http.host, &None));
    let hidden = HttpAddress::parse(&redact(text)).expect("what is shown can be read").expect("as a file");
    assert_eq!((&hidden.url, &hidden.host), (&http.url, &http.host));
    if http.login.is_some() {
        assert!(redact(text).contains("xxxxx:xxxxx@"), "{text}");
    }
}

/// Whether the parser of the HTTP client reads the host that we read. Addresses in numbers have many forms.
fn same_host(url: &str, host: &str) {
    if let Ok(url) = Url::parse(url) {
        assert!(url.username().is_empty() && url.password().is_none(), "{url}");
        if let Some(Host::Domain(domain)) = url.host() {
            let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
            assert!(domain.eq_ignore_ascii_case(name), "{url}: {domain}, not {name}");
        }
    }
}
