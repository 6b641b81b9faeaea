//! The digests of operations: SHA-256 of a JSON document that describes one, in `BuildKit`'s words.
//!
//! Which fields there are, in which order, and when one is left out, is part of the digest. `BuildKit` has changed that over
//! time; where it did, an operation has several digests: the first is today's.

mod exec;
mod file;
#[cfg(test)]
mod tests;

pub use exec::{Credential, Exec, ExecMount, ExecMountKind};
pub use file::{Account, CopyAction, FileAction, FileStep, Owner, file};

use oci_spec::image::Digest;
use serde::Serialize;

use super::go_json;

/// An input that is nothing, and an output that nobody sees.
pub const NONE: i64 = -1;

/// How a generation of `BuildKit` writes operations.
#[derive(Clone, Copy)]
struct Dialect {
    /// Numbers of inputs and outputs are written also where they are 0.
    zeros: bool,
    /// Says that folders made for mounts are removed with those above them.
    stubs: bool,
}

const DIALECTS: [Dialect; 3] = [
    Dialect { zeros: false, stubs: true },
    Dialect { zeros: true, stubs: true },
    Dialect { zeros: true, stubs: false },
];

/// The digest of bytes: `sha256:` and hexadecimal digits.
pub fn of_bytes(bytes: &[u8]) -> String {
    let hash: [u8; 32] =
        sha2::Digest::finalize(<sha2::Sha256 as sha2::Digest>::new_with_prefix(bytes)).into();
    format!("sha256:{}", crate::files::hex(&hash))
}

/// What a record of an operation's output is called.
pub fn record(operation: &str, output: i64) -> String {
    of_bytes(format!("{operation}@{output}").as_bytes())
}

/// What a record is called that stands for files of an input, by the digests of what was selected of them.
pub fn content_record(selected: &[String]) -> String {
    record(&of_bytes(selected.join("\0").as_bytes()), NONE)
}

/// The digest of which paths of an input count, in the order in which they are given; of no path: empty.
pub fn selector(paths: &[&str]) -> String {
    if paths.is_empty() { String::new() } else { of_bytes(paths.join("\0").as_bytes()) }
}

/// What a platform is called in an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPlatform {
    /// `linux`
    pub os: String,
    /// `amd64`
    pub architecture: String,
    /// `v7`; empty: none.
    pub variant: String,
    /// Empty: none.
    pub os_version: String,
}

#[derive(Serialize)]
struct ImageForm<'a> {
    #[serde(rename = "Digest")]
    digest: &'a str,
    #[serde(rename = "OS")]
    os: &'a str,
    #[serde(rename = "Arch")]
    arch: &'a str,
    #[serde(rename = "Variant", skip_serializing_if = "str::is_empty")]
    variant: &'a str,
    #[serde(rename = "OSVersion", skip_serializing_if = "str::is_empty")]
    os_version: &'a str,
}

/// The digests of an image: by the digest that its name resolves to, if that is known, and by its layers.
pub fn image(digest: Option<&str>, platform: &KeyPlatform, diff_ids: &[Digest]) -> Vec<String> {
    let by_name = digest.map(|digest| {
        let form = ImageForm {
            digest,
            os: &platform.os,
            arch: &platform.architecture,
            variant: &platform.variant,
            os_version: &platform.os_version,
        };
        of_bytes(&go_json::bytes(&form))
    });
    let by_layers = chain_id(diff_ids);
    by_name.into_iter().chain(by_layers).map(|key| source(&key)).collect()
}

/// The digest of a source by its own key.
fn source(key: &str) -> String {
    of_bytes(format!("buildkit.source.v0:{key}").as_bytes())
}

/// The digest of a chain of layers, as OCI defines it.
fn chain_id(diff_ids: &[Digest]) -> Option<String> {
    let (first, others) = diff_ids.split_first()?;
    Some(others.iter().fold(first.to_string(), |below, next| of_bytes(format!("{below} {next}").as_bytes())))
}

#[derive(Serialize)]
struct MergeForm {
    #[serde(rename = "Type")]
    kind: &'static str,
    #[serde(rename = "Merge")]
    merge: MergePart,
}

#[derive(Serialize)]
struct MergePart {
    inputs: Vec<MergeInput>,
}

#[derive(Serialize)]
struct MergeInput {
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<i64>,
}

/// The digests of so many inputs put on top of each other.
pub fn merge(inputs: i64) -> Vec<String> {
    alternatives(|dialect| {
        let input = |number: i64| MergeInput { input: (dialect.zeros || number != 0).then_some(number) };
        let merge = MergePart { inputs: (0..inputs).map(input).collect() };
        go_json::bytes(&MergeForm { kind: "buildkit.merge.v0", merge })
    })
}

/// The digests of what an operation is written as by each generation, today's first.
fn alternatives(preimage: impl Fn(Dialect) -> Vec<u8>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for dialect in DIALECTS {
        let digest = of_bytes(&preimage(dialect));
        if !all.contains(&digest) {
            all.push(digest);
        }
    }
    all
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !*value
}
