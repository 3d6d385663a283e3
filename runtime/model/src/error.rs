//! Every failure of an API operation, the same over both transports: code, HTTP status, gRPC code, wording, details.
//!
//! The constructors are grouped by building block; the texts and numbers are Dapr's.

pub mod absent;
pub mod binding;
pub mod common;
pub mod invoke;
pub mod pubsub;
pub mod secret;
pub mod state;

use std::borrow::Cow;
use std::collections::BTreeMap;

/// gRPC's status codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Grpc {
    Ok = 0,
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl Grpc {
    /// The code of a number; what is no code is unknown.
    pub fn of(code: i32) -> Self {
        match code {
            0 => Self::Ok,
            1 => Self::Cancelled,
            3 => Self::InvalidArgument,
            4 => Self::DeadlineExceeded,
            5 => Self::NotFound,
            6 => Self::AlreadyExists,
            7 => Self::PermissionDenied,
            8 => Self::ResourceExhausted,
            9 => Self::FailedPrecondition,
            10 => Self::Aborted,
            11 => Self::OutOfRange,
            12 => Self::Unimplemented,
            13 => Self::Internal,
            14 => Self::Unavailable,
            15 => Self::DataLoss,
            16 => Self::Unauthenticated,
            _ => Self::Unknown,
        }
    }

    /// As gRPC for Go writes it, which messages quote.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Cancelled => "Canceled",
            Self::Unknown => "Unknown",
            Self::InvalidArgument => "InvalidArgument",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::NotFound => "NotFound",
            Self::AlreadyExists => "AlreadyExists",
            Self::PermissionDenied => "PermissionDenied",
            Self::ResourceExhausted => "ResourceExhausted",
            Self::FailedPrecondition => "FailedPrecondition",
            Self::Aborted => "Aborted",
            Self::OutOfRange => "OutOfRange",
            Self::Unimplemented => "Unimplemented",
            Self::Internal => "Internal",
            Self::Unavailable => "Unavailable",
            Self::DataLoss => "DataLoss",
            Self::Unauthenticated => "Unauthenticated",
        }
    }
}

/// `google.rpc.ResourceInfo`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceInfo {
    pub resource_type: String,
    pub resource_name: String,
    pub owner: String,
    pub description: String,
}

/// One link of `google.rpc.Help`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelpLink {
    pub description: String,
    pub url: String,
}

/// One violation of `google.rpc.BadRequest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub field: String,
    pub description: String,
}

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// `errorCode` over HTTP.
    pub code: Cow<'static, str>,
    /// The reason of `google.rpc.ErrorInfo`; with one, the error has details.
    pub reason: Option<Cow<'static, str>>,
    pub http: u16,
    pub grpc: Grpc,
    pub message: String,
    /// The domain of `google.rpc.ErrorInfo`; none: `dapr.io`.
    pub domain: Option<String>,
    /// The metadata of `google.rpc.ErrorInfo`.
    pub metadata: BTreeMap<String, String>,
    pub resource: Option<ResourceInfo>,
    pub help: Vec<HelpLink>,
    pub violations: Vec<Violation>,
    /// The category of `dapr_error_code_total`.
    pub category: &'static str,
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl Error {
    /// An error without details.
    pub fn plain(category: &'static str, code: &'static str, http: u16, grpc: Grpc, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            reason: None,
            http,
            grpc,
            message: message.into(),
            domain: None,
            metadata: BTreeMap::new(),
            resource: None,
            help: Vec::new(),
            violations: Vec::new(),
            category,
        }
    }

    /// Adds an ErrorInfo reason.
    pub fn reason(mut self, reason: impl Into<Cow<'static, str>>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.metadata.insert(key.to_owned(), value.into());
        self
    }

    pub fn resource(mut self, resource_type: &str, name: &str, owner: &str, description: &str) -> Self {
        self.resource = Some(ResourceInfo {
            resource_type: resource_type.to_owned(),
            resource_name: name.to_owned(),
            owner: owner.to_owned(),
            description: description.to_owned(),
        });
        self
    }

    pub fn help(mut self, url: &str, description: &str) -> Self {
        self.help.push(HelpLink { description: description.to_owned(), url: url.to_owned() });
        self
    }

    pub fn violation(mut self, field: &str, description: impl Into<String>) -> Self {
        self.violations.push(Violation { field: field.to_owned(), description: description.into() });
        self
    }
}
