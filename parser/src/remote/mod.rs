//! Addresses of files and repositories elsewhere: sources of ADD, build contexts, named contexts.
//!
//! Which text is an address and which is a path is decided here and nowhere else. The functions are pure, and their
//! input is anybody's: what they return is safe to hand to an HTTP client and, after `--`, to `git`.

mod error;
mod git;
mod http;
mod url;

pub use error::AddressError;
pub use git::{GitAddress, GitTimes, Transport, is_commit};
pub use http::HttpAddress;
pub use url::{Login, redact};

/// An address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A git repository.
    Git(GitAddress),
    /// A file.
    Http(HttpAddress),
}

/// Reads what may be an address; `None` is a path of files at hand.
///
/// `github.com/owner/repository` is an address in the eyes of the command line and a path in those of ADD: look at
/// [`GitAddress::may_be_path`].
///
/// ```
/// use garboard_parser::remote::{Address, parse};
///
/// let Ok(Some(Address::Git(git))) = parse("https://example.com/a.git#main:docs") else { panic!() };
/// assert_eq!((git.reference.as_deref(), git.subdir.as_deref()), (Some("main"), Some("docs")));
/// assert!(matches!(parse("https://example.com/a.tar"), Ok(Some(Address::Http(_)))));
/// assert_eq!(parse("src/https/a.git"), Ok(None));
/// ```
///
/// # Errors
/// It is an address, and one that can't be used.
pub fn parse(text: &str) -> Result<Option<Address>, AddressError> {
    if let Some(git) = GitAddress::parse(text)? {
        return Ok(Some(Address::Git(git)));
    }
    Ok(HttpAddress::parse(text)?.map(Address::Http))
}
