//! `--filter` of `du` and `prune`.

use garboard_cache::{UsageFilter, UsageKind};

use super::ArgsError;
use super::values::boolean_of;
use crate::text::similar;

const FLAG: &str = "--filter";
/// All kinds, in the order in which they are shown.
pub(crate) const KINDS: [UsageKind; 4] =
    [UsageKind::Layer, UsageKind::Blob, UsageKind::CacheMount, UsageKind::Internal];
const KEYS: [&str; 11] = [
    "until",
    "unused-for",
    "type",
    "id",
    "description",
    "image",
    "inuse",
    "shared",
    "private",
    "mutable",
    "immutable",
];

/// What BuildKit calls a kind.
pub(crate) fn kind_name(kind: UsageKind) -> &'static str {
    match kind {
        UsageKind::Layer => "regular",
        UsageKind::Blob => "blob",
        UsageKind::CacheMount => "exec.cachemount",
        UsageKind::Internal => "internal",
    }
}

/// How a filter compares.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compare {
    Is,
    IsNot,
    Has,
}

/// Reads all filters of a command line: `key=value`, `key!=value`, `key~=value`, or a key alone that says yes.
pub(crate) fn read(texts: &[String]) -> Result<UsageFilter, ArgsError> {
    let mut filter = UsageFilter::default();
    texts.iter().try_for_each(|text| add(text, &mut filter))?;
    Ok(filter)
}

fn add(text: &str, filter: &mut UsageFilter) -> Result<(), ArgsError> {
    let error = |problem: String| ArgsError::value(FLAG, text, problem);
    let (key, compare, value) = parts(text);
    let yes = |value: Option<&str>| {
        let is = value.map_or(Ok(true), |value| boolean_of(FLAG, value))?;
        Ok(Some(is == (compare != Compare::IsNot)))
    };
    let needed = || value.filter(|v| !v.is_empty()).ok_or_else(|| error(format!("expected `{key}=value`")));
    let only_is = || match compare {
        Compare::Is => needed(),
        _ => Err(error(format!("`{key}` is only compared by `=`"))),
    };
    match key {
        "until" | "unused-for" => {
            let time =
                garboard_parser::duration::parse(only_is()?).map_err(|problem| error(problem.to_string()))?;
            if filter.older_than.replace(time.as_secs()).is_some() {
                return Err(error("only one time may be given".into()));
            }
        }
        "type" => {
            let name = needed()?;
            let kind = KINDS.into_iter().find(|kind| kind_name(*kind) == name);
            let kind = kind.ok_or_else(|| {
                error(format!("unknown type `{name}`: there are {}", KINDS.map(kind_name).join(", ")))
            })?;
            if compare == Compare::IsNot { &mut filter.other_kinds } else { &mut filter.kinds }.push(kind);
        }
        "id" => match compare {
            Compare::IsNot => return Err(error("ids are not compared by `!=`".into())),
            _ => filter.ids.push(needed()?.into()),
        },
        "description" => {
            // `~` in front of the value was the notation once.
            let text = needed()?.trim_start_matches('~').to_owned();
            let list = match compare {
                Compare::IsNot => &mut filter.other_descriptions,
                _ => &mut filter.descriptions,
            };
            list.push(text);
        }
        "image" => match compare {
            Compare::IsNot => return Err(error("images are not compared by `!=`".into())),
            _ => filter.image = Some(needed()?.into()),
        },
        "inuse" => filter.in_use = yes(value)?,
        "shared" => filter.shared = yes(value)?,
        "private" => filter.shared = yes(value)?.map(|is: bool| !is),
        "mutable" => filter.mutable = yes(value)?,
        "immutable" => filter.mutable = yes(value)?.map(|is: bool| !is),
        _ => {
            let advice =
                similar(key, KEYS).map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
            return Err(error(format!("unknown filter `{key}`{advice}")));
        }
    }
    Ok(())
}

fn parts(text: &str) -> (&str, Compare, Option<&str>) {
    let Some((key, value)) = text.split_once('=') else { return (text, Compare::Is, None) };
    if let Some(key) = key.strip_suffix('!') {
        (key, Compare::IsNot, Some(value))
    } else if let Some(key) = key.strip_suffix('~') {
        (key, Compare::Has, Some(value))
    } else {
        (key, Compare::Is, Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        let all = UsageFilter::default;
        let mount = UsageKind::CacheMount;
        let rows: [(&[&str], UsageFilter); 12] = [
            (&[], all()),
            (&["until=24h"], UsageFilter { older_than: Some(86400), ..all() }),
            (&["unused-for=90m"], UsageFilter { older_than: Some(5400), ..all() }),
            (&["type=exec.cachemount"], UsageFilter { kinds: vec![mount], ..all() }),
            (&["type!=exec.cachemount"], UsageFilter { other_kinds: vec![mount], ..all() }),
            (&["id=abc", "id~=d"], UsageFilter { ids: vec!["abc".into(), "d".into()], ..all() }),
            (&["description=~make"], UsageFilter { descriptions: vec!["make".into()], ..all() }),
            (&["description~=make"], UsageFilter { descriptions: vec!["make".into()], ..all() }),
            (&["description!=make"], UsageFilter { other_descriptions: vec!["make".into()], ..all() }),
            (&["inuse", "private"], UsageFilter { in_use: Some(true), shared: Some(false), ..all() }),
            (
                &["inuse=false", "mutable=0"],
                UsageFilter { in_use: Some(false), mutable: Some(false), ..all() },
            ),
            (
                &["immutable", "image=app"],
                UsageFilter { mutable: Some(false), image: Some("app".into()), ..all() },
            ),
        ];
        for (texts, expected) in rows {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(read(&texts).unwrap(), expected, "{texts:?}");
        }
        for bad in
            ["until", "until=", "until=x", "until!=1h", "type=x", "untl=1h", "inuse=x", "id!=x", "=", ""]
        {
            assert!(read(&[bad.to_owned()]).is_err(), "{bad}");
        }
        assert!(read(&["until=1h".into(), "unused-for=1h".into()]).is_err());
    }
}
