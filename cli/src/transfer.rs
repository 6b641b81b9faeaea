//! Bars for pulls and pushes: hidden when standard error is no terminal, and before anyone could read them.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle};

use crate::printer::Printer;

/// Redraws in a second.
const RATE: u8 = 10;
/// Digits of a digest that a bar shows.
const DIGITS: usize = 12;

/// A set of bars.
pub(crate) struct Bars {
    bars: MultiProgress,
}

impl Bars {
    /// No bars yet. `quiet`: there will be none.
    pub(crate) fn new(quiet: bool) -> Self {
        let target =
            if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr_with_hz(RATE) };
        Self { bars: MultiProgress::with_draw_target(target) }
    }

    /// A bar for so many bytes of a blob.
    pub(crate) fn add(&self, digest: &str, size: u64) -> ProgressBar {
        let style = ProgressStyle::with_template("{prefix}  {bar:30}  {bytes:>10} / {total_bytes:10} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(size).with_style(style).with_finish(ProgressFinish::AndClear);
        bar.set_prefix(short(digest));
        let bar = self.bars.add(bar);
        bar.enable_steady_tick(Duration::from_millis(250));
        bar
    }

    /// Says remarks above the bars.
    pub(crate) fn speaker(&self, printer: &Printer) -> impl Fn(&str) + Send + Sync + 'static {
        let (bars, printer) = (self.bars.clone(), printer.clone());
        move |text| bars.suspend(|| printer.warn(text))
    }

    /// Takes the bars away.
    pub(crate) fn finish(&self) {
        // there is nothing to do about a terminal that can't be cleared
        let _ = self.bars.clear();
    }
}

/// The first digits of a digest.
pub(crate) fn short(digest: &str) -> String {
    digest.split_once(':').map_or(digest, |(_, hex)| hex).chars().take(DIGITS).collect()
}
