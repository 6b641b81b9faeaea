//! From the flags of `build` to what they mean: a request to the engine, and what the program itself has to do.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use garboard_builder::{BuildRequest, NetworkMode, NoCache, RemoteCache, SshSource};
use tempfile::NamedTempFile;

use super::build::BuildArgs;
use super::{ArgsError, Call, annotation, cache, context, output, secret, ssh, values};
use crate::env::{self, Env};
use crate::progress::Mode;

/// Build arguments that Docker's client sets from its proxy settings.
pub(crate) type ProxyArgs = Vec<(String, String)>;

/// What `build` has to do.
#[derive(Debug)]
pub(crate) struct BuildPlan {
    /// What the engine builds.
    pub(crate) request: BuildRequest,
    /// Whether to build or only to ask.
    pub(crate) call: Call,
    /// How progress is shown.
    pub(crate) progress: Mode,
    /// Print only the image's id.
    pub(crate) quiet: bool,
    /// Show warnings with their excerpts.
    pub(crate) debug: bool,
    /// Hand the image to a running Docker as well.
    pub(crate) load: bool,
    /// Tell why steps ran.
    pub(crate) explain: bool,
    /// Where the image's id goes.
    pub(crate) iidfile: Option<PathBuf>,
    /// Where the result's description goes.
    pub(crate) metadata_file: Option<PathBuf>,
    /// Warnings about the command line.
    pub(crate) warnings: Vec<String>,
    /// Holds the archive that standard input was, as long as the build needs it.
    pub(crate) _spool: Option<NamedTempFile>,
}

/// What the machine and the process give to a build.
pub(crate) struct Surroundings<'a> {
    /// The environment.
    pub(crate) env: &'a Env,
    /// Standard input.
    pub(crate) stdin: &'a mut dyn Read,
    /// Whether standard output is a terminal.
    pub(crate) stdout_is_terminal: bool,
    /// Whether standard error is a terminal.
    pub(crate) stderr_is_terminal: bool,
    /// Proxies of Docker's client configuration.
    pub(crate) proxies: ProxyArgs,
    /// Content of `/etc/resolv.conf`.
    pub(crate) resolv_conf: Vec<u8>,
}

fn caches(direction: cache::Direction, texts: &[String], env: &Env) -> Result<Vec<RemoteCache>, ArgsError> {
    let caches: Result<Vec<_>, _> = texts.iter().map(|text| cache::read(direction, text, env)).collect();
    Ok(caches?.concat())
}

/// The caches to write that are places, and whether the image is to have one in it.
fn written_caches(texts: &[String]) -> Result<(Vec<String>, bool), ArgsError> {
    let mut places = Vec::new();
    for text in texts {
        if !cache::is_inline(text)? {
            places.push(text.clone());
        }
    }
    let has_inline = places.len() < texts.len();
    Ok((places, has_inline))
}

impl BuildArgs {
    /// Decides what the flags mean.
    pub(crate) fn resolve(self, around: Surroundings<'_>) -> Result<BuildPlan, ArgsError> {
        let warnings = self.foreign.check()?;
        let call = Call::read(self.call.as_deref(), self.check.unwrap_or(false))?;
        let quiet = self.quiet.unwrap_or(false);
        let progress = if quiet { Mode::Quiet } else { self.progress_mode(&around)? };
        check_tags(&self.tags)?;
        let outputs = output::Wanted {
            outputs: &self.outputs,
            push: self.push.unwrap_or(false),
            load: self.load.unwrap_or(false),
            tags: &self.tags,
            stdout_is_terminal: around.stdout_is_terminal,
        };
        let exports = output::exports(&outputs)?;
        exports.iter().try_for_each(|export| check_tags(&export.names))?;
        let (network, allowed) = self.isolation()?;
        if !allowed.delete {
            exports.iter().try_for_each(output::check_delete)?;
        }
        let no_cache = self.no_cache();
        let build_args = build_args(&self.variables, around.env, around.proxies)?;
        let annotations = self.annotations.iter().map(|text| annotation::flag(text));
        let annotations = annotations.collect::<Result<Vec<_>, _>>()?.concat();
        let secrets = self.secrets.iter().map(|text| secret::read(text, around.env));
        let secrets = secrets.collect::<Result<_, _>>()?;
        let ssh = agents(&self.ssh, around.env)?;
        let named_contexts = self.build_contexts.iter().map(|text| context::named(text));
        let named_contexts = named_contexts.collect::<Result<_, _>>()?;
        let sources = context::sources(&self.context, self.file.as_deref(), around.stdin)?;
        let (cache_to, inline_cache) = written_caches(&self.cache_to)?;
        let request = BuildRequest {
            dockerfile: sources.dockerfile,
            context: sources.context,
            named_contexts,
            target: self.target.filter(|target| !target.is_empty()),
            build_args,
            labels: labels(&self.labels)?,
            annotations,
            platforms: split(&self.platforms),
            no_cache,
            pull: self.pull.unwrap_or(false),
            network,
            add_hosts: split(&self.add_hosts)
                .iter()
                .map(|t| values::add_host(t))
                .collect::<Result<_, _>>()?,
            shm_size: self.shm_size.as_deref().map(|t| values::bytes("--shm-size", t)).transpose()?,
            ulimits: self.ulimits.iter().map(|text| values::ulimit(text)).collect::<Result<_, _>>()?,
            cgroup_parent: self.cgroup_parent.filter(|group| !group.is_empty()),
            resources: self.resources.resolve()?,
            entitlements: allowed.steps,
            secrets,
            ssh,
            tags: self.tags,
            exports,
            cache_from: caches(cache::Direction::From, &self.cache_from, around.env)?,
            cache_to: caches(cache::Direction::To, &cache_to, around.env)?,
            inline_cache,
            resolv_conf: around.resolv_conf,
        };
        Ok(BuildPlan {
            request,
            call,
            progress,
            quiet,
            load: self.load.unwrap_or(false),
            debug: self.debug.unwrap_or(false),
            explain: self.explain.unwrap_or(false),
            iidfile: self.iidfile,
            metadata_file: self.metadata_file,
            warnings,
            _spool: sources.spool,
        })
    }

    fn progress_mode(&self, around: &Surroundings<'_>) -> Result<Mode, ArgsError> {
        let from_env = around.env.filled(env::BUILDKIT_PROGRESS);
        let (flag, text) = match (&self.progress, from_env) {
            (Some(text), _) => ("--progress", text.as_str()),
            (None, Some(text)) => (env::BUILDKIT_PROGRESS, text),
            (None, None) => ("--progress", "auto"),
        };
        let terminal = around.stderr_is_terminal && around.env.text(env::TERM) != Some("dumb");
        Mode::read(text, terminal)
            .ok_or_else(|| ArgsError::value(flag, text, "expected auto, plain, tty, rawjson, quiet or none"))
    }

    fn isolation(&self) -> Result<(NetworkMode, values::Allowed), ArgsError> {
        let mut allowed = values::Allowed::default();
        split(&self.allow).iter().try_for_each(|text| values::allow(text, &mut allowed))?;
        let network = values::network(self.network.as_deref().unwrap_or("default"))?;
        // asking for it on the command line is allowing it
        allowed.steps.network_host |= network == NetworkMode::Host;
        Ok((network, allowed))
    }

    fn no_cache(&self) -> NoCache {
        let stages = split(&self.no_cache_filters);
        match (self.no_cache.unwrap_or(false), stages.is_empty()) {
            (true, _) => NoCache::All,
            (false, true) => NoCache::Use,
            (false, false) => NoCache::Stages(stages),
        }
    }
}

/// Splits values at commas; what is empty falls away.
fn split(values: &[String]) -> Vec<String> {
    let parts = values.iter().flat_map(|value| value.split(','));
    parts.map(str::trim).filter(|part| !part.is_empty()).map(Into::into).collect()
}

fn check_tags(tags: &[String]) -> Result<(), ArgsError> {
    for tag in tags {
        crate::names::check(tag).map_err(|problem| ArgsError::Tag { tag: tag.clone(), problem })?;
    }
    Ok(())
}

/// Build arguments: those given, then Docker's proxies, then `SOURCE_DATE_EPOCH` of the environment.
fn build_args(
    given: &[String],
    env: &Env,
    proxies: ProxyArgs,
) -> Result<BTreeMap<String, String>, ArgsError> {
    let mut map = BTreeMap::new();
    for text in given {
        let (name, value) = values::pair("--build-arg", text)?;
        match value.or_else(|| env.text(name)) {
            Some(value) => map.insert(name.to_owned(), value.to_owned()),
            None => map.remove(name),
        };
    }
    for (name, value) in proxies {
        map.entry(name).or_insert(value);
    }
    if let Some(epoch) = env.filled(env::SOURCE_DATE_EPOCH) {
        map.entry(env::SOURCE_DATE_EPOCH.into()).or_insert_with(|| epoch.into());
    }
    Ok(map)
}

/// The agents by their ids, each of which is given once.
fn agents(given: &[String], env: &Env) -> Result<BTreeMap<String, SshSource>, ArgsError> {
    let mut agents = BTreeMap::new();
    for text in given {
        let (id, source) = ssh::read(text, env)?;
        if agents.insert(id.clone(), source).is_some() {
            return Err(ArgsError::value("--ssh", text, format!("the id `{id}` is given twice")));
        }
    }
    Ok(agents)
}

fn labels(given: &[String]) -> Result<BTreeMap<String, String>, ArgsError> {
    let pair = |text: &String| {
        let (name, value) = values::pair("--label", text)?;
        Ok((name.to_owned(), value.unwrap_or_default().to_owned()))
    };
    given.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    fn plan(args: &str, env: &[(&str, &str)]) -> Result<BuildPlan, String> {
        let words = ["garboard", "build"].into_iter().chain(args.split_whitespace());
        let cli = Cli::try_parse_from(words).map_err(|e| e.to_string())?;
        let Command::Build(build) = cli.command else { panic!("not a build") };
        let around = Surroundings {
            env: &Env::of(env),
            stdin: &mut std::io::empty(),
            stdout_is_terminal: false,
            stderr_is_terminal: false,
            proxies: vec![("http_proxy".into(), "http://proxy".into())],
            resolv_conf: Vec::new(),
        };
        build.resolve(around).map_err(|e| e.to_string())
    }

    #[test]
    fn flags_may_follow_the_context() {
        let plan =
            plan("/ -t a --platform linux/amd64,linux/arm64 --platform linux/s390x --no-cache=false", &[])
                .unwrap();
        assert_eq!(plan.request.platforms, ["linux/amd64", "linux/arm64", "linux/s390x"]);
        assert_eq!(plan.request.no_cache, NoCache::Use);
        assert_eq!(plan.request.tags, ["a"]);
        assert!(plan.request.exports.is_empty());
    }

    #[test]
    fn build_arguments_come_from_three_places() {
        let env = [("A", "1"), ("SOURCE_DATE_EPOCH", "7")];
        let plan =
            plan("--build-arg A --build-arg B --build-arg C=x=y --build-arg http_proxy=own /", &env).unwrap();
        let args: Vec<_> = plan.request.build_args.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(args, ["A=1", "C=x=y", "SOURCE_DATE_EPOCH=7", "http_proxy=own"]);
    }

    #[test]
    fn network_host_is_its_own_permission() {
        let request = plan("--network host /", &[]).unwrap().request;
        assert!(request.entitlements.network_host);
        assert!(plan("--network container:x /", &[]).unwrap_err().contains("--network"));
    }

    #[test]
    fn progress_comes_from_flag_or_environment() {
        assert_eq!(plan("/", &[]).unwrap().progress, Mode::Plain);
        assert_eq!(plan("/", &[("BUILDKIT_PROGRESS", "rawjson")]).unwrap().progress, Mode::RawJson);
        assert_eq!(
            plan("--progress tty /", &[("BUILDKIT_PROGRESS", "rawjson")]).unwrap().progress,
            Mode::Tty
        );
        assert_eq!(plan("-q --progress tty /", &[]).unwrap().progress, Mode::Quiet);
        assert!(plan("--progress fancy /", &[]).unwrap_err().contains("fancy"));
    }

    #[test]
    fn foreign_flags() {
        let warnings =
            plan("--rm --force-rm=true --squash --security-opt x --provenance=false --sbom false /", &[])
                .unwrap()
                .warnings;
        assert_eq!(warnings.len(), 4, "{warnings:?}");
        assert_eq!(
            plan("--cache-to type=azblob /", &[]).unwrap_err(),
            "`--cache-to type=azblob` is not supported yet"
        );
        assert!(plan("--provenance mode=max /", &[]).is_err());
    }

    #[test]
    fn no_cache_filters_split_at_commas() {
        let request = plan("--no-cache-filter a,b --no-cache-filter c /", &[]).unwrap().request;
        assert_eq!(request.no_cache, NoCache::Stages(vec!["a".into(), "b".into(), "c".into()]));
    }
}
