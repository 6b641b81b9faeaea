//! What can be asked.

use serde::Serialize;

use super::Answer;
use crate::table::table_with_gap;

const VERSION: &str = "1.0.0";

#[derive(Serialize)]
struct Request {
    name: &'static str,
    version: &'static str,
    r#type: &'static str,
    description: &'static str,
    opts: Vec<Named>,
    inputs: Vec<Named>,
    metadata: Vec<Named>,
    refs: Vec<Named>,
}

#[derive(Serialize)]
struct Named {
    name: &'static str,
    description: &'static str,
}

/// The list. As in BuildKit, checks are not in it.
pub(crate) fn describe() -> Answer {
    let target = Named { name: "target", description: "The stage that is asked about" };
    let requests = [
        request(
            "frontend.outline",
            "Lists the arguments, secrets and SSH agents that a target takes",
            vec![target],
        ),
        request("frontend.targets", "Lists the targets of a Dockerfile", Vec::new()),
        request("frontend.subrequests.describe", "Lists what can be asked", Vec::new()),
    ];
    let row = |request: &Request| {
        let name = request.name.trim_start_matches("frontend.");
        [name, request.version, request.description].map(str::to_owned)
    };
    let rows: Vec<_> = requests.iter().map(row).collect();
    Answer::new(table_with_gap(1, ["NAME", "VERSION", "DESCRIPTION"], &rows), &requests)
}

fn request(name: &'static str, description: &'static str, opts: Vec<Named>) -> Request {
    let result = |name| Named { name, description: "" };
    Request {
        name,
        version: VERSION,
        r#type: "rpc",
        description,
        opts,
        inputs: Vec::new(),
        metadata: vec![result("result.json"), result("result.txt")],
        refs: Vec::new(),
    }
}
