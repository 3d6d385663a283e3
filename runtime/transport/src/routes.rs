//! The endpoints of the HTTP API as data, who may use them, and how a path finds its row.
//!
//! The table is built once into a tree of path segments; a look-up compares a handful of short strings and allocates nothing. Routes
//! that the configuration does not allow are left out of the tree, so they are unknown paths.

mod access;
mod table;
mod tree;

pub use access::Access;
pub use table::ROUTES;
pub use tree::{Found, Params, Tree};

use http::Method;

/// Methods that routes know, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verbs(u8);

impl Verbs {
    pub const GET: Self = Self(1);
    pub const POST: Self = Self(2);
    pub const PUT: Self = Self(4);
    pub const DELETE: Self = Self(8);
    pub const ALL: Self = Self(u8::MAX);

    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The bit of a method; one without a bit of its own matches routes for every method only.
    pub fn of(method: &Method) -> Self {
        match *method {
            Method::GET => Self::GET,
            Method::POST => Self::POST,
            Method::PUT => Self::PUT,
            Method::DELETE => Self::DELETE,
            _ => Self(16),
        }
    }

    pub fn matches(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// The first segment of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
    V1Alpha1,
    V1Alpha2,
    V1Beta1,
}

impl Version {
    /// As it stands in paths.
    pub const fn path(self) -> &'static str {
        match self {
            Self::V1 => "v1.0",
            Self::V1Alpha1 => "v1.0-alpha1",
            Self::V1Alpha2 => "v1.0-alpha2",
            Self::V1Beta1 => "v1.0-beta1",
        }
    }

    /// As it stands in lists of allowed APIs.
    pub const fn group(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V1Alpha1 => "v1alpha1",
            Self::V1Alpha2 => "v1alpha2",
            Self::V1Beta1 => "v1beta1",
        }
    }
}

/// What answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    GetState,
    SaveState,
    DeleteState,
    GetBulkState,
    StateTransaction,
    QueryState,
    Publish,
    BulkPublish,
    InvokeBinding,
    GetSecret,
    GetBulkSecret,
    GetMetadata,
    PutMetadata,
    Shutdown,
    Health,
    OutboundHealth,
    InvokeService,
    Actors,
    Configuration,
    Lock,
    Crypto,
    SubtleCrypto,
    Workflow,
    Jobs,
    Conversation,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub version: Version,
    pub verbs: Verbs,
    /// Segments after the version; `{x}` is any one segment, a final `*` everything that follows.
    pub pattern: &'static str,
    /// The name in lists of allowed APIs.
    pub group: &'static str,
    pub operation: Operation,
    /// The name in logs.
    pub name: &'static str,
}

impl Route {
    pub fn is_health(&self) -> bool {
        matches!(self.operation, Operation::Health | Operation::OutboundHealth)
    }
}
