//! Data-driven: `testdata/plan/*.case` says what a Dockerfile becomes, without running anything.
//!
//! A case is lines `build-arg: NAME=VALUE`, `target: NAME`, `platform: P`, `base: NAME CONFIG-JSON` (a base image with one layer),
//! then `-- Dockerfile --`, its text, `-- plan --`, and what comes out: `config KEY = JSON`, `history TEXT`, `layer TEXT`
//! (history with a layer), `step NAME`; or `fails TEXT`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use garboard_registry::{Client, ClientConfig, Platform};

use super::stage::{Evaluation, Stop};
use super::{Contexts, Images, Planner};
use crate::graph::{ContextOp, Graph, OpId};
use crate::image::ImageConfig;
use crate::reporter::Reporter;
use crate::request::{BuildRequest, ContextSource, DockerfileSource};
use crate::source::{BaseImage, BaseLayer, ImageSource};

struct Case {
    request: BuildRequest,
    bases: BTreeMap<String, String>,
    dockerfile: String,
    expected: String,
}

pub(super) fn request() -> BuildRequest {
    BuildRequest::new(DockerfileSource::Text(Vec::new()), ContextSource::Empty)
}

fn read(text: &str) -> Case {
    let (head, rest) = text.split_once("-- Dockerfile --\n").expect("a Dockerfile");
    let (dockerfile, expected) = rest.split_once("-- plan --\n").expect("a plan");
    let mut request = request();
    let mut bases = BTreeMap::new();
    for line in head.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty()) {
        let (key, value) = line.split_once(": ").expect("`key: value`");
        match key {
            "build-arg" => {
                let (name, value) = value.split_once('=').expect("`NAME=VALUE`");
                request.build_args.insert(name.into(), value.into());
            }
            "target" => request.target = Some(value.into()),
            "platform" => request.platforms.push(value.into()),
            "base" => {
                let (name, config) = value.split_once(' ').expect("`NAME CONFIG`");
                bases.insert(name.into(), config.into());
            }
            other => panic!("unknown line `{other}`"),
        }
    }
    Case { request, bases, dockerfile: dockerfile.into(), expected: expected.into() }
}

/// A base image with one layer that nobody will fetch.
pub(crate) fn base(name: &str, config: &str) -> BaseImage {
    let mut image =
        ImageConfig { os: "linux".into(), architecture: "amd64".into(), ..ImageConfig::default() };
    image.config = serde_json::from_str(config).expect("a config");
    let digest = format!("sha256:{}", "0".repeat(64));
    let layer = BaseLayer {
        diff_id: digest.clone(),
        media_type: "application/vnd.oci.image.layer.v1.tar+gzip".into(),
        digest,
        size: 1,
        annotations: BTreeMap::new(),
        urls: Vec::new(),
        origin: None,
    };
    BaseImage::made(name.into(), image, vec![layer])
}

/// The graph of a Dockerfile that is built on one image, called `base`.
pub(crate) fn graph_of(
    dockerfile: &str,
    build_args: BTreeMap<String, String>,
    image: BaseImage,
    context: &Path,
) -> Graph {
    let folder = tempfile::tempdir().expect("a folder");
    let store =
        garboard_cache::Store::open(folder.path(), garboard_cache::OpenOptions::default()).expect("a store");
    let dockerfile = garboard_parser::parse(dockerfile.as_bytes()).expect("a Dockerfile");
    let platform: Platform = "linux/amd64".parse().expect("a platform");
    let planner = Planner {
        links: &crate::link::NoLinks,
        request: &BuildRequest { build_args, ..request() },
        dockerfile: &dockerfile,
        file_name: "Dockerfile",
        ignore_beside: None,
        sources: &ImageSource { store, client: Client::new(ClientConfig::default()), pull: false },
        reporter: &Reporter::new(std::sync::Arc::new(drop)),
        platform: &platform,
        fetched: None,
    };
    let context = ContextOp {
        folder: context.to_owned(),
        ignore_text: String::new(),
        name: String::new(),
        keep_owners: false,
        lasting: false,
    };
    let contexts = Contexts { main: Some(context), named: BTreeMap::new() };
    let images: Images = [(("base".into(), platform.to_string()), Ok(image))].into();
    let mut graph = Graph::default();
    match Evaluation::new(&planner, &platform, false, &contexts, &images).target(&mut graph) {
        Ok(_) => graph,
        Err(Stop::Missing(wanted)) => panic!("wants {wanted:?}"),
        Err(Stop::Failed(failure)) => panic!("{failure}"),
    }
}

fn plan(case: &Case) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let store =
        garboard_cache::Store::open(folder.path(), garboard_cache::OpenOptions::default()).expect("a store");
    let sources = ImageSource { store, client: Client::new(ClientConfig::default()), pull: false };
    let dockerfile = match garboard_parser::parse(case.dockerfile.as_bytes()) {
        Ok(dockerfile) => dockerfile,
        Err(e) => return format!("fails {e}\n"),
    };
    let host: Platform = "linux/amd64".parse().expect("a platform");
    let platforms: Vec<Platform> =
        case.request.platforms.iter().map(|p| p.parse().expect("a platform")).collect();
    let target = platforms.first().unwrap_or(&host);
    let planner = Planner {
        links: &crate::link::NoLinks,
        request: &case.request,
        dockerfile: &dockerfile,
        file_name: "Dockerfile",
        ignore_beside: None,
        sources: &sources,
        reporter: &Reporter::new(std::sync::Arc::new(drop)),
        platform: &host,
        fetched: None,
    };
    let context = ContextOp {
        folder: "/context".into(),
        ignore_text: String::new(),
        name: "[internal] load build context".into(),
        keep_owners: false,
        lasting: true,
    };
    let contexts = Contexts { main: Some(context), named: BTreeMap::new() };
    let mut images = Images::new();
    for (name, config) in &case.bases {
        images.insert((name.clone(), target.to_string()), Ok(base(name, config)));
    }
    let mut graph = Graph::default();
    match Evaluation::new(&planner, target, false, &contexts, &images).target(&mut graph) {
        Ok(image) => show(&image, &graph),
        Err(Stop::Missing(wanted)) => format!("wants {wanted:?}\n"),
        Err(Stop::Failed(failure)) => format!("fails {failure}\n"),
    }
}

fn show(image: &crate::export::PlannedImage, graph: &Graph) -> String {
    let mut out = String::new();
    let config = serde_json::to_value(&image.config.config).expect("JSON");
    for (key, value) in config.as_object().into_iter().flatten() {
        writeln!(out, "config {key} = {value}").expect("a string");
    }
    for entry in &image.history {
        let kind = if entry.layer { "layer" } else { "history" };
        writeln!(out, "{kind} {}", entry.created_by.replace('\n', "\\n")).expect("a string");
    }
    for id in 0..graph.len() {
        let name = &graph.node(OpId(id)).name;
        if !name.is_empty() {
            writeln!(out, "step {name}").expect("a string");
        }
    }
    out
}

#[test]
fn cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/plan");
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("cases") {
        let path = entry.expect("a case").path();
        let case = read(&std::fs::read_to_string(&path).expect("a case"));
        let found = plan(&case);
        count += 1;
        if found != case.expected {
            wrong.push(format!("{}\n--- expected\n{}--- found\n{found}", path.display(), case.expected));
        }
    }
    assert!(count > 0, "no cases");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
