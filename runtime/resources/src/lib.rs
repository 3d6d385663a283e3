//! YAML resources: from files on disk to typed records, and from two states of the disk to a list of changes.
//!
//! `load` never aborts: what cannot be read is an entry in the snapshot, everything else is usable. Reading costs one
//! pass over the files; nothing is cached. `Watcher` says *that* something changed, `diff` says *what*.
//! Secrets are not resolved here, they are only named (`values::secret_refs`).

pub mod component;
pub mod configuration;
pub mod diff;
pub mod go_duration;
pub mod go_json;
pub mod http_endpoint;
pub mod issue;
pub mod load;
pub mod nearest;
pub mod quantity;
pub mod raw;
pub mod resiliency;
pub mod resource;
pub mod subscription;
pub mod truthy;
pub mod values;
pub mod watcher;

mod fields;
mod yaml;

pub use component::{Component, MetadataItem, MetadataValue};
pub use configuration::{Configuration, load_configuration};
pub use diff::{Change, What, diff};
pub use http_endpoint::HttpEndpoint;
pub use issue::{Duplicate, Error, IssueClass, LoadError};
pub use load::{FileStamp, LoadOptions, ModuleFile, Snapshot, load};
pub use nearest::nearest;
pub use raw::RawResource;
pub use resiliency::Resiliency;
pub use resource::{Kind, Origin, Resource};
pub use subscription::Subscription;
pub use truthy::is_truthy;
pub use values::{TemplateContext, expand_templates, resolve_env, secret_refs};
pub use watcher::{Tick, Watcher};
