//! `bindings.localstorage`: files of one folder, by four operations. Nothing outside the folder can be reached: names are confined to
//! it here, and the host opens no other. Requests are carried out one after the other; a file is read and written whole.

mod path;
mod payload;

use proa_sdk::Properties;
use proa_sdk::bindings::{Error, Request, Response, output::Output};
use proa_sdk::component::{Component, Config, InitError, health::Health};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

struct LocalStorage {
    root: PathBuf,
}

/// A failure as Go words it.
fn cause(action: &str, path: &Path, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        io::ErrorKind::NotADirectory => "not a directory".to_owned(),
        io::ErrorKind::DirectoryNotEmpty => "directory not empty".to_owned(),
        _ => error.to_string(),
    };
    format!("{action} {}: {why}", path.display())
}

/// JSON as Go writes it, so that answers stay the same byte for byte.
fn json(value: &serde_json::Value) -> Vec<u8> {
    let text = value.to_string();
    let escapes = [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\u{2028}', "\\u2028"), ('\u{2029}', "\\u2029")];
    escapes.iter().fold(text, |t, (c, e)| t.replace(*c, e)).into_bytes()
}

fn answer(data: Option<Vec<u8>>) -> Response {
    Response { data, content_type: None, metadata: Vec::new() }
}

impl Component for LocalStorage {
    async fn init(config: Config) -> Result<Self, InitError> {
        let properties = Properties::from(&config);
        let wrong = |why| InitError::Other(format!("failed to parse metadata: {why}"));
        let root = path::root(properties.get("rootPath").unwrap_or_default()).map_err(wrong)?;
        fs::create_dir_all(&root).map_err(|e| {
            InitError::Other(format!("unable to create directory specified by 'rootPath' {}: {}", root.display(), cause("mkdir", &root, &e)))
        })?;
        Ok(Self { root })
    }
}

impl Health for LocalStorage {
    async fn ping(&self) -> Result<(), String> {
        fs::metadata(&self.root).map(drop).map_err(|e| cause("stat", &self.root, &e))
    }
}

impl LocalStorage {
    /// The full path and the one below the root.
    fn locate(&self, name: &str) -> Result<(PathBuf, PathBuf), Error> {
        let relative = path::resolve(&self.root, name).map_err(|e| {
            let why = cause("lstat", &self.root.join(name.trim_start_matches('/')), &e);
            Error::InvalidArgument(format!("error getting absolute path for file {name}: {why}"))
        })?;
        Ok((self.root.join(&relative), relative))
    }

    fn create(&self, name: &str, data: Vec<u8>) -> Result<Response, Error> {
        let data = payload::decode(data);
        let (full, relative) = self.locate(name)?;
        if let Some(folder) = full.parent() {
            fs::create_dir_all(folder)
                .map_err(|e| Error::Other(format!("error creating directory {}: {}", folder.display(), cause("mkdir", folder, &e))))?;
        }
        let mut file =
            fs::File::create(&full).map_err(|e| Error::Other(format!("error creating file {}: {}", full.display(), cause("open", &full, &e))))?;
        io::Write::write_all(&mut file, &data)
            .map_err(|e| Error::Other(format!("error writing to file {}: {}", full.display(), cause("write", &full, &e))))?;
        proa_sdk::log::debug(format!("wrote file: {}. numBytes: {}", full.display(), data.len()));
        Ok(answer(Some(json(&serde_json::json!({ "fileName": relative.to_string_lossy() })))))
    }

    fn get(&self, name: &str) -> Result<Response, Error> {
        let (full, _) = self.locate(name)?;
        let failed = |what: &str, why: String| Error::Other(format!("error {what} {}: {why}", full.display()));
        if fs::metadata(&full).is_ok_and(|m| m.is_dir()) {
            return Err(failed("reading file", format!("read {}: is a directory", full.display())));
        }
        match fs::read(&full) {
            Ok(data) => Ok(answer(Some(data))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(Error::NotFound(format!("file not found: {}", full.display()))),
            Err(e) => Err(failed("opening path", cause("open", &full, &e))),
        }
    }

    fn delete(&self, name: &str) -> Result<Response, Error> {
        let (full, _) = self.locate(name)?;
        // Like Go's: an empty folder may go as well.
        let is_folder = fs::symlink_metadata(&full).is_ok_and(|m| m.is_dir());
        let removed = if is_folder { fs::remove_dir(&full) } else { fs::remove_file(&full) };
        removed.map_err(|e| {
            let text = format!("error deleting file {}: {}", full.display(), cause("remove", &full, &e));
            if e.kind() == io::ErrorKind::NotFound { Error::NotFound(text) } else { Error::Other(text) }
        })?;
        Ok(answer(None))
    }

    fn list(&self, name: &str) -> Result<Response, Error> {
        let (full, _) = self.locate(name)?;
        let info = fs::metadata(&full).map_err(|e| {
            let text = format!("error getting stats for path {}: {}", full.display(), cause("stat", &full, &e));
            if e.kind() == io::ErrorKind::NotFound { Error::NotFound(text) } else { Error::Other(text) }
        })?;
        if !info.is_dir() {
            return Err(Error::InvalidArgument(format!("unable to list files as the file specified is not a directory: {}", full.display())));
        }
        let mut files = Vec::new();
        path::walk(&full, &mut files);
        let value = if files.is_empty() { serde_json::Value::Null } else { files.into() };
        Ok(answer(Some(json(&value))))
    }
}

impl Output for LocalStorage {
    fn operations() -> Vec<String> {
        ["create", "get", "list", "delete"].map(str::to_owned).to_vec()
    }

    async fn invoke(&self, request: Request) -> Result<Response, Error> {
        let name = request.metadata.iter().find(|(n, _)| n == "fileName").map(|(_, v)| v.as_str()).unwrap_or_default();
        match request.operation.as_str() {
            "create" if name.is_empty() => self.create(&uuid::Uuid::new_v4().to_string(), request.data),
            "create" => self.create(name, request.data),
            "get" => self.get(name),
            "list" => self.list(name),
            "delete" => self.delete(name),
            other => Err(Error::UnsupportedOperation(format!("unsupported operation {other}"))),
        }
    }
}

proa_sdk::component! {
    manifest: "../manifest.json",
    LocalStorage: bindings::output, component::health
}
