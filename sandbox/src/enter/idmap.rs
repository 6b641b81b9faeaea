//! Which ids are mapped to which: the kernel's maps and the files of subordinate ids.

use std::fmt::Write as _;
use std::fs;

/// The kernel takes no more lines in one map.
const MAX_LINES: usize = 340;

/// One line of an id map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// First id inside the namespace.
    pub(super) inside: u32,
    /// First id outside.
    pub(super) outside: u32,
    /// How many.
    pub(super) count: u32,
}

/// The ids known to this process, as the kernel tells in `/proc/self/{name}`; none when it does not.
pub(super) fn current(name: &str) -> Vec<Line> {
    parse(&fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default())
}

fn parse(text: &str) -> Vec<Line> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace().map(|field| field.parse().ok());
            Some(Line { inside: fields.next()??, outside: fields.next()??, count: fields.next()?? })
        })
        .collect()
}

/// The subordinate ranges, first and count, that a text in the format of subuid(5) gives to a user, who may be
/// named or numbered in it.
pub(super) fn ranges(text: &str, user_name: &str, uid: u32) -> Vec<(u32, u32)> {
    let uid = uid.to_string();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.trim().split(':');
            let owner = fields.next()?;
            if owner.is_empty() || (owner != user_name && owner != uid) {
                return None;
            }
            let (first, count) = (fields.next()?.parse::<u32>().ok()?, fields.next()?.parse::<u32>().ok()?);
            let whole = count > 0 && first.checked_add(count - 1).is_some();
            whole.then_some((first, count))
        })
        .collect()
}

/// The map that has the caller's id as 0 and the ranges from 1 on.
pub(super) fn plan(id: u32, ranges: &[(u32, u32)]) -> Vec<Line> {
    let mut map = vec![Line { inside: 0, outside: id, count: 1 }];
    let mut next = 1_u32;
    for &(outside, count) in ranges {
        // 4294967295 is no id.
        let count = count.min(u32::MAX - next);
        if count == 0 || map.len() == MAX_LINES {
            break;
        }
        map.push(Line { inside: next, outside, count });
        next += count;
    }
    map
}

/// The text that the kernel's map files take.
pub(super) fn text(map: &[Line]) -> String {
    let mut text = String::new();
    for Line { inside, outside, count } in map {
        let _ = writeln!(text, "{inside} {outside} {count}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_of_a_user_by_name_and_number() {
        let text =
            "# comment\nalice:100000:65536\nbob:1:1\n1000:300000:10\nalice:broken\nalice:4294967295:2\n";
        assert_eq!(ranges(text, "alice", 1000), [(100_000, 65536), (300_000, 10)]);
        assert_eq!(ranges(text, "", 7), []);
    }

    #[test]
    fn the_map_starts_with_the_caller() {
        let map = plan(1000, &[(100_000, 65536), (300_000, 10)]);
        assert_eq!(text(&map), "0 1000 1\n1 100000 65536\n65537 300000 10\n");
    }

    #[test]
    fn the_kernels_own_map_is_read() {
        assert_eq!(
            parse("         0          0 4294967295\n"),
            [Line { inside: 0, outside: 0, count: u32::MAX }]
        );
        assert_eq!(parse("junk\n1 2\n"), []);
    }

    proptest! {
        #[test]
        fn any_text_gives_a_map_without_overflow(text in "([a-c0-9:]{0,30}\n){0,20}", uid in any::<u32>()) {
            let map = plan(uid, &ranges(&text, "a", uid));
            prop_assert!(map.len() <= MAX_LINES);
            for pair in map.windows(2) {
                prop_assert_eq!(pair[0].inside + pair[0].count, pair[1].inside);
            }
        }
    }
}
