//! Paths that stay below a root: what is `..` at the top stays at the top, and links count as if the root were `/`.
//! Costs one look at the file system a segment.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

/// Folders that no root may lie in: kernel interfaces, the boot files and the credentials of the container.
const DISALLOWED: [&str; 4] = ["/proc", "/sys", "/boot", "/var/run/secrets"];
const MOST_LINKS: usize = 255;

/// Removes `.`, doubled slashes and `..`.
pub fn clean(path: &str) -> PathBuf {
    let mut out = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if out.file_name().is_some_and(|n| n != "..") => {
                out.pop();
            }
            Component::ParentDir if out.has_root() => {}
            other => out.push(other),
        }
    }
    if out.as_os_str().is_empty() { PathBuf::from(".") } else { out }
}

/// The root as it is used, or why it is not.
pub fn root(value: &str) -> Result<PathBuf, String> {
    if value.is_empty() {
        return Err("property rootPath must not be empty".into());
    }
    let root = clean(value);
    if DISALLOWED.iter().any(|d| root.starts_with(d)) {
        return Err("property rootPath points to a disallowed location".into());
    }
    match fs::metadata(&root) {
        Ok(m) if !m.is_dir() => Err("property rootPath represents a file and not a directory".into()),
        _ => Ok(root),
    }
}

fn missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// `name` below `root`, with all links resolved: the path relative to `root`, empty for `root` itself.
pub fn resolve(root: &Path, name: &str) -> io::Result<PathBuf> {
    let mut rest: Vec<String> = name.split('/').rev().map(str::to_owned).collect();
    let mut done = PathBuf::new();
    let mut links = 0;
    while let Some(part) = rest.pop() {
        match part.as_str() {
            "" | "." => continue,
            ".." => {
                done.pop();
                continue;
            }
            _ => done.push(&part),
        }
        let full = root.join(&done);
        let linked = match fs::symlink_metadata(&full) {
            Ok(m) => m.file_type().is_symlink(),
            Err(e) if missing(&e) => false,
            Err(e) => return Err(e),
        };
        if !linked {
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(io::Error::other("too many levels of symbolic links"));
        }
        let target = fs::read_link(&full)?;
        let target = target.to_string_lossy();
        if target.starts_with('/') {
            done.clear();
        } else {
            done.pop();
        }
        rest.extend(target.split('/').rev().map(str::to_owned));
    }
    Ok(done)
}

/// All files below a folder in the order of their names; links are listed and not followed. What cannot be read is left out.
pub fn walk(folder: &Path, out: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut entries: Vec<_> = entries.filter_map(Result::ok).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = folder.join(entry.file_name());
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            walk(&path, out);
        } else {
            out.push(path.to_string_lossy().into_owned());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("proa-localstorage-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn cleans() {
        for (text, want) in [("/a//b/./c", "/a/b/c"), ("/a/../../b", "/b"), ("./x/", "x"), ("a/../..", ".."), ("a/..", "."), ("../../x", "../../x")] {
            assert_eq!(clean(text), Path::new(want), "{text}");
        }
    }

    #[test]
    fn roots() {
        for bad in ["/proc", "/sys/x", "/tmp/../boot", "/var/run/secrets/x"] {
            assert_eq!(root(bad).unwrap_err(), "property rootPath points to a disallowed location", "{bad}");
        }
        assert_eq!(root("").unwrap_err(), "property rootPath must not be empty");
        assert_eq!(root("/processes/x").unwrap(), Path::new("/processes/x"));
        let dir = folder("roots");
        fs::write(dir.join("f"), "").unwrap();
        assert_eq!(root(dir.join("f").to_str().unwrap()).unwrap_err(), "property rootPath represents a file and not a directory");
    }

    #[test]
    fn nothing_leads_out() {
        let dir = folder("out");
        fs::create_dir_all(dir.join("sub")).unwrap();
        symlink("../../../etc", dir.join("sub/up")).unwrap();
        symlink("/sub", dir.join("abs")).unwrap();
        symlink("loop", dir.join("loop")).unwrap();
        for (name, want) in [
            ("../../etc/passwd", "etc/passwd"),
            ("/etc/passwd", "etc/passwd"),
            ("a/../b", "b"),
            ("sub/up/passwd", "etc/passwd"),
            ("abs/file", "sub/file"),
            ("", ""),
            ("..", ""),
        ] {
            assert_eq!(resolve(&dir, name).unwrap(), Path::new(want), "{name}");
        }
        assert!(resolve(&dir, "loop").is_err());
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn walks_in_order() {
        let dir = folder("walk");
        fs::create_dir_all(dir.join("b/c")).unwrap();
        for name in ["z", "b/c/2", "b/1", "a"] {
            fs::write(dir.join(name), "").unwrap();
        }
        let mut out = Vec::new();
        walk(&dir, &mut out);
        let want: Vec<String> = ["a", "b/1", "b/c/2", "z"].iter().map(|n| dir.join(n).to_string_lossy().into_owned()).collect();
        assert_eq!(out, want);
        fs::remove_dir_all(dir).unwrap();
    }
}
