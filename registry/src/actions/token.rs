//! What a job's token says, without looking whether it is good: the service does.
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// A branch, tag or pull request whose entries a job may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionsScope {
    /// Such as `refs/heads/main`; empty if the token doesn't say.
    pub name: String,
    /// Whether entries may be written, too.
    pub writable: bool,
}

#[derive(Deserialize)]
struct Claims {
    ac: String,
}

#[derive(Deserialize)]
struct Access {
    #[serde(rename = "Scope")]
    scope: String,
    #[serde(rename = "Permission")]
    permission: u32,
}

/// Bit of the permission to write.
const WRITE: u32 = 2;
/// No token has more.
const MAX_SCOPES: usize = 8;

/// The scopes of a token, those that may be written first. One that can't be read has one without a name.
pub(super) fn scopes(token: &str) -> Vec<ActionsScope> {
    let read = || {
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
        let claims: Claims = serde_json::from_slice(&payload).ok()?;
        serde_json::from_str::<Vec<Access>>(&claims.ac).ok().filter(|list| !list.is_empty())
    };
    let Some(list) = read() else { return vec![ActionsScope { name: String::new(), writable: true }] };
    let scope =
        |access: Access| ActionsScope { name: access.scope, writable: access.permission & WRITE != 0 };
    let mut scopes: Vec<ActionsScope> = list.into_iter().take(MAX_SCOPES).map(scope).collect();
    scopes.sort_by_key(|scope| !scope.writable);
    scopes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_there_is() {
        let token = |claims: &str| format!("x.{}.y", URL_SAFE_NO_PAD.encode(claims));
        let ac = r#"{"ac":"[{\"Scope\":\"refs/heads/main\",\"Permission\":1},{\"Scope\":\"refs/pull/7/merge\",\"Permission\":3}]"}"#;
        let names = |token: &str| {
            scopes(token).into_iter().map(|scope| (scope.name, scope.writable)).collect::<Vec<_>>()
        };
        assert_eq!(
            names(&token(ac)),
            [("refs/pull/7/merge".to_owned(), true), ("refs/heads/main".to_owned(), false)]
        );
        for odd in
            ["", "a", "a.b.c", "a.%.c", &token("{}"), &token(r#"{"ac":"[]"}"#), &token(r#"{"ac":"x"}"#)]
        {
            assert_eq!(names(odd), [(String::new(), true)], "{odd}");
        }
    }
}
