//! `du`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use garboard_cache::UsageItem;
use serde_json::{Value, json};

use super::{Setting, age_of};
use crate::args::usage_filter::kind_name;
use crate::args::{DuArgs, UsageGroup, usage_filter};
use crate::engine;
use crate::failure::Failure;
use crate::table::table;
use crate::template::Template;
use crate::text::{cut, printable, seconds, size};

/// Columns that a description may take.
const WIDTH: usize = 60;
/// Ages by which things are summed up: less than so many seconds.
const AGES: [(i64, &str); 5] = [
    (3600, "used in the last hour"),
    (86_400, "used in the last day"),
    (7 * 86_400, "used in the last week"),
    (30 * 86_400, "used in the last month"),
    (i64::MAX, "older"),
];

/// Shows what takes up the disk.
pub(crate) fn run(args: &DuArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let filter = usage_filter::read(&args.filters)?;
    let template = match args.format.as_str() {
        "table" | "pretty" | "json" => None,
        text => Some(Template::parse(text)?),
    };
    let store = engine::store(&setting.settings()?)?;
    let now = jiff::Timestamp::now().as_second();
    let mut items = store.usage()?;
    items.retain(|item| filter.lets_through(item, now));
    if let Some(template) = template {
        return items.iter().try_for_each(|item| setting.printer.line(template.fill(&value(item))?));
    }
    if args.format == "json" {
        let values: Vec<_> = items.iter().map(value).collect();
        return setting.printer.json(&values);
    }
    let text = if args.format == "pretty" || setting.global.verbose > 0 {
        blocks(&items) + &totals(&items)
    } else if args.items {
        items_table(&items)
    } else {
        sums(&items, args.by.unwrap_or(UsageGroup::Type), now)
    };
    setting.printer.data(text)
}

fn value(item: &UsageItem) -> Value {
    json!({
        "type": kind_name(item.kind),
        "id": item.id,
        "size": item.size,
        "created": item.created,
        "lastUsed": item.last_used,
        "description": item.description,
        "inUse": item.in_use,
        "reclaimable": !item.in_use,
        "shared": item.is_shared(),
        "mutable": item.is_mutable(),
        "images": item.images,
        "parent": item.parent,
        "durationMs": item.duration_ms,
    })
}

/// Every item, with the sum of all below.
pub(super) fn items_table(items: &[UsageItem]) -> String {
    let rows: Vec<_> = items
        .iter()
        .map(|item| {
            let id = cut(&printable(&item.id), WIDTH / 2);
            let used = if item.in_use { "in use".into() } else { age_of(item.last_used) };
            [id, kind_name(item.kind).to_owned(), size(item.size), used, cut(&line(&item.description), WIDTH)]
        })
        .collect();
    table(["ID", "TYPE", "SIZE", "LAST USED", "DESCRIPTION"], &rows)
}

/// Every item with all that is known of it.
pub(super) fn blocks(items: &[UsageItem]) -> String {
    let mut text = String::new();
    for item in items {
        let mut row = |name: &str, value: String| {
            // Writing to a string can't fail.
            let _ = writeln!(text, "{:<14} {value}", format!("{name}:"));
        };
        row("ID", printable(&item.id));
        if let Some(parent) = &item.parent {
            row("Parent", printable(parent));
        }
        row("Created at", jiff::Timestamp::from_second(item.created).unwrap_or_default().to_string());
        row("Mutable", item.is_mutable().to_string());
        row("Reclaimable", (!item.in_use).to_string());
        row("Shared", item.is_shared().to_string());
        row("Size", size(item.size));
        if !item.description.is_empty() {
            row("Description", line(&item.description));
        }
        if let Some(ms) = item.duration_ms {
            row("Took", seconds(Duration::from_millis(ms)));
        }
        for image in &item.images {
            row("Image", printable(image));
        }
        row("Last used", age_of(item.last_used));
        row("Type", kind_name(item.kind).to_owned());
        text.push('\n');
    }
    text
}

fn totals(items: &[UsageItem]) -> String {
    let sum = |fits: fn(&UsageItem) -> bool| size(items.iter().filter(|i| fits(i)).map(|i| i.size).sum());
    format!(
        "Shared:        {}\nPrivate:       {}\nReclaimable:   {}\nTotal:         {}\n",
        sum(UsageItem::is_shared),
        sum(|item| !item.is_shared()),
        sum(|item| !item.in_use),
        sum(|_| true)
    )
}

/// Sums by group: by type and by age in their order, else the biggest first.
fn sums(items: &[UsageItem], by: UsageGroup, now: i64) -> String {
    let mut groups: BTreeMap<(usize, String), Vec<&UsageItem>> = BTreeMap::new();
    if by == UsageGroup::Type {
        // Also those of which there are none.
        groups.extend(
            usage_filter::KINDS.iter().enumerate().map(|(at, k)| ((at, kind_name(*k).into()), vec![])),
        );
    }
    for item in items {
        groups.entry(group(item, by, now)).or_default().push(item);
    }
    let total = |items: &[&UsageItem]| items.iter().map(|item| item.size).sum::<u64>();
    let mut groups: Vec<_> = groups.into_iter().collect();
    if matches!(by, UsageGroup::Image | UsageGroup::Step) {
        groups.sort_by_key(|(_, items)| std::cmp::Reverse(total(items)));
    }
    let row = |name: &str, items: &[&UsageItem]| {
        let free: u64 = items.iter().filter(|item| !item.in_use).map(|item| item.size).sum();
        [name.to_owned(), items.len().to_string(), size(total(items)), size(free)]
    };
    let mut rows: Vec<_> = groups.iter().map(|((_, name), items)| row(name, items)).collect();
    rows.push(row("total", &items.iter().collect::<Vec<_>>()));
    let head = match by {
        UsageGroup::Type => "TYPE",
        UsageGroup::Image => "IMAGE",
        UsageGroup::Step => "STEP",
        UsageGroup::Age => "AGE",
    };
    table([head, "COUNT", "SIZE", "RECLAIMABLE"], &rows)
}

/// What an item is summed up under, with its place among the groups.
fn group(item: &UsageItem, by: UsageGroup, now: i64) -> (usize, String) {
    match by {
        UsageGroup::Type => {
            let at = usage_filter::KINDS.iter().position(|kind| *kind == item.kind);
            (at.unwrap_or_default(), kind_name(item.kind).to_owned())
        }
        UsageGroup::Image => match &item.images[..] {
            [] => (1, "(no image)".to_owned()),
            names => (0, cut(&line(&names.join(", ")), WIDTH)),
        },
        UsageGroup::Step if item.description.is_empty() => (1, format!("({})", kind_name(item.kind))),
        UsageGroup::Step => (0, cut(&line(&item.description), WIDTH)),
        UsageGroup::Age => {
            let age = now.saturating_sub(item.last_used);
            let at = AGES.iter().position(|(limit, _)| age < *limit).unwrap_or(AGES.len() - 1);
            (at, AGES[at].1.to_owned())
        }
    }
}

/// A text on one line.
fn line(text: &str) -> String {
    printable(&text.replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use garboard_cache::UsageKind;

    use super::*;

    fn item(kind: UsageKind, size: u64, last_used: i64, description: &str, images: &[&str]) -> UsageItem {
        UsageItem {
            kind,
            id: "id".into(),
            size,
            created: 0,
            last_used,
            description: description.into(),
            in_use: !images.is_empty(),
            images: images.iter().map(|name| (*name).to_owned()).collect(),
            duration_ms: Some(1500),
            parent: None,
        }
    }

    fn items() -> Vec<UsageItem> {
        vec![
            item(UsageKind::Layer, 1000, 90_000, "[2/3] RUN make", &["a:1", "b:1"]),
            item(UsageKind::Layer, 5000, 99_000, "[2/3] RUN make", &[]),
            // stamped by a clock that was ahead
            item(UsageKind::CacheMount, 300, 200_000, "/root/.cache\nx", &[]),
            item(UsageKind::Blob, 20, -900_000, "", &["a:1"]),
        ]
    }

    #[test]
    fn sums_by_anything() {
        let rows = [
            (
                UsageGroup::Type,
                "TYPE              COUNT   SIZE     RECLAIMABLE\n\
                 regular           2       6.00kB   5.00kB\n\
                 blob              1       20B      0B\n\
                 exec.cachemount   1       300B     300B\n\
                 internal          0       0B       0B\n\
                 total             4       6.32kB   5.30kB\n",
            ),
            (
                UsageGroup::Image,
                "IMAGE        COUNT   SIZE     RECLAIMABLE\n\
                 (no image)   2       5.30kB   5.30kB\n\
                 a:1, b:1     1       1.00kB   0B\n\
                 a:1          1       20B      0B\n\
                 total        4       6.32kB   5.30kB\n",
            ),
            (
                UsageGroup::Step,
                "STEP             COUNT   SIZE     RECLAIMABLE\n\
                 [2/3] RUN make   2       6.00kB   5.00kB\n\
                 /root/.cache x   1       300B     300B\n\
                 (blob)           1       20B      0B\n\
                 total            4       6.32kB   5.30kB\n",
            ),
            (
                UsageGroup::Age,
                "AGE                      COUNT   SIZE     RECLAIMABLE\n\
                 used in the last hour    2       5.30kB   5.30kB\n\
                 used in the last day     1       1.00kB   0B\n\
                 used in the last month   1       20B      0B\n\
                 total                    4       6.32kB   5.30kB\n",
            ),
        ];
        for (by, expected) in rows {
            assert_eq!(sums(&items(), by, 100_000), expected, "{by:?}");
        }
    }

    #[test]
    fn all_that_is_known() {
        let text = blocks(&items()[..1]) + &totals(&items());
        for part in
            ["Took:          1.5s", "Image:         b:1", "Shared:        1.02kB", "Total:         6.32kB"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
