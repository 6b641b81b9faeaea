//! System calls that a step must not get through, made by this program itself as the payload.
#![expect(unsafe_code, reason = "system calls as a hostile program makes them")]

use std::io;
use std::process::{Command, ExitCode};

use garboard_sandbox::{BindSource, Mount, MountKind, Network};

use super::cases;
use crate::support::{Kind, Stage};

cases! {
    ALL: hostile_calls, other_processes, unreachable_sockets;
}

/// The argument that makes this program the payload.
pub(crate) const FLAG: &str = "--probe";

const PROGRAM: &str = "/probe/program";

/// What must not work: a name, a number, and arguments that would be good ones.
fn forbidden() -> Vec<(&'static str, libc::c_long, [libc::c_long; 5])> {
    let text = |text: &'static [u8]| text.as_ptr() as libc::c_long;
    let (tmpfs, tmp) = (text(b"tmpfs\0"), text(b"/tmp\0"));
    let new_user = libc::c_long::from(libc::CLONE_NEWUSER);
    vec![
        ("keyctl: the session's keyring", libc::SYS_keyctl, [0, -3, 1, 0, 0]),
        ("keyctl: reading a keyring", libc::SYS_keyctl, [11, -4, 0, 0, 0]),
        ("add_key", libc::SYS_add_key, [text(b"user\0"), text(b"x\0"), text(b"x\0"), 1, -3]),
        ("request_key", libc::SYS_request_key, [text(b"user\0"), text(b"x\0"), 0, -3, 0]),
        ("bpf", libc::SYS_bpf, [0, 0, 0, 0, 0]),
        ("perf_event_open", libc::SYS_perf_event_open, [0, 0, -1, -1, 0]),
        ("userfaultfd", libc::SYS_userfaultfd, [0, 0, 0, 0, 0]),
        ("io_uring_setup", libc::SYS_io_uring_setup, [1, 0, 0, 0, 0]),
        ("init_module", libc::SYS_init_module, [tmp, 4, tmp, 0, 0]),
        ("finit_module", libc::SYS_finit_module, [0, tmp, 0, 0, 0]),
        ("delete_module", libc::SYS_delete_module, [tmp, 0, 0, 0, 0]),
        ("kexec_load", libc::SYS_kexec_load, [0, 0, 0, 0, 0]),
        ("reboot", libc::SYS_reboot, [0xfee1_dead, 672_274_793, 0, 0, 0]),
        ("swapon", libc::SYS_swapon, [tmp, 0, 0, 0, 0]),
        ("acct", libc::SYS_acct, [0, 0, 0, 0, 0]),
        ("quotactl", libc::SYS_quotactl, [0, tmp, 0, 0, 0]),
        ("syslog", libc::SYS_syslog, [3, 0, 0, 0, 0]),
        ("mount", libc::SYS_mount, [tmpfs, tmp, tmpfs, 0, 0]),
        ("umount2", libc::SYS_umount2, [text(b"/proc\0"), libc::c_long::from(libc::MNT_DETACH), 0, 0, 0]),
        ("pivot_root", libc::SYS_pivot_root, [tmp, tmp, 0, 0, 0]),
        ("fsopen", libc::SYS_fsopen, [tmpfs, 0, 0, 0, 0]),
        ("open_tree", libc::SYS_open_tree, [-100, text(b"/\0"), 1, 0, 0]),
        ("move_mount", libc::SYS_move_mount, [0, tmp, 0, tmp, 0]),
        ("mount_setattr", libc::SYS_mount_setattr, [-100, tmp, 0, tmp, 32]),
        ("setns", libc::SYS_setns, [0, 0, 0, 0, 0]),
        ("unshare: user", libc::SYS_unshare, [new_user, 0, 0, 0, 0]),
        ("unshare: mount", libc::SYS_unshare, [libc::c_long::from(libc::CLONE_NEWNS), 0, 0, 0, 0]),
        ("clone: user", libc::SYS_clone, [new_user | libc::c_long::from(libc::SIGCHLD), 0, 0, 0, 0]),
        // What a filter can't look into is said not to be there, and libraries then use `clone`.
        ("clone3", libc::SYS_clone3, [tmp, 64, 0, 0, 0]),
        ("open_by_handle_at", libc::SYS_open_by_handle_at, [-100, tmp, 0, 0, 0]),
        ("settimeofday", libc::SYS_settimeofday, [0, 0, 0, 0, 0]),
        ("clock_settime", libc::SYS_clock_settime, [0, tmp, 0, 0, 0]),
        ("sethostname", libc::SYS_sethostname, [tmp, 4, 0, 0, 0]),
        ("socket: AF_ALG", libc::SYS_socket, [38, 5, 0, 0, 0]),
        ("socket: AF_VSOCK", libc::SYS_socket, [40, 1, 0, 0, 0]),
        ("socket: AF_VSOCK, upper half set", libc::SYS_socket, [0x1_0000_0028, 1, 0, 0, 0]),
        ("socket: packets", libc::SYS_socket, [17, 3, 0x0300, 0, 0]),
        ("kcmp", libc::SYS_kcmp, [1, 1, 0, 0, 0]),
    ]
}

/// The payload: tries everything, and says what was not refused.
pub(crate) fn payload(task: &str) -> ExitCode {
    match task {
        "calls" => forbidden().into_iter().for_each(|(name, number, a)| {
            // SAFETY: should the call go through, this program is changed in ways that don't matter: it ends soon.
            let result = unsafe { libc::syscall(number, a[0], a[1], a[2], a[3], a[4]) };
            let error = io::Error::last_os_error().raw_os_error();
            // A child that should not have been made.
            if result == 0 && name.starts_with("clone") {
                return;
            }
            let refused = result == -1 && matches!(error, Some(libc::EPERM | libc::ENOSYS));
            println!("{} {name}: {result} {error:?}", if refused { "refused" } else { "NOT REFUSED" });
        }),
        "processes" => {
            // SAFETY: signal 0 only asks whether there is a process, and a tracer of nobody changes nothing.
            let there = |pid: i32| unsafe { libc::kill(pid, 0) } == 0;
            let traced = |pid: i32| unsafe { libc::ptrace(libc::PTRACE_ATTACH, pid, 0, 0) } == 0;
            println!("{:?}", (1..=1 << 17).filter(|pid| there(*pid)).collect::<Vec<_>>());
            println!("{:?}", (2..=1 << 17).filter(|pid| traced(*pid)).collect::<Vec<_>>());
        }
        name => {
            use std::os::linux::net::SocketAddrExt;
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
            match std::os::unix::net::UnixStream::connect_addr(&address) {
                Ok(_) => println!("connected"),
                Err(error) => println!("{:?}", error.kind()),
            }
        }
    }
    ExitCode::SUCCESS
}

/// This program and what it loads, at the places where it looks for that.
fn mounts() -> Option<Vec<Mount>> {
    let own = std::env::current_exe().unwrap();
    let listed = Command::new("ldd").arg(&own).output().ok()?;
    let text = String::from_utf8(listed.stdout).unwrap();
    let libraries =
        text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    let bind = |target: &str, from: &std::path::Path| Mount {
        target: target.into(),
        kind: MountKind::Bind {
            source: BindSource::File(from.canonicalize().unwrap()),
            selector: "/".into(),
            writable: false,
        },
    };
    let libraries = libraries.map(|path| bind(path, path.as_ref()));
    Some(std::iter::once(bind(PROGRAM, &own)).chain(libraries).collect())
}

/// The program as a payload, and what it says.
fn ask(task: &str, network: Network) -> Option<String> {
    let stage = Stage::new();
    let Some(mounts) = mounts() else {
        println!("skipped: hostile system calls: no ldd");
        return None;
    };
    let mut process = stage.args(&[PROGRAM, FLAG, task]);
    process.mounts = mounts;
    process.network = network;
    Some(stage.run(&process).success())
}

fn hostile_calls(_: Kind) {
    let Some(out) = ask("calls", Network::Host) else { return };
    let through: Vec<&str> = out.lines().filter(|line| line.starts_with("NOT")).collect();
    assert!(through.is_empty(), "{through:#?}");
    assert_eq!(out.lines().count(), forbidden().len(), "{out}");
}

/// Nobody but the payload itself can be signalled or traced.
fn other_processes(_: Kind) {
    let Some(out) = ask("processes", Network::Host) else { return };
    assert_eq!(out, "[1]\n[]\n");
}

/// Sockets without a name in a file system belong to a network.
fn unreachable_sockets(_: Kind) {
    use std::os::linux::net::SocketAddrExt;
    let name = format!("garboard-probe-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();
    let Some(out) = ask(&name, Network::Host) else { return };
    assert_eq!(out, "connected\n", "the test can tell the difference");
    assert_eq!(ask(&name, Network::None).unwrap(), "ConnectionRefused\n");
}
