//! Progress for machines: one JSON object a line, with the field names of BuildKit's `rawjson`.

use std::collections::HashMap;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use garboard_builder::{Event, Outcome, Stream, Vertex, VertexId, Warning};
use serde::Serialize;

use super::Display;
use crate::line_range::LineRange;

/// The display.
#[derive(Default)]
pub(crate) struct RawJson {
    vertices: HashMap<VertexId, Known>,
    out: Vec<u8>,
}

/// What later lines about a vertex repeat.
struct Known {
    vertex: Vertex,
    started: SystemTime,
    cached: bool,
    transfers: HashMap<String, SystemTime>,
}

/// One line.
#[derive(Default, Serialize)]
struct Line<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vertexes: Vec<VertexLine<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    statuses: Vec<StatusLine<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logs: Vec<LogLine<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<WarningLine<'a>>,
}

#[derive(Serialize)]
struct VertexLine<'a> {
    digest: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    inputs: &'a [String],
    name: &'a str,
    started: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cached: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct StatusLine<'a> {
    id: &'a str,
    vertex: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    total: u64,
    current: u64,
    timestamp: String,
    started: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed: Option<String>,
}

#[derive(Serialize)]
struct LogLine<'a> {
    vertex: &'a str,
    stream: u8,
    data: String,
    timestamp: String,
}

#[derive(Serialize)]
struct WarningLine<'a> {
    level: u8,
    short: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<[String; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(rename = "sourceInfo", skip_serializing_if = "Option::is_none")]
    source_info: Option<SourceInfo<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    range: Vec<LineRange>,
}

#[derive(Serialize)]
struct SourceInfo<'a> {
    filename: &'a str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// RFC 3339, in UTC.
fn stamp(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| String::new(), |time| time.to_string())
}

impl RawJson {
    fn line(&mut self, event: &Event) {
        let mut line = Line::default();
        match event {
            Event::Started { vertex, at } => {
                let known =
                    Known { vertex: vertex.clone(), started: *at, cached: false, transfers: HashMap::new() };
                let known = self.vertices.entry(vertex.id).insert_entry(known).into_mut();
                line.vertexes.push(vertex_line(known, None));
            }
            Event::Cached { id } => {
                if let Some(known) = self.vertices.get_mut(id) {
                    known.cached = true;
                }
                return; // said when the vertex ends
            }
            Event::Completed { id, outcome, at } => {
                let Some(known) = self.vertices.get(id) else { return };
                line.vertexes.push(vertex_line(known, Some((outcome, *at))));
            }
            Event::Log { id, stream, data, at } => {
                let Some(known) = self.vertices.get(id) else { return };
                line.logs.push(LogLine {
                    vertex: &known.vertex.digest,
                    stream: if *stream == Stream::Stdout { 1 } else { 2 },
                    data: STANDARD.encode(data),
                    timestamp: stamp(*at),
                });
            }
            Event::Progress { id, name, current, total, done, at } => {
                let Some(known) = self.vertices.get_mut(id) else { return };
                let started = *known.transfers.entry(name.clone()).or_insert(*at);
                line.statuses.push(StatusLine {
                    id: name,
                    vertex: &known.vertex.digest,
                    name,
                    total: *total,
                    current: *current,
                    timestamp: stamp(*at),
                    started: stamp(started),
                    completed: done.then(|| stamp(*at)),
                });
            }
            Event::Explained { .. } => {} // BuildKit's form has no place for it
            Event::Warning(warning) => line.warnings.push(warning_line(warning)),
        }
        // the types have neither maps with odd keys nor failing serialisers
        let _ = serde_json::to_writer(&mut self.out, &line);
        self.out.push(b'\n');
    }
}

fn vertex_line<'a>(known: &'a Known, ended: Option<(&'a Outcome, SystemTime)>) -> VertexLine<'a> {
    let error = ended.and_then(|(outcome, _)| match outcome {
        Outcome::Done => None,
        Outcome::Failed(message) => Some(message.as_str()),
        Outcome::Canceled => Some("context canceled"), // what readers of BuildKit's output look for
    });
    VertexLine {
        digest: &known.vertex.digest,
        inputs: &known.vertex.inputs,
        name: &known.vertex.name,
        started: stamp(known.started),
        completed: ended.map(|(_, at)| stamp(at)),
        cached: known.cached,
        error,
    }
}

fn warning_line(warning: &Warning) -> WarningLine<'_> {
    let range = warning.lines.map(LineRange::from);
    WarningLine {
        level: 1,
        short: STANDARD.encode(crate::report::warning_text(warning)),
        detail: warning.description.as_ref().map(|text| [STANDARD.encode(text)]),
        url: warning.url.as_deref(),
        source_info: warning.file.as_deref().map(|filename| SourceInfo { filename }),
        range: range.into_iter().collect(),
    }
}

impl Display for RawJson {
    fn event(&mut self, event: &Event) {
        self.line(event);
    }

    fn render(&mut self, _: SystemTime, out: &mut Vec<u8>) {
        out.append(&mut self.out);
    }

    fn finish(&mut self, _: SystemTime, out: &mut Vec<u8>) {
        out.append(&mut self.out);
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, text};
    use super::*;

    #[test]
    fn build_with_a_failing_step() {
        insta::assert_snapshot!(text(RawJson::default(), &samples::failing()));
    }

    #[test]
    fn cached_build() {
        insta::assert_snapshot!(text(RawJson::default(), &samples::cached()));
    }
}
