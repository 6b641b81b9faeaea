//! Addresses: a table of repositories, and what holds of every text.

use garboard_parser::remote::{Address, GitAddress, HttpAddress, parse, redact};
use proptest::prelude::*;

#[test]
fn repositories() {
    let table =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/remote/git.txt")).unwrap();
    let rows = table.lines().filter(|line| !line.is_empty() && !line.starts_with("# "));
    let mut count = 0;
    for row in rows {
        let (address, wanted) = row.split_once(" => ").unwrap();
        assert_eq!(show(address), wanted, "{address}");
        count += 1;
    }
    assert!(count > 60);
}

fn show(address: &str) -> String {
    let git = match GitAddress::parse(address) {
        Ok(Some(git)) => git,
        Ok(None) => return "path".to_owned(),
        Err(error) => return format!("error: {error}"),
    };
    let mut parts = vec![format!("remote={}", git.remote)];
    parts.extend(git.login.map(|_| "login".to_owned()));
    parts.extend(git.reference.map(|text| format!("ref={text}")));
    parts.extend(git.subdir.map(|text| format!("subdir={text}")));
    parts.extend(git.checksum.map(|text| format!("checksum={text}")));
    parts.extend(git.keep_git_dir.map(|keep| format!("keep={keep}")));
    parts.extend(git.submodules.map(|fetch| format!("submodules={fetch}")));
    parts.extend(git.times.map(|times| format!("times={times:?}")));
    parts.extend(git.may_be_path.then(|| "maybe-path".to_owned()));
    parts.join(" ")
}

/// Texts that are nearly addresses.
fn address() -> impl Strategy<Value = String> {
    let scheme = prop_oneof![
        Just("https://"),
        Just("http://"),
        Just("git://"),
        Just("ssh://"),
        Just("git@"),
        Just("github.com/"),
        Just("-"),
        Just(""),
    ];
    let login = prop_oneof![Just(""), Just("u:p@"), Just("-x@"), Just("a\\@"), Just("@")];
    (
        scheme,
        login,
        "[a-z.:-]{0,8}",
        "(/[ -~ä]{0,6}){0,3}",
        prop_oneof![Just(""), Just(".git")],
        "([?#&][ -~]{0,12}){0,3}",
    )
        .prop_map(|(scheme, login, host, path, ending, rest)| {
            format!("{scheme}{login}{host}{path}{ending}{rest}")
        })
}

proptest! {
    #[test]
    fn nothing_that_git_takes_for_an_option(text in address()) {
        if let Ok(Some(git)) = GitAddress::parse(&text) {
            prop_assert!(!git.remote.starts_with('-') && !git.host.starts_with('-'));
            prop_assert!(!git.remote.contains(|c: char| c.is_control()));
            if let Some(reference) = &git.reference {
                prop_assert!(!reference.is_empty() && !reference.starts_with(['-', '+']));
                prop_assert!(!reference.contains(|c: char| c.is_control() || " ~^:?*[\\".contains(c)));
            }
            if let Some(subdir) = &git.subdir {
                prop_assert!(subdir.split('/').all(|name| !matches!(name, "" | "." | "..")));
            }
            // What git is given is read the same way again.
            if !git.may_be_path && (git.remote.starts_with("git") || git.remote.strip_suffix(".git").is_some()) {
                let again = GitAddress::parse(&git.remote).unwrap().unwrap();
                prop_assert_eq!((&again.remote, &again.host), (&git.remote, &git.host));
            }
        }
    }

    #[test]
    fn names_are_one_component(text in address()) {
        if let Ok(Some(http)) = HttpAddress::parse(&text) {
            prop_assert!(!http.name.contains(['/', '\0']) && !matches!(http.name.as_str(), "" | "." | ".."));
            prop_assert!(http.url.is_ascii() && !http.url.contains([' ', '#']));
            let again = HttpAddress::parse(&http.url).unwrap().unwrap();
            prop_assert_eq!((&again.url, &again.host, &again.login), (&http.url, &http.host, &None));
        }
    }

    #[test]
    fn no_text_is_too_odd(text in "\\PC{0,200}") {
        drop(parse(&text));
        drop(redact(&text));
    }

    #[test]
    fn passwords_are_hidden(password in "[a-y0-9:%!@'\"]{4,20}", before in "[ -y&&[^:]]{0,10}") {
        let secret = format!("zq{password}");
        let shown = redact(&format!("{before} https://me:{secret}@example.com/x")).into_owned();
        prop_assert!(!shown.contains("zq"), "{}", shown);
    }

    #[test]
    fn a_file_is_no_repository(text in address()) {
        if let Ok(Some(Address::Http(http))) = parse(&text) {
            prop_assert!(GitAddress::parse(&text) == Ok(None));
            prop_assert!(http.url.starts_with("http"));
        }
    }
}
