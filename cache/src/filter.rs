//! Which things of a store are meant.

use crate::{UsageItem, UsageKind};

/// What `du` shows and `prune` may remove. By default all; an item has to fit everything that is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageFilter {
    /// Only what was not used for this many seconds (`until=24h`).
    pub older_than: Option<u64>,
    /// Only these kinds; empty for all.
    pub kinds: Vec<UsageKind>,
    /// None of these kinds.
    pub other_kinds: Vec<UsageKind>,
    /// Only items with these ids (or an id that begins so); empty for all.
    pub ids: Vec<String>,
    /// Only items whose description contains all of these.
    pub descriptions: Vec<String>,
    /// Only items whose description contains none of these.
    pub other_descriptions: Vec<String>,
    /// Only what an image of this name needs (or one whose name contains this).
    pub image: Option<String>,
    /// Whether a running build or a named image needs it.
    pub in_use: Option<bool>,
    /// Whether a named image needs it.
    pub shared: Option<bool>,
    /// Whether it still changes: cache mounts and internal caches do.
    pub mutable: Option<bool>,
}

impl UsageFilter {
    /// Whether an item is meant, at a time in seconds since 1970.
    pub fn lets_through(&self, item: &UsageItem, now: i64) -> bool {
        let fits = |wanted: Option<bool>, is: bool| wanted.is_none_or(|wanted| wanted == is);
        let has = |text: &String| item.description.contains(text.as_str());
        self.older_than.is_none_or(|age| item.last_used <= now.saturating_sub_unsigned(age))
            && (self.kinds.is_empty() || self.kinds.contains(&item.kind))
            && !self.other_kinds.contains(&item.kind)
            && (self.ids.is_empty() || self.ids.iter().any(|id| item.id.starts_with(id.as_str())))
            && self.descriptions.iter().all(has)
            && !self.other_descriptions.iter().any(has)
            && self
                .image
                .as_ref()
                .is_none_or(|image| item.images.iter().any(|name| name.contains(image.as_str())))
            && fits(self.in_use, item.in_use)
            && fits(self.shared, item.is_shared())
            && fits(self.mutable, item.is_mutable())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_said_has_to_fit() {
        let item = UsageItem {
            kind: UsageKind::Layer,
            id: "abc".into(),
            size: 1,
            created: 0,
            last_used: 100,
            description: "[2/3] RUN make all".into(),
            in_use: true,
            images: vec!["docker.io/library/app:1".into()],
            duration_ms: None,
            parent: None,
        };
        let all = UsageFilter::default;
        let rows = [
            (all(), true),
            (UsageFilter { older_than: Some(100), ..all() }, true),
            (UsageFilter { older_than: Some(101), ..all() }, false),
            (UsageFilter { older_than: Some(u64::MAX), ..all() }, false),
            (UsageFilter { kinds: vec![UsageKind::Blob, UsageKind::Layer], ..all() }, true),
            (UsageFilter { kinds: vec![UsageKind::Blob], ..all() }, false),
            (UsageFilter { other_kinds: vec![UsageKind::Layer], ..all() }, false),
            (UsageFilter { ids: vec!["x".into(), "ab".into()], ..all() }, true),
            (UsageFilter { ids: vec!["bc".into()], ..all() }, false),
            (UsageFilter { descriptions: vec!["make".into(), "RUN".into()], ..all() }, true),
            (UsageFilter { descriptions: vec!["make".into(), "COPY".into()], ..all() }, false),
            (UsageFilter { other_descriptions: vec!["make".into()], ..all() }, false),
            (UsageFilter { image: Some("app".into()), ..all() }, true),
            (UsageFilter { image: Some("other".into()), ..all() }, false),
            (UsageFilter { in_use: Some(false), ..all() }, false),
            (UsageFilter { shared: Some(true), mutable: Some(false), ..all() }, true),
            (UsageFilter { shared: Some(true), mutable: Some(true), ..all() }, false),
        ];
        for (filter, expected) in rows {
            assert_eq!(filter.lets_through(&item, 200), expected, "{filter:?}");
        }
    }
}
