//! From a resource to a running generation: find the module, check the metadata against its schema, derive the grants, start.

use crate::cache::Cache;
use crate::catalogue::Catalogue;
use crate::ctx::{Ctx, Limits};
use crate::exports::Indices;
use crate::generation::{Generation, Identity, InstanceError, Plan, Stats};
use crate::grants::Grants;
use crate::kinds::nameresolution::SelfInfo;
use crate::manifest::{Abi, Manifest};
use crate::module::{Module, ModuleError, ModuleFile};
use crate::remote::{RemoteType, Remotes};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use wasmtime::component::{Component, Linker};

/// Where modules and their compiled forms lie.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// None: no shipped modules.
    pub catalogue: Option<PathBuf>,
    pub cache: PathBuf,
}

impl HostOptions {
    /// The catalogue beside the binary and the user's cache folder (`PROA_CACHE`, `XDG_CACHE_HOME`, `HOME`, the system's temporary folder).
    pub fn from_env() -> Self {
        let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let cache = var("PROA_CACHE")
            .or_else(|| var("XDG_CACHE_HOME").map(|d| d.join("proa/modules")))
            .or_else(|| var("HOME").map(|d| d.join(".cache/proa/modules")))
            // SAFETY: getuid has no preconditions and cannot fail.
            .unwrap_or_else(|| std::env::temp_dir().join(format!("proa-{}", unsafe { libc::getuid() })));
        Self { catalogue: Catalogue::default_dir(), cache }
    }
}

/// What a generation is started from: a resource with every value resolved.
#[derive(Clone, Debug)]
pub struct StartSpec {
    pub name: String,
    pub component_type: String,
    pub version: String,
    pub generation: u64,
    pub app_id: String,
    pub namespace: String,
    pub properties: Vec<(String, String)>,
    /// `proa.dev/allow-hosts`.
    pub allow_hosts: Option<String>,
    /// `proa.dev/strict`: what is only a warning becomes an error.
    pub strict: bool,
    /// `proa.dev/memory-limit`, bytes.
    pub memory_limit: Option<usize>,
    /// `proa.dev/instances`, for the synchronous ABI.
    pub instances: Option<u32>,
    pub init_timeout: Duration,
    /// What a name resolver announces of this sidecar, in every new instance once `init` has returned.
    pub announce: Option<SelfInfo>,
    /// `proa.dev/call-timeout`.
    pub call_timeout: Option<Duration>,
    pub stats: Arc<Stats>,
}

/// How long a call may take where nothing else is said.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("couldn't find {component_type}/{version}{hint}")]
    UnknownType { component_type: String, version: String, hint: String },
    #[error(transparent)]
    Module(#[from] ModuleError),
    #[error("{0}")]
    Metadata(String),
    #[error(transparent)]
    Instance(#[from] InstanceError),
    #[error("{0}")]
    Engine(String),
}

/// See the crate's text.
pub struct Host {
    engine: wasmtime::Engine,
    linker: Linker<Ctx>,
    catalogue: Catalogue,
    cache: Cache,
    shipped: Cache,
    remotes: Option<Arc<dyn Remotes>>,
    /// Modules in use, by digest.
    modules: Mutex<HashMap<String, Weak<Module>>>,
}

/// What implements a type.
#[allow(clippy::large_enum_variant, reason = "there is one for each start of a component")]
pub enum Found {
    Module(FoundModule),
    /// A process elsewhere.
    Remote(RemoteType),
}

impl Found {
    /// Names the code; the same digest means the same code.
    pub fn digest(&self) -> &str {
        match self {
            Self::Module(module) => module.digest(),
            Self::Remote(remote) => &remote.source.digest,
        }
    }
}

/// A module that was found but not yet compiled.
pub enum FoundModule {
    Shipped { path: PathBuf, digest: String, manifest: Manifest },
    File(ModuleFile),
}

impl FoundModule {
    pub fn manifest(&self) -> &Manifest {
        match self {
            Self::Shipped { manifest, .. } => manifest,
            Self::File(file) => &file.manifest,
        }
    }
    /// SHA-256 of the file.
    pub fn digest(&self) -> &str {
        match self {
            Self::Shipped { digest, .. } => digest,
            Self::File(file) => &file.digest,
        }
    }
    pub fn path(&self) -> &Path {
        match self {
            Self::Shipped { path, .. } => path,
            Self::File(file) => &file.path,
        }
    }
}

impl Host {
    pub fn new(options: &HostOptions) -> Result<Self, StartError> {
        let engine_error = |e: wasmtime::Error| StartError::Engine(format!("{e:#}"));
        let engine = crate::engine::new().map_err(engine_error)?;
        let linker = crate::imports::linker(&engine).map_err(engine_error)?;
        let compatibility = crate::engine::compatibility(&engine);
        let catalogue = match &options.catalogue {
            Some(dir) => Catalogue::open(dir).map_err(StartError::Engine)?,
            None => Catalogue::default(),
        };
        let shipped = Cache::new(catalogue.dir().to_owned(), compatibility.clone());
        let cache = Cache::new(options.cache.clone(), compatibility);
        Ok(Self { engine, linker, catalogue, cache, shipped, remotes: None, modules: Mutex::default() })
    }

    /// Components of other processes count as well.
    pub fn with_remotes(mut self, remotes: Arc<dyn Remotes>) -> Self {
        self.remotes = Some(remotes);
        self
    }

    pub fn remotes(&self) -> Option<&dyn Remotes> {
        self.remotes.as_deref()
    }

    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// What implements a type: the file that the resource names, or one of `files` that claims the type, or a process that offers it,
    /// or the shipped module.
    /// A file that served until now (`last`) and is broken is an error, not a reason to take another module.
    pub fn find(
        &self,
        component_type: &str,
        version: &str,
        named: Option<&Path>,
        files: &[PathBuf],
        last: Option<&Path>,
    ) -> Result<Found, StartError> {
        if let Some(path) = named {
            let file = ModuleFile::read(path)?;
            if !file.manifest.implements(component_type, version) {
                let types = file.manifest.types.iter().map(|t| format!("{} {}", t.name, t.versions.join("/"))).collect::<Vec<_>>().join(", ");
                let why = format!("it implements {types}, not {component_type} {version}");
                return Err(ModuleError::Manifest { path: path.to_owned(), why }.into());
            }
            return Ok(Found::Module(FoundModule::File(file)));
        }
        let mut broken = None;
        for path in files {
            match ModuleFile::read(path) {
                Ok(file) if file.manifest.implements(component_type, version) => return Ok(Found::Module(FoundModule::File(file))),
                Ok(_) => {}
                Err(e) if last == Some(path) => return Err(e.into()),
                Err(e) => broken = Some(e),
            }
        }
        if let Some(remote) = self.remotes().and_then(|r| r.find(component_type, version)) {
            return Ok(Found::Remote(remote));
        }
        if let Some(entry) = self.catalogue.find(component_type, version) {
            let (path, digest, manifest) = (self.catalogue.path(entry), entry.digest.clone(), entry.manifest.clone());
            return Ok(Found::Module(FoundModule::Shipped { path, digest, manifest }));
        }
        if let Some(broken) = broken {
            return Err(broken.into());
        }
        Err(StartError::UnknownType { component_type: component_type.into(), version: version.into(), hint: self.hint(component_type) })
    }

    fn hint(&self, component_type: &str) -> String {
        let near = self.catalogue.types().map(|t| (strsim::levenshtein(t, component_type), t)).min().filter(|(d, _)| *d <= 3);
        near.map(|(_, t)| format!("; did you mean {t}?")).unwrap_or_default()
    }

    /// Compiles, or finds compiled, and links.
    pub async fn load(&self, found: &FoundModule) -> Result<Arc<Module>, StartError> {
        let digest = found.digest();
        if let Some(module) = self.modules.lock().ok().and_then(|m| m.get(digest).and_then(Weak::upgrade)) {
            return Ok(module);
        }
        let component = self.component(found).await?;
        let link = |why: String| ModuleError::Link { path: found.path().to_owned(), why };
        let pre = self.linker.instantiate_pre(&component).map_err(|e| link(format!("{e:#}")))?;
        let indices = Indices::of(&pre);
        let manifest = found.manifest();
        if let Some(missing) = indices.missing(manifest) {
            return Err(link(format!("its manifest says {}, but it does not export {missing}", manifest.kind)).into());
        }
        let module =
            Arc::new(Module { path: found.path().to_owned(), digest: digest.to_owned(), manifest: Arc::new(manifest.clone()), pre, indices });
        if let Ok(mut modules) = self.modules.lock() {
            modules.retain(|_, m| m.strong_count() > 0);
            modules.insert(digest.to_owned(), Arc::downgrade(&module));
        }
        Ok(module)
    }

    async fn component(&self, found: &FoundModule) -> Result<Component, StartError> {
        let digest = found.digest();
        if let Some(component) = self.shipped.find(digest).and_then(|p| self.map(&p).ok()) {
            return Ok(component);
        }
        if let Some(path) = self.cache.find(digest) {
            match self.map(&path) {
                Ok(component) => return Ok(component),
                Err(e) => {
                    tracing::warn!(target: "proa.host", "compiled module {} is not usable and is made anew: {e:#}", path.display());
                    self.cache.forget(digest);
                }
            }
        }
        let path = self.cache.compile(found.path(), digest).await?;
        let failed = |e: wasmtime::Error| ModuleError::Compile { path: found.path().to_owned(), why: format!("{e:#}") };
        Ok(self.map(&path).map_err(failed)?)
    }

    fn map(&self, path: &Path) -> wasmtime::Result<Component> {
        // SAFETY: only files are mapped that this program wrote and whose digest was just compared.
        unsafe { Component::deserialize_file(&self.engine, path) }
    }

    /// Starts a generation.
    pub async fn start(&self, module: Arc<Module>, spec: &StartSpec) -> Result<Arc<Generation>, StartError> {
        for warning in crate::manifest::check(&module.manifest, &spec.properties, spec.strict).map_err(StartError::Metadata)? {
            tracing::warn!(target: "proa.host", component = %spec.name, "{warning}");
        }
        let grants = Grants::derive(&module.manifest, &spec.properties, spec.allow_hosts.as_deref()).map_err(StartError::Metadata)?;
        let identity = Arc::new(Identity {
            name: spec.name.clone(),
            component_type: spec.component_type.clone(),
            version: spec.version.clone(),
            generation: spec.generation,
        });
        let module = match (spec.instances, module.manifest.abi) {
            (Some(n), Abi::Sync) => module.with_instances(n),
            _ => module,
        };
        let limits = Limits { memory: spec.memory_limit.unwrap_or(Limits::default().memory), ..Limits::default() };
        let plan = Plan {
            engine: self.engine.clone(),
            config: Plan::config(&identity, &spec.app_id, &spec.namespace, &spec.properties),
            module,
            identity,
            grants: Arc::new(grants),
            limits,
            init_timeout: spec.init_timeout,
            announce: spec.announce.clone(),
            call_timeout: spec.call_timeout.unwrap_or(CALL_TIMEOUT),
            stats: spec.stats.clone(),
        };
        Ok(Generation::start(plan).await?)
    }
}

impl Host {
    /// Starts a generation of a component that lives elsewhere.
    pub async fn start_remote(&self, found: &RemoteType, spec: &StartSpec) -> Result<Arc<Generation>, StartError> {
        let identity = Identity {
            name: spec.name.clone(),
            component_type: spec.component_type.clone(),
            version: spec.version.clone(),
            generation: spec.generation,
        };
        let starting = tokio::time::timeout(spec.init_timeout, found.starter.start(spec));
        let (facts, remote) = match starting.await {
            Ok(started) => started.map_err(InstanceError::Init)?,
            Err(_) => return Err(InstanceError::Timeout(spec.init_timeout).into()),
        };
        Ok(Generation::remote(identity, found.kind, found.source.clone(), facts, remote))
    }
}
