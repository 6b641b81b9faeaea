//! Who the program runs as, by the root's own account files.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::{FileType, OFlags, fstat};

use crate::error::Failure;
use crate::mnt;

/// More of an account file is not read.
const MAX_FILE: u64 = 10 << 20;

/// A resolved user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Supplementary groups, the primary one among them (CVE-2023-25173).
    pub(super) groups: Vec<u32>,
    /// Home folder; `/` for a user without an entry.
    pub(super) home: String,
}

/// Looks `user` up in the root's `/etc/passwd` and `/etc/group`.
pub(super) fn look_up(root: BorrowedFd<'_>, user: &str) -> Result<User, Failure> {
    resolve(user, &account_file(root, "/etc/passwd"), &account_file(root, "/etc/group"))
}

/// The text of a regular file; empty when there is none, as a root without accounts is fine for numbers.
fn account_file(root: BorrowedFd<'_>, path: &str) -> String {
    let mut bytes = Vec::new();
    // A named pipe must not make us wait.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    if let Ok(file) = mnt::open_in_with(root, Path::new(path), flags)
        && fstat(&file).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
    {
        // What was read before an error counts.
        let _ = File::from(file).take(MAX_FILE).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

fn accounts(passwd: &str) -> impl Iterator<Item = Account<'_>> {
    passwd.lines().filter_map(|line| {
        let fields: Vec<&str> = line.trim().split(':').collect();
        let number = |at: usize| fields.get(at)?.parse::<u32>().ok();
        let home = fields.get(5).copied().unwrap_or_default();
        (!fields[0].is_empty()).then_some(())?;
        Some(Account { name: fields[0], uid: number(2)?, gid: number(3)?, home })
    })
}

/// Name, number and members of the groups.
fn groups(group: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    group.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some((name, gid, fields.next().unwrap_or_default()))
    })
}

fn resolve(user: &str, passwd: &str, group: &str) -> Result<User, Failure> {
    let home = |uid: u32| {
        let home = accounts(passwd).find(|account| account.uid == uid).map_or("", |account| account.home);
        if home.is_empty() { "/".to_owned() } else { home.to_owned() }
    };
    let plain = |uid, gid, groups| User { uid, gid, groups, home: home(uid) };
    if user.is_empty() {
        return Ok(plain(0, 0, vec![0]));
    }
    let (user_part, group_part) = user.split_once(':').unwrap_or((user, ""));
    if let (Ok(uid), Ok(gid)) = (user_part.parse(), group_part.parse()) {
        return Ok(plain(uid, gid, vec![gid]));
    }

    let number = if user_part.is_empty() { Some(0) } else { user_part.parse::<u32>().ok() };
    let account = accounts(passwd).find(|account| account.name == user_part || Some(account.uid) == number);
    let (name, uid, gid) = match (account, number) {
        (Some(account), _) => (account.name, account.uid, account.gid),
        (None, Some(uid)) => ("", uid, 0),
        (None, None) => return Err(Failure::UnknownUser(user_part.to_owned())),
    };
    if group_part.is_empty() {
        let mut ids = vec![gid];
        let is_member = |members: &str| members.split(',').any(|member| !name.is_empty() && member == name);
        ids.extend(groups(group).filter(|(_, _, members)| is_member(members)).map(|(_, gid, _)| gid));
        let mut seen = HashSet::new();
        ids.retain(|id| seen.insert(*id));
        return Ok(plain(uid, gid, ids));
    }
    let number = group_part.parse::<u32>().ok();
    let found = groups(group).find(|(name, gid, _)| *name == group_part || Some(*gid) == number);
    match found.map(|(_, gid, _)| gid).or(number) {
        Some(gid) => Ok(plain(uid, gid, vec![gid])),
        None => Err(Failure::UnknownGroup(group_part.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\ndaemon:x:1:1::/usr/sbin:\n\
                          app:x:1000:100:App:/home/app:/bin/sh\nnohome:x:7:7\n";
    const GROUP: &str =
        "root:x:0:root\ndaemon:x:1:\nusers:x:100:\nwheel:x:10:app,root\nnobody:x\naudio:x:20:app\n";

    fn user(user: &str) -> (u32, u32, Vec<u32>, String) {
        let User { uid, gid, groups, home } = resolve(user, PASSWD, GROUP).unwrap();
        (uid, gid, groups, home)
    }

    #[test]
    fn every_form() {
        assert_eq!(user(""), (0, 0, vec![0], "/root".into()));
        assert_eq!(user("0:0"), (0, 0, vec![0], "/root".into()));
        assert_eq!(user("root"), (0, 0, vec![0, 10], "/root".into()));
        assert_eq!(user("app"), (1000, 100, vec![100, 10, 20], "/home/app".into()));
        assert_eq!(user("1000"), (1000, 100, vec![100, 10, 20], "/home/app".into()));
        assert_eq!(user("daemon"), (1, 1, vec![1], "/usr/sbin".into()));
        assert_eq!(user("1234"), (1234, 0, vec![0], "/".into()));
        assert_eq!(user("1234:4321"), (1234, 4321, vec![4321], "/".into()));
        assert_eq!(user("app:wheel"), (1000, 10, vec![10], "/home/app".into()));
        assert_eq!(user("app:4321"), (1000, 4321, vec![4321], "/home/app".into()));
        assert_eq!(user("7"), (7, 7, vec![7], "/".into()));
        let group = "a:x:10:app\nusers:x:100:app\nb:x:10:app\n";
        assert_eq!(resolve("app", PASSWD, group).unwrap().groups, [100, 10], "each once, the primary first");
    }

    #[test]
    fn unknown_names() {
        assert_eq!(resolve("x", PASSWD, GROUP), Err(Failure::UnknownUser("x".into())));
        assert_eq!(resolve("app:x", PASSWD, GROUP), Err(Failure::UnknownGroup("x".into())));
        assert_eq!(resolve("x", "", ""), Err(Failure::UnknownUser("x".into())));
        assert_eq!(resolve("-1", "", ""), Err(Failure::UnknownUser("-1".into())));
    }

    proptest! {
        #[test]
        fn no_file_makes_it_fail_for_numbers(passwd in "([a-c0-9:,]{0,20}\n){0,9}", group in "([a-c0-9:,]{0,20}\n){0,9}") {
            prop_assert!(resolve("5", &passwd, &group).is_ok());
            prop_assert!(resolve("5:6", &passwd, &group).is_ok());
        }
    }
}
