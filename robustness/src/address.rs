//! Addresses of files and repositories.

use garboard_parser::remote::{Address, GitAddress, HttpAddress, parse, redact};
use url::Url;

/// Properties, of every line up to ` => `: what git will be given is no option and no second name; a file's name is one
/// component; an address is read the same way again, also by the parser that requests go through; logins are hidden.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for line in text.lines().take(50) {
        let address = line.split(" => ").next().unwrap_or_default();
        match parse(address) {
            Ok(Some(Address::Git(git))) => repository(&git),
            Ok(Some(Address::Http(http))) => {
                file(&http);
                let shown = HttpAddress::parse(&redact(address))
                    .expect("what is shown can be read")
                    .expect("as a file");
                assert_eq!(shown.host, http.host);
                // In a query, too, what looks like a login is hidden.
                if http.url.matches("://").count() == 1 {
                    assert_eq!(shown.url, http.url);
                }
            }
            // Nobody sees the password in messages.
            Err(error) if is_login_only(address) => {
                assert!(!error.to_string().contains("s3cret"), "{error}");
            }
            Ok(None) | Err(_) => {}
        }
        assert_eq!(redact(&redact(line)), redact(line));
        let login = "me:s3cret@host.test";
        if !address.contains(login) {
            assert!(!redact(&format!("https://{login}/{address}")).contains(login));
        }
    }
}

/// Whether the password is the address's own and nowhere else in it.
fn is_login_only(address: &str) -> bool {
    let scheme = address.split("://me:s3cret@").next().unwrap_or_default();
    matches!(scheme, "http" | "https" | "ssh" | "git") && address.matches("s3cret").count() == 1
}

fn repository(git: &GitAddress) {
    let odd = |c: char| c.is_control() || c == ' ';
    assert!(
        !git.remote.starts_with('-') && !git.host.starts_with('-') && !git.remote.contains(char::is_control)
    );
    if let Some(name) = &git.reference {
        assert!(!name.is_empty() && !name.starts_with(['-', '+']) && !name.contains([':', '^', '~', '*']));
        assert!(!name.contains(odd), "{name:?}");
    }
    if let Some(folder) = &git.subdir {
        assert!(folder.split('/').all(|name| !matches!(name, "" | "." | "..")), "{folder:?}");
    }
    if let Some(commit) = &git.checksum {
        assert!(commit.bytes().all(|b| b.is_ascii_hexdigit()));
    }
    let again = GitAddress::parse(&git.remote).expect("it was read before");
    // What was found by its ending or without a scheme is a plain URL now.
    if let Some(again) = again {
        assert_eq!((&again.host, &again.login), (&git.host, &None));
    }
}

fn file(http: &HttpAddress) {
    assert!(!http.name.contains(['/', '\0']) && !matches!(http.name.as_str(), "" | "." | ".."));
    // Names of hosts may be in any alphabet.
    let rest = http.url.replacen(&http.host, "", 1);
    assert!(rest.bytes().all(|b| b.is_ascii_graphic() && b != b'#'), "{:?}", http.url);
    let again = HttpAddress::parse(&http.url).expect("it was read before").expect("it is an address");
    assert_eq!((&again.url, &again.host, &again.login), (&http.url, &http.host, &None));
    let Ok(url) = Url::parse(&http.url) else { return };
    assert!(url.username().is_empty() && url.password().is_none(), "{url}");
    // Numbers are spelt in many ways, and names in other alphabets get another spelling.
    if let Some(url::Host::Domain(host)) = url.host()
        && http.host.is_ascii()
    {
        let name = http.host.rsplit_once(':').map_or(http.host.as_str(), |(name, _)| name);
        assert!(host.eq_ignore_ascii_case(name), "{host} is not {name}");
    }
}
