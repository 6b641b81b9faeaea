//! What can be wrong with an address.

/// Why an address can't be used. No variant holds a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no host, or it has characters that hosts don't have.
    #[error("invalid host in {address:?}")]
    Host {
        /// The address without what may be secret.
        address: String,
    },
    /// A control character, or an address of unreasonable length.
    #[error("{address:?} is not a usable address")]
    Malformed {
        /// The address without what may be secret.
        address: String,
    },
    /// A parameter is there twice.
    #[error("query {name:?} has multiple values")]
    Repeated {
        /// Its name.
        name: String,
    },
    /// A parameter without a value that needs one.
    #[error("query {name:?} has no value")]
    NoValue {
        /// Its name.
        name: String,
    },
    /// A parameter that doesn't exist.
    #[error("unexpected query {name:?}{}", mean(suggestion.as_ref()))]
    Unknown {
        /// Its name.
        name: String,
        /// One that is written much like it.
        suggestion: Option<String>,
    },
    /// A parameter has a value that it can't have.
    #[error("invalid {name} value: {value:?}")]
    Value {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// Two parts of the address say different things.
    #[error("{what} conflicts: {first:?} vs {second:?}")]
    Conflict {
        /// `ref` or `subdir`.
        what: &'static str,
        /// What one part says.
        first: String,
        /// What the other says.
        second: String,
    },
    /// Both `branch` and `tag` are given.
    #[error("branch conflicts with tag")]
    BranchAndTag,
    /// A branch, tag or commit that no repository can have.
    #[error("invalid git ref {reference:?}")]
    Reference {
        /// What was given.
        reference: String,
    },
    /// A checksum that is no commit or the beginning of one.
    #[error("invalid checksum {checksum:?}, expected hex commit hash")]
    Checksum {
        /// What was given.
        checksum: String,
    },
}

fn mean(suggestion: Option<&String>) -> String {
    suggestion.map(|name| format!(" (did you mean {name}?)")).unwrap_or_default()
}
