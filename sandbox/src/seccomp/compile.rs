//! From the profile to a program of the kernel's classic BPF.
//!
//! The program looks at the architecture, then finds the call's number in a balanced tree over ranges of numbers with
//! the same action: about nine comparisons for a call, where a list would take hundreds.

use super::profile::{Action, Architecture, Profile, Rule};
use crate::sys::Instruction;

/// Offsets in the kernel's `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// What a filter may answer.
const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0000 | libc::EPERM as u32;
const ENOSYS: u32 = 0x0005_0000 | libc::ENOSYS as u32;
const KILL: u32 = 0x8000_0000;

/// Instruction codes: load a word, and with a constant, jump if equal, jump if not below, jump, return.
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const IF_EQUAL: u16 = 0x15;
const IF_AT_LEAST: u16 = 0x35;
const JUMP: u16 = 0x05;
const RETURN: u16 = 0x06;

/// The filter for the programs that this machine runs; `None` where no table is known for it.
pub(crate) fn filter() -> Option<Vec<Instruction>> {
    filter_for(std::env::consts::ARCH)
}

fn filter_for(machine: &str) -> Option<Vec<Instruction>> {
    let architectures = Architecture::all_of(machine);
    if architectures.is_empty() {
        return None;
    }
    let profile = Profile::built_in();
    let mut program = vec![plain(LOAD, ARCHITECTURE)];
    for architecture in architectures {
        let part = part(&profile, architecture);
        // Not ours: over the part to the next one.
        program.push(jump_if(IF_EQUAL, architecture.audit, 1, 0));
        program.push(plain(JUMP, part.len() as u32));
        program.extend(part);
    }
    program.push(plain(RETURN, KILL));
    Some(program)
}

/// The part for one architecture.
fn part(profile: &Profile, architecture: &Architecture) -> Vec<Instruction> {
    let mut program = vec![plain(LOAD, NUMBER)];
    if let Some(foreign) = architecture.foreign_from {
        program.push(jump_if(IF_AT_LEAST, foreign, 0, 1));
        program.push(plain(RETURN, ENOSYS));
    }
    program.extend(search(&ranges(&profile.actions(architecture))));
    program
}

/// Ranges of numbers with the same action by their first number, from 0 on without gaps.
fn ranges(actions: &[(u32, Action)]) -> Vec<(u32, Action)> {
    let mut ranges = vec![(0, Action::Missing)];
    let mut push = |first: u32, action: &Action| match ranges.last_mut() {
        Some((_, last)) if last == action => {}
        Some((start, last)) if *start == first => *last = action.clone(),
        _ => ranges.push((first, action.clone())),
    };
    for (at, (number, action)) in actions.iter().enumerate() {
        push(*number, action);
        if actions.get(at + 1).is_none_or(|(next, _)| *next != number + 1) {
            push(number + 1, &Action::Missing);
        }
    }
    ranges
}

fn search(ranges: &[(u32, Action)]) -> Vec<Instruction> {
    if let [(_, action)] = ranges {
        return act(action);
    }
    let (below, above) = ranges.split_at(ranges.len() / 2);
    let (border, below, above) = (above[0].0, search(below), search(above));
    let mut program = Vec::with_capacity(2 + below.len() + above.len());
    if let Ok(over) = u8::try_from(below.len()) {
        program.push(jump_if(IF_AT_LEAST, border, over, 0));
    } else {
        // Conditional jumps reach 255 instructions.
        program.push(jump_if(IF_AT_LEAST, border, 0, 1));
        program.push(plain(JUMP, below.len() as u32));
    }
    program.extend(below);
    program.extend(above);
    program
}

fn act(action: &Action) -> Vec<Instruction> {
    match action {
        Action::Allow => vec![plain(RETURN, ALLOW)],
        Action::Refuse => vec![plain(RETURN, EPERM)],
        Action::Missing => vec![plain(RETURN, ENOSYS)],
        Action::Test(rule) => test(rule),
    }
}

fn test(rule: &Rule) -> Vec<Instruction> {
    // The lower half of an argument comes first on little-endian machines, which all of ours are.
    let mut program = vec![plain(LOAD, ARGUMENTS + 8 * rule.argument), plain(AND, rule.mask)];
    let (found, else_) = if rule.allowed { (ALLOW, EPERM) } else { (EPERM, ALLOW) };
    for (at, value) in rule.values.iter().enumerate() {
        let over = rule.values.len() - at;
        program.push(jump_if(IF_EQUAL, *value, over as u8, 0));
    }
    program.extend([plain(RETURN, else_), plain(RETURN, found)]);
    program
}

fn plain(code: u16, operand: u32) -> Instruction {
    Instruction { code, jump_true: 0, jump_false: 0, operand }
}

fn jump_if(code: u16, operand: u32, jump_true: u8, jump_false: u8) -> Instruction {
    Instruction { code, jump_true, jump_false, operand }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X86_64: u32 = 0xc000_003e;
    const X86: u32 = 0x4000_0003;
    const AARCH64: u32 = 0xc000_00b7;

    /// What the kernel would do with the program.
    fn run(program: &[Instruction], architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend(number.to_le_bytes());
        data.extend(architecture.to_le_bytes());
        data.extend(0_u64.to_le_bytes());
        data.extend(arguments.iter().flat_map(|argument| argument.to_le_bytes()));
        let (mut at, mut accumulator) = (0, 0_u32);
        loop {
            let Instruction { code, jump_true, jump_false, operand } = program[at];
            at += 1;
            let branch = |yes: bool| usize::from(if yes { jump_true } else { jump_false });
            match code {
                LOAD => {
                    let from = operand as usize;
                    accumulator = u32::from_le_bytes(data[from..from + 4].try_into().unwrap());
                }
                AND => accumulator &= operand,
                IF_EQUAL => at += branch(accumulator == operand),
                IF_AT_LEAST => at += branch(accumulator >= operand),
                JUMP => at += operand as usize,
                RETURN => return operand,
                _ => panic!("unknown code {code:#x}"),
            }
        }
    }

    #[test]
    fn every_number_meets_the_action_of_its_name() {
        for machine in ["x86_64", "aarch64"] {
            let (program, profile) = (filter_for(machine).unwrap(), Profile::built_in());
            assert!(program.len() < 4096, "the kernel takes no more");
            for architecture in Architecture::all_of(machine) {
                let actions: std::collections::HashMap<_, _> =
                    profile.actions(architecture).into_iter().collect();
                for number in (0..600).chain([0xf0001, 0x3fff_ffff]) {
                    let expected = match actions.get(&number) {
                        Some(Action::Allow) => ALLOW,
                        Some(Action::Refuse) => EPERM,
                        Some(Action::Missing) | None => ENOSYS,
                        Some(Action::Test(_)) => continue,
                    };
                    assert_eq!(
                        run(&program, architecture.audit, number, [0; 6]),
                        expected,
                        "{machine} {number}"
                    );
                }
            }
            assert_eq!(run(&program, 0x1234, 1, [0; 6]), KILL);
        }
    }

    #[test]
    fn numbers_that_are_well_known() {
        let program = filter_for("x86_64").unwrap();
        let on = |number| run(&program, X86_64, number, [0; 6]);
        assert_eq!([on(0), on(59), on(231)], [ALLOW; 3], "read, execve, exit_group");
        assert_eq!([on(165), on(272), on(321), on(250)], [EPERM; 4], "mount, unshare, bpf, keyctl");
        assert_eq!(
            [on(435), on(1000), on(0x4000_0000), on(0x4000_003b)],
            [ENOSYS; 4],
            "clone3, unknown, x32"
        );
        assert_eq!(run(&program, X86, 11, [0; 6]), ALLOW, "execve of 32-bit programs");
        assert_eq!(run(&program, X86, 21, [0; 6]), EPERM, "mount of 32-bit programs");
        assert_eq!(run(&filter_for("aarch64").unwrap(), AARCH64, 40, [0; 6]), EPERM, "mount");
    }

    #[test]
    fn arguments_are_compared_by_their_lower_half() {
        let program = filter_for("x86_64").unwrap();
        let first = |number, argument| run(&program, X86_64, number, [argument, 0, 0, 0, 0, 0]);
        assert_eq!(first(41, 2), ALLOW, "AF_INET");
        assert_eq!(first(41, 17), EPERM, "AF_PACKET");
        assert_eq!([first(41, 40), first(41, 38), first(41, 0x1_0000_0028)], [EPERM; 3], "AF_VSOCK, AF_ALG");
        let x86 = |number, argument| run(&program, X86, number, [argument, 0, 0, 0, 0, 0]);
        assert_eq!(
            [x86(359, 2), x86(359, 40), x86(359, 38)],
            [ALLOW, EPERM, EPERM],
            "socket of 32-bit programs"
        );
        assert_eq!([x86(102, 1), x86(102, 0x1_0000_0001)], [EPERM; 2], "socket by socketcall");
        assert_eq!([x86(102, 3), x86(102, 8)], [ALLOW; 2], "connect, socketpair by socketcall");
        assert_eq!([first(56, 17), first(56, 0x4100)], [ALLOW; 2], "fork and vfork by clone");
        assert_eq!([first(56, 0x1000_0000), first(56, 0x0002_0011)], [EPERM; 2], "new user, mount namespace");
        assert_eq!([first(135, 0), first(135, 0xffff_ffff), first(135, 0x4_0000)], [ALLOW, ALLOW, EPERM]);
    }
}
