//! `du`.

use garboard_cache::{UsageItem, UsageKind};
use serde_json::json;

use super::{Setting, age_of};
use crate::args::{DuArgs, TableFormat};
use crate::engine;
use crate::failure::Failure;
use crate::table::table;
use crate::text::{cut, printable, size};

const KINDS: [UsageKind; 4] = [UsageKind::Layer, UsageKind::Blob, UsageKind::CacheMount, UsageKind::Internal];
/// Columns that a description may take.
const WIDTH: usize = 60;

/// What BuildKit calls a kind; `prune --filter type=` takes the same words.
pub(super) fn kind_name(kind: UsageKind) -> &'static str {
    match kind {
        UsageKind::Layer => "regular",
        UsageKind::Blob => "blob",
        UsageKind::CacheMount => "exec.cachemount",
        UsageKind::Internal => "internal",
    }
}

/// The kind of this name.
pub(super) fn kind_named(name: &str) -> Option<UsageKind> {
    KINDS.into_iter().find(|kind| kind_name(*kind) == name)
}

/// Shows what takes up the disk.
pub(crate) fn run(args: &DuArgs, setting: &Setting<'_>) -> Result<(), Failure> {
    let store = engine::store(&setting.settings()?)?;
    let items = store.usage()?;
    if args.format == TableFormat::Json {
        let values: Vec<_> = items.iter().map(value).collect();
        return setting.printer.json(&values);
    }
    let text = if args.items { items_table(&items) } else { sums(&items) };
    setting.printer.data(text)
}

fn value(item: &UsageItem) -> serde_json::Value {
    json!({
        "type": kind_name(item.kind),
        "id": item.id,
        "size": item.size,
        "created": item.created,
        "lastUsed": item.last_used,
        "description": item.description,
        "inUse": item.in_use,
    })
}

/// Every item, with the sum of all below.
pub(super) fn items_table(items: &[UsageItem]) -> String {
    let rows: Vec<_> = items
        .iter()
        .map(|item| {
            let id = cut(&printable(&item.id), WIDTH / 2);
            let description = cut(&printable(&item.description.replace('\n', " ")), WIDTH);
            let used = if item.in_use { "in use".into() } else { age_of(item.last_used) };
            [id, kind_name(item.kind).to_owned(), size(item.size), used, description]
        })
        .collect();
    table(["ID", "TYPE", "SIZE", "LAST USED", "DESCRIPTION"], &rows)
}

fn sums(items: &[UsageItem]) -> String {
    let row = |name: &str, items: &[&UsageItem]| {
        let all: u64 = items.iter().map(|item| item.size).sum();
        let free: u64 = items.iter().filter(|item| !item.in_use).map(|item| item.size).sum();
        [name.to_owned(), items.len().to_string(), size(all), size(free)]
    };
    let mut rows: Vec<_> = KINDS
        .into_iter()
        .map(|kind| row(kind_name(kind), &items.iter().filter(|item| item.kind == kind).collect::<Vec<_>>()))
        .collect();
    rows.push(row("total", &items.iter().collect::<Vec<_>>()));
    table(["TYPE", "COUNT", "SIZE", "RECLAIMABLE"], &rows)
}
