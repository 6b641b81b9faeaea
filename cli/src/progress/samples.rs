//! Builds as lists of events, for the tests of the displays.

use std::time::{Duration, SystemTime};

use garboard_builder::{Event, Outcome, Stream, Vertex, Warning};

use super::Display;

/// A time of the sample builds, in milliseconds after their begin.
pub(super) fn at(ms: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) + Duration::from_millis(ms)
}

fn started(id: u32, name: &str, ms: u64) -> Event {
    let inputs = if id > 0 { vec![format!("sha256:{:064x}", id - 1)] } else { Vec::new() };
    let vertex = Vertex { id, digest: format!("sha256:{id:064x}"), inputs, name: name.into() };
    Event::Started { vertex, at: at(ms) }
}

fn log(id: u32, text: &str, ms: u64) -> Event {
    Event::Log { id, stream: Stream::Stdout, data: text.into(), at: at(ms) }
}

fn progress(id: u32, name: &str, (current, total, done): (u64, u64, bool), ms: u64) -> Event {
    Event::Progress { id, name: name.into(), current, total, done, at: at(ms) }
}

fn completed(id: u32, outcome: Outcome, ms: u64) -> Event {
    Event::Completed { id, outcome, at: at(ms) }
}

/// A build whose second step fails.
pub(super) fn failing() -> Vec<Event> {
    vec![
        started(0, "[internal] load build definition from Dockerfile", 0),
        progress(0, "transferring dockerfile:", (83, 0, true), 1),
        completed(0, Outcome::Done, 2),
        started(1, "[1/2] FROM docker.io/library/busybox:latest", 100),
        progress(1, "sha256:0011", (0, 3_450_000, false), 110),
        progress(1, "sha256:0011", (1_000_000, 3_450_000, false), 6_000),
        progress(1, "sha256:0011", (3_450_000, 3_450_000, true), 7_000),
        completed(1, Outcome::Done, 7_100),
        started(2, "[2/2] RUN make all", 7_100),
        log(2, "compi", 7_512),
        log(2, "ling\n\x1b[31merror:\x1b[0m no\nhalf a line", 7_600),
        Event::Warning(Warning {
            rule: Some("MaintainerDeprecated".into()),
            message: "Maintainer instruction is deprecated in favor of using label".into(),
            description: Some("A label names the author".into()),
            url: Some("https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/".into()),
            file: Some("Dockerfile".into()),
            lines: Some((2, 2)),
        }),
        completed(
            2,
            Outcome::Failed(
                "process \"/bin/sh -c make all\" did not complete successfully: exit code: 2".into(),
            ),
            8_300,
        ),
    ]
}

/// A build where nothing had to be done.
pub(super) fn cached() -> Vec<Event> {
    vec![
        started(0, "[1/2] FROM docker.io/library/busybox:latest", 0),
        completed(0, Outcome::Done, 0),
        started(1, "[2/2] RUN <<EOF\necho", 3),
        Event::Cached { id: 1 },
        completed(1, Outcome::Done, 3),
        started(2, "exporting to image", 4),
        progress(2, "exporting layers", (0, 0, true), 5),
        completed(2, Outcome::Done, 60),
    ]
}

/// Two stages that run at the same time; one is long and talks, the other is given up at the end.
pub(super) fn parallel() -> Vec<Event> {
    vec![
        started(0, "[a 2/2] RUN long", 0),
        started(1, "[b 2/2] RUN short", 10),
        log(0, "a1\n", 100),
        log(1, "b1\n", 200),
        log(0, "a2\n", 300),
        log(1, "b2\n", 4_000),
        log(0, "a3\n", 5_200),
        completed(1, Outcome::Done, 5_300),
        started(2, "[c 2/2] RUN other", 5_400),
        log(2, "c1\n", 5_500),
        log(0, "a4\n", 6_000),
        completed(2, Outcome::Canceled, 6_100),
        completed(0, Outcome::Done, 6_200),
    ]
}

/// What a display writes for these events, each rendered at its time.
pub(super) fn text(mut display: impl Display, events: &[Event]) -> String {
    let mut out = Vec::new();
    let mut now = at(0);
    for event in events {
        now = time_of(event).unwrap_or(now);
        display.event(event);
        display.render(now, &mut out);
    }
    display.finish(now, &mut out);
    String::from_utf8(out).unwrap().replace('\x1b', "␛")
}

/// The time of an event.
pub(super) fn time_of(event: &Event) -> Option<SystemTime> {
    match event {
        Event::Started { at, .. }
        | Event::Log { at, .. }
        | Event::Progress { at, .. }
        | Event::Completed { at, .. } => Some(*at),
        Event::Cached { .. } | Event::Explained { .. } | Event::Warning(_) => None,
    }
}
