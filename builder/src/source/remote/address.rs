//! From addresses to operations.

use garboard_parser::remote::{GitAddress, GitTimes, HttpAddress, Login};
use oci_spec::image::Digest;

use crate::error::{Error, Result};
use crate::graph::{GitOp, HttpOp};

/// A named context that is elsewhere.
pub(crate) enum AnyRemote {
    /// A file.
    Http(HttpOp),
    /// A repository, and the folder in it that is meant.
    Git(GitOp, Option<String>),
}

/// The file at an address, called `name`.
pub(crate) fn http_op(address: &HttpAddress, name: &str, checksum: Option<String>) -> HttpOp {
    HttpOp {
        url: address.url.clone(),
        host: address.host.clone(),
        login: login(address.login.as_ref()),
        name: name.to_owned(),
        checksum,
    }
}

/// The repository at an address. `keep_git_dir` and `commit_times` are for addresses that say nothing.
pub(crate) fn git_op(address: &GitAddress, keep_git_dir: bool, commit_times: bool) -> GitOp {
    GitOp {
        remote: address.remote.clone(),
        host: address.host.clone(),
        login: login(address.login.as_ref()),
        ssh: address.transport == garboard_parser::remote::Transport::Ssh,
        reference: address.reference.clone(),
        checksum: address.checksum.clone(),
        keep_git_dir: address.keep_git_dir.unwrap_or(keep_git_dir),
        submodules: address.submodules.unwrap_or(true),
        commit_times: address.times.map_or(commit_times, |times| times == GitTimes::Commit),
    }
}

fn login(login: Option<&Login>) -> Option<(String, String)> {
    login.map(|l| (l.user.clone(), l.password.clone().unwrap_or_default()))
}

/// Reads `--checksum` of a file.
pub(crate) fn parse_checksum(text: &str) -> Result<String> {
    let wrong = |text: &str| Error::Instruction(text.to_owned());
    let (algorithm, sum) = text.split_once(':').ok_or_else(|| wrong("invalid checksum digest format"))?;
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Err(wrong("unsupported digest algorithm").into()),
    };
    if sum.len() != length {
        return Err(wrong("invalid checksum digest length").into());
    }
    let digest: std::result::Result<Digest, _> = text.parse();
    Ok(digest.map_err(|_| wrong("invalid checksum digest format"))?.to_string())
}

#[cfg(test)]
mod tests {
    use super::parse_checksum;

    #[test]
    fn checksums() {
        let (sha256, sha512) = (format!("sha256:{}", "0a".repeat(32)), format!("sha512:{}", "0a".repeat(64)));
        assert_eq!(parse_checksum(&sha256).unwrap(), sha256);
        assert_eq!(parse_checksum(&sha512).unwrap(), sha512);
        for (text, error) in [
            ("md5", "invalid checksum digest format"),
            ("md5:7e55db001d319a94b0b713529a756623", "unsupported digest algorithm"),
            ("sha256:00", "invalid checksum digest length"),
            (&format!("sha256:{}", "0G".repeat(32)), "invalid checksum digest format"),
        ] {
            assert_eq!(parse_checksum(text).unwrap_err().to_string(), error);
        }
    }
}
