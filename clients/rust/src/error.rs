// SPDX-License-Identifier: LGPL-2.1-or-later

use crate::types::ErrorName;
use serde_json::Value;
use std::fmt;

/// What calls answer.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call has failed.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// The daemon's answer.
    Method(MethodError),
    /// There was no answer in time. What was asked for may have been done, or yet be.
    DeadlineExceeded,
    /// The connection broke while a call was under way that may not be made twice: whether it was heard is not known.
    Disconnected(String),
    /// Somebody has called [`Cancel::cancel`](crate::Cancel::cancel).
    Cancelled,
    /// What came, or was to be sent, is not what it should be.
    Json(String),
}

/// An answer of the daemon that is an error.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodError {
    /// As on the wire, without the interface.
    pub name: String,
    /// What is wrong, for people.
    pub message: String,
    /// All that came with it.
    pub parameters: Value,
}

impl Error {
    /// Which error of the daemon it is.
    pub fn name(&self) -> Option<ErrorName> {
        match self {
            Error::Method(e) => ErrorName::from_name(&e.name),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Method(e) if e.message.is_empty() => write!(f, "{}: {}", e.name, e.parameters),
            Error::Method(e) => write!(f, "{}: {}", e.name, e.message),
            Error::DeadlineExceeded => write!(f, "no answer in time"),
            Error::Disconnected(why) => write!(f, "the connection broke, and whether the call was heard is not known: {}", why),
            Error::Cancelled => write!(f, "cancelled"),
            Error::Json(why) => write!(f, "{}", why),
        }
    }
}

impl std::error::Error for Error {}

impl From<serde_json::Error> for Error {
    fn from(e: serde_json::Error) -> Self {
        Error::Json(e.to_string())
    }
}
