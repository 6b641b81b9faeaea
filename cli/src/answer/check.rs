//! What checks find.

use std::fmt::Write;

use garboard_builder::{BuildFailure, CheckReport, SourcePlace, SourceText, Warning};
use serde::Serialize;

use super::Answer;
use super::place::{Location, encoded};
use crate::report;
use crate::style::Palette;
use crate::text::printable;

#[derive(Serialize)]
struct Json<'a> {
    warnings: Vec<Found<'a>>,
    sources: [Source<'a>; 1],
    #[serde(rename = "buildError", skip_serializing_if = "Option::is_none")]
    error: Option<Error<'a>>,
}

#[derive(Serialize)]
struct Found<'a> {
    #[serde(rename = "ruleName")]
    rule: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    detail: &'a str,
    location: Location,
}

#[derive(Serialize)]
struct Source<'a> {
    filename: &'a str,
    data: String,
    language: &'static str,
}

#[derive(Serialize)]
struct Error<'a> {
    message: &'a str,
    location: Location,
}

/// The findings; the text leaves the error to whoever prints errors.
pub(crate) fn check(report: &CheckReport) -> Answer {
    let SourceText { file, text } = &report.source;
    let json = Json {
        warnings: report.warnings.iter().map(found).collect(),
        sources: [Source { filename: file, data: encoded(text), language: "Dockerfile" }],
        error: report.error.as_ref().map(error),
    };
    let failed = !report.warnings.is_empty() || report.error.is_some();
    Answer { failed, ..Answer::new(printed(report), &json) }
}

fn found(warning: &Warning) -> Found<'_> {
    Found {
        rule: warning.rule.as_deref().unwrap_or_default(),
        description: warning.description.as_deref(),
        url: warning.url.as_deref(),
        detail: &warning.message,
        location: Location::of(warning.lines),
    }
}

fn error(failure: &BuildFailure) -> Error<'_> {
    let ranges = failure.source_excerpt.iter().flat_map(|place| place.ranges.iter().copied());
    Error { message: &failure.message, location: Location::of(ranges) }
}

fn printed(report: &CheckReport) -> String {
    let mut out = match (report.warnings.len(), &report.error) {
        (0, Some(_)) => String::new(),
        (0, None) => "Check complete, no warnings found.\n".to_owned(),
        (1, _) => "Check complete, 1 warning has been found!\n".to_owned(),
        (count, _) => format!("Check complete, {count} warnings have been found!\n"),
    };
    let mut place = SourcePlace {
        file: report.source.file.clone(),
        text: report.source.text.clone(),
        ranges: Vec::new(),
        column: None,
    };
    for warning in &report.warnings {
        let rule = warning.rule.as_deref().unwrap_or_default();
        let url = warning.url.as_ref().map_or_else(String::new, |url| format!(" - {url}"));
        let _ = write!(out, "\nWARNING: {rule}{url}\n{}\n", printable(&warning.message));
        place.ranges = warning.lines.into_iter().collect();
        out.push_str(&report::excerpt(&place, &Palette::default()));
    }
    if !report.warnings.is_empty() && report.error.is_some() {
        out.push('\n');
    }
    out
}
