//! Runs the cases in `testdata/copy`.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use garboard_layer::{Mtime, Toc, TreeView};

use super::testing::{operation, show, tree};
use super::{plan, plan_folder};

const NOW: Mtime = Mtime { secs: 99, nanos: 0 };

struct Case {
    copies: Vec<String>,
    source: String,
    dest: String,
    layers: Vec<String>,
    error: Option<String>,
}

fn read_case(text: &str) -> Case {
    let mut case = Case {
        copies: Vec::new(),
        source: String::new(),
        dest: String::new(),
        layers: Vec::new(),
        error: None,
    };
    let mut section = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("-- ").and_then(|l| l.strip_suffix(" --")) {
            name.clone_into(&mut section);
            match name {
                "layer" => case.layers.push(String::new()),
                "error" => case.error = Some(String::new()),
                _ => {}
            }
            continue;
        }
        let into = match section.as_str() {
            "" if line.starts_with('#') => continue,
            "" => {
                case.copies.push(line.to_owned());
                continue;
            }
            "source" => &mut case.source,
            "dest" => &mut case.dest,
            "layer" => case.layers.last_mut().expect("a layer"),
            "error" => case.error.as_mut().expect("an error"),
            other => panic!("unknown section {other}"),
        };
        into.push_str(line);
        into.push('\n');
    }
    case
}

fn run(case: &Case) -> Result<Vec<String>, Box<dyn Error>> {
    let source = tree(&case.source);
    let mut dest = tree(&case.dest);
    let mut shown = Vec::new();
    for line in &case.copies {
        let op = operation(line)?;
        let entries = plan(&op, &source, &dest, NOW)?;
        shown.push(show(&entries, &source, &op));
        let toc = Toc::new(entries.iter().map(|planned| planned.entry.clone()).collect());
        let sorted: Vec<_> = entries.into_iter().map(|planned| planned.entry).collect();
        assert_eq!(toc.entries(), sorted, "not in the order of a table");
        let layers = dest.layers().iter().cloned().chain([Arc::new(toc)]);
        dest = TreeView::new(layers.collect());
    }
    Ok(shown)
}

#[test]
fn all_cases() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/copy");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|e| e == "txt")).collect();
    files.sort();
    let mut problems = Vec::new();
    let mut count = 0;
    for file in files {
        for text in std::fs::read_to_string(&file).unwrap().split("====\n") {
            count += 1;
            let title = format!("{}: {}", file.file_stem().unwrap().display(), text.lines().next().unwrap());
            let case = read_case(text);
            match (run(&case), &case.error) {
                (Ok(layers), None) if layers == case.layers => {}
                (Ok(layers), _) => problems.push(format!("{title}\n{}", layers.join("-- layer --\n"))),
                (Err(error), Some(part)) if error.to_string().contains(part.trim()) => {}
                (Err(error), _) => problems.push(format!("{title}\n{error}\n")),
            }
        }
    }
    assert!(problems.is_empty(), "{} of {count} cases differ:\n{}", problems.len(), problems.join("\n"));
    assert!(count > 80, "only {count} cases were found");
}

#[test]
fn folders_for_archives() {
    let op = operation("ADD --chmod=700 --chown=5:6 a.tar /l/new/er").unwrap();
    let dest = tree("l -> real\nreal/ 711\n");
    let (path, entries) = plan_folder(&op, &dest, NOW).unwrap();
    assert_eq!(path, b"real/new/er");
    assert_eq!(show(&entries, &dest, &op), "real/ 711\nreal/new/ 5:6 @99\nreal/new/er/ 5:6 @99\n");
    let (path, entries) = plan_folder(&operation("ADD a.tar /l").unwrap(), &dest, NOW).unwrap();
    assert_eq!((path.as_slice(), entries.len()), (b"real".as_slice(), 0));
}

#[test]
fn destinations() {
    let rows = [
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("/a/.", "/a/"),
        ("/", "/"),
        ("", "/w/"),
        (".", "/w/"),
        ("./x", "/w/x"),
        ("..", "/"),
        ("x/..", "/w/"),
        ("../../x", "/x"),
        ("//a//b/./../c", "/a/c"),
    ];
    for (text, wanted) in rows {
        assert_eq!(super::join_destination("/w", text), wanted, "{text}");
    }
}
