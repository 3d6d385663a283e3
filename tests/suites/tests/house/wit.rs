//! The interfaces: they parse, their worlds resolve, and what was published stays as it is.

use crate::{folders, name, none, read, root};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use wit_parser::{PackageId, Resolve, WorldItem};

const HEAD: &str =
    "# Every published version of a package and the SHA-256 of its words, comments and white space aside. Lines are added, never changed.\n";

/// The folders of the packages; the one that all others refer to comes first.
fn packages() -> Vec<PathBuf> {
    let mut all = folders(&root().join("wit"));
    all.sort_by_key(|p| (name(p) != "component", name(p)));
    assert!(all.len() >= 12, "{} packages: the test looks in the wrong place", all.len());
    all
}

fn resolve() -> (Resolve, Vec<(PathBuf, PackageId)>) {
    let mut resolve = Resolve::default();
    let mut ids = Vec::new();
    for folder in packages() {
        let (id, _) = resolve.push_dir(&folder).unwrap_or_else(|e| panic!("{}: {e:#}", folder.display()));
        ids.push((folder, id));
    }
    (resolve, ids)
}

#[test]
fn wit_worlds_resolve() {
    let (resolve, ids) = resolve();
    let mut complaints = Vec::new();
    for (folder, id) in &ids {
        let package = &resolve.packages[*id];
        if package.name.namespace != "proa" || package.name.name != name(folder) || package.name.version.is_none() {
            complaints.push(format!("{} holds {}", folder.display(), package.name));
        }
        for (world_name, world) in &package.worlds {
            if let Err(error) = resolve.select_world(&[*id], Some(world_name)) {
                complaints.push(format!("{}: {error:#}", package.name));
            }
            let world = &resolve.worlds[*world];
            if world.exports.is_empty() && world.imports.is_empty() {
                complaints.push(format!("{}: world {world_name} is empty", package.name));
            }
        }
        // An interface without a world is out of reach for an SDK that builds bindings by world.
        for (interface, interface_id) in package.interfaces.iter().filter(|(n, _)| *n != "types") {
            let reached =
                package.worlds.values().map(|w| &resolve.worlds[*w]).any(|w| {
                    w.exports.values().chain(w.imports.values()).any(|i| matches!(i, WorldItem::Interface { id, .. } if id == interface_id))
                });
            if !reached {
                complaints.push(format!("{}: no world has the interface {interface}", package.name));
            }
        }
    }
    none(complaints);
}

/// The words of a WIT file: without comments, whatever the spacing.
fn words(text: &str) -> Vec<String> {
    let mut plain = String::new();
    let (mut rest, mut depth) = (text, 0);
    while let Some(c) = rest.chars().next() {
        let mut step = c.len_utf8();
        if rest.starts_with("/*") {
            (depth, step) = (depth + 1, 2);
        } else if depth > 0 {
            if rest.starts_with("*/") {
                (depth, step) = (depth - 1, 2);
            }
        } else if rest.starts_with("//") {
            step = rest.find('\n').unwrap_or(rest.len());
        } else {
            plain.push(c);
        }
        rest = rest.get(step..).unwrap_or_default();
    }
    let mut words = vec![String::new()];
    for c in plain.chars() {
        let part = c.is_alphanumeric() || "-_%.".contains(c);
        match words.last_mut() {
            Some(last) if part && last.chars().all(|l| l.is_alphanumeric() || "-_%.".contains(l)) => last.push(c),
            _ if part || !c.is_whitespace() => words.push(c.to_string()),
            _ => words.push(String::new()),
        }
    }
    words.retain(|w| !w.is_empty());
    words
}

fn digest(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).expect("a package's folder");
    let mut files: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).filter(|p| p.extension().is_some_and(|e| e == "wit")).collect();
    files.sort();
    let mut hash = Sha256::new();
    for word in files.iter().flat_map(|f| words(&read(f))) {
        hash.update(word.as_bytes());
        hash.update(b"\n");
    }
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn published(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty());
    lines.map(|l| l.split_once(' ').unwrap_or_else(|| panic!("published.txt: {l:?}"))).map(|(p, d)| (p.to_owned(), d.trim().to_owned())).collect()
}

/// With PROA_BLESS_WIT=1 the file is brought up to date instead; its diff then shows what that means.
#[test]
fn wit_stays_as_it_was_published() {
    let path = root().join("wit/published.txt");
    let (resolve, ids) = resolve();
    let now: BTreeMap<String, String> = ids.iter().map(|(folder, id)| (resolve.packages[*id].name.to_string(), digest(folder))).collect();
    if std::env::var_os("PROA_BLESS_WIT").is_some_and(|v| v == "1") {
        let mut all = std::fs::read_to_string(&path).map(|t| published(&t)).unwrap_or_default();
        all.extend(now);
        let lines: String = all.iter().map(|(package, digest)| format!("{package} {digest}\n")).collect();
        std::fs::write(&path, format!("{HEAD}{lines}")).expect("published.txt");
        return;
    }
    let known = published(&read(&path));
    let mut complaints = Vec::new();
    for (package, digest) in &now {
        match known.get(package) {
            Some(of) if of == digest => {}
            Some(_) => complaints.push(format!("{package} is published and differs now: a change needs a new version")),
            None => complaints.push(format!("{package} is not in wit/published.txt: PROA_BLESS_WIT=1 adds it")),
        }
    }
    let stem = |package: &str| package.split('@').next().unwrap_or_default().to_owned();
    for package in known.keys().filter(|k| !now.keys().any(|n| stem(n) == stem(k))) {
        complaints.push(format!("{package} is published and gone"));
    }
    none(complaints);
}

#[test]
fn wit_digests_see_words_alone() {
    let plain = words("interface a {\n  f: func(x: u8) -> result<_, string>;\n}");
    assert_eq!(plain, words("/// Says.\ninterface a { /* /* why */ not */ f : func( x:u8 )->result<_,string>; // end\n}"));
    assert_ne!(plain, words("interface a { f: func(x: u16) -> result<_, string>; }"));
    assert_ne!(words("ab"), words("a b"));
}
