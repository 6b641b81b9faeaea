//! The flags of `bake`.

use clap::{ArgAction, Args, ValueHint};

/// Build the targets of bake files (HCL or JSON) and compose files
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  garboard bake                                # the group or target `default` of docker-bake.hcl
  garboard bake app db --push
  garboard bake --print app --set app.platform=linux/arm64
  garboard bake --list=variables")]
pub(crate) struct BakeArgs {
    /// Targets and groups to build (default `default`)
    #[arg(value_name = "TARGET")]
    pub(crate) targets: Vec<String>,

    /// File with definitions; may be repeated, `-` is standard input
    ///
    /// Default: `BUILDX_BAKE_FILE`, then all that are there of compose.yaml, docker-bake.json, docker-bake.hcl and their
    /// overrides.
    #[arg(short, long = "file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<String>,

    /// Print what would be built as JSON, and build nothing
    #[arg(long)]
    pub(crate) print: bool,

    /// List what can be built or set: `targets` or `variables`, with `,format=json` as JSON
    #[arg(long, value_name = "WHAT")]
    pub(crate) list: Option<String>,

    /// Set an attribute of targets: `pattern.attribute=value`; may be repeated
    #[arg(long = "set", value_name = "OVERRIDE")]
    pub(crate) overrides: Vec<String>,

    /// Set a variable: `name=value`; may be repeated
    #[arg(long = "var", value_name = "VARIABLE")]
    pub(crate) variables: Vec<String>,

    /// Push the images; targets that write files are left as they are
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) push: Option<bool>,

    /// Hand the images to Docker or podman; targets that write files are left as they are
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) load: Option<bool>,

    /// Use no cache
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) no_cache: Option<bool>,

    /// Look up base images anew
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) pull: Option<bool>,

    /// Provenance of all images: `true`, `false` or `mode=max`
    #[arg(long, value_name = "VALUE", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) provenance: Option<String>,

    /// Lists of contents of all images: `true`, `false` or `generator=IMAGE`
    #[arg(long, value_name = "VALUE", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) sbom: Option<String>,

    /// Ask about the Dockerfiles in place of building: `check`, `outline` or `targets`
    #[arg(long, value_name = "QUESTION")]
    pub(crate) call: Option<String>,

    /// Check the Dockerfiles (`--call=check`)
    #[arg(long)]
    pub(crate) check: bool,

    /// Allow what targets ask for: `network.host`, `security.insecure`, `ssh`, `fs.read=PATH`, `fs.write=PATH`, `fs=PATH`
    #[arg(long = "allow", value_name = "RIGHT")]
    pub(crate) allowed: Vec<String>,

    /// Build all that can be built when a target fails, rather than stopping the rest
    #[arg(long)]
    pub(crate) keep_going: bool,

    /// Write what was built to this file as JSON
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) metadata_file: Option<String>,

    /// How to show progress: auto, tty, plain, rawjson or quiet
    #[arg(long, value_name = "MODE")]
    pub(crate) progress: Option<String>,

    /// There is one builder
    #[arg(long, value_name = "NAME", hide = true)]
    pub(crate) builder: Option<String>,

    /// More is said by `-v`
    #[arg(short = 'D', long, hide = true, action = ArgAction::SetTrue)]
    pub(crate) debug: bool,
}

/// What `--list` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listing {
    /// Variables rather than targets.
    pub(crate) variables: bool,
    /// As JSON rather than as a table.
    pub(crate) json: bool,
}

impl Listing {
    /// Reads `targets`, `type=variables,format=json` and the like.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut listing = Self { variables: false, json: false };
        for part in text.split(',') {
            let (name, value) = part.split_once('=').unwrap_or(("type", part));
            match (name, value) {
                ("type", "targets") => listing.variables = false,
                ("type", "variables") => listing.variables = true,
                ("type", other) => return Err(format!("invalid list type {other:?}")),
                ("format", "json") => listing.json = true,
                ("format", "table") => listing.json = false,
                ("format", other) => return Err(format!("invalid list format {other:?}")),
                (other, _) => return Err(format!("invalid list option {other:?}")),
            }
        }
        Ok(listing)
    }
}

impl BakeArgs {
    /// The overrides, with those that have flags of their own.
    pub(crate) fn all_overrides(&self) -> Vec<String> {
        let mut overrides = self.overrides.clone();
        let switches =
            [("push", self.push), ("load", self.load), ("no-cache", self.no_cache), ("pull", self.pull)];
        for (name, switch) in switches {
            overrides.extend(switch.map(|on| format!("*.{name}={on}")));
        }
        for (kind, value) in [("provenance", &self.provenance), ("sbom", &self.sbom)] {
            overrides.extend(value.as_ref().map(|value| format!("*.attest={}", attestation(kind, value))));
        }
        let call = if self.check { Some("check") } else { self.call.as_deref() };
        overrides.extend(call.map(|call| format!("*.call={call}")));
        overrides
    }
}

/// A shorthand of `--attest` in full.
fn attestation(kind: &str, value: &str) -> String {
    match value {
        "true" | "1" | "" => format!("type={kind}"),
        "false" | "0" => format!("type={kind},disabled=true"),
        other => format!("type={kind},{other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings() {
        let listing = |variables, json| Ok(Listing { variables, json });
        for (text, wanted) in [
            ("targets", listing(false, false)),
            ("variables", listing(true, false)),
            ("type=variables,format=json", listing(true, true)),
            ("foo", Err("invalid list type \"foo\"".to_owned())),
            ("type=targets,format=xml", Err("invalid list format \"xml\"".to_owned())),
        ] {
            assert_eq!(Listing::parse(text), wanted, "{text}");
        }
    }
}
