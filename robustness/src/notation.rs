//! The small notations inside of instructions: platforms, durations, modes, ports and signals.

use garboard_parser::{chmod, duration, port, signal};
use garboard_registry::Platform;

/// Properties: platforms and durations that were read can be printed and read again; a mode never sets bits that are
/// none of a mode's; a range of ports is one.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(platform) = text.parse::<Platform>() {
        // The version is not part of the short form.
        let normal = Platform { os_version: None, ..platform.normalized() };
        assert_eq!(normal.normalized(), normal);
        assert_eq!(normal.to_string().parse::<Platform>().map(|again| again.normalized()).ok(), Some(normal));
    }
    if let Ok(time) = duration::parse(text) {
        assert_eq!(duration::parse(&duration::format(time)), Ok(time));
    }
    if let Ok(mode) = chmod::Mode::parse(text) {
        for (bits, is_dir) in [(0, false), (0o644, false), (0o755, true), (0o7777, true)] {
            let once = mode.apply(bits, is_dir);
            assert!(once <= 0o7777, "{once:o}");
            assert!(mode.octal().is_none_or(|octal| octal == once), "{once:o}");
        }
    }
    if let Ok(ports) = port::parse(text) {
        assert!(ports.range.0 <= ports.range.1, "{ports:?}");
        assert_eq!(ports.iter().count(), usize::from(ports.range.1 - ports.range.0) + 1);
    }
    if signal::number(text).is_some() {
        assert!(signal::is_valid(text));
    }
}
