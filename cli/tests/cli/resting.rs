//! A COPY whose files a RUN reads, written as what differs from the one before: nobody can tell.

use crate::support::TestContext;
use crate::support::layout::read_image;

/// The RUN sees the files as the steps do; the last COPY reads them out of the layer.
const DOCKERFILE: &str = "FROM base AS made
COPY . /src/
RUN for f in /src/src/* /src/src/*/* /src/src/*/*/*; do echo $f; test -L $f && echo link; test -f $f && cat $f; done >/seen; true
FROM base
COPY --from=made /seen /
COPY --from=made /src /all
";

/// What a change is, whether the next layer is written as a whole, and the change.
type Change = (&'static str, bool, fn(&TestContext));

const CHANGES: [Change; 8] = [
    ("nothing before", true, |_| {}),
    ("content", false, |context| context.write("c/src/f7", "other\n")),
    ("a file more, in a folder more", false, |context| context.write("c/src/new/sub/f", "new\n")),
    ("a file and a folder less", true, |context| {
        std::fs::remove_file(context.work().join("c/src/f8")).unwrap();
        std::fs::remove_dir_all(context.work().join("c/src/new")).unwrap();
    }),
    ("a link in a file's place", false, |context| {
        std::fs::remove_file(context.work().join("c/src/f9")).unwrap();
        std::os::unix::fs::symlink("f1", context.work().join("c/src/f9")).unwrap();
    }),
    ("a folder in a file's place", true, |context| {
        std::fs::remove_file(context.work().join("c/src/f10")).unwrap();
        context.write("c/src/f10/inside", "deep\n");
    }),
    ("half of it", true, |context| {
        (100..300).for_each(|n| context.write(&format!("c/src/f{n}"), "changed\n"));
    }),
    ("one again", false, |context| context.write("c/src/f11", "again\n")),
];

#[test]
fn a_copy_over_the_one_before_shows_the_same() {
    let Some(context) = TestContext::with_base() else { return };
    context.write("c/Dockerfile", DOCKERFILE);
    for n in 0..400 {
        context.write(&format!("c/src/f{n}"), format!("file {n}\n"));
    }
    let mut expected = 0;
    for (turn, (why, as_a_whole, change)) in CHANGES.into_iter().enumerate() {
        change(&context);
        let mut images = Vec::new();
        for (what, root) in [("old", "kept"), ("new", &format!("fresh-{turn}"))] {
            let output = format!("type=oci,dest={what}-{turn},tar=false");
            let root = context.work().join(root);
            let args = ["build", "--progress=plain", "--build-context=base=base", "-o", &output, "c"];
            let result = context.command(&args).env("GARBOARD_ROOT", &root).output().unwrap();
            let log = String::from_utf8(result.stderr).unwrap();
            assert!(result.status.success(), "{why}: {log}");
            images.push(read_image(&context.work().join(format!("{what}-{turn}"))));
        }
        assert_eq!(images[0], images[1], "{why}");
        expected += usize::from(as_a_whole);
        let layers = std::fs::read_dir(context.work().join("kept/layers")).unwrap();
        let whole = layers.filter(|layer| layer.as_ref().unwrap().path().join("fs/src/src/f399").exists());
        assert_eq!(whole.count(), expected, "{why}: layers with all files");
    }
    let root = context.work().join("kept");
    let fsck = context.command(&["debug", "fsck"]).env("GARBOARD_ROOT", root).status();
    assert!(fsck.unwrap().success());
}
