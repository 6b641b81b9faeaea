//! What is done with files.

use base64::Engine as _;
use serde::{Serialize, Serializer};

use super::super::go_json;
use super::{Dialect, NONE, alternatives, is_false, is_zero};

/// Something done with files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStep {
    /// Number of the input that it changes, or of inputs and a number of a step before it; or [`NONE`].
    pub input: i64,
    /// Number of the input that it reads; or [`NONE`].
    pub secondary: i64,
    /// Number of the output, or [`NONE`].
    pub output: i64,
    /// What is done.
    pub action: FileAction,
}

/// What is done with files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileAction {
    /// Copies.
    Copy(CopyAction),
    /// Makes a folder and those above it.
    Mkdir {
        /// Where.
        path: String,
        /// Permissions.
        mode: i64,
        /// Whether folders above are made.
        parents: bool,
        /// Owner.
        owner: Option<Owner>,
        /// Nanoseconds since 1970, or [`NONE`]: now.
        timestamp: i64,
    },
    /// Makes a file.
    Mkfile {
        /// Where.
        path: String,
        /// Permissions.
        mode: i64,
        /// Content.
        data: Vec<u8>,
    },
}

/// What a copy does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyAction {
    /// What; only its last component counts.
    pub src: String,
    /// Where to.
    pub dest: String,
    /// Owner.
    pub owner: Option<Owner>,
    /// Permissions as a number, or [`NONE`].
    pub mode: i64,
    /// Permissions as text.
    pub mode_text: String,
    /// Links that are named are followed.
    pub follow: bool,
    /// Of a folder its content is copied.
    pub contents: bool,
    /// Archives are unpacked.
    pub unpack: bool,
    /// Folders above the destination are made.
    pub create_dest: bool,
    /// `src` may be a pattern.
    pub wildcard: bool,
    /// Which may match nothing.
    pub empty_wildcard: bool,
    /// Only what matches.
    pub include: Vec<String>,
    /// Not what matches.
    pub exclude: Vec<String>,
    /// What has to be there.
    pub required: Vec<String>,
}

/// Owner and group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub user: Option<Account>,
    /// The group.
    pub group: Option<Account>,
}

/// A user or group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// By number.
    Id(i64),
    /// By name, which is looked up in an input.
    Name(String, i64),
}

impl Owner {
    /// Reads `user[:group]`, of which names are looked up in the input of this number.
    pub fn parse(text: &str, input: i64) -> Self {
        let account = |text: &str| match text {
            "root" | "" => Account::Id(0),
            _ => text
                .parse::<i32>()
                .map_or_else(|_| Account::Name(text.to_owned(), input), |id| Account::Id(id.into())),
        };
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        Self { user: Some(account(user)), group: group.map(account) }
    }
}

#[derive(Serialize)]
struct FileForm {
    #[serde(rename = "Type")]
    kind: &'static str,
    #[serde(rename = "Actions")]
    actions: Vec<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    indexes: Option<Vec<[i64; 3]>>,
}

/// Bytes, which Go writes as base64.
struct Bytes(Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base64::engine::general_purpose::STANDARD.encode(&self.0))
    }
}

#[derive(Serialize)]
struct CopyForm<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    src: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    dest: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<OwnerForm<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    mode: i64,
    #[serde(rename = "followSymlink", skip_serializing_if = "is_false")]
    follow: bool,
    #[serde(rename = "dirCopyContents", skip_serializing_if = "is_false")]
    contents: bool,
    #[serde(rename = "attemptUnpackDockerCompatibility", skip_serializing_if = "is_false")]
    unpack: bool,
    #[serde(rename = "createDestPath", skip_serializing_if = "is_false")]
    create_dest: bool,
    #[serde(rename = "allowWildcard", skip_serializing_if = "is_false")]
    wildcard: bool,
    #[serde(rename = "allowEmptyWildcard", skip_serializing_if = "is_false")]
    empty_wildcard: bool,
    timestamp: i64,
    #[serde(rename = "include_patterns", skip_serializing_if = "<[String]>::is_empty")]
    include: &'a [String],
    #[serde(rename = "exclude_patterns", skip_serializing_if = "<[String]>::is_empty")]
    exclude: &'a [String],
    #[serde(rename = "modeStr", skip_serializing_if = "str::is_empty")]
    mode_text: &'a str,
    #[serde(rename = "required_paths", skip_serializing_if = "<[String]>::is_empty")]
    required: &'a [String],
}

#[derive(Serialize)]
struct MkdirForm<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    path: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    mode: i64,
    #[serde(rename = "makeParents", skip_serializing_if = "is_false")]
    parents: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<OwnerForm<'a>>,
    #[serde(skip_serializing_if = "is_zero")]
    timestamp: i64,
}

#[derive(Serialize)]
struct MkfileForm<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    path: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    mode: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Bytes>,
    timestamp: i64,
}

#[derive(Serialize)]
struct OwnerForm<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<UserForm<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<UserForm<'a>>,
}

#[derive(Serialize)]
struct UserForm<'a> {
    #[serde(rename = "User")]
    user: AccountForm<'a>,
}

#[derive(Serialize)]
struct AccountForm<'a> {
    #[serde(rename = "byName", skip_serializing_if = "Option::is_none")]
    name: Option<NameForm<'a>>,
    #[serde(rename = "byId", skip_serializing_if = "is_zero")]
    id: i64,
    /// How it was called before.
    #[serde(rename = "byID", skip_serializing_if = "is_zero")]
    older_id: i64,
}

#[derive(Serialize)]
struct NameForm<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<i64>,
}

impl Owner {
    fn form(&self, dialect: Dialect) -> OwnerForm<'_> {
        let form = |account| account_form(account, dialect);
        OwnerForm { user: self.user.as_ref().map(form), group: self.group.as_ref().map(form) }
    }
}

fn account_form(account: &Account, dialect: Dialect) -> UserForm<'_> {
    let mut user = AccountForm { name: None, id: 0, older_id: 0 };
    match account {
        // Written as a number without a sign.
        Account::Id(id) if dialect.zeros => user.older_id = id & 0xffff_ffff,
        Account::Id(id) => user.id = id & 0xffff_ffff,
        Account::Name(name, input) => {
            let input = (dialect.zeros || *input != 0).then_some(*input);
            user.name = Some(NameForm { name, input });
        }
    }
    UserForm { user }
}

/// The digests of an operation that does all this to files.
pub fn file(steps: &[FileStep]) -> Vec<String> {
    let indexes: Vec<[i64; 3]> = steps.iter().map(|step| [step.input, step.secondary, step.output]).collect();
    alternatives(|dialect| {
        go_json::bytes(&FileForm {
            kind: "buildkit.file.v0",
            actions: steps.iter().map(|step| Bytes(step.action.bytes(dialect))).collect(),
            indexes: (!are_usual(&indexes)).then(|| indexes.clone()),
        })
    })
}

/// The numbers that are not written: each step changes what the one before it made, reads the second input or none, and only
/// the last one's output is seen.
fn are_usual(indexes: &[[i64; 3]]) -> bool {
    let count = i64::try_from(indexes.len()).unwrap_or(i64::MAX);
    let fits = |(number, [input, secondary, output]): (i64, &[i64; 3])| {
        // In the place of the number of steps the number of inputs would be right, but so it is written.
        let expected = if number == 0 { 0 } else { count + number - 1 };
        let is_last = number + 1 == count;
        *input == expected && matches!(secondary, -1 | 1) && *output == if is_last { 0 } else { -1 }
    };
    !indexes.is_empty() && (0..).zip(indexes).all(fits)
}

impl FileAction {
    fn bytes(&self, dialect: Dialect) -> Vec<u8> {
        match self {
            Self::Copy(copy) => go_json::bytes(&copy.form(dialect)),
            Self::Mkdir { path, mode, parents, owner, timestamp } => go_json::bytes(&MkdirForm {
                path,
                mode: *mode,
                parents: *parents,
                owner: owner.as_ref().map(|owner| owner.form(dialect)),
                timestamp: *timestamp,
            }),
            Self::Mkfile { path, mode, data } => go_json::bytes(&MkfileForm {
                path,
                mode: *mode,
                data: (!data.is_empty()).then(|| Bytes(data.clone())),
                timestamp: NONE,
            }),
        }
    }
}

impl CopyAction {
    fn form(&self, dialect: Dialect) -> CopyForm<'_> {
        let base = self.src.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        CopyForm {
            src: if base.is_empty() { "/" } else { base },
            dest: &self.dest,
            owner: self.owner.as_ref().map(|owner| owner.form(dialect)),
            mode: self.mode,
            follow: self.follow,
            contents: self.contents,
            unpack: self.unpack,
            create_dest: self.create_dest,
            wildcard: self.wildcard,
            empty_wildcard: self.empty_wildcard,
            timestamp: NONE,
            include: &self.include,
            exclude: &self.exclude,
            mode_text: &self.mode_text,
            required: &self.required,
        }
    }
}
