//! How the engine answers.

use garboard_parser::Dockerfile;

use super::{CheckReport, Outline, SourceText, Target, TargetList};
use crate::cancel::Cancel;
use crate::dockerfile::{DockerfileText, parse, try_parse};
use crate::engine::{Engine, Input, report, unless_canceled};
use crate::error::Failure;
use crate::outcome::BuildFailure;
use crate::plan::{Planner, warning};
use crate::reporter::{EventSink, Reporter};
use crate::request::{BuildRequest, Entitlements};
use crate::source::FetchedContext;

impl Engine {
    /// Checks the Dockerfile of a request: all its stages, or those that the request's target needs. The request's platforms
    /// and outputs don't count.
    ///
    /// # Errors
    /// A [`BuildFailure`] if there is no Dockerfile to check, or the user interrupted. That it can't be built is part of
    /// the report.
    pub async fn check(
        &self,
        request: &BuildRequest,
        events: EventSink,
        cancel: &Cancel,
    ) -> std::result::Result<CheckReport, BuildFailure> {
        let reporter = Reporter::new(events);
        let request = without_platforms(request);
        let Input { file, fetched, .. } = &self.input(&request, &reporter, cancel).await?;
        let (found, result) = match try_parse(file, &request) {
            Ok(dockerfile) => {
                let sources = self.image_source(&request);
                let planner =
                    self.planner(&request, &dockerfile, file, &sources, &reporter, fetched.as_ref());
                let work = async { Ok(Box::pin(planner.check()).await) };
                unless_canceled(cancel, work).await.unwrap_or_else(|failure| (Vec::new(), Err(failure)))
            }
            Err((found, failure)) => (found, Err(failure)),
        };
        let error = result.err();
        if let Some(failure) = error.as_ref().filter(|failure| failure.is_canceled()) {
            return Err(report(failure, None, cancel));
        }
        Ok(CheckReport {
            warnings: found.iter().map(|finding| warning(finding, &file.name)).collect(),
            error: error.map(|failure| report(&failure, Some(file), cancel)),
            source: source(file),
        })
    }

    /// Tells what the request's target takes. The request's platforms and outputs don't count.
    ///
    /// # Errors
    /// A [`BuildFailure`] for everything that fails a build before its first step runs.
    pub async fn outline(
        &self,
        request: &BuildRequest,
        events: EventSink,
        cancel: &Cancel,
    ) -> std::result::Result<Outline, BuildFailure> {
        let reporter = Reporter::new(events);
        let request = without_platforms(request);
        let Input { file, fetched, .. } = &self.input(&request, &reporter, cancel).await?;
        let fail = |failure: Failure| report(&failure, Some(file), cancel);
        let dockerfile = parse(file, &request, &reporter).map_err(fail)?;
        let sources = self.image_source(&request);
        let planner = self.planner(&request, &dockerfile, file, &sources, &reporter, fetched.as_ref());
        let parts = unless_canceled(cancel, Box::pin(planner.outline())).await.map_err(fail)?;
        let stage = &dockerfile.stages[parts.stage];
        Ok(Outline {
            name: stage.name.clone(),
            description: stage.description.clone(),
            args: parts.args,
            secrets: parts.secrets,
            ssh: parts.ssh,
            source: source(file),
        })
    }

    /// Lists the targets of the Dockerfile; nothing but the file is read.
    ///
    /// # Errors
    /// A [`BuildFailure`] if there is no Dockerfile, or it can't be parsed.
    pub async fn targets(
        &self,
        request: &BuildRequest,
        events: EventSink,
        cancel: &Cancel,
    ) -> std::result::Result<TargetList, BuildFailure> {
        let reporter = Reporter::new(events);
        let Input { file, .. } = &self.input(request, &reporter, cancel).await?;
        let fail = |failure: Failure| report(&failure, Some(file), cancel);
        let dockerfile = try_parse(file, request).map_err(|(_, failure)| fail(failure))?;
        let last = dockerfile.stages.len() - 1;
        let target = |(index, stage): (usize, garboard_parser::Stage)| Target {
            name: stage.name,
            default: index == last,
            description: stage.description,
            base: stage.base,
            platform: stage.platform,
            lines: stage.lines,
        };
        let targets = dockerfile.stages.into_iter().enumerate().map(target).collect();
        Ok(TargetList { targets, source: source(file) })
    }

    /// Context and Dockerfile, unless the user interrupts.
    async fn input(
        &self,
        request: &BuildRequest,
        reporter: &Reporter,
        cancel: &Cancel,
    ) -> std::result::Result<Input, BuildFailure> {
        let opened = Box::pin(unless_canceled(cancel, self.open(request, reporter))).await;
        opened.map_err(|e| report(&e, None, cancel))
    }

    fn planner<'a>(
        &'a self,
        request: &'a BuildRequest,
        dockerfile: &'a Dockerfile,
        file: &'a DockerfileText,
        sources: &'a crate::source::ImageSource,
        reporter: &'a Reporter,
        fetched: Option<&'a FetchedContext>,
    ) -> Planner<'a> {
        Planner {
            request,
            dockerfile,
            file_name: &file.name,
            ignore_beside: file.path.as_deref(),
            sources,
            links: &crate::link::NoLinks,
            reporter,
            platform: &self.options.platform,
            fetched,
        }
    }
}

/// The request for this machine's platform. Nothing runs, so steps may ask for whatever they like.
fn without_platforms(request: &BuildRequest) -> BuildRequest {
    let entitlements = Entitlements { network_host: true, security_insecure: true };
    BuildRequest { platforms: Vec::new(), entitlements, ..request.clone() }
}

fn source(file: &DockerfileText) -> SourceText {
    SourceText { file: file.name.clone(), text: file.text.clone() }
}
