//! Targets as command lines of `build`: what a compose file says is read by what reads arguments.

use garboard_compose::{DockerfileSource, NamedContext, Target};

/// What is said about all targets.
#[derive(Debug, Default)]
pub(crate) struct Flags {
    /// Hand images to Docker or podman.
    pub(crate) load: bool,
    /// Print nothing but errors.
    pub(crate) quiet: bool,
    /// How progress is shown.
    pub(crate) progress: Option<String>,
    /// Upper bound of what steps use of memory.
    pub(crate) memory: Option<String>,
}

/// The words of `garboard build …` for a target that links to no other.
pub(super) fn words(target: &Target, flags: &Flags) -> Vec<String> {
    let mut words = Words(vec!["garboard".to_owned(), "build".to_owned()]);
    words.input(target);
    words.lists(target);
    words.options(target, flags);
    if let Some(NamedContext::Place(place)) = &target.context {
        words.0.extend(["--".to_owned(), place.clone()]);
    }
    words.0
}

struct Words(Vec<String>);

impl Words {
    fn add(&mut self, flag: &str, value: &str) {
        self.0.push(format!("--{flag}={value}"));
    }

    /// The Dockerfile, and what has names.
    fn input(&mut self, target: &Target) {
        match &target.dockerfile {
            DockerfileSource::Usual => {}
            DockerfileSource::Path(path) => self.add("file", path),
            // standard input is the text then
            DockerfileSource::Inline(_) => self.add("file", "-"),
        }
        for (flag, map) in [("build-arg", &target.args), ("label", &target.labels)] {
            for (name, value) in map {
                self.add(flag, &format!("{name}={value}"));
            }
        }
        for (name, context) in &target.contexts {
            if let NamedContext::Place(place) = context {
                self.add("build-context", &format!("{name}={place}"));
            }
        }
        for pair in &target.extra_hosts {
            let (host, addresses) = pair.split_once('=').unwrap_or((pair, ""));
            for address in addresses.split(',') {
                self.add("add-host", &format!("{host}={address}"));
            }
        }
    }

    fn lists(&mut self, target: &Target) {
        let lists = [
            ("tag", &target.tags),
            ("platform", &target.platforms),
            ("cache-from", &target.cache_from),
            ("cache-to", &target.cache_to),
            ("secret", &target.secrets),
            ("no-cache-filter", &target.no_cache_filter),
            ("ulimit", &target.ulimits),
            ("allow", &target.entitlements),
            ("attest", &target.attest),
            ("annotation", &target.annotations),
            ("output", &target.outputs),
        ];
        for (flag, values) in lists {
            // what docker would be given is kept in the local store, as every image without an output is
            for value in values.iter().filter(|value| *value != "type=docker") {
                self.add(flag, value);
            }
        }
        for agent in &target.ssh {
            // no path is the environment's agent
            self.add("ssh", agent.strip_suffix('=').unwrap_or(agent));
        }
    }

    fn options(&mut self, target: &Target, flags: &Flags) {
        let progress = flags.progress.as_deref().map(|mode| if mode == "json" { "rawjson" } else { mode });
        let options = [
            ("target", target.target.clone()),
            ("network", target.network.clone()),
            ("shm-size", target.shm_size.map(|size| size.to_string())),
            ("memory", flags.memory.clone()),
            ("progress", progress.map(str::to_owned)),
        ];
        for (flag, value) in options {
            if let Some(value) = value {
                self.add(flag, &value);
            }
        }
        let switches = [
            ("no-cache", target.no_cache),
            ("pull", target.pull),
            ("check", target.call.as_deref() == Some("lint")),
            ("load", flags.load),
            ("quiet", flags.quiet),
        ];
        self.0.extend(switches.iter().filter(|(_, on)| *on).map(|(flag, _)| format!("--{flag}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    #[test]
    fn a_target_is_read_as_arguments_are() {
        let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let target = Target {
            context: Some(NamedContext::Place("-odd".to_owned())),
            dockerfile: DockerfileSource::Inline("FROM scratch".to_owned()),
            args: [("A".to_owned(), "b=c d".to_owned())].into(),
            extra_hosts: texts(&["h=1.1.1.1,::1"]),
            outputs: texts(&["type=docker"]),
            ssh: texts(&["default=", "key=/id"]),
            call: Some("lint".to_owned()),
            ..Target::default()
        };
        let flags = Flags { progress: Some("json".to_owned()), ..Flags::default() };
        let cli = Cli::try_parse_from(words(&target, &flags)).unwrap();
        let Command::Build(build) = cli.command else { panic!("not a build") };
        assert_eq!((build.context.as_str(), build.file.as_deref()), ("-odd", Some("-")));
        assert_eq!(build.variables, ["A=b=c d"]);
        assert_eq!(build.add_hosts, ["h=1.1.1.1", "h=::1"]);
        assert_eq!(build.ssh, ["default", "key=/id"]);
        assert!(build.outputs.is_empty());
        assert_eq!((build.check, build.progress.as_deref()), (Some(true), Some("rawjson")));
    }
}
