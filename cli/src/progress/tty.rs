//! Progress as a picture: a header, a line for each step, the last lines of those that run. It is drawn at most ten
//! times a second, and not at all while a build is as young as a blink.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use garboard_builder::{Event, Outcome, VertexId};
use unicode_width::UnicodeWidthStr;

use super::Display;
use super::model::{LineBuffer, amount, elapsed};
use crate::style::{Palette, Tone};
use crate::text::{cut, printable, seconds};

const INTERVAL: Duration = Duration::from_millis(100);
const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
const CLEAR_TO_LINE_END: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

/// What the picture depends on besides the build.
#[derive(Clone, Copy)]
pub(crate) struct TtyOptions {
    /// How many of a step's last lines are shown.
    pub(crate) log_lines: usize,
    /// Asks for the terminal's columns and lines.
    pub(crate) size: fn() -> (usize, usize),
}

/// The display.
pub(crate) struct Tty {
    palette: Palette,
    options: TtyOptions,
    steps: Vec<Step>,
    index: HashMap<VertexId, usize>,
    began: Option<SystemTime>,
    drawn: Option<SystemTime>,
    /// Lines of the picture that stands on the terminal.
    height: usize,
    cursor_hidden: bool,
}

struct Step {
    name: String,
    started: SystemTime,
    ended: Option<(Outcome, SystemTime)>,
    cached: bool,
    log: LineBuffer,
    last_lines: VecDeque<String>,
    transfers: Vec<Transfer>,
}

struct Transfer {
    name: String,
    current: u64,
    total: u64,
    started: SystemTime,
    updated: SystemTime,
    done: bool,
}

/// One line of the picture.
struct Line {
    text: String,
    time: String,
    tone: Option<Tone>,
    /// What may go when the terminal is too low; the lowest first.
    rank: u8,
}

impl Tty {
    /// An empty picture.
    pub(crate) fn new(palette: Palette, options: TtyOptions) -> Self {
        Self {
            palette,
            options,
            steps: Vec::new(),
            index: HashMap::new(),
            began: None,
            drawn: None,
            height: 0,
            cursor_hidden: false,
        }
    }

    /// The lines of the picture.
    fn picture(&self, now: SystemTime, finished: bool) -> Vec<Line> {
        let took = self.began.map_or(Duration::ZERO, |began| elapsed(began, now));
        let done = self.steps.iter().filter(|step| step.ended.is_some()).count();
        let mut header = format!("[+] Building {} ({done}/{})", seconds(took), self.steps.len());
        if finished {
            header.push_str(" FINISHED");
        }
        let mut lines = vec![Line { text: header, time: String::new(), tone: None, rank: u8::MAX }];
        for step in &self.steps {
            step.lines(now, finished, &mut lines);
        }
        lines
    }

    fn draw(&mut self, now: SystemTime, finished: bool, out: &mut Vec<u8>) {
        let (width, height) = (self.options.size)();
        let mut lines = self.picture(now, finished);
        if !finished {
            fit(&mut lines, height.saturating_sub(1).max(2));
        }
        let mut text = String::new();
        if !self.cursor_hidden {
            text.push_str(HIDE_CURSOR);
            self.cursor_hidden = true;
        }
        if self.height > 0 {
            let _ = write!(text, "\x1b[{}A\r", self.height); // writing to memory doesn't fail
        }
        for line in &lines {
            text.push_str(&line.render(width, &self.palette));
            text.push_str(CLEAR_TO_LINE_END);
            text.push('\n');
        }
        text.push_str(CLEAR_BELOW);
        self.height = lines.len();
        self.drawn = Some(now);
        out.extend_from_slice(text.as_bytes());
    }
}

/// Drops what matters least until the picture has at most `height` lines.
fn fit(lines: &mut Vec<Line>, height: usize) {
    let mut surplus = lines.len().saturating_sub(height);
    for rank in 0..u8::MAX {
        lines.retain(|line| {
            let drop = surplus > 0 && line.rank == rank;
            surplus -= usize::from(drop);
            !drop
        });
        if surplus == 0 {
            return;
        }
    }
}

impl Line {
    fn render(&self, width: usize, palette: &Palette) -> String {
        let room = width.saturating_sub(self.time.len() + 1).max(8);
        let mut text = cut(&self.text, room);
        if !self.time.is_empty() {
            let gap = (room + 1).saturating_sub(text.width()).max(1);
            text.push_str(&" ".repeat(gap));
            text.push_str(&self.time);
        }
        match self.tone {
            Some(tone) => palette.paint(tone, &text),
            None => text,
        }
    }
}

impl Step {
    fn lines(&self, now: SystemTime, finished: bool, lines: &mut Vec<Line>) {
        let (mark, tone) = match &self.ended {
            None => ("", Some(Tone::Running)),
            Some((Outcome::Done, _)) if self.cached => ("CACHED ", Some(Tone::Done)),
            Some((Outcome::Done, _)) => ("", Some(Tone::Done)),
            Some((Outcome::Failed(_), _)) => ("ERROR ", Some(Tone::Error)),
            Some((Outcome::Canceled, _)) => ("CANCELED ", Some(Tone::Canceled)),
        };
        let until = self.ended.as_ref().map_or(now, |(_, at)| *at);
        let running = self.ended.is_none();
        lines.push(Line {
            text: format!(" => {mark}{}", self.name),
            time: seconds(elapsed(self.started, until)),
            tone,
            rank: if running { 4 } else { 1 },
        });
        for transfer in &self.transfers {
            let time = elapsed(transfer.started, if transfer.done { transfer.updated } else { until });
            lines.push(Line {
                text: format!(" => => {}{}", transfer.name, amount(transfer.current, transfer.total)),
                time: seconds(time),
                tone,
                rank: if running && !transfer.done { 3 } else { 0 },
            });
        }
        let failed = matches!(self.ended, Some((Outcome::Failed(_), _)));
        if running && !finished || failed {
            let log = self.last_lines.iter().map(|line| Line {
                text: format!(" => => # {line}"),
                time: String::new(),
                tone: Some(Tone::Faint),
                rank: 2,
            });
            lines.extend(log);
        }
    }

    fn log(&mut self, data: &[u8], keep: usize) {
        let last_lines = &mut self.last_lines;
        self.log.push(data, |line| keep_line(last_lines, line, keep));
    }

    fn end(&mut self, outcome: &Outcome, at: SystemTime, keep: usize) {
        let last_lines = &mut self.last_lines;
        self.log.take(|line| keep_line(last_lines, line, keep));
        self.ended = Some((outcome.clone(), at));
    }

    fn progress(&mut self, name: &str, (current, total, done): (u64, u64, bool), at: SystemTime) {
        if let Some(transfer) = self.transfers.iter_mut().find(|transfer| transfer.name == name) {
            (transfer.current, transfer.total, transfer.done, transfer.updated) = (current, total, done, at);
        } else {
            let name = name.to_owned();
            self.transfers.push(Transfer { name, current, total, started: at, updated: at, done });
        }
    }
}

/// Keeps a line if it has something to say, and only the last ones.
fn keep_line(last_lines: &mut VecDeque<String>, line: &[u8], keep: usize) {
    let line = printable(&String::from_utf8_lossy(line));
    if line.is_empty() || keep == 0 {
        return;
    }
    if last_lines.len() >= keep {
        last_lines.pop_front();
    }
    last_lines.push_back(line);
}

impl Display for Tty {
    fn event(&mut self, event: &Event) {
        let keep = self.options.log_lines;
        if let Event::Started { vertex, at } = event {
            self.began.get_or_insert(*at);
            self.index.insert(vertex.id, self.steps.len());
            self.steps.push(Step {
                name: printable(&vertex.name.replace(['\n', '\r'], " ")),
                started: *at,
                ended: None,
                cached: false,
                log: LineBuffer::default(),
                last_lines: VecDeque::new(),
                transfers: Vec::new(),
            });
            return;
        }
        let id = match event {
            Event::Cached { id }
            | Event::Log { id, .. }
            | Event::Progress { id, .. }
            | Event::Completed { id, .. } => id,
            Event::Started { .. } | Event::Explained { .. } | Event::Warning(_) => return,
        };
        let Some(step) = self.index.get(id).map(|at| &mut self.steps[*at]) else { return };
        match event {
            Event::Cached { .. } => step.cached = true,
            Event::Log { data, .. } => step.log(data, keep),
            Event::Progress { name, current, total, done, at, .. } => {
                step.progress(name, (*current, *total, *done), *at);
            }
            Event::Completed { outcome, at, .. } => step.end(outcome, *at, keep),
            Event::Started { .. } | Event::Explained { .. } | Event::Warning(_) => {}
        }
    }

    fn render(&mut self, now: SystemTime, out: &mut Vec<u8>) {
        let last = self.drawn.or(self.began);
        if last.is_some_and(|last| elapsed(last, now) >= INTERVAL) {
            self.draw(now, false, out);
        }
    }

    fn finish(&mut self, now: SystemTime, out: &mut Vec<u8>) {
        if !self.steps.is_empty() {
            self.draw(now, true, out);
        }
        if self.cursor_hidden {
            out.extend_from_slice(SHOW_CURSOR.as_bytes());
            self.cursor_hidden = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{self, at, text};
    use super::*;

    fn tty(size: fn() -> (usize, usize)) -> Tty {
        Tty::new(Palette::default(), TtyOptions { log_lines: 6, size })
    }

    /// The picture after the events up to `ms`, without escape sequences.
    fn picture(events: &[Event], ms: u64, height: usize) -> String {
        let mut tty = tty(|| (72, 40));
        for event in
            events.iter().take_while(|event| samples::time_of(event).is_none_or(|time| time <= at(ms)))
        {
            tty.event(event);
        }
        let mut lines = tty.picture(at(ms), false);
        fit(&mut lines, height);
        lines.iter().map(|line| line.render(72, &Palette::default()) + "\n").collect()
    }

    #[test]
    fn running() {
        insta::assert_snapshot!(picture(&samples::failing(), 8_000, 40));
    }

    #[test]
    fn low_terminal() {
        insta::assert_snapshot!(picture(&samples::failing(), 8_000, 4));
    }

    #[test]
    fn all_that_is_written() {
        insta::assert_snapshot!(text(tty(|| (60, 40)), &samples::cached()));
    }

    #[test]
    fn failed() {
        insta::assert_snapshot!(text(tty(|| (60, 40)), &samples::failing()));
    }
}
