//! `build --call`: questions about a Dockerfile.

use std::io;
use std::sync::Arc;

use tokio::sync::Notify;

use super::{Setting, build, result_files};
use crate::answer::{self, Answer};
use crate::args::{Ask, BuildPlan, Question};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::{engine, interrupt};

/// Answers on standard output.
pub(super) fn run(plan: &BuildPlan, ask: Ask, setting: &Setting<'_>) -> Result<(), Failure> {
    let (answer, failure) = answer_to(plan, ask, setting)?;
    if ask.json {
        setting.printer.line(&answer.json)?;
    } else {
        setting.printer.data(&answer.text)?;
    }
    failure.map_or(Ok(()), Err)
}

/// The answer, and what is wrong all the same.
///
/// # Errors
/// Where there is none.
pub(super) fn answer_to(
    plan: &BuildPlan,
    ask: Ask,
    setting: &Setting<'_>,
) -> Result<(Answer, Option<Failure>), Failure> {
    let (answer, error) = match ask.question {
        Question::Describe => (answer::describe(), None),
        question => {
            let settings = setting.settings()?;
            settings.heard.hold();
            let identity = engine::enter_or_stay(setting.env, setting.printer);
            let engine = engine::make(&settings, setting.env, &identity)?;
            let answered = build::in_runtime(answer(plan, question, &engine, setting));
            build::tell(plan, &settings, setting);
            answered?
        }
    };
    if let Some(path) = &plan.metadata_file {
        result_files::write(path, format!("{:#}\n", result_files::answer(&answer)).as_bytes())?;
    }
    let found = answer.failed && !ask.ignore_status;
    let failure = error.or_else(|| found.then_some(Failure::Reported));
    Ok((answer, failure))
}

/// Asks the engine; the error is one that is part of the answer.
async fn answer(
    plan: &BuildPlan,
    question: Question,
    engine: &garboard_builder::Engine,
    setting: &Setting<'_>,
) -> Result<(Answer, Option<Failure>), Failure> {
    let canceled = Arc::new(Notify::new());
    interrupt::listen(canceled.clone())
        .map_err(|error| Failure::because("can't listen for signals", &error))?;
    let cancel = engine::switch(canceled)?;
    let progress = Progress::start(build::view(plan, setting), Box::new(io::stderr()));
    let sink = progress.sink();
    let events: garboard_builder::EventSink = Arc::new(move |event| sink.send(event));
    let failed = |failure| Failure::Build(Box::new(failure));
    let result = match question {
        Question::Check => engine.check(&plan.request, events, &cancel).await.map(|mut report| {
            let answer = answer::check(&report);
            (answer, report.error.take().map(failed))
        }),
        Question::Outline => {
            engine.outline(&plan.request, events, &cancel).await.map(|found| (answer::outline(&found), None))
        }
        Question::Targets | Question::Describe => {
            engine.targets(&plan.request, events, &cancel).await.map(|found| (answer::targets(&found), None))
        }
    };
    build::warn(plan, &progress.finish(), setting);
    result.map_err(failed)
}
