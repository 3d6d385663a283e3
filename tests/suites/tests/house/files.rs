//! What no file may hold: notes of undone work, and paths of somebody's machine.

use crate::{none, root};
use std::process::Command;

/// Every file of the repository, by its path from the root: what git tracks, and what it would if asked.
pub fn repository() -> Vec<String> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(arguments).current_dir(root()).output().expect("git runs");
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let list = String::from_utf8(output.stdout).expect("paths in UTF-8");
    let mut files: Vec<String> = list.split('\0').filter(|f| !f.is_empty() && root().join(f).is_file()).map(str::to_owned).collect();
    files.sort();
    files.dedup();
    assert!(files.len() > 100, "{} files: the test looks in the wrong place", files.len());
    files
}

/// In pieces, so that this file is clean itself.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("TO", "DO", "undone work"),
    ("FIX", "ME", "undone work"),
    ("XX", "X:", "undone work"),
    ("/ro", "ot/", "a machine's path"),
    ("/wo", "rk/", "a machine's path"),
    ("/Us", "ers/", "a machine's path"),
    ("/ho", "me/", "a machine's path"),
];

/// Whether the text stands alone: neither inside a longer word nor behind a longer path.
fn stands_alone(line: &str, at: usize, text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c == '.';
    let before = line.get(..at).and_then(|b| b.chars().next_back());
    let after = line.get(at + text.len()..).and_then(|a| a.chars().next());
    let word = !text.starts_with('/');
    !(before.is_some_and(|c| inner(c) || c == '}') || word && after.is_some_and(|c| c.is_ascii_alphanumeric()))
}

fn complaints_of(file: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for (a, b, what) in FORBIDDEN {
            let forbidden = format!("{a}{b}");
            if line.match_indices(&forbidden).any(|(at, _)| stands_alone(line, at, &forbidden)) {
                complaints.push(format!("{file}:{}: {what}: {}", number + 1, line.trim()));
            }
        }
    }
    complaints
}

#[test]
fn no_undone_work_and_no_machine_paths() {
    let mut complaints = Vec::new();
    for file in repository() {
        // What is no text has nothing to read.
        let Ok(text) = String::from_utf8(std::fs::read(root().join(&file)).expect("a file of the repository")) else { continue };
        complaints.extend(complaints_of(&file, &text));
    }
    none(complaints);
}

#[test]
fn the_search_finds_what_it_is_for() {
    let found = |parts: &[&str]| complaints_of("x", &parts.concat()).len();
    assert_eq!(found(&["// TO", "DO: later"]), 1);
    assert_eq!(found(&["cp /ro", "ot/x y"]), 1);
    assert_eq!(found(&["\"/ho", "me/me\""]), 1);
    assert_eq!(found(&["see frame/wo", "rk/x and MASTO", "DON"]), 0);
    assert_eq!(found(&["${prefix}/ho", "me/x"]), 0);
}
