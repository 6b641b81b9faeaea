//! Ctrl-C.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::support::TestContext;
use crate::support::layout::read_image;

/// Longer than any end may take, however slow the machine.
const QUICKLY: Duration = Duration::from_secs(20);

const ARGS: [&str; 6] =
    ["build", "--progress=plain", "--build-context=base=base", "-o", "type=oci,dest=image,tar=false", "c"];

/// A context whose build sleeps; the number makes the step's command line one of its kind.
fn sleeping() -> Option<(TestContext, String)> {
    let context = TestContext::with_base()?;
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let command = format!("sleep 1000.{}", since.as_nanos());
    let stages = format!("FROM base\nRUN echo 1 >/one\nRUN echo asleep; {command}\n");
    context.write("c/Dockerfile", stages);
    Some((context, command))
}

/// Starts a build in a process group of its own.
fn start(context: &TestContext) -> Child {
    context.command(&ARGS).process_group(0).spawn().unwrap()
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}

/// Reads standard error up to a line that ends so.
fn read_until(stderr: &mut impl BufRead, text: &str) {
    let mut all = String::new();
    while !all.lines().next_back().is_some_and(|line| line.ends_with(text)) {
        assert!(stderr.read_line(&mut all).unwrap() > 0, "{all}");
    }
}

/// Waits for the end, which must come quickly, with the code for an interrupted program.
fn assert_interrupted(child: &mut Child) {
    let start = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if start.elapsed() > QUICKLY => panic!("still running after {QUICKLY:?}"),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    assert_eq!(status.code(), Some(130));
}

/// Whether a process with this in its command line is left.
fn is_running(command: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let text = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    text.into_iter().any(|line| line.contains(command))
}

fn interrupted(signal: impl Fn(Pid)) {
    let Some((context, command)) = sleeping() else { return };
    let mut child = start(&context);
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    read_until(&mut stderr, " asleep");
    assert!(is_running(&command));
    signal(pid(&child));
    assert_interrupted(&mut child);
    assert!(!is_running(&command), "a step is left");
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert!(rest.contains(" CANCELED") && rest.ends_with("ERROR: interrupted\n"), "{rest}");

    context.write("c/Dockerfile", "FROM base\nRUN echo 1 >/one\nRUN cat /one >/two\n");
    let output = context.output(&ARGS, b"");
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && log.contains(" CACHED"), "{log}");
    let files = read_image(&context.work().join("image")).files;
    assert_eq!(files["one"], files["two"]);
    assert!(context.run(&["debug", "fsck"]).contains("exit code: 0"));
}

#[test]
fn the_program_alone() {
    interrupted(|pid| kill_process(pid, Signal::INT).unwrap());
}

#[test]
fn as_a_terminal_does() {
    interrupted(|pid| kill_process_group(pid, Signal::INT).unwrap());
}

#[test]
fn the_second_ends_it_at_once() {
    let Some((context, command)) = sleeping() else { return };
    let mut child = start(&context);
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    read_until(&mut stderr, " asleep");
    // It may be gone already when the second comes.
    kill_process(pid(&child), Signal::INT).unwrap();
    let _ = kill_process(pid(&child), Signal::INT);
    assert_interrupted(&mut child);
    // The kernel ends what is left, in its own time.
    let start = Instant::now();
    while is_running(&command) {
        assert!(start.elapsed() < QUICKLY, "a step is left");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn while_it_waits_for_another_build() {
    let Some((context, command)) = sleeping() else { return };
    let mut first = start(&context);
    let mut stderr = BufReader::new(first.stderr.take().unwrap());
    read_until(&mut stderr, " asleep");
    let mut second = start(&context);
    let mut waiting = BufReader::new(second.stderr.take().unwrap());
    // The last that is heard of it: it wants what the first one makes.
    read_until(&mut waiting, " CACHED");
    kill_process(pid(&second), Signal::INT).unwrap();
    assert_interrupted(&mut second);
    assert!(is_running(&command), "the first one goes on");
    kill_process(pid(&first), Signal::INT).unwrap();
    assert_interrupted(&mut first);
}
